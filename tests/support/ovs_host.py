"""Legacy hosts that run Open vSwitch and are wired by the agent, in a namespace of this kernel.

The datapath is the userspace one, so that the kernel need have nothing: neither 802.1q nor GRE.
"""

from __future__ import annotations

from tests.support import netns
from tests.support.machine import Machine
from tests.support.ovs import Daemons
from tests.support.sandbox import BED_DIRECTORY
from tests.support.underlay import (
    BRIDGES,
    CONTROLLER_IP,
    MANAGEMENT_NIC,
    PHYSICAL_NETWORKS,
    TUNNEL_NIC,
    Wiring,
    attach_namespace,
)

INTEGRATION_BRIDGE = "isthmus-int"
_TUNNEL_BRIDGE = "br-ul"
_SECOND_NIC = "eth4"

_AGENT_CONFIGURATION = """\
[agent]
host = {name}
controller_url = http://{controller}:9696
report_interval = 2
drivers = {drivers}
[ovs]
ovsdb_connection = {remote}
datapath_type = netdev
physical_interface_mappings = {uplinks}
local_ip = {tunnel_ip}
[linux_bridge]
physical_interface_mappings = {bridged}
"""


class OvsMachine(Machine):
    """A machine with Open vSwitch on it. ``drivers`` is what the agent is told; with ``shared`` the Linux bridges have
    the first NIC of physnet1, and Open vSwitch a second one."""

    def __init__(self, wiring: Wiring, drivers: str, shared: bool) -> None:
        super().__init__(wiring, wiring.name, BED_DIRECTORY / wiring.name)
        self.ovs = Daemons(wiring.name, BED_DIRECTORY / wiring.name)
        self._drivers, self._shared = drivers, shared

    def configure(self) -> None:
        """NICs up, Open vSwitch started, the tunnel address on a bridge of its own."""
        attach_namespace(self._wiring)
        if self._shared:
            self._second_nic()
        for nic in (*PHYSICAL_NETWORKS.values(), TUNNEL_NIC, MANAGEMENT_NIC):
            netns.set_link(self._wiring.name, nic, up=True)
        self.ovs.start_daemons(
            f"init -- add-br {_TUNNEL_BRIDGE} -- set Bridge {_TUNNEL_BRIDGE} datapath_type=netdev "
            f"-- add-port {_TUNNEL_BRIDGE} {TUNNEL_NIC}".split()
        )
        self.ovs.give_tunnel_address(_TUNNEL_BRIDGE, self._wiring.tunnel_ip)

    def _second_nic(self) -> None:
        first = PHYSICAL_NETWORKS["physnet1"]
        netns.veth((None, self._wiring.far_end(_SECOND_NIC)), (self._wiring.name, _SECOND_NIC))
        netns.enslave(None, self._wiring.far_end(_SECOND_NIC), BRIDGES[first])
        netns.set_link(self._wiring.name, _SECOND_NIC, up=True)

    def _agent_configuration(self) -> str:
        uplinks = {**PHYSICAL_NETWORKS, **({"physnet1": _SECOND_NIC} if self._shared else {})}
        return _AGENT_CONFIGURATION.format(
            name=self._wiring.name,
            controller=CONTROLLER_IP,
            drivers=self._drivers,
            remote=self.ovs.remote,
            uplinks=",".join(f"{name}:{nic}" for name, nic in uplinks.items()),
            bridged=f"physnet1:{PHYSICAL_NETWORKS['physnet1']}" if self._shared else "",
            tunnel_ip=self._wiring.tunnel_ip,
        )


class OvsHostNode:
    """Such a machine as a node of the data centre. VMs are plugged in as Nova does it: by ``iface-id`` where the
    binding names a bridge of Open vSwitch, else by the name of the tap."""

    def __init__(self, wiring: Wiring, drivers: str = "openvswitch", shared: bool = False) -> None:
        self.wiring = wiring
        self.kind = "both" if shared else "agent"
        self.machine = OvsMachine(wiring, drivers, shared)
        self.site = self.machine

    def start(self) -> None:
        """Power on, and start the agent."""
        self.machine.configure()
        self.machine.agent_start()

    def plug(self, name: str, port_id: str, mac: str, cidrs: list[str], mtu: int) -> None:
        """A device of the right name; the agent does the rest."""
        self.machine.plug(name, "tap" + port_id[:11], mac, cidrs, mtu)

    def plug_by_nova(self, name: str, port_id: str, mac: str, cidrs: list[str], mtu: int) -> None:
        """A device of another name, put into the bridge with the port's id."""
        device = f"vnet{port_id[:8]}"
        self.machine.plug(name, device, mac, cidrs, mtu)
        self.machine.ovs.vsctl(*f"add-port {INTEGRATION_BRIDGE} {device} -- set Interface {device}".split(),
                               f"external_ids:iface-id={port_id}", f'external_ids:attached-mac="{mac}"')  # fmt: skip

    def unplug(self, name: str, port_id: str) -> None:
        """Gone."""
        self.site.remove_vm(name)
        self.machine.ovs.vsctl("--if-exists", "del-port", INTEGRATION_BRIDGE, f"vnet{port_id[:8]}")

    def change_tunnel_address(self, address: str) -> None:
        """Not needed by any test."""
        raise NotImplementedError(address)

    def flows(self) -> list[str]:
        """The flows of the agent's bridge, without what changes by itself."""
        text = self.machine.ovs.ofctl("--no-stats", "dump-flows", INTEGRATION_BRIDGE)
        return sorted(line.strip() for line in text.splitlines() if "cookie=" in line)

    def diagnosis(self) -> str:
        """Logs, configuration and flows."""
        return "\n".join([self.machine.agent_log(), self.machine.ovs.vsctl("show"), *self.flows()])
