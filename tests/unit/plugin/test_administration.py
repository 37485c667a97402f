"""Bindings on several hosts, segment ranges, quotas, tags, and revisions that move only when something changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from neutron_lib import exceptions as faults
from neutron_lib.exceptions import network_segment_range as range_faults
from sqlalchemy import event

from controller.plugin.api import Query
from controller.plugin.faults import PortBindingError, RevisionNumberConstraintFailed
from tests.support.store import ADMIN, World, host_facts


def bind(world: World, port: dict[str, Any], host: str, **body: Any) -> dict[str, Any]:
    return world.plugin.create(ADMIN, "port_binding", {"port_id": port["id"], "host": host, **body})


def activate(world: World, port: dict[str, Any], host: str) -> dict[str, Any]:
    return world.plugin.update(ADMIN, "port_binding", f"{port['id']}/{host}", {"status": "ACTIVE"})


def test_a_port_that_is_nowhere_has_a_binding_that_says_so(world: World) -> None:
    port = world.port(world.network())
    asked = Query(filters={"port_id": [port["id"]]})
    (shown,) = world.plugin.list(ADMIN, "port_binding", asked)
    expected = {"host": "", "vif_type": "unbound", "vif_details": {}, "vnic_type": "normal", "profile": {}}
    assert {name: shown[name] for name in expected} == expected
    assert shown["status"] == "ACTIVE"
    with pytest.raises(faults.PortBindingNotFound):
        world.plugin.get(ADMIN, "port_binding", shown["id"])
    world.plugin.node_seen(host_facts(1))
    bind(world, port, "h1")
    assert hosts_of(world, port) == {"h1": "ACTIVE"}


def test_only_the_active_binding_is_intent(world: World) -> None:
    for number in (1, 2):
        world.plugin.node_seen(host_facts(number))
    port = world.port(world.network(), "h1")
    before = world.model(port)
    bind(world, port, "h2")
    assert world.model(port) == before
    activate(world, port, "h2")
    moved = world.model(port).binding
    assert moved is not None
    assert moved.node_id == "host:h2"
    activate(world, port, "h1")
    assert hosts_of(world, port) == {"h1": "ACTIVE", "h2": "INACTIVE"}
    world.delete("port", port)


def test_the_first_binding_is_active(world: World) -> None:
    world.plugin.node_seen(host_facts(1))
    port = world.port(world.network())
    assert bind(world, port, "h1")["status"] == "ACTIVE"
    assert world.get("port", port)["binding:host_id"] == "h1"


def test_a_binding_that_cannot_be_is_refused_with_the_reason(world: World) -> None:
    world.plugin.node_seen(host_facts(1))
    world.plugin.node_seen(host_facts(2, tunnel_types=frozenset(), tunnel_ip=None))
    port = world.port(world.network(), "h1")
    with pytest.raises(PortBindingError, match="no vxlan on h2"):
        bind(world, port, "h2")
    with pytest.raises(faults.PortBindingNotFound):
        activate(world, port, "h2")
    with pytest.raises(faults.PortBindingAlreadyActive):
        activate(world, port, "h1")


def hosts_of(world: World, port: dict[str, Any]) -> dict[str, str]:
    found = world.plugin.list(ADMIN, "port_binding", Query(filters={"port_id": [port["id"]]}))
    assert len({item["host"] for item in found}) == len(found)
    return {item["host"]: item["status"] for item in found}


def test_a_port_that_moves_to_a_host_where_a_binding_waits_takes_it(world: World) -> None:
    for number in (1, 2, 3):
        world.plugin.node_seen(host_facts(number))
    port = world.port(world.network(), "h1")
    bind(world, port, "h2")
    world.update("port", port, **{"binding:host_id": "h2"})
    assert hosts_of(world, port) == {"h2": "ACTIVE"}
    bind(world, port, "h3")
    activate(world, port, "h3")
    assert hosts_of(world, port) == {"h3": "ACTIVE", "h2": "INACTIVE"}
    world.update("port", port, **{"binding:host_id": ""})
    world.plugin.port_plugged(port["id"], "host:h2")
    assert hosts_of(world, port) == {"h2": "ACTIVE"}


def test_an_activation_that_cannot_be_leaves_the_port_where_it_is(world: World) -> None:
    for number in (1, 2):
        world.plugin.node_seen(host_facts(number))
    port = world.port(world.network(), "h1")
    bind(world, port, "h2")
    world.plugin.node_seen(host_facts(2, tunnel_types=frozenset(), tunnel_ip=None))
    before = world.model(port)
    with pytest.raises(PortBindingError, match="no vxlan on h2"):
        activate(world, port, "h2")
    assert world.model(port) == before
    assert hosts_of(world, port) == {"h1": "ACTIVE", "h2": "INACTIVE"}


def test_a_binding_that_is_written_as_it_was_is_no_change(world: World) -> None:
    world.plugin.node_seen(host_facts(1))
    port = world.port(world.network(), "h1")
    before, revision = world.get("port", port), world.feed.latest()
    same = {"vnic_type": "normal", "profile": {}}
    world.plugin.update(ADMIN, "port_binding", f"{port['id']}/h1", same)
    assert (world.get("port", port), world.feed.latest()) == (before, revision)
    with pytest.raises(PortBindingError, match="'direct' is not realised"):
        world.plugin.update(ADMIN, "port_binding", f"{port['id']}/h1", {"vnic_type": "direct"})
    assert world.get("port", port) == before


def segment_range(world: World, **body: Any) -> dict[str, Any]:
    return world.plugin.create(ADMIN, "network_segment_range", body)


def test_ranges_of_vlans_are_per_physical_network(world: World) -> None:
    own = segment_range(world, network_type="vlan", physical_network="physnet3", minimum=7, maximum=8)
    assert world.provider("vlan", "physnet3")["provider:segmentation_id"] == 7
    segment_range(world, network_type="vlan", physical_network="physnet1", minimum=7, maximum=8)
    with pytest.raises(range_faults.NetworkSegmentRangeOverlaps):
        segment_range(world, network_type="vlan", physical_network="physnet3", minimum=8, maximum=9)
    assert world.get("network_segment_range", own)["available"] == [8]


def test_a_full_own_range_falls_back_to_everybodys(world: World) -> None:
    segment_range(world, network_type="vxlan", minimum=1, maximum=2, shared=False, project_id="red")
    numbers = [world.network(project_id=project)["provider:segmentation_id"] for project in ("", "red", "red", "red")]
    assert numbers[0] == 3
    assert sorted(numbers[1:3]) == [1, 2]
    assert numbers[3] not in (1, 2)


@pytest.mark.parametrize(
    "body",
    [
        {"network_type": "vxlan", "minimum": 5, "maximum": 4},
        {"network_type": "vxlan", "minimum": 1, "maximum": 2**24},
        {"network_type": "vlan", "minimum": 1, "maximum": 2},
        {"network_type": "vlan", "physical_network": "nowhere", "minimum": 1, "maximum": 2},
        {"network_type": "flat", "minimum": 1, "maximum": 2},
        {"network_type": "vxlan", "minimum": 1, "maximum": 2, "shared": False},
    ],
)
def test_unsound_ranges(world: World, body: dict[str, Any]) -> None:
    with pytest.raises((faults.InvalidInput, faults.BadRequest)):
        segment_range(world, **body)


def test_a_range_of_every_gre_key_is_shown_in_no_time(world: World) -> None:
    wide = segment_range(world, network_type="gre", minimum=51, maximum=2**32 - 1)
    assert wide["available"][0] == 51
    assert len(wide["available"]) < 10_000


def statements(world: World, work: Callable[[], Any], words: str) -> int:
    """How many statements that have these words are sent meanwhile."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(world.store.engine, "before_cursor_execute", note)
    try:
        work()
    finally:
        event.remove(world.store.engine, "before_cursor_execute", note)
    return sum(words in statement for statement in sent)


