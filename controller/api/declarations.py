"""What operators declare: ``/v2.0/isthmus/switches/{dpid}`` and ``/v2.0/isthmus/cables``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from neutron_lib.exceptions import InvalidInput, NotFound
from webob import Response

from controller.api import body
from controller.api.collection import Limits
from controller.api.router import Call, Route
from controller.api.views import empty_response, json_response
from controller.db.models import PLAN
from controller.plugin.api import Body, Resources

SWITCH_PATH, CABLES_PATH = "/v2.0/isthmus/switches/{dpid}", "/v2.0/isthmus/cables"
SAID_OF_SWITCHES = frozenset({"name", "uplinks", "tunnel", "admin_state_up"})
SHOWN = frozenset({"id", "dpid"})
"""What a body may have because answers have it; it is not looked at."""

_TEXT = {"type": "string", "minLength": 1, "maxLength": 255}
_PORT = {"anyOf": [_TEXT, {"type": "integer", "minimum": 1, "maximum": 0xFFFFFEFF}]}
_TUNNEL = {
    "type": "object",
    "properties": {
        "ip": {"type": "string", "format": "ipv4"},
        "ports": {
            "type": "object",
            "properties": dict.fromkeys(("geneve", "gre", "vxlan"), _PORT),
            "additionalProperties": False,
            "minProperties": 1,
        },
    },
    "required": ["ip", "ports"],
    "additionalProperties": False,
}
_END = {
    "type": "object",
    "properties": {"switch": _TEXT, "port": _PORT},
    "required": ["port", "switch"],
    "additionalProperties": False,
}


def _one(name: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    content = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    return {"type": "object", "properties": {name: content}, "required": [name], "additionalProperties": False}


BODIES: Mapping[str, dict[str, Any]] = {
    SWITCH_PATH: _one(
        "switch",
        {
            "id": _TEXT,
            "dpid": _TEXT,
            "name": {"anyOf": [{"type": "string", "maxLength": 255}, {"type": "null"}]},
            "uplinks": {
                "type": "object",
                "propertyNames": {"minLength": 1, "maxLength": 64},
                "additionalProperties": {"anyOf": [_PORT, {"type": "array", "items": _PORT, "minItems": 1}]},
            },
            "tunnel": {"anyOf": [_TUNNEL, {"type": "null"}]},
            "admin_state_up": {"type": "boolean"},
        },
    ),
    CABLES_PATH: {
        "type": "object",
        "properties": {
            "cables": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"a": _END, "b": _END},
                    "required": ["a", "b"],
                    "additionalProperties": False,
                },
            }
        },
        "required": ["cables"],
        "additionalProperties": False,
    },
}
"""Path template -> schema of what is put there, for the description of the API."""


class Declarations:
    """The handlers; every method is one endpoint."""

    def __init__(self, resources: Resources, limits: Limits) -> None:
        self._resources, self._limits = resources, limits

    def routes(self) -> Iterator[Route]:
        """The routes of all endpoints."""
        switch = {"GET": self.switch, "PUT": self.declare_switch, "DELETE": self.forget_switch}
        yield Route(SWITCH_PATH, switch)
        yield Route(CABLES_PATH, {"GET": self.cables, "PUT": self.plan_cables, "DELETE": self.forget_cables})

    def switch(self, call: Call) -> Response:
        """``GET switches/{dpid}``: what is declared of a switch; 404 if nothing is."""
        return json_response({"switch": self._resources.get(call.context, "switch", call.variables["dpid"])})

    def declare_switch(self, call: Call) -> Response:
        """``PUT switches/{dpid}``: name, uplinks, tunnel and admin_state_up of a switch without OVSDB; what is left
        out is not declared. Replaces what was declared before."""
        said = self._content(call, "switch", dict)
        unknown = sorted(said.keys() - SAID_OF_SWITCHES - SHOWN)
        if unknown:
            raise _wrong(f"unknown: {', '.join(unknown)}; a switch has {', '.join(sorted(SAID_OF_SWITCHES))}")
        wanted = {**said, "dpid": call.variables["dpid"]}
        return json_response({"switch": self._resources.create(call.context, "switch", wanted)})

    def forget_switch(self, call: Call) -> Response:
        """``DELETE switches/{dpid}``: take the declaration back."""
        self._resources.delete(call.context, "switch", call.variables["dpid"])
        return empty_response()

    def cables(self, call: Call) -> Response:
        """``GET cables``: the cable plan as stored; an empty list without one."""
        try:
            plan = self._resources.get(call.context, "cables", PLAN)
        except NotFound:
            plan = {"cables": []}
        return json_response({"cables": plan["cables"]})

    def plan_cables(self, call: Call) -> Response:
        """``PUT cables``: the cables that should be there, in place of those planned before."""
        planned = self._content(call, "cables", list)
        plan = self._resources.create(call.context, "cables", {"cables": planned})
        return json_response({"cables": plan["cables"]})

    def forget_cables(self, call: Call) -> Response:
        """``DELETE cables``: forget the plan; one in a file counts again."""
        self._resources.delete(call.context, "cables", PLAN)
        return empty_response()

    def _content(self, call: Call, key: str, kind: type) -> Any:
        content: Body = body.read_json(call.request, self._limits.max_body_size)
        if not isinstance(content, dict) or set(content) != {key} or not isinstance(content[key], kind):
            what = "an object" if kind is dict else "a list"
            raise _wrong(f"the body must be a JSON object with the one key '{key}', which is {what}")
        return content[key]


def _wrong(message: str) -> InvalidInput:
    return InvalidInput(error_message=message)
