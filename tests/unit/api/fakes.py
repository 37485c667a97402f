"""The plugin and the controller as small as the HTTP layer needs them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from neutron_lib.constants import ATTR_NOT_SPECIFIED
from neutron_lib.exceptions import NetworkNotFound, NotFound, PortNotFound, SubnetNotFound

from controller.api.attributes import RESOURCE_TYPES
from controller.errors import UnknownNode
from controller.plugin.api import Body, Query
from controller.plugin.context import RequestContext
from controller.plugin.faults import RevisionNumberConstraintFailed
from controller.tracing.frame import Wanted
from legacy_agent.host_plan import HostPlan, HostReport

MISSING = {
    "network": lambda id_: NetworkNotFound(net_id=id_),
    "subnet": lambda id_: SubnetNotFound(subnet_id=id_),
    "port": lambda id_: PortNotFound(port_id=id_),
}


TRACE = {
    "state": "intended",
    "note": "From the compiled plans.",
    "frame": "fa:16:3e:00:00:01 > ff:ff:ff:ff:ff:ff: EtherType 0x88b5",
    "result": "what became of it",
    "received": [],
    "not_followed": [],
    "hops": [
        {"number": 1, "node": "switch:0000000000000001", "host": "sw1", "kind": "switch", "revision": 7,
         "notes": ["its plan is not in force yet"], "came": "from port p1", "from": None, "frame": "",
         "steps": [{"text": "classify: port p1", "table": "classify", "flow": "classify 100 in_port=11 -> goto learn",
                    "why": "port p1", "cookie": "0x1571000000000000", "groups": ["group 0x1 (all): broadcast"]}],
         "leaves": [{"port": None, "text": "by port 1 into physical network physnet1", "to": [2]}], "ended": None},
        {"number": 2, "node": "host:web1", "host": "web1", "kind": "host", "revision": 7, "notes": [],
         "came": "out of physical network physnet1", "from": 1, "frame": "", "steps": [], "leaves": [],
         "ended": "no network of the host takes it"},
    ],
}  # fmt: skip


class FakeResources:
    """Keeps what it is given; remembers the last query."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Body]] = {resource.name: {} for resource in RESOURCE_TYPES}
        self.last_query = Query()
        self.last_body: Body = {}
        self.error: Exception | None = None
        self._times = itertools.count()

    def create(self, context: RequestContext, resource: str, body: Body) -> Body:
        if self.error is not None:
            raise self.error
        self.last_body = body
        item = {name: None if value is ATTR_NOT_SPECIFIED else value for name, value in body.items()}
        item |= {"id": str(uuid4()), "revision_number": 1, "created_at": f"{next(self._times):08d}", "secret": "never"}
        self.items[resource][item["id"]] = item
        return item

    def create_bulk(self, context: RequestContext, resource: str, bodies: Sequence[Body]) -> list[Body]:
        return [self.create(context, resource, body) for body in bodies]

    def get(self, context: RequestContext, resource: str, resource_id: str) -> Body:
        if resource_id not in self.items[resource]:
            raise MISSING.get(resource, lambda _: NotFound())(resource_id)
        return self.items[resource][resource_id]

    def list(self, context: RequestContext, resource: str, query: Query) -> list[Body]:
        self.last_query = query
        items = [item for item in self.items[resource].values()
                 if all(item.get(name) in values for name, values in query.filters.items())]  # fmt: skip
        for key, ascending in reversed(query.sorts):
            items.sort(key=lambda item, key=key: item[key], reverse=not ascending)
        if query.page_reverse:
            items.reverse()
        if query.marker:
            place = next(index for index, item in enumerate(items) if item["id"] == query.marker)
            items = items[place + 1 :]
        items = items[: query.limit]
        return items[::-1] if query.page_reverse else items

    def update(
        self, context: RequestContext, resource: str, resource_id: str, body: Body, if_match: int | None = None
    ) -> Body:
        item = self.get(context, resource, resource_id)
        if if_match is not None and if_match != item["revision_number"]:
            raise RevisionNumberConstraintFailed(expected=if_match, current=item["revision_number"])
        item.update(body)
        item["revision_number"] += 1
        return item

    def delete(self, context: RequestContext, resource: str, resource_id: str, if_match: int | None = None) -> None:
        item = self.get(context, resource, resource_id)
        if if_match is not None and if_match != item["revision_number"]:
            raise RevisionNumberConstraintFailed(expected=if_match, current=item["revision_number"])
        del self.items[resource][resource_id]


class FakeIsthmus:
    """A controller with one switch, one host and one plan."""

    def __init__(self) -> None:
        self.reports: list[HostReport] = []
        self.asked: list[tuple[Any, ...]] = []
        self.healthy = True
        self.done = True

    def host_plan(self, host: str, newer_than: int, timeout: float) -> HostPlan | None:
        self.asked.append(("host_plan", host, newer_than, timeout))
        if host != "web1":
            raise UnknownNode(f"no host {host!r} is known")
        return HostPlan(host, 7) if newer_than < 7 else None

    def host_report(self, report: HostReport) -> None:
        self.reports.append(report)

    def switches(self) -> list[dict[str, Any]]:
        return [{"id": "switch:0000000000000001", "state": "in-sync", "in_sync": True, "revision": 7,
                 "address": "127.0.0.1:4711", "capabilities": frozenset({"bundles"})}]  # fmt: skip

    def hosts(self) -> list[dict[str, Any]]:
        return [{"id": "host:web1", "host": "web1", "alive": True, "in_sync": True, "revision": 7,
                 "physical_networks": {"physnet1": "eth1"}}]  # fmt: skip

    def links(self) -> dict[str, Any]:
        return {"links": [], "neighbours": []}

    def events(self, since: int) -> dict[str, Any]:
        return {"events": [], "totals": {"since": since}}

    def path(self, source: str, target: str) -> dict[str, Any]:
        return {"nodes": [source, target], "by": "links"}

    def trace(self, source: str, target: str | None, wanted: Wanted) -> dict[str, Any]:
        self.asked.append(("trace", source, target, wanted))
        if source != "p1":
            raise PortNotFound(port_id=source)
        return TRACE | {"port": source, "to": target, "outcome": "delivered" if target != "p3" else "lost"}

    def node_plan(self, node_id: str) -> dict[str, Any]:
        if node_id != "switch:0000000000000001":
            raise UnknownNode(f"no node {node_id!r} is known")
        return {"node": node_id, "revision": 7, "kind": "switch", "flows": ["punt: lldp -> controller"]}

    def wait(self, revision: int | None, timeout: float) -> dict[str, Any]:
        self.asked.append(("wait", revision, timeout))
        return {"revision": revision or 7, "done": self.done, "waiting_for": [] if self.done else ["host:web1"]}

    def port_evidence(self, port_id: str) -> dict[str, Any]:
        if port_id != "p1":
            raise PortNotFound(port_id=port_id)
        return {"id": port_id, "status": "ACTIVE", "reason": "", "acknowledged": {"host:web1": 7}}

    def health(self) -> dict[str, Any]:
        return {"healthy": self.healthy, "revision": 7}
