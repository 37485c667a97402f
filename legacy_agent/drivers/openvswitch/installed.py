"""What the openvswitch driver finds on a host: the database read in one transaction, and what of it is ours. Pure.

How does an agent that has just been started, with no memory, recognise this as its own? Bridge and ports by their
``external_ids``, flows by their cookie.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from legacy_agent.drivers.openvswitch.database import Operation
from legacy_agent.drivers.openvswitch.items import MARK, AnyItem, Bridge, FlowItem, Key, Wire, is_our_cookie, key
from legacy_agent.netlink.links import Link

COLUMNS: Mapping[str, Sequence[str]] = {
    "Open_vSwitch": ("bridges", "datapath_types", "iface_types"),
    "Bridge": ("_uuid", "name", "ports", "controller", "datapath_type", "fail_mode", "external_ids"),
    "Port": ("_uuid", "name", "interfaces", "external_ids"),
    "Interface": ("_uuid", "name", "type", "options", "external_ids", "ofport", "error"),
}
"""What is read, and of what changes are heard."""


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface of Open vSwitch. ``number`` is its OpenFlow port, None when it has none (see ``error``)."""

    name: str
    bridge: str
    port_uuid: str
    type: str
    mark: str
    options: Mapping[str, str]
    external_ids: Mapping[str, str]
    number: int | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class OvsBridge:
    """A bridge of Open vSwitch, anybody's."""

    name: str
    datapath_type: str
    fail_mode: str
    mark: str
    controlled: bool


@dataclass(frozen=True, slots=True)
class HostState:
    """Everything that was read at one moment. ``links`` are the kernel's interfaces, ``addresses`` theirs."""

    bridges: Mapping[str, OvsBridge] = field(default_factory=dict)
    interfaces: Mapping[str, Interface] = field(default_factory=dict)
    datapath_types: frozenset[str] = frozenset()
    interface_types: frozenset[str] = frozenset()
    cookies: frozenset[int] = frozenset()
    links: Mapping[str, Link] = field(default_factory=dict)
    addresses: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def on(self, bridge: str) -> Iterator[Interface]:
        """The interfaces of a bridge."""
        return (interface for interface in self.interfaces.values() if interface.bridge == bridge)

    def numbers(self, bridge: str) -> dict[str, int]:
        """Interface -> OpenFlow port, of a bridge."""
        return {item.name: item.number for item in self.on(bridge) if item.number is not None}

    def endpoints(self, bridge: str) -> dict[str, str]:
        """Port id -> interface, by ``iface-id``. Where two claim to be one port, the first by name is it."""
        found = {
            item.external_ids["iface-id"]: item.name
            for item in sorted(self.on(bridge), key=lambda item: item.name, reverse=True)
            if item.external_ids.get("iface-id") and item.number is not None
        }
        return dict(sorted(found.items()))


def selection() -> list[Operation]:
    """The operations that read everything."""
    return [{"op": "select", "table": table, "where": [], "columns": list(names)} for table, names in COLUMNS.items()]


def read(results: Sequence[Mapping[str, Any]], cookies: frozenset[int], links: Mapping[str, Link],
         addresses: Mapping[str, frozenset[str]]) -> HostState:  # fmt: skip
    """The state from the results of :func:`selection` and from what else was read."""
    root, bridges, ports, interfaces = (result["rows"] for result in results[:4])
    by_port = {_uuid(row): row for row in ports}
    by_interface = {_uuid(row): row for row in interfaces}
    found: dict[str, Interface] = {}
    for bridge in bridges:
        for port in (by_port[reference] for reference in _set(bridge["ports"]) if reference in by_port):
            for row in (by_interface[item] for item in _set(port["interfaces"]) if item in by_interface):
                found[row["name"]] = _interface(row, port, bridge["name"])
    return HostState(
        bridges={row["name"]: _bridge(row) for row in bridges},
        interfaces=found,
        datapath_types=frozenset(_set(root[0]["datapath_types"])) if root else frozenset(),
        interface_types=frozenset(_set(root[0]["iface_types"])) if root else frozenset(),
        cookies=cookies,
        links=links,
        addresses=addresses,
    )


def installed(state: HostState, name: str) -> dict[Key, AnyItem]:
    """The driver's items on this host; ``name`` is that of its bridge. A flow that somebody else made is none."""
    items: list[AnyItem] = [FlowItem(cookie) for cookie in state.cookies if is_our_cookie(cookie)]
    bridge = state.bridges.get(name)
    if bridge is not None and bridge.mark:
        items.append(Bridge(bridge.name, bridge.datapath_type, bridge.fail_mode, bridge.mark))
    items += [_wire(interface, state) for interface in state.interfaces.values() if interface.mark]
    return {key(item): item for item in items}


def _wire(interface: Interface, state: HostState) -> Wire:
    link = state.links.get(interface.name)
    up = link is None or link.up or interface.type != ""
    return Wire(interface.name, interface.bridge, interface.type, interface.mark, _pairs(interface.options),
                _pairs(interface.external_ids), up)  # fmt: skip


def _bridge(row: Mapping[str, Any]) -> OvsBridge:
    fail_mode = next(iter(_set(row["fail_mode"])), "")
    mark = _map(row["external_ids"]).get(MARK, "")
    return OvsBridge(row["name"], row["datapath_type"] or "system", fail_mode, mark, bool(_set(row["controller"])))


def _interface(row: Mapping[str, Any], port: Mapping[str, Any], bridge: str) -> Interface:
    number = next(iter(_set(row["ofport"])), -1)
    return Interface(
        name=row["name"],
        bridge=bridge,
        port_uuid=_uuid(port),
        type="" if row["type"] == "system" else row["type"],
        mark=_map(port["external_ids"]).get(MARK, ""),
        options=_map(row["options"]),
        external_ids=_map(row["external_ids"]),
        number=number if number > 0 else None,
        error=next(iter(_set(row["error"])), ""),
    )


def _pairs(values: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(values.items()))


def _uuid(row: Mapping[str, Any]) -> str:
    return str(row["_uuid"][1])


def _set(value: Any) -> list[Any]:
    """A column with any number of values (RFC 7047, 5.1): one is written as itself; references become their UUID."""
    values = value[1] if isinstance(value, list) and value[0] == "set" else [value]
    return [item[1] if isinstance(item, list) and item[0] in ("uuid", "named-uuid") else item for item in values]


def _map(value: Any) -> dict[str, str]:
    return {str(name): str(content) for name, content in value[1]}
