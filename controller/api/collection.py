"""A collection of the Networking API over HTTP: list, show, create (one or many), update, delete."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence

from neutron_lib.exceptions import BadRequest
from webob import Request, Response

from controller.api import body, query
from controller.api.attributes import ResourceType
from controller.api.router import Call, Handler, Route
from controller.api.views import empty_response, json_response, view
from controller.plugin.api import Body, Resources
from controller.turns import in_turns

IF_MATCH = re.compile(r'(?:W/)?("?)revision_number=(-?\d{1,18})\1')
ANY_REVISION = "*"


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What a request may ask for: bytes of a body, items of a page (-1: any number)."""

    max_body_size: int = 8 << 20
    max_page: int = -1


class Collection:
    """One collection over HTTP; every method is a handler."""

    def __init__(self, resource: ResourceType, resources: Resources, limits: Limits) -> None:
        self._resource = resource
        self._resources = resources
        self._limits = limits

    def routes(self) -> Iterator[Route]:
        """The collection's routes, with the methods that the resource allows."""
        reads, writes = self._resource.reads, self._resource.writes
        collection: dict[str, Handler] = {"GET": self.list}
        item: dict[str, Handler] = {"GET": self.show} if "show" in reads else {}
        if "create" in writes:
            collection["POST"] = self.create
        if "update" in writes:
            item["PUT"] = self.update
        if "delete" in writes:
            item["DELETE"] = self.delete
        yield Route(self._path, collection)
        if item:
            yield Route(f"{self._path}/{{id}}", item)

    @property
    def _path(self) -> str:
        return f"/v2.0/{self._resource.path}"

    def _id(self, call: Call) -> str:
        """What the plugin calls the resource that the path names."""
        return call.variables["id"]

    def _query(self, call: Call) -> query.Page:
        """What a list request asks for."""
        return query.parse(self._resource, call.request, self._limits.max_page)

    def _prepared(self, call: Call) -> Body | Sequence[Body]:
        """What a create request asks for."""
        content = body.read_json(call.request, self._limits.max_body_size)
        return body.prepare_create(self._resource, content, call.context)

    def list(self, call: Call) -> Response:
        """``GET /networks``"""
        page = self._query(call)
        items = self._resources.list(call.context, self._resource.name, page.query)
        links = query.page_links(call.request, page, items)
        answer: dict[str, object] = {
            self._resource.collection: [view(self._resource, item, page.fields) for item in in_turns(items)]
        }
        if links:
            answer[f"{self._resource.collection}_links"] = links
        return json_response(answer)

    def show(self, call: Call) -> Response:
        """``GET /networks/{id}``"""
        fields = query.fields(query.parse_parameters(call.request))
        item = self._resources.get(call.context, self._resource.name, self._id(call))
        return json_response({self._resource.key: view(self._resource, item, fields)})

    def create(self, call: Call) -> Response:
        """``POST /networks`` with one resource or, all or none, with many."""
        prepared = self._prepared(call)
        if isinstance(prepared, dict):
            item = self._resources.create(call.context, self._resource.name, prepared)
            return json_response({self._resource.key: view(self._resource, item)}, 201)
        items = self._resources.create_bulk(call.context, self._resource.name, prepared)
        views = [view(self._resource, item) for item in in_turns(items)]
        return json_response({self._resource.collection: views}, 201)

    def update(self, call: Call) -> Response:
        """``PUT /networks/{id}``"""
        content = body.read_json(call.request, self._limits.max_body_size)
        changes = body.prepare_update(self._resource, content)
        item = self._resources.update(
            call.context, self._resource.name, self._id(call), changes, self._expected_revision(call.request)
        )
        return json_response({self._resource.key: view(self._resource, item)})

    def delete(self, call: Call) -> Response:
        """``DELETE /networks/{id}``"""
        expected = self._expected_revision(call.request)
        self._resources.delete(call.context, self._resource.name, self._id(call), expected)
        return empty_response()

    def _expected_revision(self, request: Request) -> int | None:
        header = request.headers.get("If-Match")
        if header is None or header.strip() == ANY_REVISION:
            return None
        found = IF_MATCH.fullmatch(header.strip())
        if found is None or "revision_number" not in self._resource.attributes:
            raise BadRequest(
                resource="if-match",
                msg="it must have the form revision_number=<number>, for a resource that has a revision_number",
            )
        return int(found[2])
