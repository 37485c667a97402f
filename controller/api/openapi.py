"""``/v2.0/isthmus/openapi.json``: an OpenAPI 3.1 description of what this process serves.

It is made from the routes and the attribute definitions, so that it says what is there and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from webob import Response

from controller.api.attributes import RESOURCE_TYPES, ResourceType
from controller.api.declarations import BODIES
from controller.api.isthmus import QUERIES
from controller.api.json_schema import Schema, request_schema, resource_schema
from controller.api.router import Call, Handler, Route
from controller.api.views import json_response

PATH = "/v2.0/isthmus/openapi.json"
VARIABLE = re.compile(r"\{(\w+)\}")
FAULTS = (400, 401, 403, 404, 405, 408, 409, 411, 412, 413, 429, 503)
JSON = "application/json"
TEXT: Schema = {"type": "string"}
PAGING: Mapping[str, Schema] = {
    "sort_key": {"type": "array", "items": TEXT},
    "sort_dir": {"type": "array", "items": {"enum": ["asc", "desc"]}},
    "limit": {"type": "integer", "minimum": 0},
    "marker": TEXT,
    "page_reverse": {"type": "boolean"},
}


class OpenApi:
    """The description of some routes, and the route that shows it."""

    def __init__(self, routes: Iterable[Route], with_tokens: bool) -> None:
        own = Route(PATH, {"GET": self.show})
        self._document = _document([*routes, own], with_tokens)
        self._routes = [own]

    def routes(self) -> Iterator[Route]:
        """Where the description is shown."""
        yield from self._routes

    def show(self, call: Call) -> Response:  # noqa: ARG002 - the shape of a handler
        """This description."""
        return json_response(self._document)


def _document(routes: list[Route], with_tokens: bool) -> Schema:
    document: Schema = {
        "openapi": "3.1.0",
        "info": {"title": "Isthmus", "version": "2.0", "description": "The Networking API v2.0 as served here."},
        "paths": {route.template: _path(route) for route in routes},
        "components": {"schemas": _schemas(), "responses": {"Fault": _content(_ref("Fault"), "What went wrong.")}},
    }
    if with_tokens:
        document["components"]["securitySchemes"] = {
            "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}
        }
        document["security"] = [{"token": []}]
    return document


def _schemas() -> Schema:
    error = dict.fromkeys(("type", "message", "detail"), TEXT)
    fault = {"type": "object", "properties": error, "required": sorted(error), "additionalProperties": False}
    schemas: Schema = {"Fault": _wrapped({"NeutronError": fault})}
    for resource in RESOURCE_TYPES:
        schemas[resource.name] = resource_schema(resource)
        for write, allowed in (("create", "allow_post"), ("update", "allow_put")):
            if write in resource.writes:
                schemas[f"{write}_{resource.name}"] = request_schema(resource, allowed)
    return schemas


def _path(route: Route) -> Schema:
    resource = next((item for item in RESOURCE_TYPES if route.template in _templates(item)), None)
    operations: Schema = {}
    for method, handler in route.methods.items():
        make = _generic if resource is None else _of_resource
        operations[method.lower()] = make(route, method, handler, resource)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": TEXT} for name in VARIABLE.findall(route.template)
    ]
    return {**operations, "parameters": parameters} if parameters else operations


def _templates(resource: ResourceType) -> tuple[str, str]:
    collection = f"/v2.0/{resource.path}"
    return collection, collection + "/{id}"


def _generic(route: Route, method: str, handler: Handler, _: ResourceType | None) -> Schema:
    done = {"description": "Done."}
    answers: Schema = {"200": done, **({} if method == "GET" else {"201": done}), "204": done}
    operation: Schema = {"summary": _summary(handler, method, route), "responses": {**answers, **_faults()}}
    said = QUERIES.get(route.template)
    if said is not None:
        operation["parameters"] = [{**_parameter(name, schema), "required": name == "port"}
                                   for name, schema in said.items()]  # fmt: skip
    if method in ("PUT", "POST"):
        known = BODIES.get(route.template)
        content = {JSON: {"schema": known or {}}}
        operation["requestBody"] = {"content": content, **({"required": True} if known else {})}
    return operation


def _of_resource(route: Route, method: str, handler: Handler, resource: ResourceType | None) -> Schema:
    assert resource is not None
    one = route.template.endswith("}")
    name, key, collection = resource.name, resource.key, resource.collection
    item = _wrapped({key: _ref(name)})
    answers: dict[tuple[str, bool], tuple[str, Schema]] = {
        ("GET", False): ("200", _list(resource)),
        ("POST", False): ("201", {"anyOf": [item, _wrapped({collection: _array(_ref(name))})]}),
        ("GET", True): ("200", item),
        ("PUT", True): ("200", item),
        ("DELETE", True): ("204", {}),
    }
    operation: Schema = {"summary": _summary(handler, method, route), "tags": [collection]}
    status, schema = answers.get((method, one), ("200", {}))
    done = _content(schema, "Done.") if schema else {"description": "Done."}
    operation["responses"] = {status: done, **_faults()}
    if method == "GET":
        operation["parameters"] = _parameters(resource, one)
    if method == "POST" and not one:
        said = _ref(f"create_{name}")
        many = _wrapped({collection: {**_array(said), "minItems": 1}})
        operation["requestBody"] = {"required": True, **_body({"anyOf": [_wrapped({key: said}), many]})}
    if method == "PUT" and one:
        operation["requestBody"] = {"required": True, **_body(_wrapped({key: _ref(f"update_{name}")}))}
    return operation


def _parameters(resource: ResourceType, one: bool) -> list[Schema]:
    fields = {"type": "array", "items": {"enum": sorted(resource.visible)}}
    found = [_parameter("fields", fields)]
    if not one:
        keys: Schema = {"type": "array", "items": {"enum": sorted(resource.sort_keys)}}
        found += [_parameter(name, keys if name == "sort_key" else schema) for name, schema in PAGING.items()]
        found += [_parameter(name, _array(TEXT)) for name in sorted(resource.filters)]
    return found


def _parameter(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "schema": schema}


def _list(resource: ResourceType) -> Schema:
    links = _array(_wrapped({"rel": TEXT, "href": TEXT}))
    many = {resource.collection: _array(_ref(resource.name)), f"{resource.collection}_links": links}
    return {"type": "object", "properties": many, "required": [resource.collection], "additionalProperties": False}


def _faults() -> Schema:
    return {str(status): {"$ref": "#/components/responses/Fault"} for status in FAULTS}


def _summary(handler: Handler, method: str, route: Route) -> str:
    told = (handler.__doc__ or "").strip().splitlines()
    return told[0].strip() if told else f"{method} {route.template}"


def _wrapped(properties: Mapping[str, Any]) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _body(schema: Schema) -> Schema:
    return {"content": {JSON: {"schema": schema}}}


def _content(schema: Schema, description: str) -> Schema:
    return {"description": description, **_body(schema)}
