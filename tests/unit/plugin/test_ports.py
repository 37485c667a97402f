"""Ports: addresses, security and standard attributes."""

from __future__ import annotations

from typing import Any

import pytest
from neutron_lib import exceptions as faults
from neutron_lib.exceptions import allowedaddresspairs as pair_faults

from controller.errors import ConfigurationError
from controller.model import AddressPair
from controller.plugin.addresses import MacSource
from controller.plugin.faults import AllocationOnAutoAddressSubnet
from tests.support.store import ADMIN, World, host_facts

SLAAC = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}


def ips(port: dict[str, Any]) -> list[str]:
    return [item["ip_address"] for item in port["fixed_ips"]]


def test_a_port_that_asks_for_nothing(world: World) -> None:
    network = world.network()
    world.subnet(network)
    port = world.port(network, name="p", device_id="vm", device_owner="compute:a", project_id="alice")
    assert ips(port) == ["10.0.0.2"]
    assert port["mac_address"].startswith("fa:16:3e:")
    assert (port["status"], port["binding:vif_type"], port["binding:host_id"]) == ("DOWN", "unbound", "")
    assert "binding:host_id is empty" in port["status_reason"]
    assert port["port_security_enabled"] is True
    assert port["security_groups"] == port["allowed_address_pairs"] == []
    assert world.get("port", port) == port
    assert [ips(world.port(network)) for _ in range(2)] == [["10.0.0.3"], ["10.0.0.4"]]


def test_ports_are_found_by_name(world: World) -> None:
    network = world.network()
    ports = [world.port(network, name=name, project_id=name)["id"] for name in ("web", "twin", "twin")]
    assert world.plugin.ports_named("web") == ports[:1]
    assert sorted(world.plugin.ports_named("twin")) == sorted(ports[1:])
    assert world.plugin.ports_named("we%") == world.plugin.ports_named("") == []


def test_one_address_per_version_and_all_automatic_ones(world: World) -> None:
    network = world.network()
    world.subnet(network, "10.0.0.0/24")
    world.clock.forward(1)
    world.subnet(network, "10.0.1.0/24")
    world.subnet(network, "2001:db8:1::/64", ipv6_ra_mode="dhcpv6-stateful", ipv6_address_mode="dhcpv6-stateful")
    world.subnet(network, "2001:db8:2::/64", **SLAAC)
    world.subnet(network, "2001:db8:3::/64", **SLAAC)
    port = world.port(network, mac_address="fa:16:3e:00:00:01")
    assert ips(port)[:2] == ["10.0.0.2", "2001:db8:1::2"]
    assert set(ips(port)[2:]) == {"2001:db8:2:0:f816:3eff:fe00:1", "2001:db8:3:0:f816:3eff:fe00:1"}
    moved = world.update("port", port, mac_address="fa:16:3e:00:00:02")
    assert set(ips(moved)) == {
        "10.0.0.2", "2001:db8:1::2", "2001:db8:2:0:f816:3eff:fe00:2", "2001:db8:3:0:f816:3eff:fe00:2",
    }  # fmt: skip


def test_the_next_subnet_helps_out_and_then_none(world: World) -> None:
    network = world.network()
    world.subnet(network, "10.0.0.0/30")
    world.clock.forward(1)
    world.subnet(network, "10.0.1.0/30")
    assert [ips(world.port(network)) for _ in range(2)] == [["10.0.0.2"], ["10.0.1.2"]]
    before = world.feed.latest()
    with pytest.raises(faults.IpAddressGenerationFailure):
        world.port(network)
    assert world.feed.latest() == before


def test_released_addresses_are_used_again(world: World) -> None:
    network = world.network()
    world.subnet(network, "10.0.0.0/29")
    ports = [world.port(network) for _ in range(5)]
    world.delete("port", ports[2])
    assert ips(world.port(network)) == ips(ports[2])


def test_wanted_addresses(world: World) -> None:
    network = world.network()
    subnet = world.subnet(network)
    assert ips(world.port(network, fixed_ips=[{"ip_address": "10.0.0.77"}])) == ["10.0.0.77"]
    both = {"subnet_id": subnet["id"], "ip_address": "10.0.0.78"}
    assert ips(world.port(network, fixed_ips=[{"subnet_id": subnet["id"]}, both])) == ["10.0.0.78", "10.0.0.79"]
    assert world.port(network, fixed_ips=[])["fixed_ips"] == []
    with pytest.raises(faults.IpAddressInUse, match=r"10\.0\.0\.77"):
        world.port(network, fixed_ips=[{"ip_address": "10.0.0.77"}])


