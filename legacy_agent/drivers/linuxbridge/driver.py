"""The linuxbridge agent driver: a bridge per network, wired by netlink."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Mapping, Sequence

from controller.delta import Delta
from controller.model import ip_version
from legacy_agent.drivers.api import Desired, HostSettings, Item, ItemKey, Snapshot
from legacy_agent.drivers.linuxbridge import desired, firewall
from legacy_agent.drivers.linuxbridge.apply import Applier
from legacy_agent.drivers.linuxbridge.installed import KernelState, installed
from legacy_agent.drivers.linuxbridge.items import Guard
from legacy_agent.host_plan import HostNetwork
from legacy_agent.netlink.errors import KernelError
from legacy_agent.netlink.links import BridgeSpec, DeviceSpec, GretapSpec, KernelLinks, Links, VlanSpec, VxlanSpec
from legacy_agent.netlink.namespaces import in_new_namespace
from legacy_agent.netlink.nft import NftSocket

LOG = logging.getLogger(__name__)

Probes = Mapping[str, tuple[DeviceSpec, str]]
"""Network type -> a device to try, and what to tell an operator when the kernel has none."""

_PROBES: Probes = {
    "vlan": (VlanSpec("probe", 100), "802.1Q sub-interfaces (module 8021q)"),
    "gre": (GretapSpec(1, "192.0.2.1", "192.0.2.2"), "gretap (module ip_gre)"),
    "vxlan": (VxlanSpec(1, "192.0.2.1", 4789), "vxlan (module vxlan)"),
}
_IPV6_PROBES: Probes = {
    **_PROBES,
    "gre": (GretapSpec(1, "2001:db8::1", "2001:db8::2"), "ip6gretap (module ip6_gre)"),
    "vxlan": (VxlanSpec(1, "2001:db8::1", 4789), "vxlan over IPv6 (modules vxlan, ipv6)"),
}


class LinuxBridgeAgentDriver:
    """Serves local, flat, VLAN, GRE and VXLAN networks on a host with nothing but its kernel.

    ``links`` and ``nft`` are opened in the network namespace of the thread that first reads the host; tests pass
    their own.
    """

    name = "linuxbridge"
    network_types: tuple[str, ...] = ("local", "flat", "vlan", "gre", "vxlan")

    def __init__(self, settings: HostSettings, links: Links | None = None, nft: firewall.Nft | None = None) -> None:
        self._settings = settings
        self._links = links
        self._nft = nft

    def probe(self) -> Mapping[str, str]:
        """Make one device of each kind in a throw-away namespace."""
        try:
            ipv6 = ip_version(self._settings.local_ip or "") == 6
            return in_new_namespace(lambda: _probe(_IPV6_PROBES if ipv6 else _PROBES))
        except (OSError, KernelError) as error:
            LOG.warning("cannot find out what this kernel can do: %s", error)
            return {}

    def desired(self, networks: Sequence[HostNetwork], snapshot: Snapshot) -> Desired:
        """What these networks need on this host."""
        state: KernelState = snapshot.detail
        view = desired.HostView(self._settings, snapshot.interfaces, state.addressed)
        return desired.desired(networks, view)

    def snapshot(self) -> Snapshot:
        """Read links, addresses, forwarding entries and guards."""
        kernel = self._kernel_links()
        links = kernel.links()
        state = KernelState(links, kernel.addresses(), kernel.fdb(links), self._guards())
        uplinks = sorted(set(self._settings.physical_interfaces.values()))
        return Snapshot(installed(state, uplinks), frozenset(links), state)

    def apply(self, delta: Delta[ItemKey, Item], snapshot: Snapshot) -> Mapping[str, str]:
        """Make the difference."""
        return Applier(self._kernel_links(), self._firewall(), snapshot.detail).apply(delta)

    def close(self) -> None:
        """Close the sockets."""
        for opened in (self._links, self._nft):
            closing: Callable[[], None] | None = getattr(opened, "close", None)
            if closing is not None:
                closing()

    def _kernel_links(self) -> Links:
        if self._links is None:
            self._links = KernelLinks()
        return self._links

    def _firewall(self) -> firewall.Nft:
        if self._nft is None:
            try:
                self._nft = NftSocket()
            except KernelError as error:
                return firewall.NoNftables(str(error))
        return self._nft

    def _guards(self) -> Mapping[str, Guard]:
        """No guards where the kernel has no nftables: then none can be put in force either, and taps stay out."""
        try:
            return firewall.installed(self._firewall())
        except KernelError as error:
            LOG.warning("cannot read nftables: %s", error)
            return {}


def _probe(probes: Probes) -> dict[str, str]:
    links = KernelLinks()
    limits: dict[str, str] = {}
    try:
        links.create("probe", BridgeSpec(), "", 1500)
    except KernelError as error:
        links.close()
        return dict.fromkeys(LinuxBridgeAgentDriver.network_types, f"this kernel has no bridge ({error})")
    for network_type, (spec, words) in probes.items():
        try:
            links.create(f"probe-{network_type}", spec, "", 1400)
        except KernelError as error:
            missing = error.code in (errno.EOPNOTSUPP, errno.ENOENT, errno.ENODEV)
            limits[network_type] = f"this kernel has no {words}" if missing else f"{words}: {error}"
    links.close()
    return limits
