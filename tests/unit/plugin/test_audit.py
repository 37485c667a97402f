"""The audit finds what must not be, and nothing where nothing is."""

from __future__ import annotations

import pytest

from controller.plugin.audit import audit
from tests.support.store import World, host_facts

WRONG = {
    "an allocation without a segment": ("DELETE FROM network_segments WHERE network_type = 'gre'", "gre_allocations"),
    "a segment without an allocation": ("DELETE FROM vxlan_allocations", "holds nothing"),
    "a segment that holds another id": ("UPDATE vxlan_allocations SET tunnel_id = tunnel_id + 500", "but holds"),
    "two segments on one wire": ("UPDATE network_segments SET network_type = 'gre', segmentation_id = 7", "are both"),
    "a port without a network": ("DELETE FROM networks WHERE name = 'blue'", "does not exist in networks"),
    "an address without a port": ("DELETE FROM ports", "ip_allocations: port_id"),
    "an address outside": ("UPDATE subnets SET cidr = '10.77.0.0/24'", "is not in 10.77.0.0/24"),
    "a port without a binding": ("DELETE FROM port_bindings", "has no binding row"),
    "a binding by half": ("UPDATE port_bindings SET port_key = NULL", "bound by half"),
    "a binding elsewhere": (
        "UPDATE port_bindings SET segment_id = (SELECT id FROM network_segments WHERE network_type = 'gre')",
        "of another network",
    ),
    "a feed out of order": ("UPDATE feed_state SET revision = 1", "the change feed goes to"),
    "a feed with a hole": ("DELETE FROM feed WHERE revision = 2", "the change feed has only"),
    "a feed without its end": ("UPDATE feed_state SET revision = revision + 1", "the change feed has only"),
    "a pool outside": ("UPDATE subnets SET cidr = '10.77.0.0/24'", "is no range in 10.77.0.0/24"),
    "pools that overlap": (
        "INSERT INTO allocation_pools SELECT subnet_id, x'0a000005', last FROM allocation_pools",
        "overlap at 10.0.0.5",
    ),
    "an address shown otherwise": ("UPDATE ip_allocations SET text = '10.0.0.99'", "is shown with '10.0.0.99'"),
    "a segment of another network": (
        "UPDATE subnets SET segment_id = (SELECT id FROM network_segments WHERE network_type = 'gre')",
        "of another network",
    ),
    "an address of another segment": (
        "UPDATE subnets SET segment_id = (SELECT id FROM network_segments WHERE network_type = 'gre')",
        "but is bound to segment",
    ),
    "subnets by half with segments": (
        "INSERT INTO subnets (id, segment_id, cidr, network_id, project_id, name, description, created_at, "
        "updated_at, revision_number, ip_version, enable_dhcp, dns_nameservers, host_routes) SELECT 'other', 'x', "
        "'10.9.0.0/24', network_id, project_id, name, description, created_at, updated_at, 0, 4, 1, '[]', '[]' "
        "FROM subnets",
        "subnets with a segment and subnets without one",
    ),
    "a port that is ACTIVE nowhere": (
        "UPDATE port_bindings SET node_id = NULL, segment_id = NULL, mechanism = NULL, port_key = NULL; "
        "UPDATE ports SET status = 'ACTIVE'",
        "ACTIVE without being bound",
    ),
    "no reason": (
        "UPDATE port_bindings SET node_id = NULL, segment_id = NULL, mechanism = NULL, port_key = NULL",
        "nothing says why",
    ),
    "a reason for nothing": (
        "UPDATE port_bindings SET node_id = NULL, segment_id = NULL, mechanism = NULL, port_key = NULL, host = '', "
        "refusal = 'no'",
        "asks for no host, but was refused",
    ),
    "a binding elsewhere than asked": ("UPDATE port_bindings SET host = 'h2'", "asks for host 'h2'"),
    "a switch that nobody asked for": ("UPDATE port_bindings SET switch_node_id = 'switch:1'", "is taken to ask for"),
    "another switch than asked": ("UPDATE port_bindings SET switch_node_id = 'switch:1'", "asks for switch switch:1"),
    "a VIF of no binding": ("UPDATE port_bindings SET vif_type = 'binding_failed'", "has vif_type 'binding_failed'"),
    "two bindings on a host": (
        "INSERT INTO inactive_port_bindings SELECT port_id, host, vnic_type, profile, vif_type, vif_details "
        "FROM port_bindings",
        "and an inactive one there too",
    ),
    "a policy about nothing": ("UPDATE rbac_policies SET object_id = 'gone'", "which does not exist"),
    "a policy about anything": ("UPDATE rbac_policies SET object_type = 'port'", "which cannot be shared"),
    "shared by no policy": ("UPDATE networks SET shared = 1", "says that it is shared"),
    "not shared by a policy": ("UPDATE networks SET shared = 0", "says that it is not shared"),
    "external by no policy": ("UPDATE networks SET external = 1", "says that it is external"),
    "two segments at one place": (
        "UPDATE network_segments SET network_id = (SELECT id FROM networks WHERE name = 'blue')",
        "position 0 more than",
    ),
    "a range that is none": ("UPDATE subnets SET cidr = 'x'", "a value cannot be read: 'x' does not appear"),
    "a profile that is none": ("UPDATE port_bindings SET profile = '{'", "bindings: not looked at to the end"),
}


@pytest.fixture
def filled(world: World) -> World:
    world.plugin.node_seen(host_facts(1))
    blue = world.network(name="blue", shared=True)
    world.provider("gre", number=7, name="grey")
    world.subnet(blue)
    world.port(blue, "h1")
    return world


def found(world: World) -> list[str]:
    with world.store.read() as session:
        return audit(session)


def test_nothing_is_wrong_with_what_the_plugin_wrote(filled: World) -> None:
    assert found(filled) == []


@pytest.mark.parametrize(("statement", "told"), WRONG.values(), ids=WRONG)
def test_findings(filled: World, statement: str, told: str) -> None:
    raw = filled.store.engine.raw_connection()
    try:
        raw.execute("PRAGMA foreign_keys = OFF")  # type: ignore[attr-defined]
        raw.executescript(statement)  # type: ignore[attr-defined]
        raw.execute("PRAGMA foreign_keys = ON")  # type: ignore[attr-defined]
    finally:
        raw.close()
    assert any(told in line for line in found(filled)), found(filled)
