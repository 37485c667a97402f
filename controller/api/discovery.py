"""What there is: versions, resources, extensions."""

from __future__ import annotations

from collections.abc import Iterator

from webob import Request, Response, exc

from controller.api.attributes import RESOURCE_TYPES
from controller.api.extensions import EXTENSIONS
from controller.api.router import Call, Route
from controller.api.views import json_response


def routes() -> Iterator[Route]:
    """The routes of the documents."""
    yield Route("/", {"GET": versions})
    yield Route("/healthcheck", {"GET": healthcheck})
    yield Route("/v2.0", {"GET": resource_list})
    yield Route("/v2.0/extensions", {"GET": extensions})
    yield Route("/v2.0/extensions/{alias}", {"GET": extension})


def versions(call: Call) -> Response:
    """``GET /``"""
    return json_response({"versions": [_version(call.request)]})


def healthcheck(call: Call) -> Response:  # noqa: ARG001 - the shape of a handler
    """``GET /healthcheck``: this process answers; for load balancers, which have no token."""
    return Response(b"OK", content_type="text/plain", charset="UTF-8")


def resource_list(call: Call) -> Response:
    """``GET /v2.0``: the collections; and the version, for clients that were given this address to discover from."""
    entries = [
        {
            "name": resource.name,
            "collection": resource.collection,
            "links": _self(call.request, f"/v2.0/{resource.path}"),
        }
        for resource in RESOURCE_TYPES
    ]
    return json_response({"version": _version(call.request), "resources": entries})


def extensions(call: Call) -> Response:  # noqa: ARG001 - the shape of a handler
    """``GET /v2.0/extensions``"""
    return json_response({"extensions": [entry.to_dict() for entry in EXTENSIONS.values()]})


def extension(call: Call) -> Response:
    """``GET /v2.0/extensions/{alias}``"""
    alias = call.variables["alias"]
    if alias not in EXTENSIONS:
        raise exc.HTTPNotFound(f"Extension with alias {alias} does not exist")
    return json_response({"extension": EXTENSIONS[alias].to_dict()})


def _version(request: Request) -> dict[str, object]:
    return {"id": "v2.0", "status": "CURRENT", "links": _self(request, "/v2.0/")}


def _self(request: Request, path: str) -> list[dict[str, str]]:
    return [{"rel": "self", "href": request.application_url + path}]
