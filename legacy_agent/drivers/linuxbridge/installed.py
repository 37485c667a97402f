"""Kernel -> items: what the linuxbridge driver has on this host. Pure, from what was read.

How does an agent that has just been started, with no memory, recognise this as its own? Devices by their alias; taps
and physical interfaces by being in a bridge of ours; forwarding entries by being static on a tunnel of ours; guards by
being in our table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from legacy_agent.drivers.linuxbridge.items import (
    AnyItem,
    Device,
    Forwarding,
    Guard,
    Key,
    Member,
    Uplink,
    is_ours,
    key,
    network_of,
)
from legacy_agent.host_plan import device_name
from legacy_agent.netlink.fdb import FdbEntry
from legacy_agent.netlink.links import BridgeSpec, GretapSpec, Link, VxlanSpec

TAP_PREFIX = "tap"


@dataclass(frozen=True, slots=True)
class KernelState:
    """Everything that was read from the kernel at one moment."""

    links: Mapping[str, Link]
    addresses: Mapping[str, frozenset[str]]
    fdb: frozenset[FdbEntry]
    guards: Mapping[str, Guard]

    @property
    def bridges(self) -> frozenset[str]:
        """Names of our bridges."""
        return frozenset(
            name for name, link in self.links.items() if isinstance(link.spec, BridgeSpec) and is_ours(link)
        )

    @property
    def addressed(self) -> dict[str, frozenset[str]]:
        """Interfaces that carry addresses and are not ports of our bridges (there the addresses are dead already)."""
        bridges = self.bridges
        ports = {name for name, link in self.links.items() if link.master in bridges}
        return {name: found for name, found in self.addresses.items() if name not in ports}

    def foreign(self, bridge: Link) -> str:
        """What shows that a bridge which the agent did not make is not for VMs alone; empty if nothing does."""
        if not isinstance(bridge.spec, BridgeSpec):
            return "is no bridge"
        if self.addresses.get(bridge.name):
            return f"carries {', '.join(sorted(self.addresses[bridge.name]))}"
        ports = [link for link in self.links.values() if link.master == bridge.name]
        others = sorted(link.name for link in ports if not (is_ours(link) or is_tap(link.name)))
        return f"has ports that are not VMs ({', '.join(others)})" if others else ""


def is_tap(name: str) -> bool:
    """Whether an interface is named as Nova names the tap of a port."""
    return name.startswith(TAP_PREFIX) and len(name) == len(device_name("x" * 36))


def installed(state: KernelState, uplinks: Iterable[str]) -> dict[Key, AnyItem]:
    """The driver's items on this host. ``uplinks`` are the interfaces of the physical network mapping."""
    items = (*_devices(state), *_members(state, frozenset(uplinks)), *forwarding(state),
             *_uplinks(state, uplinks), *state.guards.values())  # fmt: skip
    return {key(item): item for item in items}


def _devices(state: KernelState) -> Iterator[AnyItem]:
    for link in state.links.values():
        if is_ours(link) and link.spec is not None:
            yield Device(link.name, link.alias, link.spec, link.mtu, link.master, link.isolated, link.up)


def _members(state: KernelState, uplinks: frozenset[str]) -> Iterator[AnyItem]:
    """Taps and mapped interfaces in our bridges; whatever else an operator put there is not ours to remove."""
    bridges = state.bridges
    for link in state.links.values():
        if link.master in bridges and not is_ours(link) and (is_tap(link.name) or link.name in uplinks):
            network_id = network_of(state.links[link.master].alias)
            yield Member(link.name, link.master, link.up, link.name in uplinks, network_id)


def forwarding(state: KernelState) -> Iterator[Forwarding]:
    """The static entries of our tunnels."""
    for entry in state.fdb:
        link = state.links.get(entry.device)
        if link is not None and is_ours(link) and isinstance(link.spec, (VxlanSpec, GretapSpec)):
            bridge = "" if entry.remote is not None else link.master or ""
            yield Forwarding(entry, bridge, network_of(link.alias))


def _uplinks(state: KernelState, uplinks: Iterable[str]) -> Iterator[AnyItem]:
    for name in uplinks:
        link = state.links.get(name)
        if link is not None and link.up:
            yield Uplink(name)
