"""Lists: filters, sorts, pages."""

from __future__ import annotations

import pytest
from neutron_lib import exceptions as faults

from controller.plugin.api import Query
from tests.support.store import ADMIN, World


def names(world: World, resource: str = "network", **query: object) -> list[str]:
    return [item["name"] for item in world.plugin.list(ADMIN, resource, Query(**query))]  # type: ignore[arg-type]


def test_filters_of_networks(world: World) -> None:
    world.provider("gre", None, 9, name="a", admin_state_up=False)
    world.provider("vlan", "physnet1", 100, name="b", shared=True)
    world.network(name="c", project_id="p", **{"router:external": True})
    assert names(world, filters={"name": ["a", "c"]}, sorts=(("name", True),)) == ["a", "c"]
    assert names(world, filters={"admin_state_up": [False]}) == ["a"]
    assert names(world, filters={"admin_state_up": ["false"]}) == ["a"]
    assert names(world, filters={"shared": [True]}) == ["b"]
    assert names(world, filters={"router:external": [True]}) == ["c"]
    assert names(world, filters={"project_id": ["p"]}) == names(world, filters={"tenant_id": ["p"]}) == ["c"]
    assert names(world, filters={"provider:network_type": ["gre"]}) == ["a"]
    assert names(world, filters={"provider:physical_network": ["physnet1"]}) == ["b"]
    assert names(world, filters={"provider:segmentation_id": ["100"]}) == ["b"]
    assert names(world, filters={"revision_number": [99]}) == []
    assert len(names(world, filters={"created_at": ["2026-01-01T00:00:00Z"]})) == 3
    assert names(world, filters={"name": ["a"], "shared": [True]}) == []


@pytest.mark.parametrize(
    "filters", [{"nonsense": ["1"]}, {"mtu": ["many"]}, {"mtu": [str(10**30)]}, {"created_at": ["yesterday"]}]
)
def test_bad_filters(world: World, filters: dict[str, list[str]]) -> None:
    with pytest.raises(faults.InvalidInput):
        names(world, filters=filters)


def test_filters_of_ports(world: World) -> None:
    network = world.network()
    subnet = world.subnet(network)
    a = world.port(network, "h1", name="a", device_id="vm1")
    world.port(network, name="b", fixed_ips=[])
    address = a["fixed_ips"][0]["ip_address"]
    for filters in (
        {"fixed_ips": [{"ip_address": address}]},
        {"fixed_ips": [{"ip_address": address}, {"subnet_id": subnet["id"]}]},
        {"fixed_ips": [{"subnet_id": subnet["id"]}]},
        {"binding:host_id": ["h1"]},
        {"device_id": ["vm1"]},
        {"mac_address": [a["mac_address"]]},
        {"id": [a["id"]]},
    ):
        assert names(world, "port", filters=filters) == ["a"]
    assert names(world, "port", filters={"fixed_ips": [{"ip_address": "10.0.0.99"}]}) == []
    assert names(world, "port", filters={"fixed_ips": [{"ip_address": "nonsense"}]}) == []
    assert names(world, "port", filters={"network_id": [network["id"]]}, sorts=(("name", False),)) == ["b", "a"]


def test_filters_of_subnets(world: World) -> None:
    network = world.network(shared=True)
    world.subnet(network, name="four")
    world.subnet(network, "2001:db8::/64", name="six", gateway_ip=None)
    assert names(world, "subnet", filters={"ip_version": [6]}) == ["six"]
    assert names(world, "subnet", filters={"cidr": ["10.0.0.0/24"]}) == ["four"]
    assert names(world, "subnet", filters={"gateway_ip": [None]}) == ["six"]
    assert len(names(world, "subnet", filters={"shared": [True]})) == 2
    assert names(world, "subnet", sorts=(("gateway_ip", True),)) == ["six", "four"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    "sorts", [(), (("name", True),), (("name", False),), (("admin_state_up", False), ("name", True))]
)
def test_pages_join_to_the_whole_list_in_both_directions(
    world: World, sorts: tuple[tuple[str, bool], ...], size: int
) -> None:
    bodies = [{"name": f"n{number % 3}", "admin_state_up": number % 2 == 0} for number in range(7)]
    world.plugin.create_bulk(ADMIN, "network", bodies)
    whole = [item["id"] for item in world.plugin.list(ADMIN, "network", Query(sorts=sorts))]
    for reverse in (False, True):
        found: list[str] = []
        marker = None
        while True:
            query = Query(sorts=sorts, limit=size, marker=marker, page_reverse=reverse)
            page = [item["id"] for item in world.plugin.list(ADMIN, "network", query)]
            if not page:
                break
            found = page + found if reverse else found + page
            marker = page[0] if reverse else page[-1]
        assert found == whole


def test_an_unknown_marker_is_not_found(world: World) -> None:
    with pytest.raises(faults.NetworkNotFound):
        names(world, marker="nobody", limit=1)
