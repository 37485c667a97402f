"""``vxlan``: RFC 7348, 24-bit network ids."""

from __future__ import annotations

from oslo_config import cfg

from typedrivers.base import ETHERNET_HEADER
from typedrivers.intervals import Interval
from typedrivers.tunnel import TunnelTypeDriver, tunnel_table

UDP_HEADER, VXLAN_HEADER = 8, 8


class VxlanTypeDriver(TunnelTypeDriver):
    """The owner of network type ``vxlan``."""

    network_type = "vxlan"
    table = tunnel_table("vxlan")
    limits = Interval(1, 2**24 - 1)
    option = "ml2_type_vxlan.vni_ranges"

    def header(self, conf: cfg.ConfigOpts) -> int:  # noqa: ARG002
        """30 bytes."""
        return UDP_HEADER + VXLAN_HEADER + ETHERNET_HEADER
