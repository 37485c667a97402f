"""NVGRE (RFC 7637) as a network type, and a mechanism for hosts whose agent has a driver called ``patchbay``."""

from __future__ import annotations

from collections.abc import Collection

from oslo_config import cfg

from controller.intent import Intent
from controller.model import Network, Node, NodeKind, Observation, Port, Segment
from legacy_agent.host_plan import HostPlan
from mechanisms.api import Answer, Bound, Continue, Refused
from mechanisms.host_networks import HostNetworks
from typedrivers.base import ETHERNET_HEADER, NewId, new_id
from typedrivers.intervals import Interval
from typedrivers.tunnel import TunnelTypeDriver, tunnel_table

OPTIONS = [cfg.ListOpt("vsid_ranges", default=["4096:8191"], help="<first>:<last> NVGRE ids that projects get.")]


class NvgreTypeDriver(TunnelTypeDriver):
    """The owner of network type ``nvgre``: 24-bit virtual subnet ids, of which RFC 7637 reserves the lowest 4096."""

    network_type = "nvgre"
    table = tunnel_table("nvgre")
    limits = Interval(0x1000, 0xFFFFFE)
    option = "ml2_type_nvgre.vsid_ranges"

    def __init__(self, conf: cfg.ConfigOpts, new_id: NewId = new_id) -> None:
        conf.register_opts(OPTIONS, group="ml2_type_nvgre")
        super().__init__(conf, new_id)

    def header(self, conf: cfg.ConfigOpts) -> int:
        """GRE with a key, and the inner Ethernet header."""
        return 8 + ETHERNET_HEADER


class PatchbayMechanismDriver:
    """Binds NVGRE ports on hosts with the agent driver ``patchbay`` and compiles what that driver shall build."""

    name = "patchbay"
    node_kind = NodeKind.HOST
    vif_type = "tap"

    def __init__(self) -> None:
        self._networks = HostNetworks(self.name)

    def bind(self, port: Port, network: Network, segment: Segment, node: Node) -> Answer:
        """Bound on any host with a tunnel address."""
        if self.name not in node.mechanisms or segment.network_type != "nvgre":
            return Continue()
        if node.tunnel_ip is None:
            return Refused(f"node '{node.host}' has no tunnel address, which nvgre networks need")
        return Bound(segment.id, self.vif_type, {"port_filter": False})

    def compile(
        self, intent: Intent, node: Node, observation: Observation, changed_networks: Collection[str] | None = None
    ) -> HostPlan:
        """The networks with ports of this mechanism on the host."""
        return self._networks.plan(intent, node)
