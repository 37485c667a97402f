"""Routed networks: subnets of segments, and ports whose place and addresses go together."""

from __future__ import annotations

from typing import Any

import pytest
from neutron_lib import exceptions as faults

from controller.plugin.api import Query
from controller.plugin.audit import audit
from controller.plugin.faults import (
    FixedIpsSubnetsNotOnSameSegment,
    HostNotCompatibleWithFixedIps,
    HostNotConnectedToAnySegment,
    NetworkIdsDontMatch,
    NoUpdateSubnetWhenMultipleSegmentsOnNetwork,
    PortBindingError,
    SegmentInUse,
    SegmentNotFound,
    SubnetSegmentAssociationChangeNotAllowed,
    SubnetsNotAllAssociatedWithSegments,
)
from tests.support.store import ADMIN, World, host_facts

NOWHERE = "00000000-0000-0000-0000-000000000000"
LEFT, RIGHT = "physnet1", "physnet2"


def on(number: int, physical: str | None) -> Any:
    """A host that reaches one physical network, or none."""
    return host_facts(number, physical_networks={physical: "eth1"} if physical else {}, tunnel_types=frozenset())


@pytest.fixture
def routed(world: World) -> dict[str, Any]:
    """A network with a subnet on each of two segments; h1 reaches the left one, h2 the right one, h3 none."""
    segments = [{"provider:network_type": "vlan", "provider:physical_network": name, "provider:segmentation_id": 100}
                for name in (LEFT, RIGHT)]  # fmt: skip
    network = world.network(segments=segments)
    found = {item["physical_network"]: item["id"] for item in
             world.plugin.list(ADMIN, "segment", Query(filters={"network_id": [network["id"]]}))}  # fmt: skip
    left = world.subnet(network, "10.1.0.0/24", segment_id=found[LEFT])
    right = world.subnet(network, "10.2.0.0/24", segment_id=found[RIGHT])
    for number, physical in ((1, LEFT), (2, RIGHT), (3, None)):
        world.plugin.node_seen(on(number, physical))
    return {"network": network, "segments": found, "left": left, "right": right}


def places(port: dict[str, Any]) -> list[str]:
    """The first three numbers of the addresses of a port."""
    return [str(ip["ip_address"]).rsplit(".", 1)[0] for ip in port["fixed_ips"]]


def test_the_attribute_is_kept_shown_and_filtered_by(world: World, routed: dict[str, Any]) -> None:
    left = routed["left"]
    assert world.get("subnet", left)["segment_id"] == routed["segments"][LEFT]
    query = Query(filters={"segment_id": [routed["segments"][LEFT]]})
    assert [item["id"] for item in world.plugin.list(ADMIN, "subnet", query)] == [left["id"]]
    assert world.get("network", routed["network"])["l2_adjacency"] is False
    plain = world.network()
    world.subnet(plain)
    assert world.get("network", plain)["l2_adjacency"] is True


def test_all_subnets_or_none(world: World, routed: dict[str, Any]) -> None:
    network = routed["network"]
    with pytest.raises(SubnetsNotAllAssociatedWithSegments):
        world.subnet(network, "10.3.0.0/24")
    with pytest.raises(SegmentNotFound):
        world.subnet(network, "10.3.0.0/24", segment_id=NOWHERE)
    plain = world.network()
    with pytest.raises(NetworkIdsDontMatch):
        world.subnet(plain, segment_id=routed["segments"][LEFT])
    world.subnet(plain)
    (own,) = world.plugin.list(ADMIN, "segment", Query(filters={"network_id": [plain["id"]]}))
    with pytest.raises(SubnetsNotAllAssociatedWithSegments):
        world.subnet(plain, "10.3.0.0/24", segment_id=own["id"])


def test_a_network_becomes_routed_by_its_only_subnet(world: World, routed: dict[str, Any]) -> None:
    network = world.network()
    subnet = world.subnet(network)
    (segment,) = world.plugin.list(ADMIN, "segment", Query(filters={"network_id": [network["id"]]}))
    assert world.update("subnet", subnet, segment_id=None)["revision_number"] == subnet["revision_number"]
    assert world.update("subnet", subnet, segment_id=segment["id"])["segment_id"] == segment["id"]
    world.update("subnet", subnet, segment_id=segment["id"])
    with pytest.raises(SubnetSegmentAssociationChangeNotAllowed):
        world.update("subnet", subnet, segment_id=None)
    with pytest.raises(SegmentInUse, match=subnet["id"]):
        world.delete("segment", segment)
    several = world.network(segments=[{"provider:network_type": "gre"}, {"provider:network_type": "vxlan"}])
    only = world.subnet(several)
    wanted = world.plugin.list(ADMIN, "segment", Query(filters={"network_id": [several["id"]]}))[0]["id"]
    with pytest.raises(NoUpdateSubnetWhenMultipleSegmentsOnNetwork):
        world.update("subnet", only, segment_id=wanted)
    world.subnet(several, "10.9.0.0/24")
    with pytest.raises(SubnetsNotAllAssociatedWithSegments):
        world.update("subnet", only, segment_id=wanted)


def test_addresses_are_those_of_the_hosts_segment(world: World, routed: dict[str, Any]) -> None:
    for host, expected in (("h1", "10.1.0"), ("h2", "10.2.0")):
        port = world.port(routed["network"], host)
        assert (places(port), port["ip_allocation"]) == ([expected], "immediate")
        assert port["binding:vif_type"] == "tap"
    with pytest.raises(HostNotConnectedToAnySegment, match="h3"):
        world.port(routed["network"], "h3")
    with pytest.raises(HostNotConnectedToAnySegment, match="unknown"):
        world.port(routed["network"], "nobody")
    assert len(world.plugin.list(ADMIN, "port", Query())) == 2, "what was refused left nothing"


