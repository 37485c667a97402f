"""What travels with a packet between the tables: the 64 bits of OpenFlow metadata, declared once."""

from __future__ import annotations

import enum

from controller.dataplane.metadata import BitField, Layout

NICIRA = "nicira"
"""The node capability that stands for Open vSwitch's fields and actions (``tun_ipv4_dst``, moves)."""


class Source(enum.IntEnum):
    """Where a packet came in; decides where it may go."""

    LOCAL = 1
    UPLINK = 2
    LINK = 3
    TUNNEL = 4
    BYPASS = 5
    """By a link that is not on the network's broadcast tree."""


class Transport(enum.IntEnum):
    """How the packet's network leaves this node: the type of the segment by which the node carries it."""

    LOCAL = 1
    FLAT = 2
    VLAN = 3
    GRE = 4
    VXLAN = 5
    GENEVE = 6

    @classmethod
    def of(cls, network_type: str) -> Transport:
        """The transport of a network type."""
        return cls[network_type.upper()]


METADATA = Layout(
    BitField("destination", 0, 36, purpose="where to: node key and port key; 0 while unknown"),
    BitField("port_key", 0, 20, part_of="destination", purpose="the port on that node"),
    BitField("node_key", 20, 16, part_of="destination", purpose="the node"),
    BitField("secured", 36, 1, purpose="1: from a port with port security"),
    BitField("client", 37, 1, purpose="1: from a secured port that may not serve DHCP or advertise routers"),
    BitField("transport", 38, 3, purpose="how the network leaves this node, see Transport"),
    BitField("source", 41, 3, purpose="where the packet came in, see Source"),
    BitField("network", 44, 20, purpose="the network key"),
)
"""The layout; field widths are those of the keys in ``controller.model``."""


PLACES = 0xF0000
"""Port keys from here on are no ports of the API: they name OpenFlow ports behind which others are."""


def destination(node_key: int, port_key: int) -> int:
    """The destination key of a port; the same on every switch."""
    return node_key << METADATA["port_key"].width | port_key


def place(node_key: int, ofport: int) -> int:
    """The destination key of what is behind an OpenFlow port (0..65535) of a switch."""
    return destination(node_key, PLACES | ofport & 0xFFFF)


EVERYBODY = destination(0, 1)
"""The destination key of broadcast and multicast where unknown addresses go elsewhere; no node has the key 0."""
