"""The tables of the pipeline in their order, each with its contract; ``docs/pipeline.md`` is generated from here.

Physical to logical first, logical in the middle, logical to physical last. One file per table makes its flows.
"""

from __future__ import annotations

from controller.dataplane.tables import Pipeline, Table
from controller.dataplane.values import Move, Output, PopVlan, PushVlan, ToGroup
from mechanisms.openflow.registers import METADATA

_ARP = ("arp_op", "arp_sha", "arp_spa", "arp_tpa")

PIPELINE = Pipeline(
    METADATA,
    Table(
        "punt",
        "Frames of the control protocols of bridges (LLDP, spanning tree, pause ...) end here; LLDP goes to the "
        "controller where links are looked for, metered where the switch has meters.",
        match=("in_port", "eth_dst", "eth_type"),
        actions=(Output,),
        goes_to=("classify",),
        miss="classify",
        metered=True,
    ),
    Table(
        "classify",
        "Physical to logical: ingress port with VLAN or tunnel id to network and source class; the tag is taken off.",
        match=("in_port", "vlan_vid", "tunnel_id"),
        sets=("network", "source", "transport", "secured", "client", "tunnel_id"),
        actions=(PopVlan,),
        goes_to=("port_security", "learn", "l2_lookup"),
    ),
    Table(
        "port_security",
        "Bound ports send only as themselves: allowed MAC, ARP sender, IPv4 and IPv6 source; only network services "
        "answer DHCP or advertise routers.",
        match=("in_port", "secured", "client", "eth_src", "eth_type", *_ARP, "ip_proto", "ipv4_src", "udp_src",
               "udp_dst", "ipv6_src", "icmpv6_type", "ipv6_nd_target"),
        goes_to=("arp_responder",),
    ),
    Table(
        "arp_responder",
        "ARP requests of local ports for known addresses are answered here, in place.",
        match=("network", "source", "eth_type", *_ARP),
        sets=("eth_src", "eth_dst", "arp_op", "arp_sha", "arp_spa", "arp_tha", "arp_tpa"),
        actions=(Move, Output),
        goes_to=("learn", "l2_lookup"),
        miss="learn",
    ),
    Table(
        "learn",
        "Frames from addresses that nobody manages are shown to the controller, until it knows where they are.",
        match=("in_port", "network", "eth_src"),
        actions=(Output,),
        goes_to=("l2_lookup",),
        miss="l2_lookup",
    ),
    Table(
        "l2_lookup",
        "Network and destination MAC to destination key. The same bytes on every switch that carries the network.",
        match=("network", "eth_dst"),
        sets=("destination",),
        goes_to=("deliver", "flood"),
        miss="flood",
    ),
    Table(
        "flood",
        "Broadcast, multicast and unknown destinations: to the group of the network and source class. What came from "
        "an uplink or a tunnel goes to local ports only, or along the fabric's broadcast tree. In a fabric unknown "
        "destinations go only where unmanaged addresses can be.",
        match=("network", "source", "destination"),
        actions=(ToGroup,),
    ),
    Table(
        "deliver",
        "Logical to physical: destination key to a local port, the uplink with its tag, or a next hop's group.",
        match=("network", "source", "transport", "destination", "node_key"),
        sets=("vlan_vid",),
        actions=(Output, PushVlan, ToGroup),
        goes_to=("hop",),
    ),
    Table(
        "hop",
        "Links between switches: a frame, tagged as it travels there, to the next hop towards the destination's node.",
        match=("network", "source", "node_key", "vlan_vid"),
        actions=(PopVlan, ToGroup),
    ),
    Table("stamp", "No packet comes here. The cookie of its one flow stands for the program on the switch."),
)  # fmt: skip

PUNT = PIPELINE["punt"]
CLASSIFY = PIPELINE["classify"]
PORT_SECURITY = PIPELINE["port_security"]
ARP_RESPONDER = PIPELINE["arp_responder"]
LEARN = PIPELINE["learn"]
L2_LOOKUP = PIPELINE["l2_lookup"]
FLOOD = PIPELINE["flood"]
DELIVER = PIPELINE["deliver"]
HOP = PIPELINE["hop"]
STAMP = PIPELINE["stamp"]
