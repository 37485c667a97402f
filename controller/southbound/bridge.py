"""A bridge of Open vSwitch as OVSDB describes it, and what follows from that. Values and pure functions only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from controller.declared import NO_UPLINKS, elected
from controller.endpoints import endpoint
from controller.local_links import numbers_of
from controller.model import (
    PHYSICAL_TYPES,
    TUNNEL_TYPES,
    Attachment,
    NodeFacts,
    NodeKind,
    Observation,
    PortView,
    ip_version,
    switch_node_id,
)
from mechanisms.openflow.features import BASE

TUNNEL_MARK = ("isthmus", "tunnel")
"""``Interface external_ids`` entry of tunnel ports of ours: a freshly started controller knows them by it."""


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface. ``ofport`` is None while Open vSwitch has not given it a number (or could not)."""

    name: str
    type: str = ""
    ofport: int | None = None
    link_up: bool = True
    external_ids: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    error: str = ""

    @property
    def is_our_tunnel(self) -> bool:
        """Whether we made it."""
        return self.external_ids.get(TUNNEL_MARK[0]) == TUNNEL_MARK[1]


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge with its interfaces, and the external_ids of the Open vSwitch that it belongs to.

    ``elsewhere`` maps names of interfaces of other bridges of the same Open vSwitch -> bridge; interface names are
    unique per Open vSwitch.
    """

    name: str
    fail_mode: str = ""
    in_band: bool = True
    host_ids: Mapping[str, str] = field(default_factory=dict)
    interfaces: tuple[Interface, ...] = ()
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    @property
    def tunnel_ip(self) -> str | None:
        """The node's tunnel address; None without one that can be used."""
        try:
            return endpoint(self.host_ids.get("isthmus-tunnel-ip", ""))
        except ValueError:
            return None

    @property
    def no_tunnel_ip(self) -> str:
        """Why there is no tunnel address; empty if there is one."""
        said = self.host_ids.get("isthmus-tunnel-ip", "").strip()
        if not said:
            return "no tunnel address; set Open_vSwitch external_ids:isthmus-tunnel-ip"
        try:
            endpoint(said)
        except ValueError as error:
            return f"no tunnel address; Open_vSwitch external_ids:isthmus-tunnel-ip: {error}"
        return ""


@dataclass(frozen=True, slots=True)
class TunnelPort:
    """A tunnel port that should exist: one per type, the peer's address set per packet by the flows."""

    name: str
    type: str
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BridgeChange:
    """What OVSDB should change so that a bridge serves us; empty when nothing is to be done."""

    settings: bool = False
    make: tuple[TunnelPort, ...] = ()
    update: tuple[TunnelPort, ...] = ()
    remove: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.settings or bool(self.make or self.update or self.remove)


@dataclass(frozen=True, slots=True)
class Make:
    """What the handshake found out: capabilities, and the number of tables there are and that our pipeline needs.

    ``uplinks`` is what the operator says of switches without OVSDB: physical network -> name of the port there.
    ``lacks`` maps what the switch refused to take (:mod:`mechanisms.openflow.features`, network types) -> its words.
    """

    capabilities: frozenset[str] = frozenset()
    tables: int = 0
    tables_needed: int = 0
    uplinks: Mapping[str, str] = field(default_factory=dict)
    lacks: Mapping[str, str] = field(default_factory=dict)


NOTHING_SAID = Make()
NO_PORTS: Mapping[int, PortView] = {}
NO_LIMITS: Mapping[str, str] = {}


def wanted_tunnels(bridge: Bridge) -> dict[str, TunnelPort]:
    """Name -> tunnel port; none without a tunnel address. A name that another bridge has taken is left out."""
    if bridge.tunnel_ip is None:
        return {}
    ports = (TunnelPort(f"isthmus-{kind}", kind, _options(kind, bridge.tunnel_ip)) for kind in sorted(TUNNEL_TYPES))
    return {port.name: port for port in ports if port.name not in bridge.elsewhere}


def _options(kind: str, tunnel_ip: str) -> dict[str, str]:
    options = {"key": "flow", "remote_ip": "flow", "local_ip": tunnel_ip}
    if kind != "gre" and ip_version(tunnel_ip) == 6:
        options["csum"] = "true"  # Linux drops UDP over IPv6 without a checksum (RFC 8200, section 8.1)
    return options


def bridge_change(bridge: Bridge) -> BridgeChange:
    """Compare a bridge with what we need of it. Ports without our mark are never touched."""
    wanted = wanted_tunnels(bridge)
    ours = {item.name: item for item in bridge.interfaces if item.is_our_tunnel}
    taken = {item.name for item in bridge.interfaces} - ours.keys()
    return BridgeChange(
        settings=bridge.fail_mode != "secure" or bridge.in_band,
        make=tuple(port for name, port in wanted.items() if name not in ours and name not in taken),
        update=tuple(port for name, port in wanted.items()
                     if name in ours and (ours[name].type, dict(ours[name].options)) != (port.type, port.options)),
        remove=tuple(name for name in ours if name not in wanted),
    )  # fmt: skip


def tunnel_ports(bridge: Bridge | None) -> dict[str, int]:
    """Tunnel type -> OpenFlow port, of those ports of ours that Open vSwitch has made."""
    if bridge is None:
        return {}
    return {item.type: item.ofport for item in bridge.interfaces if item.is_our_tunnel and item.ofport is not None}


