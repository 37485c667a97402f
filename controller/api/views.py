"""Resources as they are shown: visible attributes only, both names of the project, the fields asked for."""

from __future__ import annotations

import json
from collections.abc import Set
from typing import Any

import orjson
from webob import Response

from controller.api.attributes import ResourceType
from controller.plugin.api import Body

PLAINLY = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
"""What JSON has no word for is :func:`_plain`'s."""


def view(resource: ResourceType, item: Body, fields: Set[str] = frozenset()) -> Body:
    """One resource as the caller sees it; ``fields`` empty means all."""
    if "project_id" in resource.attributes and not ("project_id" in item and "tenant_id" in item):
        project = item.get("project_id", item.get("tenant_id", ""))
        item = {**item, "project_id": project, "tenant_id": project}
    wanted = resource.visible & fields if fields else resource.visible
    if item.keys() <= wanted:
        return item
    return {name: value for name, value in item.items() if name in wanted}


def json_response(value: Any, status: int = 200) -> Response:
    """A JSON answer."""
    try:
        content = orjson.dumps(value, default=_plain, option=PLAINLY)
    except orjson.JSONEncodeError:  # a number beyond 64 bits: how many addresses an IPv6 subnet has
        content = json.dumps(value, default=_plain).encode()
    return Response(content, status=status, content_type="application/json", charset="UTF-8")


def empty_response(status: int = 204) -> Response:
    """An answer without a body."""
    response = Response(status=status)
    response.content_type = None
    return response


def _plain(value: Any) -> Any:
    """Sets and mappings that are no dictionaries, as the controller's values have them."""
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, tuple):
        return list(value)
    if hasattr(value, "items"):
        return dict(value.items())
    return str(value)
