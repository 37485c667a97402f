"""Networks: segments, provider attributes, MTU, what may change and what may go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from neutron_lib import exceptions as faults
from neutron_lib.exceptions import multiprovidernet, vlantransparent
from sqlalchemy import event

from controller.db.models import PortRow
from controller.plugin.api import Query
from controller.plugin.context import RequestContext
from controller.plugin.faults import RevisionNumberConstraintFailed, SegmentInUse
from tests.support.store import ADMIN, World, host_facts, new_world

ALICE = RequestContext(project_id="alice", roles=("member",))
BOB = RequestContext(project_id="bob", roles=("member",))


@contextmanager
def not_loaded(model: type) -> Iterator[None]:
    """No row of a table becomes an object meanwhile: there may be very many."""
    loaded: list[Any] = []

    def note(row: Any, _context: Any) -> None:
        loaded.append(row)

    event.listen(model, "load", note)
    try:
        yield
    finally:
        event.remove(model, "load", note)
    assert loaded == []


def test_a_project_network_gets_a_segment_of_the_first_type(world: World) -> None:
    network = world.network(name="blue", project_id="alice")
    assert network["provider:network_type"] == "vxlan"
    assert network["provider:segmentation_id"] in range(1, 1001)
    assert network["mtu"] == 1450
    assert (network["project_id"], network["tenant_id"], network["status"]) == ("alice", "alice", "ACTIVE")
    assert world.get("network", network) == network


def test_the_next_type_is_tried_when_the_first_is_exhausted() -> None:
    world = new_world({"ml2_type_vxlan": {"vni_ranges": ["7:8"]}, "ml2_type_gre": {"tunnel_id_ranges": ["5:5"]}})
    assert [world.network()["provider:network_type"] for _ in range(3)] == ["vxlan", "vxlan", "gre"]
    with pytest.raises(faults.NoNetworkAvailable) as failure:
        world.network()
    assert "no more vxlan ids: 7:8 all in use; no more gre ids: 5:5 all in use" in str(failure.value)
    assert isinstance(failure.value, faults.ServiceUnavailable)
    assert type(failure.value).__name__ == "NoNetworkAvailable"


@pytest.mark.parametrize(
    ("kind", "physical", "number"),
    [("local", None, None), ("flat", "physnet9", None), ("vlan", "physnet1", 4000), ("gre", None, 2**32 - 1),
     ("vxlan", None, 77), ("geneve", None, 77)],
)  # fmt: skip
def test_provider_networks_get_what_they_ask_for(
    world: World, kind: str, physical: str | None, number: int | None
) -> None:
    network = world.provider(kind, physical, number)
    assert network["provider:network_type"] == kind
    assert network["provider:physical_network"] == physical
    assert network["provider:segmentation_id"] == number
    world.delete("network", network)
    assert world.provider(kind, physical, number)["provider:segmentation_id"] == number


@pytest.mark.parametrize(
    ("kind", "physical", "number", "fault"),
    [("flat", "physnet1", None, faults.FlatNetworkInUse), ("vlan", "physnet1", 100, faults.VlanIdInUse),
     ("gre", None, 77, faults.TunnelIdInUse)],
)  # fmt: skip
def test_a_segment_is_had_once_and_the_fault_names_the_owner(
    world: World, kind: str, physical: str | None, number: int | None, fault: type[Exception]
) -> None:
    first = world.provider(kind, physical, number)
    with pytest.raises(fault, match=first["id"]):
        world.provider(kind, physical, number)


def test_equal_numbers_of_different_types_and_physical_networks_coexist(world: World) -> None:
    world.provider("gre", None, 77)
    world.provider("vxlan", None, 77)
    world.provider("vlan", "physnet1", 100)
    world.provider("vlan", "physnet2", 100)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"provider:network_type": "token-ring"}, "not supported; .*type_drivers loads: local, flat"),
        ({"provider:physical_network": "physnet1"}, "network_type is needed"),
        ({"provider:network_type": "vlan", "provider:physical_network": "physnet7", "provider:segmentation_id": 5},
         "'physnet7' is not known for VLAN networks; .*names: physnet1, physnet2, physnet3"),
        ({"provider:network_type": "vlan", "provider:physical_network": "physnet1", "provider:segmentation_id": 4095},
         "4095 is no VLAN id; those are 1:4094"),
        ({"provider:network_type": "vlan", "provider:segmentation_id": 5}, "needs provider:physical_network"),
        ({"provider:network_type": "flat"}, "physical_network is needed"),
        ({"provider:network_type": "flat", "provider:physical_network": "p", "provider:segmentation_id": 1},
         "no meaning"),
        ({"provider:network_type": "gre", "provider:segmentation_id": 2**32}, "no gre id; those are 1:4294967295"),
        ({"provider:network_type": "vxlan", "provider:segmentation_id": 2**24}, "no vxlan id"),
        ({"provider:network_type": "gre", "provider:physical_network": "physnet1"}, "no meaning for gre"),
        ({"mtu": 1451}, "mtu 1451 is more than the 1450 bytes"),
        ({"mtu": 60}, "mtu 60 is less"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_what_could(world: World, body: dict[str, object], words: str) -> None:
    before = world.feed.latest()
    with pytest.raises(faults.InvalidInput, match=words):
        world.network(**body)
    assert world.feed.latest() == before


def test_several_segments(world: World) -> None:
    segments = [
        {"provider:network_type": "vlan", "provider:physical_network": "physnet1", "provider:segmentation_id": 100},
        {"provider:network_type": "vxlan"},
    ]
    network = world.network(segments=segments)
    assert "provider:network_type" not in network
    assert network["segments"][0] == segments[0]
    assert network["segments"][1]["provider:segmentation_id"] == 1
    assert network["mtu"] == 1450
    assert [segment.network_type for segment in world.feed.load().networks[network["id"]].segments] == [
        "vlan",
        "vxlan",
    ]
    with pytest.raises(multiprovidernet.SegmentsContainDuplicateEntry):
        world.network(segments=[segments[0], segments[0]])
    with pytest.raises(multiprovidernet.SegmentsSetInConjunctionWithProviders):
        world.network(segments=segments, **{"provider:network_type": "gre"})


def test_a_failed_bulk_leaves_nothing(world: World) -> None:
    bodies = [{"name": "a"}, {"provider:network_type": "token-ring"}]
    with pytest.raises(faults.InvalidInput):
        world.plugin.create_bulk(ADMIN, "network", bodies)
    assert world.plugin.list(ADMIN, "network", Query()) == []
    assert world.feed.latest() == 0
    assert world.network()["provider:segmentation_id"] == 1


def test_bulk_is_one_revision(world: World) -> None:
    world.plugin.create_bulk(ADMIN, "network", [{"name": str(number)} for number in range(20)])
    assert world.feed.latest() == 1
    (change,) = world.feed.since(0)
    assert len(change.networks) == 20
    assert sorted(network.key for network in change.networks.values() if network) == list(range(1, 21))


def test_update(world: World) -> None:
    network = world.network()
    changed = world.update("network", network, name="red", admin_state_up=False, mtu=1400, shared=True,
                           **{"router:external": True})  # fmt: skip
    assert (changed["name"], changed["admin_state_up"], changed["mtu"], changed["shared"]) == (
        "red",
        False,
        1400,
        True,
    )
    assert changed["router:external"] is True
    assert changed["revision_number"] == network["revision_number"] + 1
    model = world.feed.load().networks[network["id"]]
    assert (model.name, model.admin_state_up, model.mtu) == ("red", False, 1400)
    assert world.update("network", network, mtu=0)["mtu"] == 1450


def test_provider_attributes_stay(world: World) -> None:
    network = world.provider("gre", None, 5)
    world.update("network", network, **{"provider:segmentation_id": 5})
    with pytest.raises(faults.InvalidInput, match="cannot be changed"):
        world.update("network", network, **{"provider:segmentation_id": 6})


def test_if_match(world: World) -> None:
    network = world.network()
    world.plugin.update(ADMIN, "network", network["id"], {"name": "x"}, if_match=network["revision_number"])
    with pytest.raises(RevisionNumberConstraintFailed):
        world.plugin.update(ADMIN, "network", network["id"], {"name": "y"}, if_match=network["revision_number"])


def test_vlan_transparency_is_refused(world: World) -> None:
    with pytest.raises(vlantransparent.VlanTransparencyDriverError):
        world.network(vlan_transparent=True)


def test_delete_takes_subnets_along_but_not_ports(world: World) -> None:
    network = world.network()
    subnet = world.subnet(network)
    port = world.port(network)
    with pytest.raises(faults.NetworkInUse):
        world.delete("network", network)
    with pytest.raises(faults.NetworkInUse), not_loaded(PortRow):
        world.delete("network", network)
    world.delete("port", port)
    dhcp = world.port(network, device_owner="network:dhcp")
    world.delete("network", network)
    for resource, item in (("network", network), ("subnet", subnet), ("port", dhcp)):
        with pytest.raises(faults.NotFound):
            world.get(resource, item)


def test_a_further_segment_that_carries_less_makes_the_network_carry_less(world: World) -> None:
    network = world.provider("vlan", "physnet1", 100)
    assert network["mtu"] == 1500
    segment = world.plugin.create(ADMIN, "segment", {"network_id": network["id"], "network_type": "vxlan"})
    assert world.get("network", network)["mtu"] == world.feed.load().networks[network["id"]].mtu == 1450
    world.delete("segment", segment)
    assert world.update("network", network, mtu=0)["mtu"] == 1500


def test_projects_see_their_own_and_what_is_shared(world: World) -> None:
    own = world.network(name="own", project_id="alice")
    shared = world.network(name="shared", project_id="bob", shared=True)
    world.network(name="hidden", project_id="bob")
    seen = world.plugin.list(ALICE, "network", Query(sorts=(("name", True),)))
    assert [network["name"] for network in seen] == ["own", "shared"]
    with pytest.raises(faults.NetworkNotFound):
        world.plugin.get(BOB, "network", own["id"])
    port = world.plugin.create(ALICE, "port", {"network_id": shared["id"]})
    assert port["project_id"] == "alice"
    assert world.plugin.get(BOB, "port", port["id"])["id"] == port["id"]
    with pytest.raises(faults.InvalidSharedSetting):
        world.update("network", shared, shared=False)


def test_segments_are_added_bound_and_removed(world: World) -> None:
    world.plugin.node_seen(host_facts(1, tunnel_types=frozenset(), tunnel_ip=None))
    network = world.network()
    port = world.port(network, "h1")
    assert port["binding:vif_type"] == "binding_failed"
    body = {"network_id": network["id"], "network_type": "vlan", "physical_network": "physnet1"}
    segment = world.plugin.create(ADMIN, "segment", body)
    assert segment["segmentation_id"] == 100
    assert world.get("port", port)["binding:vif_type"] == "tap"
    with pytest.raises(SegmentInUse):
        world.delete("segment", segment)
    world.delete("port", port)
    world.delete("segment", segment)
    remaining = world.plugin.list(ADMIN, "segment", Query(filters={"network_id": [network["id"]]}))
    assert [item["network_type"] for item in remaining] == ["vxlan"]
    with pytest.raises(SegmentInUse, match="only one"):
        world.delete("segment", remaining[0])
    assert world.provider("vlan", "physnet1", 100)["provider:segmentation_id"] == 100
