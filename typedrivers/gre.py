"""``gre``: Ethernet in GRE (RFC 2784) with the key of RFC 2890, 32 bits."""

from __future__ import annotations

from oslo_config import cfg

from typedrivers.base import ETHERNET_HEADER
from typedrivers.intervals import Interval
from typedrivers.tunnel import TunnelTypeDriver, tunnel_table

GRE_HEADER, GRE_KEY = 4, 4


class GreTypeDriver(TunnelTypeDriver):
    """The owner of network type ``gre``."""

    network_type = "gre"
    table = tunnel_table("gre")
    limits = Interval(1, 2**32 - 1)
    option = "ml2_type_gre.tunnel_id_ranges"

    def header(self, conf: cfg.ConfigOpts) -> int:  # noqa: ARG002
        """22 bytes."""
        return GRE_HEADER + GRE_KEY + ETHERNET_HEADER