@pytest.mark.parametrize(
    ("wanted", "fault"),
    [
        ({"ip_address": "192.168.0.1"}, faults.InvalidIpForNetwork),
        ({"ip_address": "10.0.0.0"}, faults.InvalidIpForSubnet),
        ({"ip_address": "10.0.0.255"}, faults.InvalidIpForSubnet),
        ({"subnet_id": "nobody"}, faults.InvalidInput),
        ({"subnet_id": "SUBNET", "ip_address": "10.0.1.1"}, faults.InvalidIpForSubnet),
        ({"subnet_id": "SIX", "ip_address": "2001:db8::5"}, AllocationOnAutoAddressSubnet),
        ({}, faults.InvalidInput),
        ({"ip_address": "010.0.0.1"}, faults.InvalidInput),
        ({"ip_address": "fe80::1%eth0"}, faults.InvalidInput),
    ],
)
def test_addresses_that_cannot_be(world: World, wanted: dict[str, str], fault: type[Exception]) -> None:
    network = world.network()
    known = {"SUBNET": world.subnet(network)["id"], "SIX": world.subnet(network, "2001:db8::/64", **SLAAC)["id"]}
    item = {name: known.get(value, value) for name, value in wanted.items()}
    with pytest.raises(fault):
        world.port(network, fixed_ips=[item])


def test_changed_addresses_keep_what_stays(world: World) -> None:
    network = world.network()
    subnet = world.subnet(network)
    port = world.port(network)
    world.port(network)
    kept = {"subnet_id": subnet["id"]}
    assert ips(world.update("port", port, fixed_ips=[kept])) == ["10.0.0.2"]
    assert ips(world.update("port", port, fixed_ips=[kept, kept])) == ["10.0.0.2", "10.0.0.4"]
    assert ips(world.update("port", port, fixed_ips=[{"ip_address": "10.0.0.9"}])) == ["10.0.0.9"]
    with pytest.raises(faults.IpAddressInUse):
        world.update("port", port, fixed_ips=[{"ip_address": "10.0.0.3"}])
    assert ips(world.get("port", port)) == ["10.0.0.9"]
    assert world.model(port).fixed_ips == ("10.0.0.9",)


def test_mac_addresses(world: World) -> None:
    network, other = world.network(), world.network()
    port = world.port(network, mac_address="FA:16:3E:00:00:01")
    assert port["mac_address"] == "fa:16:3e:00:00:01"
    with pytest.raises(faults.MacAddressInUse):
        world.port(network, mac_address="fa:16:3e:00:00:01")
    world.port(other, mac_address="fa:16:3e:00:00:01")
    for wrong in ("01:00:5e:00:00:01", "00:00:00:00:00:00"):
        with pytest.raises(faults.InvalidInput):
            world.port(network, mac_address=wrong)
    second = world.port(network)
    with pytest.raises(faults.MacAddressInUse):
        world.update("port", second, mac_address="fa:16:3e:00:00:01")


def test_a_bound_port_keeps_its_mac_address(world: World) -> None:
    """Neutron refuses it too where the same request unbinds the port."""
    port = world.port(world.network(), "h1", mac_address="fa:16:3e:00:00:01")
    other = {"mac_address": "fa:16:3e:00:00:02"}
    assert port["binding:vif_type"] == "binding_failed"
    assert world.update("port", port, **other)["mac_address"] == other["mac_address"]
    world.plugin.node_seen(host_facts(1))
    bound = world.get("port", port)
    assert bound["binding:vif_type"] == "tap"
    for change in ({"mac_address": "fa:16:3e:00:00:03"}, {"mac_address": None},
                   {"mac_address": None, "binding:host_id": ""}):  # fmt: skip
        with pytest.raises(faults.PortBound, match="port type: tap, old_mac fa:16:3e:00:00:02"):
            world.update("port", port, **change)
    assert world.get("port", port) == bound
    world.update("port", port, mac_address="FA-16-3E-00-00-02")
    assert world.get("port", port) == bound
    world.update("port", port, **{"binding:host_id": ""})
    assert world.update("port", port, mac_address=None)["mac_address"] != other["mac_address"]


def test_a_service_keeps_its_mac_address(world: World) -> None:
    port = world.port(world.network(), device_owner="network:dhcp")
    for change in ({"mac_address": None}, {"mac_address": "fa:16:3e:00:00:03", "device_owner": ""}):
        with pytest.raises(faults.UnsupportedPortDeviceOwner):
            world.update("port", port, **change)
    assert world.update("port", port, device_owner="")["mac_address"] == port["mac_address"]
    assert world.update("port", port, mac_address="fa:16:3e:00:00:03")["mac_address"] == "fa:16:3e:00:00:03"


def test_generated_mac_addresses_follow_the_pattern() -> None:
    assert MacSource("fa:16:3e:00:00:00", lambda below: below - 1).next() == "fa:16:3e:ff:ff:ff"
    assert MacSource("fa:16:3e:4f:00:00", lambda below: below - 1).next() == "fa:16:3e:4f:ff:ff"
    for wrong in ("nonsense", "01:16:3e:00:00:00", "fa:16:3e:00:00", "fa:16:3e:00:00:000"):
        with pytest.raises(ConfigurationError, match="base_mac"):
            MacSource(wrong, lambda below: 0)