def observe(
    datapath_id: int, bridge: Bridge | None, ports: Mapping[int, PortView], make: Make = NOTHING_SAID,
    last: Mapping[str, int] = NO_UPLINKS,
) -> Observation:  # fmt: skip
    """What is plugged in; ``last`` are the uplinks that were in use. OVSDB says which interface is which port of the
    API; whether its link is up, OpenFlow says sooner (PORT_STATUS), so its word is taken where both speak of the same
    interface.

    Without OVSDB the ports of the API say themselves where they are plugged in, by number or name of the port."""
    node_id = switch_node_id(datapath_id)
    if bridge is None:
        return Observation(node_id, uplinks=_uplinks_by_name(make, ports), switch_ports=ports)
    attachments: dict[str, Attachment] = {}
    uplinks: dict[str, list[int]] = {}
    for item in bridge.interfaces:
        if item.ofport is None:
            continue
        if port_id := item.external_ids.get("iface-id"):
            attachments[port_id] = Attachment(port_id, item.name, item.ofport, _link_up(item, ports))
        for network in _physical_networks(item):
            uplinks.setdefault(network, []).append(item.ofport)
    used, standby = elected(uplinks, ports, last)
    return Observation(node_id, attachments, used, tunnel_ports(bridge), standby_uplinks=standby)


def node_facts(
    datapath_id: int, bridge: Bridge | None, make: Make, ovsdb_problem: str, ports: Mapping[int, PortView] = NO_PORTS
) -> NodeFacts:
    """What the switch can do. ``ovsdb_problem`` says why there is no (fresh) bridge, for the operator; ``ports`` are
    looked at for uplinks then."""
    capabilities = make.capabilities
    node_id = switch_node_id(datapath_id)
    ids = bridge.host_ids if bridge is not None else {}
    host = ids.get("hostname") or ids.get("isthmus-host") or ids.get("system-id") or f"{datapath_id:016x}"
    limits = _table_limits(make) or {**_tunnel_limits(bridge, capabilities, ovsdb_problem), **_lack_limits(make)}
    tunnel_ip = bridge.tunnel_ip if bridge is not None else None
    return NodeFacts(
        id=node_id,
        kind=NodeKind.SWITCH,
        host=host,
        mechanisms=("openflow",),
        tunnel_ip=tunnel_ip,
        tunnel_types=TUNNEL_TYPES - limits.keys(),
        physical_networks=_uplink_names(bridge)
        if bridge is not None
        else {name: make.uplinks[name] for name in _uplinks_by_name(make, ports)},
        capabilities=capabilities | ({"ovsdb"} if bridge is not None else frozenset()),
        limits=limits,
    )


def with_links(facts: NodeFacts, linked: Mapping[str, tuple[int, int]]) -> NodeFacts:
    """The facts with the physical networks that links between switches lead into, by their first and last VLAN id."""
    if not linked:
        return facts
    tags = {name: numbers for name, numbers in linked.items() if name not in facts.physical_networks}
    by_links = dict.fromkeys(tags, "links between switches")
    return replace(facts, physical_networks={**by_links, **facts.physical_networks}, link_tags=tags)


def _link_up(item: Interface, ports: Mapping[int, PortView]) -> bool:
    view = ports.get(item.ofport) if item.ofport is not None else None
    return view.link_up if view is not None and view.name == item.name[:15] else item.link_up


def _physical_networks(item: Interface) -> list[str]:
    names = item.external_ids.get("physical-network", "").split(",")
    return [name.strip() for name in names if name.strip()]


def _uplinks_by_name(make: Make, ports: Mapping[int, PortView]) -> dict[str, int]:
    """Physical network -> the port with the name that the operator gives, of several the lowest."""
    numbers = numbers_of(ports)
    return {network: numbers[name] for network, name in make.uplinks.items() if name in numbers}


def _uplink_names(bridge: Bridge) -> dict[str, str]:
    names: dict[str, str] = {}
    for item in bridge.interfaces:
        for network in _physical_networks(item):
            names[network] = f"{names[network]},{item.name}" if network in names else item.name
    return names


def _table_limits(make: Make) -> Mapping[str, str]:
    if make.tables >= make.tables_needed and BASE not in make.lacks:
        return NO_LIMITS
    reason = make.lacks.get(BASE) or f"the switch has {make.tables} tables; {make.tables_needed} are needed"
    return dict.fromkeys(sorted(TUNNEL_TYPES | PHYSICAL_TYPES | {"local"}), reason)


def _lack_limits(make: Make) -> dict[str, str]:
    """Tunnels do without what they do not share with other networks: they have limits of their own."""
    return {feature: reason for feature, reason in make.lacks.items() if feature not in TUNNEL_TYPES}


def _tunnel_limits(bridge: Bridge | None, capabilities: frozenset[str], ovsdb_problem: str) -> Mapping[str, str]:
    if "nicira" not in capabilities:
        reason = "the switch cannot set a tunnel's remote address per flow (no Nicira extensions)"
    elif bridge is None:
        reason = f"no tunnel ports can be made: {ovsdb_problem or 'OVSDB is not used'}"
    elif bridge.tunnel_ip is None:
        reason = bridge.no_tunnel_ip
    else:
        return {kind: reason for kind in sorted(TUNNEL_TYPES) if (reason := _port_limit(bridge, kind))}
    return _no_tunnels(reason)


@lru_cache(maxsize=1024)
def _no_tunnels(reason: str) -> Mapping[str, str]:
    """Switches without tunnels mostly have the same reason; the mapping is shared."""
    return dict.fromkeys(sorted(TUNNEL_TYPES), reason)


def _port_limit(bridge: Bridge, kind: str) -> str:
    name = f"isthmus-{kind}"
    if name in bridge.elsewhere:
        return f"port {name} belongs to bridge {bridge.elsewhere[name]} of the same Open vSwitch"
    for item in bridge.interfaces:
        if item.name == name and not item.is_our_tunnel:
            return f"port {name} exists on bridge {bridge.name} and is not ours; rename it"
        if item.name == name and item.error:
            return f"Open vSwitch cannot make port {name}: {item.error}"
    return ""