def test_ids_in_use_are_read_for_those_who_look_at_them(world: World) -> None:
    segment_range(world, network_type="vxlan", minimum=1, maximum=4, shared=False, project_id="red")
    segment_range(world, network_type="vxlan", minimum=2000, maximum=2002)
    world.plugin.create_bulk(ADMIN, "network", [{"project_id": "red"}, {"project_id": "blue"}] * 2)
    world.provider("vlan", "physnet1", 102, project_id="green")

    def look(**asked: Any) -> list[dict[str, Any]]:
        return world.plugin.list(ADMIN, "network_segment_range", Query(**asked))

    whole = {item["id"]: item for item in look()}
    assert whole == {item_id: world.get("network_segment_range", {"id": item_id}) for item_id in whole}
    by_place = {(item["network_type"], item["physical_network"], item["minimum"]): item for item in whole.values()}
    assert by_place["vlan", "physnet1", 100]["used"] == {"102": "green"}
    assert set(by_place["vxlan", None, 1]["used"].values()) == {"red"}
    for fields in ({"id", "name"}, {"used"}, {"available", "id"}):
        for item in look(fields=frozenset(fields)):
            assert {name: item[name] for name in fields} == {name: whole[item["id"]][name] for name in fields}
    assert statements(world, lambda: look(fields=frozenset({"id", "name"})), "_allocations") == 0
    assert statements(world, lambda: look(limit=1, sorts=(("id", True),)), "_allocations") == 1