def test_a_port_without_a_host_waits_for_its_addresses(world: World, routed: dict[str, Any]) -> None:
    port = world.port(routed["network"])
    assert (port["fixed_ips"], port["ip_allocation"]) == ([], "deferred")
    assert len(world.plugin.list(ADMIN, "port", Query(filters={"ip_allocation": ["deferred"]}))) == 1
    with pytest.raises(HostNotConnectedToAnySegment):
        world.update("port", port, **{"binding:host_id": "h3"})
    moved = world.update("port", port, **{"binding:host_id": "h2"})
    assert (places(moved), moved["ip_allocation"]) == (["10.2.0"], "deferred")
    assert list(world.model(port).fixed_ips) == [moved["fixed_ips"][0]["ip_address"]]
    with pytest.raises(HostNotCompatibleWithFixedIps, match="h1"):
        world.update("port", port, **{"binding:host_id": "h1"})
    assert world.get("port", port)["binding:host_id"] == "h2"
    unaddressed = world.port(routed["network"], fixed_ips=[])
    assert unaddressed["ip_allocation"] == "none"
    assert places(world.update("port", unaddressed, **{"binding:host_id": "h1"})) == []


def test_a_port_that_is_plugged_in_gets_the_addresses_it_waits_for(world: World, routed: dict[str, Any]) -> None:
    port = world.port(routed["network"])
    world.plugin.port_plugged(port["id"], "host:h1")
    shown = world.get("port", port)
    assert (shown["binding:host_id"], places(shown)) == ("h1", ["10.1.0"])
    late = world.port(routed["network"])
    world.plugin.port_plugged(late["id"], "host:h3")
    assert world.get("port", late)["fixed_ips"] == []
    world.plugin.node_seen(on(3, RIGHT))
    assert places(world.get("port", late)) == ["10.2.0"]


def test_addresses_that_were_asked_for_decide_the_segment(world: World, routed: dict[str, Any]) -> None:
    world.plugin.node_seen(host_facts(4, physical_networks={LEFT: "eth1", RIGHT: "eth2"}, tunnel_types=frozenset()))
    for name, first in (("right", "10.2.0"), ("left", "10.1.0")):
        wanted = [{"subnet_id": routed[name]["id"]}]
        port = world.port(routed["network"], "h4", fixed_ips=wanted)
        assert places(port) == [first]
        binding = world.model(port).binding
        assert binding is not None
        assert binding.segment_id == routed["segments"][LEFT if name == "left" else RIGHT]
    waiting = world.port(routed["network"], fixed_ips=[{"ip_address": "10.2.0.77"}])
    assert (places(waiting), waiting["ip_allocation"]) == (["10.2.0"], "immediate")
    with pytest.raises(HostNotCompatibleWithFixedIps):
        world.port(routed["network"], "h1", fixed_ips=[{"ip_address": "10.2.0.78"}])
    with pytest.raises(HostNotCompatibleWithFixedIps):
        world.update("port", waiting, **{"binding:host_id": "h1"})
    both = [{"subnet_id": routed[name]["id"]} for name in ("left", "right")]
    with pytest.raises(FixedIpsSubnetsNotOnSameSegment):
        world.port(routed["network"], fixed_ips=both)
    bound = world.update("port", waiting, **{"binding:host_id": "h2"})
    with pytest.raises(FixedIpsSubnetsNotOnSameSegment):
        world.update("port", bound, fixed_ips=both)
    with pytest.raises(HostNotCompatibleWithFixedIps):
        world.update("port", bound, fixed_ips=both[:1])
    moved = world.update("port", bound, fixed_ips=both[:1], **{"binding:host_id": "h1"})
    assert (places(moved), moved["binding:vif_type"]) == (["10.1.0"], "tap")


def test_a_further_binding_must_be_where_the_addresses_work(world: World, routed: dict[str, Any]) -> None:
    world.plugin.node_seen(on(5, LEFT))
    port = world.port(routed["network"], "h1")
    with pytest.raises(PortBindingError):
        world.plugin.create(ADMIN, "port_binding", {"port_id": port["id"], "host": "h2"})
    world.plugin.create(ADMIN, "port_binding", {"port_id": port["id"], "host": "h5"})


def test_a_segment_without_a_free_address(world: World, routed: dict[str, Any]) -> None:
    small = [{"start": "10.2.0.5", "end": "10.2.0.5"}]
    world.update("subnet", routed["right"], allocation_pools=small)
    world.port(routed["network"], "h2")
    with pytest.raises(faults.IpAddressGenerationFailure):
        world.port(routed["network"], "h2")
    port = world.port(routed["network"])
    with pytest.raises(faults.IpAddressGenerationFailure):
        world.update("port", port, **{"binding:host_id": "h2"})
    assert world.get("port", port)["binding:host_id"] == ""
    world.plugin.port_plugged(port["id"], "host:h2")
    assert world.get("port", port)["fixed_ips"] == []
    with world.store.read() as session:
        assert audit(session) == []


def test_addresses_that_hosts_give_themselves(world: World, routed: dict[str, Any]) -> None:
    here, there = (world.port(routed["network"], host) for host in ("h1", "h2"))
    waiting = world.port(routed["network"])
    world.subnet(routed["network"], "2001:db8::/64", segment_id=routed["segments"][LEFT],
                 ipv6_address_mode="slaac", ipv6_ra_mode="slaac")  # fmt: skip
    assert len(world.get("port", here)["fixed_ips"]) == 2
    assert len(world.get("port", there)["fixed_ips"]) == 1
    assert len(world.update("port", waiting, **{"binding:host_id": "h1"})["fixed_ips"]) == 2
