"""What the linuxbridge driver puts on a host, as values, and how a device says that it is ours.

``network_id`` tells which network an item serves; it is not compared where the kernel does not keep it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from legacy_agent.netlink.fdb import FLOOD_MAC, FdbEntry
from legacy_agent.netlink.links import OUR_GROUP, BridgeSpec, DeviceSpec, GretapSpec, Link, VlanSpec

ALIAS_PREFIX = "isthmus:"


@dataclass(frozen=True, slots=True)
class Device:
    """An interface made by the agent. ``master`` is the bridge it is a port of; tunnel ports are ``isolated``."""

    name: str
    alias: str
    spec: DeviceSpec
    mtu: int
    master: str | None = None
    isolated: bool = False
    up: bool = True

    @property
    def network_id(self) -> str:
        """The network in the alias, empty when the alias was never written."""
        return network_of(self.alias)


@dataclass(frozen=True, slots=True)
class Member:
    """An interface that is not ours (a tap, a physical interface) as a port of one of our bridges, and up."""

    interface: str
    bridge: str
    up: bool = True
    uplink: bool = field(default=False, compare=False)
    network_id: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Uplink:
    """A mapped physical interface that must be up, whatever the plan says; never made, never deleted."""

    interface: str
    network_id: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Forwarding:
    """A static forwarding entry of a tunnel: of the VXLAN device itself, or of the ``bridge`` it is a port of."""

    entry: FdbEntry
    bridge: str = ""
    network_id: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Guard:
    """The rules of one tap by their markers. ``rules`` (encoded, as long as ``markers``) are absent on what was read
    from the kernel."""

    interface: str
    markers: tuple[str, ...]
    rules: tuple[bytes, ...] = field(default=(), compare=False, repr=False)
    network_id: str = field(default="", compare=False)


AnyItem = Device | Member | Uplink | Forwarding | Guard
Key = tuple[str, ...]


def key(item: AnyItem) -> Key:
    """What an item is about: two items with the same key cannot both be there."""
    if isinstance(item, Device):
        return ("device", item.name)
    if isinstance(item, Forwarding):
        return ("forwarding", *_forwarding_key(item.entry, item.bridge))
    return (type(item).__name__.lower(), item.interface)


def _forwarding_key(entry: FdbEntry, bridge: str) -> tuple[str, str, str]:
    """Where a MAC may be known once only; the flood entry once per peer."""
    if entry.remote is None:
        return (bridge, entry.mac, "")
    return (entry.device, entry.mac, entry.remote if entry.mac == FLOOD_MAC else "")


def alias_of(spec: DeviceSpec, network_id: str) -> str:
    """What is written into the interface alias: kind, network, and the peer of a tunnel to one."""
    if isinstance(spec, BridgeSpec):
        return f"{ALIAS_PREFIX}bridge:{network_id}"
    if isinstance(spec, VlanSpec):
        return f"{ALIAS_PREFIX}vlan:{network_id}"
    if isinstance(spec, GretapSpec):
        return f"{ALIAS_PREFIX}gretap:{network_id}:{spec.remote}"
    return f"{ALIAS_PREFIX}vxlan:{network_id}"


def network_of(alias: str) -> str:
    """The network id in one of our aliases, else an empty text."""
    return alias.split(":")[2] if alias.startswith(ALIAS_PREFIX) and alias.count(":") >= 2 else ""


def is_ours(link: Link) -> bool:
    """Whether the agent made this interface: it has our alias, or our group where the alias was not written yet."""
    return link.spec is not None and (
        link.alias.startswith(ALIAS_PREFIX) or (link.group == OUR_GROUP and not link.alias)
    )
