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
}


@pytest.fixture
def filled(world: World) -> World:
    world.plugin.node_seen(host_facts(1))
    blue = world.network(name="blue")
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
        raw.execute(statement)  # type: ignore[attr-defined]
        raw.execute("PRAGMA foreign_keys = ON")  # type: ignore[attr-defined]
    finally:
        raw.close()
    assert any(told in line for line in found(filled)), found(filled)
