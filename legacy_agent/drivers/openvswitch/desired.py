"""Host plan -> items: what the openvswitch driver wants on this host. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from controller.errors import IsthmusError
from controller.model import TUNNEL_TYPES, ip_version
from legacy_agent.drivers.api import Desired, HostSettings
from legacy_agent.drivers.openvswitch.flows import CONTROL_FRAMES, Outside, network_flows
from legacy_agent.drivers.openvswitch.installed import HostState, Interface, installed
from legacy_agent.drivers.openvswitch.items import (
    AnyItem,
    Bridge,
    FlowItem,
    Template,
    Wire,
    cookie_of,
    key,
    port_numbers,
)
from legacy_agent.host_plan import HostNetwork, HostPort, device_name

KERNEL_DATAPATH = "ovs-system"
"""Master of every interface that is a port of Open vSwitch's kernel datapath."""

Segment = tuple[str, str | None, int | None]


class Unrealisable(IsthmusError):
    """A network cannot be realised on this host; the message says why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One network as it shall be: ports of the bridge, and flows. ``problem`` says why a port of it is left out."""

    wires: tuple[Wire, ...]
    templates: tuple[Template, ...]
    problem: str = ""


def desired(networks: Sequence[HostNetwork], settings: HostSettings, state: HostState) -> Desired:
    """Items of all networks. A network that cannot be realised, or that is on the segment of an earlier one, is named
    in ``errors`` and has no items. The bridge is always there, because VMs are plugged into it before there is a plan
    for them."""
    own = settings.open_vswitch
    errors: dict[str, str] = {}
    plans: dict[str, Plan] = {}
    segments: dict[Segment, str] = {}
    foreign = obstacle(settings, state)
    for network in sorted(networks, key=lambda network: network.network_id):
        try:
            if foreign:
                raise Unrealisable(foreign)
            _refuse_second(network, segments)
            plans[network.network_id] = network_plan(network, settings, state)
        except Unrealisable as error:
            errors[network.network_id] = str(error)
    if foreign:
        return Desired(installed(state, own.bridge), errors)
    items: list[AnyItem] = [Bridge(own.bridge, own.datapath_type)]
    items += [wire for plan in plans.values() for wire in plan.wires]
    items += _flow_items(plans, own.bridge, state)
    problems = {network_id: plan.problem for network_id, plan in plans.items() if plan.problem}
    return Desired({key(item): item for item in items}, errors | problems | _broken(plans, own.bridge, state))


def obstacle(settings: HostSettings, state: HostState) -> str:
    """Why nothing can be realised on the bridge, empty if nothing is in the way.

    A bridge of our name without our mark is adopted when it can only have been made for us: as Nova's os-vif makes
    one, without a controller, with nothing but VMs on it.
    """
    name = settings.open_vswitch.bridge
    bridge = state.bridges.get(name)
    if bridge is None:
        return ""
    if bridge.controlled:
        return f"bridge {name} has an OpenFlow controller; take that away, or name another in [ovs] integration_bridge"
    if bridge.mark:
        return ""
    others = sorted(item.name for item in state.on(name)
                    if not item.mark and item.name != name and "iface-id" not in item.external_ids)  # fmt: skip
    if others:
        return (
            f"bridge {name} was not made by this agent and has ports that are not VMs: {', '.join(others)}; remove "
            "them, or name another in [ovs] integration_bridge"
        )
    return ""


def network_plan(network: HostNetwork, settings: HostSettings, state: HostState) -> Plan:
    """Everything one network needs; raises :class:`Unrealisable`."""
    bridge = settings.open_vswitch.bridge
    uplinks, outside = _outside(network, settings, state)
    endpoints = state.endpoints(bridge)
    taps: dict[str, str] = {}
    wires, problem = list(uplinks), ""
    for port in network.ports:
        try:
            tap, made = _plugged(port, network, endpoints.get(port.port_id), bridge, state)
        except Unrealisable as error:
            problem = str(error)
            continue
        wires += made
        if port.admin_state_up and tap:
            taps[port.port_id] = tap
    return Plan(tuple(wires), tuple(network_flows(network, outside, taps)), problem)


