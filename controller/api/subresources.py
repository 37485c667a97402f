"""What hangs below a resource in the Networking API: bindings of a port, tags, details of a quota, prefixes of a pool.

The plugin reaches them by its ordinary calls (:class:`controller.plugin.api.Resources`); here are only their paths and
bodies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from neutron_lib.exceptions import InvalidInput, QuotaMissingTenant
from webob import Response, exc

from controller.api import body, query
from controller.api.attributes import QUOTA, SUBNETPOOL, ResourceType
from controller.api.collection import Collection, Limits
from controller.api.policy import PolicyNotAuthorized
from controller.api.router import Call, Route
from controller.api.views import empty_response, json_response, view
from controller.plugin.api import Body, Resources
from controller.plugin.faults import TagNotFound

MESSAGE = 500
"""Characters of a message that quotes the caller."""


class Bindings(Collection):
    """``/ports/{port_id}/bindings``: the bindings of a port, by host."""

    def routes(self) -> Iterator[Route]:
        """A collection's, and ``activate``."""
        yield from super().routes()
        yield Route(f"{self._path}/{{id}}/activate", {"PUT": self.activate})

    @property
    def _path(self) -> str:
        return "/v2.0/ports/{port_id}/bindings"

    def _id(self, call: Call) -> str:
        return f"{call.variables['port_id']}/{call.variables['id']}"

    def _query(self, call: Call) -> query.Page:
        page = super()._query(call)
        filters = {**page.query.filters, "port_id": [call.variables["port_id"]]}
        return dataclasses.replace(page, query=dataclasses.replace(page.query, filters=filters))

    def _prepared(self, call: Call) -> Body | Sequence[Body]:
        prepared, port_id = super()._prepared(call), {"port_id": call.variables["port_id"]}
        if isinstance(prepared, dict):
            return {**prepared, **port_id}
        return [{**item, **port_id} for item in prepared]

    def activate(self, call: Call) -> Response:
        """``PUT /ports/{port_id}/bindings/{host}/activate``: the port moves there; answers with the bare binding, as
        Neutron does."""
        item = self._resources.update(call.context, self._resource.name, self._id(call), {"status": "ACTIVE"})
        return json_response(view(self._resource, item))


class Tags:
    """``/networks/{id}/tags`` and ``/networks/{id}/tags/{tag}``, likewise for every resource with tags."""

    def __init__(self, resource: ResourceType, resources: Resources, limits: Limits) -> None:
        self._resource, self._resources, self._limits = resource, resources, limits

    def routes(self) -> Iterator[Route]:
        """All tags, and one."""
        path = f"/v2.0/{self._resource.path}/{{id}}/tags"
        yield Route(path, {"GET": self.list, "PUT": self.replace, "POST": self.add_several, "DELETE": self.clear})
        yield Route(f"{path}/{{tag}}", {"GET": self.show, "PUT": self.add, "DELETE": self.remove})

    def _change(self, call: Call, change: Body) -> Any:
        changed = self._resources.update(call.context, self._resource.name, call.variables["id"], change)
        return changed.get("tags", [])

    def _said(self, call: Call) -> Any:
        content = body.read_json(call.request, self._limits.max_body_size)
        if not isinstance(content, dict) or set(content) != {"tags"} or not isinstance(content["tags"], list):
            raise InvalidInput(error_message='the body must be of the form {"tags": ["red", "blue"]}')
        if any(content["tags"].count(tag) > 1 for tag in content["tags"]):
            raise InvalidInput(error_message=f"Duplicate items in the list: '{content['tags']}'"[:MESSAGE])
        return content["tags"]

    def _present(self, call: Call) -> list[str]:
        item = self._resources.get(call.context, self._resource.name, call.variables["id"])
        if "tags" not in item:
            raise PolicyNotAuthorized(rule=f"get_{self._resource.name}:tags")
        found: list[str] = item["tags"]
        return found

    def list(self, call: Call) -> Response:
        """``GET tags``"""
        return json_response({"tags": self._present(call)})

    def replace(self, call: Call) -> Response:
        """``PUT tags``: these and no others."""
        return json_response({"tags": self._change(call, {"tags": self._said(call)})})

    def add_several(self, call: Call) -> Response:
        """``POST tags``: these too; answers with these, as Neutron does."""
        said = self._said(call)
        self._change(call, {"add_tags": said})
        return json_response({"tags": said})

    def clear(self, call: Call) -> Response:
        """``DELETE tags``"""
        self._change(call, {"clear_tags": True})
        return empty_response()

    def show(self, call: Call) -> Response:
        """``GET tags/{tag}``: 204 when the resource has it."""
        tag = call.variables["tag"]
        if tag not in self._present(call):
            raise TagNotFound(tag=tag)
        return empty_response()

    def add(self, call: Call) -> Response:
        """``PUT tags/{tag}``"""
        self._change(call, {"put_tags": [call.variables["tag"]]})
        return empty_response(201)

    def remove(self, call: Call) -> Response:
        """``DELETE tags/{tag}``"""
        self._change(call, {"remove_tags": [call.variables["tag"]]})
        return empty_response()


