"""The networks of the main matrix. Numbers are shared across types and physical networks on purpose."""

from __future__ import annotations

from tests.support.datacentre import NetworkSpec

NETWORKS = (
    NetworkSpec("flat", "flat", "physnet1", None, "10.1.0.0/24"),
    NetworkSpec("vlan100", "vlan", "physnet1", 100, "10.2.0.0/24"),
    NetworkSpec("vlan100b", "vlan", "physnet2", 100, "10.3.0.0/24"),
    NetworkSpec("vlan101", "vlan", "physnet1", 101, "10.4.0.0/24"),
    NetworkSpec("gre77", "gre", None, 77, "10.5.0.0/24"),
    NetworkSpec("gre78", "gre", None, 78, "10.6.0.0/24"),
    NetworkSpec("vxlan77", "vxlan", None, 77, "10.7.0.0/24"),
    NetworkSpec("vxlan78", "vxlan", None, 78, "10.8.0.0/24"),
)