def pending(wires: Sequence[Wire], bridge: str, state: HostState) -> frozenset[str]:
    """The interfaces on the bridge that Open vSwitch will number once they are there."""
    present = {item.name for item in state.on(bridge)}
    return frozenset(wire.name for wire in wires if wire.bridge == bridge and wire.name not in present)


def flow_item(template: Template, text: str, network_id: str = "") -> FlowItem:
    """The item of a flow that was written out as ``text``."""
    return FlowItem(cookie_of(text), template, network_id)


def _flow_items(plans: dict[str, Plan], bridge: str, state: HostState) -> Iterator[FlowItem]:
    coming = pending([wire for plan in plans.values() for wire in plan.wires], bridge, state)
    known = port_numbers(state.numbers(bridge), coming)
    every = [("", CONTROL_FRAMES), *((name, template) for name, plan in plans.items() for template in plan.templates)]
    for network_id, template in every:
        text = template.resolve(known)
        if text is not None:
            yield flow_item(template, text, network_id)


def _broken(plans: dict[str, Plan], bridge: str, state: HostState) -> dict[str, str]:
    """Networks with an interface that Open vSwitch cannot open."""
    dead = {item.name: item for item in state.on(bridge) if item.number is None and item.error}
    return {
        network_id: describe(dead[name])
        for network_id, plan in plans.items()
        for template in plan.templates
        for name in sorted(template.references() & dead.keys(), reverse=True)
    }


def describe(interface: Interface) -> str:
    """What Open vSwitch says of an interface that it cannot open."""
    return f"Open vSwitch cannot use interface {interface.name}: {interface.error or 'it got no port number'}"


def _refuse_second(network: HostNetwork, taken: dict[Segment, str]) -> None:
    segment = (network.network_type, network.physical_network, network.segmentation_id)
    other = taken.setdefault(segment, network.network_id)
    if network.network_type != "local" and other != network.network_id:
        raise Unrealisable(f"network {other} is on the same segment; one of them must go to another")


def _outside(network: HostNetwork, settings: HostSettings, state: HostState) -> tuple[Sequence[Wire], Outside]:
    if network.network_type == "local":
        return (), Outside()
    if network.network_type in TUNNEL_TYPES:
        return _tunnel(network, settings)
    if network.network_type not in ("flat", "vlan"):
        raise Unrealisable(f"agent driver 'openvswitch' does not serve {network.network_type} networks")
    wires = _uplink(network.physical_network or "", settings, state)
    return wires, Outside(wires[0].name, _number(network) if network.network_type == "vlan" else None)


def _tunnel(network: HostNetwork, settings: HostSettings) -> tuple[Sequence[Wire], Outside]:
    """One port per type for all networks and peers: key and destination are set by flows."""
    kind, local = network.network_type, settings.local_ip
    if local is None:
        raise Unrealisable(f"{kind} needs a tunnel address: set [vxlan] local_ip on this host")
    options = {"key": "flow", "remote_ip": "flow", "local_ip": local}
    if kind == "vxlan" and ip_version(local) == 6:
        options["csum"] = "true"  # Linux drops UDP over IPv6 without a checksum (RFC 8200, section 8.1)
    if kind == "vxlan" and settings.vxlan_port != 4789:
        options["dst_port"] = str(settings.vxlan_port)
    name = f"agent-{kind}"
    wire = Wire(name, settings.open_vswitch.bridge, kind, "tunnel", tuple(sorted(options.items())))
    peers = tuple(sorted({peer for peer in network.peers if peer != local}))
    return (wire,), Outside(name, None, _number(network), peers)


