"""``geneve``: RFC 8926, 24-bit network ids; its header grows with options."""

from __future__ import annotations

from oslo_config import cfg

from typedrivers.intervals import Interval
from typedrivers.tunnel import TunnelTypeDriver, tunnel_table


class GeneveTypeDriver(TunnelTypeDriver):
    """The owner of network type ``geneve``."""

    network_type = "geneve"
    table = tunnel_table("geneve")
    limits = Interval(1, 2**24 - 1)
    option = "ml2_type_geneve.vni_ranges"

    def header(self, conf: cfg.ConfigOpts) -> int:
        """``max_header_size`` counts UDP, Geneve with options and the inner Ethernet header, as in Neutron."""
        return int(conf.ml2_type_geneve.max_header_size)
