"""Our own endpoints under ``/v2.0/isthmus/``: for agents (plan, report) and for operators."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from neutron_lib.exceptions import BadRequest
from webob import Response

from controller.api import body
from controller.api.query import parse_parameters
from controller.api.resources import Limits
from controller.api.router import Call, Route
from controller.api.service import IsthmusService
from controller.api.views import empty_response, json_response
from controller.errors import ReportError
from controller.tracing.frame import PROTOCOLS, WANTED, Wanted
from legacy_agent.host_plan import HostReport

MAX_TIMEOUT = 300.0
"""Seconds that a request may wait at most; longer wishes are cut, so that no thread waits for ever."""

PLAN_TIMEOUT = 30.0
WAIT_TIMEOUT = 60.0


TRACE_PATH = "/v2.0/isthmus/trace"
_TEXT = {"type": "string"}
_MAC = {"type": "string", "pattern": "^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$"}
_ADDRESS = {"anyOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}]}
_L4_PORT = {"type": "integer", "minimum": 0, "maximum": 0xFFFF}

QUERIES: Mapping[str, Mapping[str, dict[str, Any]]] = {
    TRACE_PATH: {
        "port": _TEXT,
        "to": _TEXT,
        "eth_src": _MAC,
        "eth_dst": _MAC,
        "ip_src": _ADDRESS,
        "ip_dst": _ADDRESS,
        "protocol": {"enum": list(PROTOCOLS)},
        "src_port": _L4_PORT,
        "dst_port": _L4_PORT,
        "vlan": {"type": "integer", "minimum": 1, "maximum": 4094},
    }
}
"""Path template -> what its query string may say, for the description of the API; ``port`` must be there."""


class IsthmusEndpoints:
    """The handlers; every method is one endpoint."""

    def __init__(self, service: IsthmusService, limits: Limits) -> None:
        self._service = service
        self._limits = limits

    def routes(self) -> Iterator[Route]:
        """The routes of all endpoints."""
        root = "/v2.0/isthmus"
        yield Route(f"{root}/hosts", {"GET": self.hosts})
        yield Route(f"{root}/hosts/{{host}}/plan", {"GET": self.host_plan})
        yield Route(f"{root}/hosts/{{host}}/report", {"PUT": self.host_report})
        yield Route(f"{root}/switches", {"GET": self.switches})
        yield Route(f"{root}/links", {"GET": self.links})
        yield Route(f"{root}/events", {"GET": self.events})
        yield Route(f"{root}/path", {"GET": self.path})
        yield Route(TRACE_PATH, {"GET": self.trace})
        yield Route(f"{root}/nodes/{{id}}/plan", {"GET": self.node_plan})
        yield Route(f"{root}/ports/{{id}}", {"GET": self.port})
        yield Route(f"{root}/wait", {"GET": self.wait})
        yield Route(f"{root}/health", {"GET": self.health})

    def hosts(self, call: Call) -> Response:  # noqa: ARG002 - the shape of a handler
        """``GET hosts``: the legacy hosts."""
        return json_response({"hosts": self._service.hosts()})

    def switches(self, call: Call) -> Response:  # noqa: ARG002
        """``GET switches``: the OpenFlow switches."""
        return json_response({"switches": self._service.switches()})

    def links(self, call: Call) -> Response:  # noqa: ARG002
        """``GET links``: the links between switches, and ordinary LLDP neighbours."""
        return json_response(self._service.links())

    def events(self, call: Call) -> Response:
        """``GET events?since=N``: what happened in the fabric after event N."""
        return json_response(self._service.events(_whole_number(call, "since") or 0))

    def path(self, call: Call) -> Response:
        """``GET path?from=PORT&to=PORT``: the nodes from one port to another."""
        ends = [_parameter(call, name) for name in ("from", "to")]
        if not ends[0] or not ends[1]:
            raise BadRequest(resource="path", msg="'from' and 'to' must name ports")
        return json_response({"path": self._service.path(ends[0], ends[1])})

    def trace(self, call: Call) -> Response:
        """``GET trace?port=PORT&to=PORT``: what would become of a frame, node by node, by the compiled plans."""
        given = dict(parse_parameters(call.request))
        unknown = sorted(given.keys() - {"port", "to", *WANTED})
        if unknown:
            raise BadRequest(resource="trace", msg=f"unknown: {', '.join(unknown)}; a frame has {', '.join(WANTED)}")
        if not given.get("port"):
            raise BadRequest(resource="trace", msg="'port' must name the port that sends")
        return json_response({"trace": self._service.trace(given["port"], given.get("to") or None, Wanted.of(given))})

    def host_plan(self, call: Call) -> Response:
        """``GET hosts/{host}/plan?revision=N&timeout=S``: 200 with a plan newer than N as soon as there is one, 204
        when there was none in time."""
        newer_than = _whole_number(call, "revision") or 0
        plan = self._service.host_plan(call.variables["host"], newer_than, _seconds(call, PLAN_TIMEOUT))
        return empty_response() if plan is None else json_response(plan.to_dict())

    def host_report(self, call: Call) -> Response:
        """``PUT hosts/{host}/report`` with a host report; 204."""
        report = HostReport.from_dict(body.read_json(call.request, self._limits.max_body_size))
        if report.host != call.variables["host"]:
            raise ReportError(
                f"field 'host' is {report.host!r}, but the report was sent as host {call.variables['host']!r}"
            )
        self._service.host_report(report)
        return empty_response()

    def node_plan(self, call: Call) -> Response:
        """``GET nodes/{id}/plan``: what the node must look like, for reading."""
        return json_response({"plan": self._service.node_plan(call.variables["id"])})

    def port(self, call: Call) -> Response:
        """``GET ports/{id}``: status, reason and who acknowledged."""
        return json_response({"port": self._service.port_evidence(call.variables["id"])})

    def wait(self, call: Call) -> Response:
        """``GET wait?revision=N&timeout=S``: 200 in any case; ``done`` tells whether all live nodes acknowledged."""
        return json_response(self._service.wait(_whole_number(call, "revision"), _seconds(call, WAIT_TIMEOUT)))

    def health(self, call: Call) -> Response:  # noqa: ARG002
        """``GET health``: 200 when all is well, 503 with the same body when not."""
        health = self._service.health()
        return json_response(health, 200 if health.get("healthy", False) else 503)


def _parameter(call: Call, name: str) -> str | None:
    return dict(parse_parameters(call.request)).get(name) or None


def _whole_number(call: Call, name: str) -> int | None:
    text = _parameter(call, name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadRequest(resource=name, msg=f"'{text}' is not a non-negative integer")
    return int(text)


def _seconds(call: Call, default: float) -> float:
    text = _parameter(call, "timeout")
    if text is None:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise BadRequest(resource="timeout", msg=f"'{text}' is not a non-negative number of seconds")
    return min(seconds, MAX_TIMEOUT)
