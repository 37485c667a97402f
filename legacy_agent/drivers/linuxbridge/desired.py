"""Host plan -> items: what the linuxbridge driver wants on this host. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b

from controller.errors import IsthmusError
from legacy_agent.drivers.api import Desired, HostSettings
from legacy_agent.drivers.linuxbridge import guard
from legacy_agent.drivers.linuxbridge.items import (
    AnyItem,
    Device,
    Forwarding,
    Guard,
    Key,
    Member,
    Uplink,
    alias_of,
    key,
)
from legacy_agent.host_plan import HostNetwork, HostPort, bridge_name, device_name
from legacy_agent.netlink.fdb import FLOOD_MAC, FdbEntry
from legacy_agent.netlink.links import BridgeSpec, DeviceSpec, GretapSpec, VlanSpec, VxlanSpec
from legacy_agent.netlink.nft import encode_rule

_NAME_LIMIT = 15


@dataclass(frozen=True, slots=True)
class HostView:
    """The facts about the host that decide what can be desired: interface names, and which interfaces carry IP
    addresses that putting them into a bridge would cut off."""

    settings: HostSettings
    interfaces: frozenset[str]
    addressed: Mapping[str, frozenset[str]] = field(default_factory=dict)


class Unrealisable(IsthmusError):
    """A network cannot be realised on this host; the message says why."""


def desired(networks: Sequence[HostNetwork], view: HostView) -> Desired:
    """Items of all networks. A network that cannot be realised, or that collides with an earlier one, is named in
    ``errors`` and has no items."""
    items: dict[Key, AnyItem] = {}
    errors: dict[str, str] = {}
    for interface in view.settings.physical_interfaces.values():
        if interface in view.interfaces:
            items[key(Uplink(interface))] = Uplink(interface)
    for network in sorted(networks, key=lambda network: network.network_id):
        try:
            own = {key(item): item for item in network_items(network, view)}
            _refuse_collisions(own, items)
        except Unrealisable as error:
            errors[network.network_id] = str(error)
        else:
            items.update(own)
    return Desired(items, errors)


def network_items(network: HostNetwork, view: HostView) -> Iterator[AnyItem]:
    """Everything one network needs; raises :class:`Unrealisable`."""
    bridge = bridge_name(network.network_id)
    yield _device(bridge, BridgeSpec(), network)
    yield from _connection(network, bridge, view)
    for port in network.ports:
        if port.admin_state_up:
            yield from _port(port, network, bridge, view)


def vlan_name(interface: str, vlan_id: int) -> str:
    """``eth0.100``; with a hash instead of the interface where that would be too long for the kernel."""
    name = f"{interface}.{vlan_id}"
    return name if len(name) <= _NAME_LIMIT else f"v{_hash(interface, 9)}.{vlan_id}"


def gre_name(network_id: str, peer: str) -> str:
    """The tunnel of a network to a peer."""
    return "gre-" + _hash(f"{network_id} {peer}", 10)


def _connection(network: HostNetwork, bridge: str, view: HostView) -> Iterator[AnyItem]:
    """What connects the bridge with the same network on other nodes."""
    if network.network_type == "flat":
        yield from _flat(network, bridge, view)
    elif network.network_type == "vlan":
        yield from _vlan(network, bridge, view)
    elif network.network_type == "vxlan":
        yield from _vxlan(network, bridge, view)
    elif network.network_type == "gre":
        yield from _gre(network, bridge, view)
    elif network.network_type != "local":
        raise Unrealisable(f"agent driver 'linuxbridge' does not serve {network.network_type} networks")


def _flat(network: HostNetwork, bridge: str, view: HostView) -> Iterator[AnyItem]:
    interface = _physical_interface(network, view)
    addresses = view.addressed.get(interface)
    if addresses:
        raise Unrealisable(
            f"interface {interface} carries {', '.join(sorted(addresses))}, which would be cut off in a bridge; "
            f"move the address or map physical network {network.physical_network!r} to another interface"
        )
    yield Guard(interface, *_encoded(None), network.network_id)
    yield Member(interface, bridge, uplink=True, network_id=network.network_id)


def _vlan(network: HostNetwork, bridge: str, view: HostView) -> Iterator[AnyItem]:
    interface = _physical_interface(network, view)
    vlan_id = _number(network)
    yield _device(vlan_name(interface, vlan_id), VlanSpec(interface, vlan_id), network, bridge)


def _vxlan(network: HostNetwork, bridge: str, view: HostView) -> Iterator[AnyItem]:
    local, number = _local_ip(network, view), _number(network)
    device = f"vxlan-{number}"
    spec = VxlanSpec(number, local, view.settings.vxlan_port)
    yield _device(device, spec, network, bridge, isolated=True)
    for peer in _peers(network, local):
        yield Forwarding(FdbEntry(device, FLOOD_MAC, peer), "", network.network_id)
    for remote in network.remotes:
        if remote.endpoint != local:
            yield Forwarding(FdbEntry(device, remote.mac, remote.endpoint), "", network.network_id)
            yield Forwarding(FdbEntry(device, remote.mac), bridge, network.network_id)


def _gre(network: HostNetwork, bridge: str, view: HostView) -> Iterator[AnyItem]:
    local, number = _local_ip(network, view), _number(network)
    peers = _peers(network, local)
    for peer in peers:
        name = gre_name(network.network_id, peer)
        yield _device(name, GretapSpec(number, local, peer), network, bridge, isolated=True)
    for remote in network.remotes:
        if remote.endpoint in peers:
            device = gre_name(network.network_id, remote.endpoint)
            yield Forwarding(FdbEntry(device, remote.mac), bridge, network.network_id)


def _port(port: HostPort, network: HostNetwork, bridge: str, view: HostView) -> Iterator[AnyItem]:
    """The guard is there before the tap, which Nova or an operator plugs in; the agent never makes taps."""
    tap = device_name(port.port_id)
    yield Guard(tap, *_encoded(port), network.network_id)
    if tap in view.interfaces:
        yield Member(tap, bridge, network_id=network.network_id)


@lru_cache(maxsize=2048)
def _encoded(port: HostPort | None) -> tuple[tuple[str, ...], tuple[bytes, ...]]:
    """Markers and rules of a port, or of an uplink (None). Kept, because the whole plan is compared on every event and
    this is most of the work."""
    rules = guard.uplink_rules() if port is None else guard.rules(port)
    return tuple(map(guard.marker, rules)), tuple(map(encode_rule, rules))


def _device(name: str, spec: DeviceSpec, network: HostNetwork, bridge: str | None = None,
            isolated: bool = False) -> Device:  # fmt: skip
    return Device(name, alias_of(spec, network.network_id), spec, network.mtu, bridge, isolated)


def _physical_interface(network: HostNetwork, view: HostView) -> str:
    mapped = view.settings.physical_interfaces
    interface = mapped.get(network.physical_network or "")
    if interface is None:
        raise Unrealisable(
            f"physical network {network.physical_network!r} is not mapped on host {view.settings.host!r}; "
            f"mapped there: {', '.join(sorted(mapped)) or 'none'}"
        )
    if interface not in view.interfaces:
        raise Unrealisable(
            f"physical network {network.physical_network!r} is mapped to {interface}, which does not exist on host "
            f"{view.settings.host!r}"
        )
    return interface


def _local_ip(network: HostNetwork, view: HostView) -> str:
    if view.settings.local_ip is None:
        raise Unrealisable(f"{network.network_type} needs a tunnel address: set [vxlan] local_ip on this host")
    return view.settings.local_ip


def _number(network: HostNetwork) -> int:
    if network.segmentation_id is None:
        raise Unrealisable(f"the {network.network_type} network has no segmentation id")
    return network.segmentation_id


def _peers(network: HostNetwork, local: str) -> tuple[str, ...]:
    return tuple(sorted({peer for peer in network.peers if peer != local}))


def _refuse_collisions(own: Mapping[Key, AnyItem], taken: Mapping[Key, AnyItem]) -> None:
    for name in own:
        if name in taken and name[0] != "forwarding":
            other = taken[name].network_id
            raise Unrealisable(f"{name[1]} is needed by network {other} too; one of them must go to another segment")


def _hash(text: str, digits: int) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()[:digits]
