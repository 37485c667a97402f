"""The wires between the nodes: two physical networks, a tunnel network and a management network.

All are Linux bridges in the sandbox's root namespace, transparent to tags; the controller sits on the management one.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyroute2 import IPRoute

from tests.support import netns

PHYSICAL_NETWORKS = {"physnet1": "eth0", "physnet2": "eth3"}
"""Physical network -> NIC of every node."""

TUNNEL_NIC, MANAGEMENT_NIC = "eth1", "eth2"
CONTROLLER_IP = "192.168.77.1"


@dataclass(frozen=True, slots=True)
class Wiring:
    """How a node hangs on the underlay. ``number`` (1..89) gives its addresses; NIC ``eth0`` of node ``x`` is the
    interface ``x-eth0`` on the underlay's side. ``ipv6``: its tunnel address is an IPv6 one."""

    name: str
    number: int
    ipv6: bool = False

    @property
    def tunnel_ip(self) -> str:
        """Its address on the tunnel network."""
        return f"fd00:200::{self.number:x}" if self.ipv6 else f"10.200.0.{self.number}"

    @property
    def management_ip(self) -> str:
        """Its address on the management network."""
        return f"192.168.77.{self.number + 10}"

    def far_end(self, nic: str) -> str:
        """The interface on the underlay that a NIC is plugged into."""
        return f"{self.name}-{nic}"

    def mac(self, nic: str) -> str:
        """The MAC address of a NIC."""
        return f"02:1f:00:00:{self.number:02x}:{int(nic.removeprefix('eth')):02x}"


def tunnel_cidr(address: str) -> str:
    """A tunnel address with the length of the tunnel network's prefix."""
    return f"{address}/{64 if ':' in address else 24}"


BRIDGES = {
    **{nic: f"ul-{name}" for name, nic in PHYSICAL_NETWORKS.items()},
    TUNNEL_NIC: "ul-tunnel",
    MANAGEMENT_NIC: "ul-mgmt",
}
"""NIC of a node -> underlay bridge that it is plugged into."""


def build() -> None:
    """Make the bridges."""
    netns.silence_ipv6(None)
    for name in BRIDGES.values():
        netns.bridge(None, name)
    netns.add_address(None, BRIDGES[MANAGEMENT_NIC], f"{CONTROLLER_IP}/24")


def attach_namespace(wiring: Wiring) -> None:
    """Make a namespace named like the node, with all its NICs plugged in and its management address set."""
    netns.create(wiring.name)
    for nic, bridge in BRIDGES.items():
        netns.veth((None, wiring.far_end(nic)), (wiring.name, nic), mac=wiring.mac(nic))
        netns.enslave(None, wiring.far_end(nic), bridge)
    netns.add_address(wiring.name, MANAGEMENT_NIC, f"{wiring.management_ip}/24")


def attach_taps(wiring: Wiring) -> None:
    """Make tap interfaces for a virtual machine to open, plugged into the bridges."""
    for nic, bridge in BRIDGES.items():
        with IPRoute() as handle:
            handle.link("add", ifname=wiring.far_end(nic), kind="tuntap", mode="tap")
        netns.enslave(None, wiring.far_end(nic), bridge)