class QuotaViews:
    """``/quotas/{project}/default``, ``/quotas/{project}/details``, and ``/quotas/project`` with its older name
    ``/quotas/tenant``."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def routes(self) -> Iterator[Route]:
        """All of them."""
        yield Route("/v2.0/quotas/{id}/default", {"GET": self.default})
        yield Route("/v2.0/quotas/{id}/details", {"GET": self.details})
        yield Route("/v2.0/quotas/project", {"GET": self.project})
        yield Route("/v2.0/quotas/tenant", {"GET": self.tenant})

    def default(self, call: Call) -> Response:
        """What a project without limits of its own has."""
        return self._shown(call, "quota_default")

    def details(self, call: Call) -> Response:
        """Limits beside usage."""
        return self._shown(call, "quota_details")

    def project(self, call: Call) -> Response:
        """Whose quotas the caller's are: its project."""
        return self._caller(call, "project")

    def tenant(self, call: Call) -> Response:
        """The same in older words."""
        return self._caller(call, "tenant")

    def _caller(self, call: Call, word: str) -> Response:
        """Raises QuotaMissingTenant (400)."""
        if not call.context.project_id:
            raise QuotaMissingTenant()
        return json_response({word: {f"{word}_id": call.context.project_id}})

    def _shown(self, call: Call, resource: str) -> Response:
        item = self._resources.get(call.context, resource, call.variables["id"])
        return json_response({"quota": view(QUOTA, item)})


class PrefixChanges:
    """``/subnetpools/{id}/add_prefixes`` and ``/subnetpools/{id}/remove_prefixes``."""

    def __init__(self, resources: Resources, limits: Limits) -> None:
        self._resources, self._limits = resources, limits

    def routes(self) -> Iterator[Route]:
        """Both."""
        for name in ("add_prefixes", "remove_prefixes"):
            yield Route(f"/v2.0/{SUBNETPOOL.path}/{{id}}/{name}", {"PUT": getattr(self, name)})

    def add_prefixes(self, call: Call) -> Response:
        """More prefixes."""
        return self._change(call, "add_prefixes")

    def remove_prefixes(self, call: Call) -> Response:
        """Fewer prefixes."""
        return self._change(call, "remove_prefixes")

    def _change(self, call: Call, name: str) -> Response:
        content = body.read_json(call.request, self._limits.max_body_size)
        prefixes = content.get("prefixes") if isinstance(content, dict) else None
        if not isinstance(prefixes, list) or not all(isinstance(prefix, str) for prefix in prefixes):
            raise exc.HTTPBadRequest('The body must be of the form {"prefixes": ["10.0.0.0/8"]}')
        item = self._resources.update(call.context, SUBNETPOOL.name, call.variables["id"], {name: prefixes})
        return json_response({"prefixes": item["prefixes"]})