def test_many_networks_ask_once_which_ranges_there_are(world: World) -> None:
    segment_range(world, network_type="vxlan", minimum=7, maximum=70, shared=False, project_id="red")
    bodies = [{"project_id": "red"}] * 5
    assert statements(world, lambda: world.plugin.create_bulk(ADMIN, "network", bodies), "segment_ranges") == 1
    numbers = {item["provider:segmentation_id"] for item in world.plugin.list(ADMIN, "network", Query())}
    assert len(numbers) == 5
    assert numbers <= set(range(7, 71))


def test_configured_ranges_are_shown_and_stay(world: World) -> None:
    found = world.plugin.list(ADMIN, "network_segment_range", Query(filters={"network_type": ["vlan"]}))
    assert [(item["physical_network"], item["minimum"], item["maximum"]) for item in found] == [
        ("physnet1", 100, 199), ("physnet2", 100, 109)]  # fmt: skip
    for write in (lambda: world.update("network_segment_range", found[0], name="x"),
                  lambda: world.delete("network_segment_range", found[0])):  # fmt: skip
        with pytest.raises(range_faults.NetworkSegmentRangeDefaultReadOnly):
            write()


def test_a_limit_for_a_project_that_cannot_be(world: World) -> None:
    with pytest.raises(faults.InvalidInput, match="255 characters"):
        world.plugin.update(ADMIN, "quota", "x" * 256, {"network": 2})


def test_a_bulk_create_counts_as_a_whole(world: World) -> None:
    world.plugin.update(ADMIN, "quota", "red", {"network": 2})
    with pytest.raises(faults.OverQuota):
        world.plugin.create_bulk(ADMIN, "network", [{"project_id": "red"}] * 3)
    assert len(world.plugin.create_bulk(ADMIN, "network", [{"project_id": "red"}] * 2)) == 2
    world.plugin.update(ADMIN, "quota", "red", {"network": -1})
    world.network(project_id="red")


def test_tags(world: World) -> None:
    tagged = world.network(tags=["a"])
    assert (
        world.get("network", tagged)["tags"] == world.get("subnet", world.subnet(tagged, tags=["a"]))["tags"] == ["a"]
    )
    network = world.network()
    changed = world.update("network", network, tags=["b", "a"])
    assert (changed["tags"], changed["revision_number"]) == (["a", "b"], network["revision_number"] + 1)
    with pytest.raises(faults.InvalidInput):
        world.update("network", network, add_tags=["x" * 256])
    with pytest.raises(faults.InvalidInput):
        world.update("network", network, tags=[f"t{number}" for number in range(51)])
    with pytest.raises(faults.NotFound):
        world.update("network", network, remove_tags=["c"])


@pytest.mark.parametrize("resource", ["network", "subnet", "port", "subnetpool", "segment"])
def test_a_revision_moves_with_every_change_and_no_other_write(world: World, resource: str) -> None:
    network = world.network()
    item = {
        "network": lambda: network,
        "subnet": lambda: world.subnet(network),
        "port": lambda: world.port(network, name="p"),
        "subnetpool": lambda: world.plugin.create(ADMIN, "subnetpool", {"name": "p", "prefixes": ["10.0.0.0/8"]}),
        "segment": lambda: world.plugin.list(ADMIN, "segment", Query())[0],
    }[resource]()
    item, revision = world.get(resource, item), world.feed.latest()
    world.clock.forward(5)
    assert world.update(resource, item, name=item["name"], description="") == item
    assert world.feed.latest() == revision
    changed = world.update(resource, item, description="new")
    assert changed["revision_number"] == item["revision_number"] + 1
    assert changed["updated_at"] > item["updated_at"]
    with pytest.raises(RevisionNumberConstraintFailed):
        world.plugin.delete(ADMIN, resource, item["id"], if_match=item["revision_number"])
    assert world.get(resource, item) == changed


def test_words_about_a_port_are_no_change_of_intent(world: World) -> None:
    port = world.port(world.network())
    before = world.model(port).revision
    world.update("port", port, name="x", tags=["a"], description="d", extra_dhcp_opts=[])
    assert world.model(port).revision == before
    world.update("port", port, admin_state_up=False)
    assert world.model(port).revision > before
