"""One small data centre for the tests of the API: its configuration, a switch and a host."""

from __future__ import annotations

from dataclasses import replace

from controller.model import NodeFacts, NodeKind, host_node_id, switch_node_id
from mechanisms.openflow.registers import NICIRA

CONFIGURATION = """
[ml2]
type_drivers = local,flat,vlan,gre,vxlan,geneve
project_network_types = vxlan
mechanism_drivers = openflow,linuxbridge
[ml2_type_flat]
flat_networks = physnet1,physnet2
[ml2_type_vlan]
network_vlan_ranges = physnet1:100:102,physnet2
[ml2_type_gre]
tunnel_id_ranges = 1:100
[ml2_type_vxlan]
vni_ranges = 1:100000
[database]
connection = sqlite:///{path}
"""

SWITCH = NodeFacts(
    id=switch_node_id(1),
    kind=NodeKind.SWITCH,
    host="ovs1",
    mechanisms=("openflow",),
    tunnel_ip="10.9.0.1",
    tunnel_types=frozenset({"gre", "vxlan"}),
    physical_networks={"physnet1": "uplink"},
    capabilities=frozenset({NICIRA}),
)
HOST = NodeFacts(
    id=host_node_id("web1"),
    kind=NodeKind.HOST,
    host="web1",
    mechanisms=("linuxbridge",),
    tunnel_ip="10.9.0.2",
    tunnel_types=frozenset({"vxlan"}),
    physical_networks={"physnet1": "eth1"},
    limits={"gre": "this kernel has no gretap"},
)
GONE = replace(HOST, id=host_node_id("gone"), host="gone")
"""A host whose agent is not heard of any more, where a test needs one."""
