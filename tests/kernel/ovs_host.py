"""A legacy host that runs Open vSwitch (userspace datapath, so that any kernel will do) and is wired by the agent."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from legacy_agent.drivers.api import HostSettings, OpenVSwitchSettings
from legacy_agent.drivers.openvswitch import OpenVSwitchAgentDriver
from tests.kernel.lab import PHYSICAL_NETWORKS, TUNNEL_NIC, Host
from tests.support.ovs import Daemons
from tests.support.sandbox import BED_DIRECTORY

BRIDGE = "isthmus-int"
UNDERLAY_BRIDGE = "br-ul"
"""Bridges of the operator's: of the tunnel address, and of physnet2."""
PROVIDER_BRIDGE = "br-ex"


class OvsHost(Host):
    """``physnet1`` is an interface that the agent gets, ``physnet2`` a bridge of the operator's."""

    def configure(self) -> None:
        """Open vSwitch, with the tunnel address on a bridge of its own."""
        self.ovs = Daemons(self.name, Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=BED_DIRECTORY)))
        bridges = [
            f"-- add-br {bridge} -- set Bridge {bridge} datapath_type=netdev -- add-port {bridge} {nic}"
            for bridge, nic in ((UNDERLAY_BRIDGE, TUNNEL_NIC), (PROVIDER_BRIDGE, PHYSICAL_NETWORKS["physnet2"]))
        ]
        self.ovs.start_daemons(" ".join(["init", *bridges]).split())
        self.ovs.give_tunnel_address(UNDERLAY_BRIDGE, self.tunnel_ip)
        own = OpenVSwitchSettings(
            bridge=BRIDGE,
            remote=self.ovs.remote,
            run_directory=str(self.ovs.directory),
            datapath_type="netdev",
            physical_interfaces={"physnet1": PHYSICAL_NETWORKS["physnet1"]},
            bridge_mappings={"physnet2": PROVIDER_BRIDGE},
        )
        self.settings: HostSettings = replace(self.settings, open_vswitch=own)

    def restart(self) -> None:
        """A driver that remembers nothing."""
        self.driver = OpenVSwitchAgentDriver(self.settings)

    def ports(self) -> set[str]:
        """The ports of the agent's bridge."""
        return set(self.ovs.vsctl("list-ports", BRIDGE).split())

    def flows(self) -> list[str]:
        """Its flows, without what changes by itself."""
        text = self.ovs.ofctl("--no-stats", "dump-flows", BRIDGE)
        return sorted(line.strip() for line in text.splitlines() if "cookie=" in line)

    def close(self) -> None:
        """The daemons too."""
        self.ovs.stop_daemons()
        super().close()