def _uplink(physical_network: str, settings: HostSettings, state: HostState) -> Sequence[Wire]:
    """The port of our bridge first; with a patch also its other end."""
    own = settings.open_vswitch
    if physical_network in own.physical_interfaces:
        return (_interface(own.physical_interfaces[physical_network], physical_network, settings, state),)
    if physical_network in own.bridge_mappings:
        return _patch(own.bridge_mappings[physical_network], physical_network, settings, state)
    mapped = ", ".join(sorted({*own.physical_interfaces, *own.bridge_mappings})) or "none"
    raise Unrealisable(
        f"physical network {physical_network!r} is not mapped on host {settings.host!r} for Open vSwitch "
        f"([ovs] physical_interface_mappings, bridge_mappings); mapped there: {mapped}"
    )


def _interface(name: str, physical_network: str, settings: HostSettings, state: HostState) -> Wire:
    if name not in state.links:
        raise Unrealisable(
            f"physical network {physical_network!r} is mapped to {name}, which does not exist on host "
            f"{settings.host!r}"
        )
    bridge = settings.open_vswitch.bridge
    _refuse_taken(name, bridge, state)
    addresses = state.addresses.get(name)
    if addresses and (name not in state.interfaces):
        raise Unrealisable(
            f"interface {name} carries {', '.join(sorted(addresses))}, which would be cut off in a bridge; move the "
            f"address, or put the interface into a bridge of yours and map that by [ovs] bridge_mappings"
        )
    return Wire(name, bridge, "", f"uplink:{physical_network}")


def _patch(theirs: str, physical_network: str, settings: HostSettings, state: HostState) -> Sequence[Wire]:
    if theirs not in state.bridges:
        known = ", ".join(sorted(set(state.bridges) - {settings.open_vswitch.bridge})) or "none"
        raise Unrealisable(
            f"physical network {physical_network!r} is mapped to bridge {theirs}, which Open vSwitch does not have on "
            f"host {settings.host!r}; it has: {known}"
        )
    digest = blake2b(physical_network.encode(), digest_size=5).hexdigest()
    near, far = f"agi-{digest}", f"ago-{digest}"
    mark = f"patch:{physical_network}"
    return (
        Wire(near, settings.open_vswitch.bridge, "patch", mark, (("peer", far),)),
        Wire(far, theirs, "patch", mark, (("peer", near),)),
    )


def _plugged(
    port: HostPort, network: HostNetwork, endpoint: str | None, bridge: str, state: HostState
) -> tuple[str, Sequence[Wire]]:
    """The interface of a port, empty if there is none, and what it takes to have it on the bridge.

    What Nova or an operator has plugged in, they say by ``iface-id``, and it is left to them. A tap of the port's name
    that nobody has plugged in becomes a port of the bridge.
    """
    tap = device_name(port.port_id)
    if endpoint is not None and (endpoint != tap or not state.interfaces[tap].mark):
        return endpoint, ()
    known = state.interfaces.get(tap)
    if tap not in state.links or not port.admin_state_up:
        return "", ()
    if known is not None and known.bridge == bridge and not known.mark:
        return tap, ()
    _refuse_taken(tap, bridge, state)
    external_ids = {"iface-id": port.port_id, "attached-mac": port.mac, "iface-status": "active"}
    wire = Wire(tap, bridge, "", f"tap:{port.port_id}", (), tuple(sorted(external_ids.items())), True,
                network.network_id)  # fmt: skip
    return tap, (wire,)


def _refuse_taken(name: str, bridge: str, state: HostState) -> None:
    known = state.interfaces.get(name)
    if known is not None and known.bridge != bridge:
        raise Unrealisable(
            f"interface {name} is a port of bridge {known.bridge}, which is not ours; take it out of there"
        )
    link = state.links.get(name)
    if link is not None and link.master not in (None, KERNEL_DATAPATH):
        raise Unrealisable(f"interface {name} is a port of {link.master}, which is not ours; take it out of there")


def _number(network: HostNetwork) -> int:
    if network.segmentation_id is None:
        raise Unrealisable(f"the {network.network_type} network has no segmentation id")
    return network.segmentation_id
