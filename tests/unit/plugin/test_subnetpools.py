"""Subnet pools: bounds, defaults, what they give, and the search for free ranges."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from neutron_lib import exceptions as faults

from controller.plugin import subnetpool_rules as rules
from controller.plugin.faults import SubnetAllocationError
from tests.support.store import World

V4 = ipaddress.ip_network("10.0.0.0/20")


def pool(world: World, *prefixes: str, **body: Any) -> dict[str, Any]:
    wanted = {"name": "pool", "prefixes": list(prefixes), **body}
    return world.plugin.create(world.context, "subnetpool", wanted)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"prefixes": []}, faults.EmptySubnetPoolPrefixList),
        ({"prefixes": ["10.0.0.0/8", "2001:db8::/32"]}, faults.PrefixVersionMismatch),
        ({"min_prefixlen": 33}, faults.UnsupportedMinSubnetPoolPrefix),
        ({"min_prefixlen": 28, "max_prefixlen": 24}, faults.IllegalSubnetPoolPrefixBounds),
        ({"default_prefixlen": 7}, faults.IllegalSubnetPoolPrefixBounds),
        ({"default_prefixlen": 30, "max_prefixlen": 29}, faults.IllegalSubnetPoolPrefixBounds),
        ({"name": "a" * 256}, faults.InvalidInput),
    ],
)
def test_unsound_pools(world: World, body: dict[str, Any], fault: type[Exception]) -> None:
    with pytest.raises(fault):
        pool(world, "10.0.0.0/8", **body)


def test_defaults_are_neutrons(world: World) -> None:
    four, six = pool(world, "10.0.0.0/8"), pool(world, "2001:db8::/32")
    assert [four[name] for name in ("min_prefixlen", "max_prefixlen", "default_prefixlen")] == ["8", "32", "8"]
    assert [six[name] for name in ("min_prefixlen", "max_prefixlen", "default_prefixlen")] == ["64", "128", "64"]
    assert (four["default_quota"], four["is_default"], four["shared"]) == (None, False, False)


def test_subnets_of_a_network_are_all_from_one_pool(world: World) -> None:
    network = world.network()
    source = pool(world, "10.0.0.0/16", default_prefixlen=24)
    world.subnet(network, cidr=None, subnetpool_id=source["id"])
    for other in ({"cidr": "192.0.2.0/24"}, {"cidr": None, "subnetpool_id": pool(world, "10.9.0.0/16")["id"]}):
        with pytest.raises((faults.NetworkSubnetPoolAffinityError, faults.BadRequest)):
            world.subnet(network, **other)
    assert world.subnet(network, "2001:db8::/64")["subnetpool_id"] is None


def test_a_version_is_not_forced_on_a_pool(world: World) -> None:
    source = pool(world, "2001:db8::/48")
    with pytest.raises(faults.InvalidInput, match="IPv4 subnet from IPv6"):
        world.subnet(world.network(), cidr=None, subnetpool_id=source["id"])


def test_a_projects_quota_of_addresses(world: World) -> None:
    source = pool(world, "10.0.0.0/16", default_prefixlen=26, default_quota=128, shared=True)
    for _ in range(2):
        world.subnet(world.network(), cidr=None, subnetpool_id=source["id"], project_id="red")
    with pytest.raises(faults.SubnetPoolQuotaExceeded):
        world.subnet(world.network(), cidr=None, subnetpool_id=source["id"], project_id="red")
    world.subnet(world.network(), cidr=None, subnetpool_id=source["id"], project_id="blue")
    world.update("subnetpool", source, default_quota=0)
    world.subnet(world.network(), cidr=None, subnetpool_id=source["id"], project_id="red")


def test_what_is_given_back_is_given_again(world: World) -> None:
    source = pool(world, "10.0.0.0/25", default_prefixlen=26)
    subnets = [world.subnet(world.network(), cidr=None, subnetpool_id=source["id"]) for _ in range(2)]
    with pytest.raises(SubnetAllocationError):
        world.subnet(world.network(), cidr=None, subnetpool_id=source["id"])
    world.delete("subnet", subnets[0])
    assert world.subnet(world.network(), cidr=None, subnetpool_id=source["id"])["cidr"] == subnets[0]["cidr"]


def test_there_is_one_default_of_each_version(world: World) -> None:
    first, second = pool(world, "10.0.0.0/8", is_default=True), pool(world, "11.0.0.0/8")
    with pytest.raises(faults.InvalidInput, match=first["id"]):
        world.update("subnetpool", second, is_default=True)
    world.update("subnetpool", first, is_default=False)
    assert world.update("subnetpool", second, is_default=True)["is_default"] is True


@given(st.lists(st.integers(0, 255), max_size=40), st.integers(20, 28))
def test_the_first_free_range_is_free_and_no_lower_one_is(numbers: list[int], prefixlen: int) -> None:
    used = [ipaddress.ip_network((int(V4.network_address) + number * 16, 28)) for number in numbers]
    found = rules.first_free([V4], used, prefixlen)
    free = [part for part in V4.subnets(new_prefix=prefixlen) if not any(part.overlaps(item) for item in used)]
    assert found == (free[0] if free else None)
