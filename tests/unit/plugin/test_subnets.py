"""Subnets: ranges, gateways, pools, and what uses them."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from neutron_lib import exceptions as faults

from controller.plugin import subnet_rules
from tests.support.store import World


def pools(*texts: str) -> list[dict[str, str]]:
    return [dict(zip(("start", "end"), text.split("-"), strict=True)) for text in texts]


def test_defaults(world: World) -> None:
    network = world.network()
    subnet = world.subnet(network)
    assert subnet["gateway_ip"] == "10.0.0.1"
    assert subnet["allocation_pools"] == pools("10.0.0.2-10.0.0.254")
    assert subnet["enable_dhcp"] is True
    assert world.get("network", network)["subnets"] == [subnet["id"]]
    six = world.subnet(network, "2001:db8::/64")
    assert six["gateway_ip"] == "2001:db8::1"
    assert six["allocation_pools"] == pools("2001:db8::2-2001:db8::ffff:ffff:ffff:ffff")


@pytest.mark.parametrize(
    ("body", "gateway", "expected"),
    [
        ({"gateway_ip": None}, None, ["10.0.0.1-10.0.0.254"]),
        ({"gateway_ip": "10.0.0.100"}, "10.0.0.100", ["10.0.0.1-10.0.0.99", "10.0.0.101-10.0.0.254"]),
        ({"gateway_ip": "10.0.0.254"}, "10.0.0.254", ["10.0.0.1-10.0.0.253"]),
        ({"gateway_ip": "10.9.9.9"}, "10.9.9.9", ["10.0.0.1-10.0.0.254"]),
        ({"allocation_pools": pools("10.0.0.50-10.0.0.60", "10.0.0.10-10.0.0.20")}, "10.0.0.1",
         ["10.0.0.10-10.0.0.20", "10.0.0.50-10.0.0.60"]),
        ({"cidr": "10.0.0.0/31", "enable_dhcp": False}, "10.0.0.0", ["10.0.0.1-10.0.0.1"]),
        ({"cidr": "10.0.0.5/32", "enable_dhcp": False, "gateway_ip": None}, None, ["10.0.0.5-10.0.0.5"]),
        ({"cidr": "10.0.0.77/24"}, "10.0.0.1", ["10.0.0.2-10.0.0.254"]),
    ],
)  # fmt: skip
def test_gateways_and_pools(world: World, body: dict[str, Any], gateway: str | None, expected: list[str]) -> None:
    subnet = world.subnet(world.network(), **body)
    assert subnet["gateway_ip"] == gateway
    assert subnet["allocation_pools"] == pools(*expected)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"cidr": "10.0.1.0/33"}, faults.InvalidInput),
        ({"cidr": "10.0.1.0/24", "ip_version": 6}, faults.InvalidInput),
        ({"cidr": None}, faults.BadRequest),
        ({"cidr": "0.0.0.0/0"}, faults.InvalidInput),
        ({"cidr": "0.0.0.0/8"}, faults.InvalidInput),
        ({"cidr": "224.0.0.0/24"}, faults.InvalidInput),
        ({"cidr": "127.0.0.0/24"}, faults.InvalidInput),
        ({"cidr": "10.0.0.128/25"}, faults.InvalidInput),
        ({"cidr": "10.0.1.0/31"}, faults.InvalidInput),
        ({"gateway_ip": "10.0.1.0"}, faults.InvalidInput),
        ({"gateway_ip": "10.0.1.255"}, faults.InvalidInput),
        ({"gateway_ip": "2001:db8::1"}, faults.InvalidInput),
        ({"gateway_ip": "10.0.1.15", "allocation_pools": pools("10.0.1.10-10.0.1.20")},
         faults.GatewayConflictWithAllocationPools),
        ({"allocation_pools": pools("10.0.1.10-10.0.1.20", "10.0.1.20-10.0.1.30")}, faults.OverlappingAllocationPools),
        ({"allocation_pools": pools("10.0.1.20-10.0.1.10")}, faults.InvalidAllocationPool),
        ({"allocation_pools": pools("10.0.1.20-10.0.2.10")}, faults.OutOfBoundsAllocationPool),
        ({"allocation_pools": pools("10.0.1.0-10.0.1.10")}, faults.OutOfBoundsAllocationPool),
        ({"allocation_pools": pools("10.0.1.2-2001:db8::1")}, faults.InvalidAllocationPool),
        ({"dns_nameservers": ["2001:db8::1"]}, faults.InvalidInput),
        ({"dns_nameservers": [f"10.0.1.{number}" for number in range(2, 9)]}, faults.DNSNameServersExhausted),
        ({"host_routes": [{"destination": "2001:db8::/64", "nexthop": "10.0.1.2"}]}, faults.InvalidInput),
        ({"host_routes": [{"destination": f"10.{n}.0.0/16", "nexthop": "10.0.1.2"} for n in range(21)]},
         faults.HostRoutesExhausted),
        ({"ipv6_ra_mode": "slaac"}, faults.InvalidInput),
        ({"cidr": "2001:db8::/80", "ip_version": 6, "ipv6_ra_mode": "slaac"}, faults.InvalidInput),
        ({"cidr": "2001:db8::/64", "ip_version": 6, "ipv6_ra_mode": "slaac", "ipv6_address_mode": "dhcpv6-stateful"},
         faults.InvalidInput),
        ({"cidr": "2001:db8::/64", "ip_version": 6, "ipv6_ra_mode": "slaac", "enable_dhcp": False},
         faults.InvalidInput),
        ({"subnetpool_id": "p"}, faults.SubnetPoolNotFound),
        ({"prefixlen": 24}, faults.BadRequest),
        ({"prefixlen": 24, "cidr": None}, faults.BadRequest),
        ({"use_default_subnetpool": True, "cidr": None}, faults.BadRequest),
    ],
)  # fmt: skip
def test_unsound_subnets(world: World, body: dict[str, Any], fault: type[Exception]) -> None:
    network = world.network()
    world.subnet(network)
    before = world.feed.latest()
    with pytest.raises(fault):
        world.subnet(network, **{"cidr": "10.0.1.0/24", **body})
    assert world.feed.latest() == before


def test_a_network_with_addresses_keeps_the_mtu_that_they_need(world: World) -> None:
    for cidr, least in (("10.0.0.0/24", 68), ("2001:db8::/64", 1280)):
        network = world.network()
        world.subnet(network, cidr)
        assert world.update("network", network, mtu=least)["mtu"] == least
        with pytest.raises(faults.NetworkMTUSubnetConflict):
            world.update("network", network, mtu=least - 1)


def test_a_small_mtu_and_ipv6_do_not_go_together(world: World) -> None:
    with pytest.raises(faults.NetworkMTUSubnetConflict):
        world.subnet(world.network(mtu=1200), "2001:db8::/64")
    network = world.network()
    world.subnet(network, "2001:db8::/64")
    with pytest.raises(faults.NetworkMTUSubnetConflict):
        world.update("network", network, mtu=1200)


def test_update(world: World) -> None:
    subnet = world.subnet(world.network())
    changed = world.update(
        "subnet", subnet, name="s", gateway_ip="10.0.0.254", allocation_pools=pools("10.0.0.5-10.0.0.9"),
        dns_nameservers=["10.0.0.3"], host_routes=[{"destination": "10.1.0.0/16", "nexthop": "10.0.0.4"}],
        enable_dhcp=False,
    )  # fmt: skip
    assert changed["allocation_pools"] == pools("10.0.0.5-10.0.0.9")
    assert (changed["gateway_ip"], changed["name"], changed["enable_dhcp"]) == ("10.0.0.254", "s", False)
    assert changed["dns_nameservers"] == ["10.0.0.3"]
    assert changed["host_routes"] == [{"destination": "10.1.0.0/16", "nexthop": "10.0.0.4"}]
    with pytest.raises(faults.GatewayConflictWithAllocationPools):
        world.update("subnet", subnet, gateway_ip="10.0.0.5")
    with pytest.raises(faults.GatewayConflictWithAllocationPools):
        world.update("subnet", subnet, allocation_pools=pools("10.0.0.250-10.0.0.254"))
    assert world.update("subnet", subnet, gateway_ip=None)["gateway_ip"] is None


def test_a_pool_may_be_replaced_by_one_with_the_same_start(world: World) -> None:
    subnet = world.subnet(world.network())
    changed = world.update("subnet", subnet, allocation_pools=pools("10.0.0.2-10.0.0.9"))
    assert changed["allocation_pools"] == pools("10.0.0.2-10.0.0.9")


def test_dhcp_needs_room(world: World) -> None:
    subnet = world.subnet(world.network(), "10.0.0.0/31", enable_dhcp=False)
    with pytest.raises(faults.InvalidInput, match="incompatible with DHCP"):
        world.update("subnet", subnet, enable_dhcp=True)
    assert world.update("subnet", subnet, enable_dhcp=False, name="s")["name"] == "s"


def test_a_subnet_in_use_stays(world: World) -> None:
    network = world.network()
    subnet = world.subnet(network)
    port = world.port(network)
    with pytest.raises(faults.SubnetInUse, match=port["id"]):
        world.delete("subnet", subnet)
    world.update("port", port, fixed_ips=[])
    world.delete("subnet", subnet)
    with pytest.raises(faults.SubnetNotFound):
        world.get("subnet", subnet)
    assert world.get("network", network)["subnets"] == []


def test_a_port_of_dhcp_outlives_one_of_its_subnets(world: World) -> None:
    """It goes with its network; a subnet takes only its address along."""
    network = world.network()
    four, six = world.subnet(network), world.subnet(network, "2001:db8::/64")
    port = world.port(network, device_owner="network:dhcp")
    world.delete("subnet", four)
    assert [address["subnet_id"] for address in world.get("port", port)["fixed_ips"]] == [six["id"]]
    world.delete("subnet", six)
    changed = world.get("port", port)
    assert (changed["fixed_ips"], changed["revision_number"]) == ([], port["revision_number"] + 2)
    assert world.model(port).fixed_ips == ()


def test_a_routers_port_keeps_a_subnet_of_automatic_addresses(world: World) -> None:
    network = world.network()
    slaac = world.subnet(network, "2001:db8::/64", ipv6_ra_mode="slaac", ipv6_address_mode="slaac")
    wanted = [{"subnet_id": slaac["id"], "ip_address": "2001:db8::1"}]
    world.port(network)
    router = world.port(network, device_owner="network:router_interface", fixed_ips=wanted)
    with pytest.raises(faults.SubnetInUse, match=router["id"]):
        world.delete("subnet", slaac)
    world.delete("port", router)
    world.delete("subnet", slaac)


def test_automatic_addresses_come_and_go_with_their_subnet(world: World) -> None:
    network = world.network()
    port = world.port(network, mac_address="fa:16:3e:00:00:01")
    slaac = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    subnet = world.subnet(network, "2001:db8::/64", **slaac)
    expected = [{"subnet_id": subnet["id"], "ip_address": "2001:db8::f816:3eff:fe00:1"}]
    assert world.get("port", port)["fixed_ips"] == expected
    assert world.model(port).fixed_ips == ("2001:db8::f816:3eff:fe00:1",)
    assert world.model(port).revision == world.feed.latest()
    world.delete("subnet", subnet)
    assert world.get("port", port)["fixed_ips"] == []


@given(st.integers(0, 2**32 - 1), st.integers(8, 30), st.integers(0, 2**24))
def test_default_pools_are_all_hosts_but_the_gateway(number: int, length: int, offset: int) -> None:
    cidr = ipaddress.ip_network((number, length), strict=False)
    gateway = cidr.network_address + offset % cidr.num_addresses
    found = subnet_rules.default_pools(cidr, gateway)
    hosts = cidr.num_addresses - 2
    inside = gateway not in (cidr.network_address, cidr.broadcast_address)
    assert sum(int(last) - int(first) + 1 for first, last in found) == hosts - inside
    assert all(not int(first) <= int(gateway) <= int(last) for first, last in found)