def test_allowed_address_pairs(world: World) -> None:
    network = world.network()
    pairs = [{"ip_address": "10.0.0.200"}, {"ip_address": "10.1.0.5/16", "mac_address": "FA:16:3E:00:00:99"}]
    port = world.port(network, allowed_address_pairs=pairs)
    assert port["allowed_address_pairs"] == [
        {"mac_address": port["mac_address"], "ip_address": "10.0.0.200"},
        {"mac_address": "fa:16:3e:00:00:99", "ip_address": "10.1.0.0/16"},
    ]
    assert world.model(port).allowed_address_pairs[1] == AddressPair("10.1.0.0/16", "fa:16:3e:00:00:99")
    changed = world.update("port", port, allowed_address_pairs=[{"ip_address": "10.0.0.201"}, pairs[0]])
    assert [pair["ip_address"] for pair in changed["allowed_address_pairs"]] == ["10.0.0.201", "10.0.0.200"]
    with pytest.raises(pair_faults.DuplicateAddressPairInRequest):
        world.update("port", port, allowed_address_pairs=[pairs[0], pairs[0]])
    with pytest.raises(pair_faults.AddressPairAndPortSecurityRequired):
        world.update("port", port, port_security_enabled=False)
    bare = world.update("port", port, port_security_enabled=False, allowed_address_pairs=[])
    assert (bare["port_security_enabled"], bare["allowed_address_pairs"]) == (False, [])
    with pytest.raises(pair_faults.AddressPairAndPortSecurityRequired):
        world.port(network, port_security_enabled=False, allowed_address_pairs=pairs)


def test_port_security_follows_the_network(world: World) -> None:
    network = world.network(port_security_enabled=False)
    assert world.port(network)["port_security_enabled"] is False
    assert world.port(network, port_security_enabled=True)["port_security_enabled"] is True


def test_ports_of_network_services_are_not_secured_unless_asked_for(world: World) -> None:
    """As in Neutron: a router sends what others wrote, with their addresses."""
    network = world.network()
    router = world.port(network, device_owner="network:router_interface")
    assert router["port_security_enabled"] is False
    assert world.update("port", router, port_security_enabled=True)["port_security_enabled"] is True
    dhcp = world.port(network, device_owner="network:dhcp", port_security_enabled=True)
    assert dhcp["port_security_enabled"] is True
    assert world.port(network, device_owner="compute:nova")["port_security_enabled"] is True


def test_update_counts_revisions_and_moves_time(world: World) -> None:
    port = world.port(world.network())
    world.clock.forward(5)
    changed = world.update("port", port, name="n", description=None, admin_state_up=False, device_id="d")
    assert changed["revision_number"] == port["revision_number"] + 1
    assert (changed["created_at"], changed["updated_at"]) == ("2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z")
    assert (changed["name"], changed["description"], changed["device_id"]) == ("n", "", "d")
    assert world.model(port).admin_state_up is False


@pytest.mark.parametrize(
    "body",
    [
        {"binding:host_id": "h" * 256},
        {"binding:host_id": 5},
        {"binding:profile": {"local_link_information": "port 7"}},
        {"binding:profile": {"local_link_information": [7]}},
    ],
)
def test_places_that_cannot_be(world: World, body: dict[str, Any]) -> None:
    with pytest.raises(faults.InvalidInput):
        world.port(world.network(), **body)


def test_a_port_of_no_network(world: World) -> None:
    with pytest.raises(faults.NetworkNotFound):
        world.plugin.create(ADMIN, "port", {"network_id": "nobody"})


def test_delete(world: World) -> None:
    port = world.port(world.network())
    world.delete("port", port)
    with pytest.raises(faults.PortNotFound):
        world.delete("port", port)
    assert world.feed.since(world.feed.latest() - 1)[0].ports == {port["id"]: None}


def test_a_thousand_addresses_in_a_large_subnet(world: World) -> None:
    network = world.network()
    world.subnet(network, "10.0.0.0/8")
    bodies = [{"network_id": network["id"]} for _ in range(100)]
    found = {address for port in world.plugin.create_bulk(ADMIN, "port", bodies) for address in ips(port)}
    assert len(found) == 100
    last = world.port(network, fixed_ips=[{"ip_address": "10.255.255.254"}])
    assert ips(world.port(network))[0] not in found | set(ips(last))


def test_a_further_address_on_the_same_subnet(world: World) -> None:
    network = world.network()
    subnet = world.subnet(network)
    port = world.port(network)
    more = world.update("port", port, fixed_ips=[*port["fixed_ips"], {"subnet_id": subnet["id"]}])["fixed_ips"]
    assert [ip["subnet_id"] for ip in more] == [subnet["id"]] * 2
    assert more[0] == port["fixed_ips"][0] != more[1]
    open_entry = world.update("port", port, fixed_ips=[{"subnet_id": subnet["id"]}])["fixed_ips"]
    assert open_entry in ([more[0]], [more[1]]), "an address that the port has is kept"
