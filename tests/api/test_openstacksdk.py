"""A client that was not written for us: openstacksdk, without Keystone, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from openstack import exceptions
from openstack.network.v2._proxy import Proxy

from controller.api.extensions import EXTENSIONS
from controller.plugin.plugin import Plugin
from tests.api.world import HOST, SWITCH

NOWHERE = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def blue(network: Proxy) -> Any:
    """A network with an IPv4 subnet."""
    net = network.create_network(name="blue")
    network.create_subnet(network_id=net.id, name="blue4", ip_version=4, cidr="10.1.0.0/24")
    return net


def test_project_network(network: Proxy) -> None:
    made = network.create_network(name="blue", description="first", project_id="red")
    assert made.provider_network_type == "vxlan"
    assert 1 <= made.provider_segmentation_id <= 100000
    assert (made.is_admin_state_up, made.is_shared, made.status) == (True, False, "ACTIVE")
    assert made.mtu == 1450
    shown = network.get_network(made.id)
    assert (shown.name, shown.description, shown.project_id) == ("blue", "first", "red")
    assert network.find_network("blue").id == made.id
    network.update_network(made.id, name="green", is_admin_state_up=False)
    shown = network.get_network(made.id)
    assert (shown.name, shown.is_admin_state_up) == ("green", False)
    assert shown.revision_number > made.revision_number
    network.delete_network(made.id, ignore_missing=False)
    assert network.find_network("green") is None


@pytest.mark.parametrize(
    ("kind", "physical_network", "number"),
    [("flat", "physnet1", None), ("vlan", "physnet1", 100), ("vlan", "physnet2", 4094), ("gre", None, 77),
     ("gre", None, 2**32 - 1), ("vxlan", None, 77), ("vxlan", None, 2**24 - 1), ("geneve", None, 77)],
)  # fmt: skip
def test_provider_networks(network: Proxy, kind: str, physical_network: str | None, number: int | None) -> None:
    wanted: dict[str, Any] = {"provider_network_type": kind}
    if physical_network is not None:
        wanted["provider_physical_network"] = physical_network
    if number is not None:
        wanted["provider_segmentation_id"] = number
    made = network.create_network(name="p", **wanted)
    shown = network.get_network(made.id)
    given = (shown.provider_network_type, shown.provider_physical_network, shown.provider_segmentation_id)
    assert given == (kind, physical_network, number)
    with pytest.raises(exceptions.ConflictException):
        network.create_network(name="q", **wanted)
    network.delete_network(made.id)
    network.create_network(name="r", **wanted)


def test_several_segments(network: Proxy) -> None:
    segments = [
        {"provider:network_type": "vlan", "provider:physical_network": "physnet1", "provider:segmentation_id": 101},
        {"provider:network_type": "vxlan", "provider:segmentation_id": 7},
    ]
    made = network.create_network(name="both", segments=segments)
    shown = network.get_network(made.id).segments
    assert [segment["provider:network_type"] for segment in shown] == ["vlan", "vxlan"]
    assert [segment["provider:segmentation_id"] for segment in shown] == [101, 7]


def test_segments(network: Proxy, blue: Any) -> None:
    first = next(network.segments(network_id=blue.id))
    assert (first.network_type, first.segmentation_id) == ("vxlan", blue.provider_segmentation_id)
    made = network.create_segment(
        network_id=blue.id, network_type="vlan", physical_network="physnet1", segmentation_id=101, name="old rack"
    )
    shown = network.get_segment(made.id)
    assert (shown.name, shown.physical_network, shown.segmentation_id) == ("old rack", "physnet1", 101)
    assert network.update_segment(made, description="to go").description == "to go"
    assert len(network.get_network(blue.id).segments) == 2
    network.delete_segment(made, ignore_missing=False)
    with pytest.raises(exceptions.ConflictException, match="only one"):
        network.delete_segment(first, ignore_missing=False)


def test_mtu_external_and_port_security(network: Proxy) -> None:
    made = network.create_network(mtu=1400, is_router_external=True, is_port_security_enabled=False)
    shown = network.get_network(made.id)
    assert (shown.mtu, shown.is_router_external, shown.is_port_security_enabled) == (1400, True, False)
    assert network.update_network(made, mtu=1300, is_router_external=False).mtu == 1300
    port = network.create_port(network_id=made.id)
    assert (port.is_port_security_enabled, port.fixed_ips) == (False, [])
    assert network.update_port(port, is_port_security_enabled=True).is_port_security_enabled is True


def test_time_stamps_and_revisions(network: Proxy) -> None:
    made = network.create_network(name="a")
    created, revision = made.created_at, made.revision_number
    changed = network.update_network(made.id, name="b")
    assert changed.created_at == created <= changed.updated_at
    assert changed.revision_number == revision + 1


def test_subnets(network: Proxy, blue: Any) -> None:
    made = network.create_subnet(
        network_id=blue.id,
        ip_version=4,
        cidr="10.2.0.0/24",
        gateway_ip="10.2.0.254",
        allocation_pools=[{"start": "10.2.0.10", "end": "10.2.0.20"}],
        dns_nameservers=["9.9.9.9"],
        host_routes=[{"destination": "192.0.2.0/24", "nexthop": "10.2.0.1"}],
        enable_dhcp=False,
    )
    shown = network.get_subnet(made.id)
    assert (shown.cidr, shown.gateway_ip, shown.is_dhcp_enabled) == ("10.2.0.0/24", "10.2.0.254", False)
    assert shown.allocation_pools == [{"start": "10.2.0.10", "end": "10.2.0.20"}]
    assert (shown.dns_nameservers, shown.host_routes[0]["nexthop"]) == (["9.9.9.9"], "10.2.0.1")
    six = network.create_subnet(network_id=blue.id, ip_version=6, cidr="fd00:1::/64")
    assert six.gateway_ip == "fd00:1::1"
    assert set(network.get_network(blue.id).subnet_ids) >= {made.id, six.id}
    assert network.update_subnet(made.id, name="renamed").name == "renamed"
    network.delete_subnet(made.id, ignore_missing=False)
    with pytest.raises(exceptions.NotFoundException):
        network.get_subnet(made.id)


def test_ports(network: Proxy, blue: Any) -> None:
    made = network.create_port(
        network_id=blue.id,
        name="web",
        mac_address="fa:16:3e:00:00:01",
        fixed_ips=[{"ip_address": "10.1.0.50"}],
        allowed_address_pairs=[{"ip_address": "10.1.0.99"}],
        device_id="vm1",
        device_owner="compute:nova",
    )
    shown = network.get_port(made.id)
    assert (shown.name, shown.mac_address, shown.device_id) == ("web", "fa:16:3e:00:00:01", "vm1")
    assert [ip["ip_address"] for ip in shown.fixed_ips] == ["10.1.0.50"]
    pairs = [{"ip_address": "10.1.0.99", "mac_address": "fa:16:3e:00:00:01"}]
    assert (shown.allowed_address_pairs, shown.is_port_security_enabled) == (pairs, True)
    assert (shown.status, shown.binding_vif_type, shown.binding_vnic_type) == ("DOWN", "unbound", "normal")
    network.update_port(made.id, fixed_ips=[{"ip_address": "10.1.0.51"}], allowed_address_pairs=[])
    shown = network.get_port(made.id)
    assert ([ip["ip_address"] for ip in shown.fixed_ips], shown.allowed_address_pairs) == (["10.1.0.51"], [])
    network.delete_port(made.id, ignore_missing=False)
    network.delete_port(made.id)


def test_addresses_are_chosen_in_order_and_the_gateway_is_left_out(network: Proxy, blue: Any) -> None:
    addresses = [network.create_port(network_id=blue.id).fixed_ips[0]["ip_address"] for _ in range(3)]
    assert len(set(addresses)) == 3
    assert "10.1.0.1" not in addresses


def test_binding(network: Proxy, plugin: Plugin) -> None:
    plugin.node_seen(SWITCH)
    plugin.node_seen(HOST)
    vlan = network.create_network(provider_network_type="vlan", provider_physical_network="physnet1")
    gre = network.create_network(provider_network_type="gre")
    on_switch = network.create_port(network_id=vlan.id, binding_host_id="ovs1")
    on_host = network.create_port(network_id=vlan.id, binding_host_id="web1")
    assert (on_switch.binding_vif_type, on_host.binding_vif_type) == ("ovs", "bridge")
    refused = network.create_port(network_id=gre.id, binding_host_id="web1")
    assert refused.binding_vif_type == "binding_failed"
    moved = network.update_port(refused, binding_host_id="ovs1")
    assert (moved.binding_vif_type, moved.binding_host_id) == ("ovs", "ovs1")
    freed = network.update_port(moved, binding_host_id="")
    assert freed.binding_vif_type == "unbound"


def test_bulk(network: Proxy, blue: Any) -> None:
    ports = list(network.create_ports([{"network_id": blue.id, "name": f"p{number}"} for number in range(5)]))
    assert sorted(port.name for port in ports) == [f"p{number}" for number in range(5)]
    before = len(list(network.ports()))
    body = [{"network_id": blue.id}, {"network_id": blue.id, "fixed_ips": [{"ip_address": "192.0.2.1"}]}]
    with pytest.raises(exceptions.BadRequestException):
        list(network.create_ports(body))
    assert len(list(network.ports())) == before


@pytest.mark.parametrize("page", [1, 3, 7, 10, 11])
def test_pagination_visits_everything_once(network: Proxy, blue: Any, page: int) -> None:
    made = network.create_ports([{"network_id": blue.id, "name": f"p{number % 3}"} for number in range(10)])
    expected = sorted(port.id for port in made)
    assert sorted(port.id for port in network.ports(limit=page)) == expected
    names = [port.name for port in network.ports(limit=page, sort_key="name", sort_dir="desc")]
    assert names == sorted(names, reverse=True)
    assert len(names) == 10


def test_filters(network: Proxy, blue: Any) -> None:
    red = network.create_network(name="red", is_admin_state_up=False, project_id="p1", is_shared=True)
    a = network.create_port(network_id=blue.id, name="a", device_id="vm1", fixed_ips=[{"ip_address": "10.1.0.7"}])
    b = network.create_port(network_id=red.id, name="b", project_id="p1")

    def ids(items: Any) -> set[str]:
        return {item.id for item in items}

    assert ids(network.networks(name="red")) == {red.id}
    assert ids(network.networks(is_admin_state_up=False)) == {red.id}
    assert ids(network.networks(is_shared=True)) == {red.id}
    assert ids(network.networks(project_id="p1")) == {red.id}
    assert ids(network.networks(provider_segmentation_id=red.provider_segmentation_id)) == {red.id}
    assert ids(network.networks(is_router_external=False)) == {red.id, blue.id}
    assert ids(network.networks(description="")) == {red.id, blue.id}
    assert ids(network.ports(network_id=blue.id)) == {a.id}
    assert ids(network.ports(mac_address=b.mac_address.upper())) == {b.id}
    assert ids(network.ports(fixed_ips="ip_address=10.1.0.7")) == {a.id}
    assert ids(network.ports(fixed_ips=[f"subnet_id={a.fixed_ips[0]['subnet_id']}", "ip_address=10.1.0.8"])) == set()
    assert ids(network.ports(device_id="")) == {b.id}
    assert ids(network.subnets(cidr="10.1.0.0/24", ip_version=4)) == {a.fixed_ips[0]["subnet_id"]}
    assert ids(network.ports(network_id=NOWHERE)) == set()


def test_agents(network: Proxy, plugin: Plugin) -> None:
    plugin.node_seen(HOST)
    plugin.node_heartbeat(HOST.id)
    agents = list(network.agents())
    assert [agent.host for agent in agents] == ["web1"]
    agent = network.get_agent(agents[0].id)
    assert (agent.is_alive, agent.is_admin_state_up) == (True, True)
    assert [found.id for found in network.agents(host="web1", is_alive=True)] == [agent.id]
    assert list(network.agents(is_alive=False)) == []
    changed = network.update_agent(agent, is_admin_state_up=False, description="under repair")
    assert (changed.is_admin_state_up, changed.description) == (False, "under repair")
    plugin.node_lost(HOST.id)
    assert network.get_agent(agent.id).is_alive is False
    network.delete_agent(agent, ignore_missing=False)
    assert list(network.agents()) == []


def test_extensions(network: Proxy) -> None:
    assert {extension.alias for extension in network.extensions()} == set(EXTENSIONS)
    assert network.find_extension("provider").name == "Provider Network"


def test_revision_constraint(network: Proxy, blue: Any) -> None:
    blue = network.update_network(blue.id, description="w")
    network.update_network(blue.id, description="x")
    with pytest.raises(exceptions.HttpException) as failed:
        network.update_network(blue.id, if_revision=blue.revision_number, description="y")
    assert failed.value.status_code == 412


def test_error_classes(network: Proxy, blue: Any) -> None:
    network.create_port(network_id=blue.id)
    with pytest.raises(exceptions.NotFoundException, match="could not be found"):
        network.get_network(NOWHERE)
    with pytest.raises(exceptions.ConflictException, match="one or more ports"):
        network.delete_network(blue.id, ignore_missing=False)
    with pytest.raises(exceptions.BadRequestException, match="is not a valid MAC address"):
        network.create_port(network_id=blue.id, mac_address="xyz")
    with pytest.raises(exceptions.NotFoundException):
        network.create_port(network_id=NOWHERE)
