"""A delta of items -> the kernel, in an order in which nothing leaks and nothing flaps.

Guards first, so that a tap is never in a bridge without its rules; then what must go, because a new device may need
the name or the tunnel key of an old one; then devices, forwarding entries and at last the taps. A failure stays with
its network: the later steps of that network are left out, the others go on.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from controller.delta import Delta
from controller.errors import IsthmusError
from legacy_agent.drivers.linuxbridge import firewall
from legacy_agent.drivers.linuxbridge.installed import KernelState, forwarding
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
from legacy_agent.netlink.errors import KernelError
from legacy_agent.netlink.fdb import FdbEntry
from legacy_agent.netlink.links import BridgeSpec, DeviceSpec, Link, Links, VlanSpec, VxlanSpec

LOG = logging.getLogger(__name__)

K = TypeVar("K", bound=AnyItem)
Failures = Mapping[FdbEntry, KernelError]


class Foreign(IsthmusError):
    """Something that is not ours is in the way."""


class Applier:
    """One delta applied to one host. ``errors`` (network id -> reason) fills up on the way."""

    def __init__(self, links: Links, nft: firewall.Nft, state: KernelState) -> None:
        self._links = links
        self._nft = nft
        self._state = state
        self._bridges = set(state.bridges)
        self._rebuilt: set[str] = set()
        self.errors: dict[str, str] = {}

    def apply(self, delta: Delta[Key, AnyItem]) -> Mapping[str, str]:
        """Make the difference; never raises for a single item."""
        wanted = [*delta.add.values(), *delta.change.values()]
        removed = list(delta.remove.values())
        self._install_guards(_of(wanted, Guard))
        self._each(_of(removed, Member), _if_there(self._release))
        self._forward(_of(removed, Forwarding), self._links.remove_fdb)
        self._each(_ports_first(_of(removed, Device)), lambda item: self._links.delete(item.name))
        self._each(_of(wanted, Uplink), lambda item: self._links.set(item.interface, up=True))
        self._each(_bridges_first(_of(wanted, Device)), self._ensure_device)
        self._forward([*_of(wanted, Forwarding), *self._lost(delta)], self._links.add_fdb)
        self._each(_of(wanted, Member), _if_there(self._enslave))
        self._remove_guards(_of(removed, Guard))
        return self.errors

    def _each(self, items: list[K], action: Callable[[K], None]) -> None:
        for item in items:
            if item.network_id and item.network_id in self.errors:
                continue
            try:
                action(item)
            except (KernelError, Foreign) as error:
                self._fail(item.network_id, error)

    def _fail(self, network_id: str, error: Exception) -> None:
        self.errors.setdefault(network_id, str(error))
        LOG.debug("network %s: %s", network_id or "-", error)

    def _forward(self, items: list[Forwarding], action: Callable[[Sequence[FdbEntry]], Failures]) -> None:
        """There may be thousands: all in one go."""
        networks = {item.entry: item.network_id for item in items if item.network_id not in self.errors}
        try:
            for entry, error in action(list(networks)).items():
                self._fail(networks[entry], error)
        except KernelError as error:
            for network_id in sorted(set(networks.values())):
                self._fail(network_id, error)

    def _lost(self, delta: Delta[Key, AnyItem]) -> list[Forwarding]:
        """Entries that stay as they are, but went with a device that was made anew."""
        if not self._rebuilt:
            return []
        touched = delta.change.keys() | delta.remove.keys()
        return [item for item in forwarding(self._state)
                if item.entry.device in self._rebuilt and key(item) not in touched]  # fmt: skip

    def _install_guards(self, guards: list[Guard]) -> None:
        """All at once; when that fails network by network, so that the fault stays where it is."""
        try:
            firewall.install(self._nft, guards)
        except KernelError:
            self._each(guards, self._install_guard)

    def _install_guard(self, guard: Guard) -> None:
        try:
            firewall.install(self._nft, [guard])
        except KernelError:
            self._disconnect(guard.interface)
            raise

    def _disconnect(self, tap: str) -> None:
        """Fail closed: a tap whose rules cannot be put in force carries nothing, unless older rules are in force."""
        link, in_force = self._state.links.get(tap), self._state.guards.get(tap)
        if link is not None and link.master in self._bridges and not (in_force and in_force.markers):
            self._links.enslave(tap, None)

    def _remove_guards(self, guards: list[Guard]) -> None:
        """Not those of a tap that could not be taken out of its bridge."""
        gone = [item.interface for item in guards if not self._failed_release(item.interface)]
        if not gone:
            return
        try:
            firewall.remove(self._nft, gone)
        except KernelError as error:
            LOG.warning("cannot remove the rules of %s: %s", ", ".join(gone), error)
            self.errors.setdefault("", str(error))

    def _failed_release(self, tap: str) -> bool:
        link = self._state.links.get(tap)
        if link is None or link.master not in self._bridges:
            return False
        return network_of(self._state.links[link.master].alias) in self.errors

    def _release(self, item: Member) -> None:
        if item.interface in self._state.links:
            self._links.enslave(item.interface, None)

    def _ensure_device(self, item: Device) -> None:
        present = self._state.links.get(item.name)
        if present is not None and not is_ours(present):
            self._adopt(item, present)
        rebuilt = present is not None and present.spec != item.spec and not isinstance(item.spec, BridgeSpec)
        if rebuilt:
            self._links.delete(item.name)
            self._rebuilt.add(item.name)
        if present is None or rebuilt:
            self._create(item)
            return
        self._adjust(item, Device(present.name, present.alias, present.spec or item.spec, present.mtu,
                                  present.master, present.isolated, present.up))  # fmt: skip

    def _adopt(self, item: Device, present: Link) -> None:
        """A bridge that Nova's os-vif has made for the network before the agent did is taken over; anything else of
        that name is somebody's. Raises :class:`Foreign`."""
        reason = self._state.foreign(present) if isinstance(item.spec, BridgeSpec) else "is no bridge for VMs"
        if reason:
            raise Foreign(
                f"interface {item.name} exists, was not made by this agent (no alias isthmus:...) and {reason}; "
                "remove or rename it"
            )
        LOG.info("%s was made by somebody else for this network and holds only VMs: it is ours now", item.name)
        self._bridges.add(item.name)

    def _create(self, item: Device) -> None:
        """Up comes last: a tunnel port must be isolated before its first frame."""
        self._refuse_wide(item)
        try:
            self._links.create(item.name, item.spec, item.alias, item.mtu)
        except KernelError as error:
            rival = self._rival(item.spec) if error.code == errno.EEXIST else ""
            raise Foreign(f"{error}; interface {rival} is that already: remove it") if rival else error from error
        self._links.quiet_ipv6(item.name)
        if item.master:
            self._links.enslave(item.name, item.master)
            if item.isolated:
                self._links.isolate(item.name, True)
        self._links.set(item.name, up=True)

    def _rival(self, spec: DeviceSpec) -> str:
        """The interface of somebody else's that is the VLAN or tunnel which we need, and of which there is only one;
        empty if there is none."""
        return next(
            (
                link.name
                for link in self._state.links.values()
                if link.spec is not None and not is_ours(link) and _exclusive(link.spec) == _exclusive(spec)
            ),
            "",
        )

    def _adjust(self, item: Device, present: Device) -> None:
        """Set only what differs: an adopted device sees no frame lost."""
        if item.spec != present.spec:
            self._links.modify(item.name, item.spec)
        if item.alias != present.alias:
            self._links.set(item.name, alias=item.alias)
        if item.mtu != present.mtu:
            self._refuse_wide(item)
            self._links.set(item.name, mtu=item.mtu)
        if item.master and item.master != present.master:
            self._links.set(item.name, up=False)
            self._links.enslave(item.name, item.master)
        if item.master and (item.isolated != present.isolated or item.master != present.master):
            self._links.isolate(item.name, item.isolated)
        if not present.up or item.master != present.master:
            self._links.quiet_ipv6(item.name)
            self._links.set(item.name, up=True)

    def _refuse_wide(self, item: Device) -> None:
        """Say what is wrong before the kernel says "Numerical result out of range"."""
        parent = self._state.links.get(item.spec.parent) if isinstance(item.spec, VlanSpec) else None
        if parent is not None and item.mtu > parent.mtu:
            raise Foreign(f"the MTU {item.mtu} of the network is larger than that of {parent.name} ({parent.mtu})")

    def _enslave(self, item: Member) -> None:
        link = self._state.links.get(item.interface)
        if link is None:
            return
        if link.master is not None and link.master not in self._bridges:
            raise Foreign(
                f"interface {item.interface} is a port of {link.master}, which was not made by this agent; "
                f"take it out of there"
            )
        if not item.uplink:
            self._links.quiet_ipv6(item.interface)
        if link.master != item.bridge:
            self._links.enslave(item.interface, item.bridge)
        self._links.set(item.interface, up=True)


def _if_there(action: Callable[[Member], None]) -> Callable[[Member], None]:
    """A tap that was unplugged meanwhile is no failure of its network: its event is on the way."""

    def tolerant(item: Member) -> None:
        try:
            action(item)
        except KernelError as error:
            if error.code != errno.ENODEV:
                raise

    return tolerant


def _exclusive(spec: DeviceSpec) -> object:
    """What only one interface can be: of VXLAN devices the address does not matter."""
    return (spec.vni, spec.port) if isinstance(spec, VxlanSpec) else spec


def _of(items: list[AnyItem], kind: type[K]) -> list[K]:
    return [item for item in items if isinstance(item, kind)]


def _ports_first(devices: list[Device]) -> list[Device]:
    return sorted(devices, key=lambda item: (isinstance(item.spec, BridgeSpec), item.name))


def _bridges_first(devices: list[Device]) -> list[Device]:
    return sorted(devices, key=lambda item: (not isinstance(item.spec, BridgeSpec), item.name))
