"""The rest of the Networking API through openstacksdk: pools, ranges, bindings, quotas, tags, policies, zones."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from openstack import exceptions
from openstack.network.v2._proxy import Proxy

from controller.plugin.plugin import Plugin
from tests.api.world import HOST, SWITCH


@pytest.fixture
def blue(network: Proxy) -> Any:
    return network.create_network(name="blue", project_id="red")


def test_subnet_pools(network: Proxy, blue: Any) -> None:
    pool = network.create_subnet_pool(
        name="pool", prefixes=["10.0.0.0/16", "10.1.0.0/16"], default_prefix_length=24, minimum_prefix_length=20,
        maximum_prefix_length=28, description="for all", is_shared=True,
    )  # fmt: skip
    shown = network.get_subnet_pool(pool.id)
    assert (shown.prefixes, shown.ip_version, shown.is_shared) == (["10.0.0.0/15"], 4, True)
    first = network.create_subnet(network_id=blue.id, ip_version=4, subnet_pool_id=pool.id)
    assert (first.cidr, first.gateway_ip, first.subnet_pool_id) == ("10.0.0.0/24", "10.0.0.1", pool.id)
    second = network.create_subnet(network_id=blue.id, ip_version=4, subnet_pool_id=pool.id, prefix_length=26)
    assert second.cidr == "10.0.1.0/26"
    third = network.create_subnet(network_id=blue.id, ip_version=4, subnet_pool_id=pool.id, cidr="10.1.9.0/24")
    assert third.cidr == "10.1.9.0/24"
    for wrong in ({"cidr": "10.1.9.0/26"}, {"prefix_length": 16}, {"prefix_length": 29}, {"cidr": "192.0.2.0/24"}):
        with pytest.raises(exceptions.BadRequestException):
            network.create_subnet(network_id=blue.id, ip_version=4, subnet_pool_id=pool.id, **wrong)
    assert {found.id for found in network.subnets(subnet_pool_id=pool.id)} == {first.id, second.id, third.id}
    with pytest.raises(exceptions.BadRequestException, match="existing allocations"):
        network.delete_subnet_pool(pool, ignore_missing=False)
    changed = network.update_subnet_pool(pool, name="big", prefixes=["10.0.0.0/14"])
    assert (changed.name, changed.prefixes) == ("big", ["10.0.0.0/14"])
    with pytest.raises(exceptions.BadRequestException):
        network.update_subnet_pool(pool, prefixes=["10.0.0.0/16"])
    network.delete_network(blue)
    network.delete_subnet_pool(pool, ignore_missing=False)
    assert list(network.subnet_pools()) == []


def test_the_default_subnet_pool(network: Proxy, blue: Any) -> None:
    with pytest.raises(exceptions.BadRequestException, match="No default subnetpool"):
        network.create_subnet(network_id=blue.id, ip_version=6, use_default_subnet_pool=True)
    pool = network.create_subnet_pool(name="six", prefixes=["2001:db8::/48"], default_prefix_length=64,
                                      is_default=True)  # fmt: skip
    made = network.create_subnet(network_id=blue.id, ip_version=6, use_default_subnet_pool=True)
    assert (made.cidr, made.subnet_pool_id) == ("2001:db8::/64", pool.id)
    with pytest.raises(exceptions.BadRequestException, match="default"):
        network.create_subnet_pool(name="other", prefixes=["2001:db9::/48"], is_default=True)


def test_bindings_for_live_migration(network: Proxy, plugin: Plugin, url: str) -> None:
    plugin.node_seen(SWITCH)
    plugin.node_seen(HOST)
    vlan = network.create_network(provider_network_type="vlan", provider_physical_network="physnet1")
    port = network.create_port(network_id=vlan.id, binding_host_id="ovs1", device_owner="compute:nova")
    made = network.create_port_binding(port, host="web1", vnic_type="normal", profile={"why": "move"})
    assert (made.status, made.vif_type, made.host, made.profile) == ("INACTIVE", "bridge", "web1", {"why": "move"})
    assert {(found.host, found.status) for found in network.port_bindings(port)} == {
        ("ovs1", "ACTIVE"), ("web1", "INACTIVE")}  # fmt: skip
    assert network.get_port(port.id).binding_host_id == "ovs1"
    path = f"{url}/v2.0/ports/{port.id}/bindings"
    assert requests.post(path, json={"binding": {"host": "web1"}}).json()["NeutronError"]["type"] == (
        "PortBindingAlreadyExists"
    )
    refused = requests.post(path, json={"binding": {"host": "nowhere"}})
    assert (refused.status_code, refused.json()["NeutronError"]["type"]) == (409, "PortBindingError")
    changed = requests.put(f"{path}/web1", json={"binding": {"profile": {"why": "else"}}}).json()["binding"]
    assert (changed["profile"], changed["status"]) == ({"why": "else"}, "INACTIVE")
    active = requests.put(f"{path}/web1/activate")
    assert (active.status_code, active.json()["status"]) == (200, "ACTIVE")
    shown = network.get_port(port.id)
    assert (shown.binding_host_id, shown.binding_vif_type) == ("web1", "bridge")
    again = requests.put(f"{path}/web1/activate")
    assert (again.status_code, again.json()["NeutronError"]["type"]) == (409, "PortBindingAlreadyActive")
    assert requests.get(f"{path}/ovs1").json()["binding"]["status"] == "INACTIVE"
    assert [item["host"] for item in requests.get(f"{path}?status=INACTIVE").json()["bindings"]] == ["ovs1"]
    network.delete_port_binding(port, host="ovs1")
    assert [found.host for found in network.port_bindings(port)] == ["web1"]
    missing = requests.delete(f"{path}/ovs1")
    assert (missing.status_code, missing.json()["NeutronError"]["type"]) == (404, "PortBindingNotFound")
    assert requests.delete(f"{path}/web1").status_code == 204
    assert network.get_port(port.id).binding_vif_type == "unbound"
    assert [(found.host, found.vif_type, found.status) for found in network.port_bindings(port)] == [
        ("", "unbound", "ACTIVE")
    ]


def test_segment_ranges(network: Proxy) -> None:
    defaults = {(item.network_type, item.physical_network): item for item in network.network_segment_ranges()}
    vlan = defaults["vlan", "physnet1"]
    assert (vlan.default, vlan.shared, vlan.minimum, vlan.maximum) == (True, True, 100, 102)
    assert vlan.available == [100, 101, 102]
    own = network.create_network_segment_range(
        name="own", shared=False, project_id="red", network_type="vxlan", minimum=500, maximum=501
    )
    assert (own.default, own.shared, own.project_id, own.available) == (False, False, "red", [500, 501])
    reds = [network.create_network(project_id="red").provider_segmentation_id for _ in range(3)]
    assert reds[:2] == [500, 501]
    assert reds[2] not in (500, 501)
    others = network.create_network(project_id="blue").provider_segmentation_id
    assert others not in (500, 501)
    shown = network.get_network_segment_range(own.id)
    assert (shown.used, shown.available) == ({"500": "red", "501": "red"}, [])
    for forbidden in ({"minimum": 501}, {"maximum": 500}):
        with pytest.raises(exceptions.ConflictException):
            network.update_network_segment_range(own.id, **forbidden)
    wider = network.update_network_segment_range(own.id, maximum=510, name="wider")
    assert (wider.maximum, wider.name, len(wider.available)) == (510, "wider", 9)
    with pytest.raises(exceptions.ConflictException):
        network.delete_network_segment_range(own, ignore_missing=False)
    with pytest.raises(exceptions.ConflictException):
        network.create_network_segment_range(network_type="vxlan", minimum=505, maximum=600)
    with pytest.raises(exceptions.BadRequestException):
        network.delete_network_segment_range(vlan, ignore_missing=False)
    for item in network.networks(project_id="red"):
        network.delete_network(item)
    network.delete_network_segment_range(own, ignore_missing=False)


def test_quotas(network: Proxy, blue: Any) -> None:
    assert network.get_quota("red").networks == 100
    assert network.get_quota_default("red").ports == 500
    changed = network.update_quota("red", networks=2, ports=0)
    assert (changed.networks, changed.ports, changed.subnets) == (2, 0, 100)
    details = network.get_quota("red", details=True)
    assert details.networks == {"limit": 2, "used": 1, "reserved": 0}
    network.create_network(project_id="red")
    with pytest.raises(exceptions.ConflictException, match="Quota exceeded for resources"):
        network.create_network(project_id="red")
    with pytest.raises(exceptions.ConflictException, match="Quota exceeded for resources"):
        network.create_port(network_id=blue.id, project_id="red")
    with pytest.raises(exceptions.BadRequestException, match="less than 0"):
        network.update_quota("red", networks=1, check_limit=True)
    network.update_quota("red", networks=1)
    assert [quota.project_id for quota in network.quotas()] == ["red"]
    network.delete_quota("red", ignore_missing=False)
    assert network.get_quota("red").networks == 100
    with pytest.raises(exceptions.NotFoundException):
        network.delete_quota("red", ignore_missing=False)


def test_tags(network: Proxy, blue: Any, url: str) -> None:
    subnet = network.create_subnet(network_id=blue.id, ip_version=4, cidr="10.1.0.0/24")
    port = network.create_port(network_id=blue.id)
    pool = network.create_subnet_pool(name="pool", prefixes=["10.0.0.0/16"])
    scope = network.create_network_segment_range(network_type="vxlan", minimum=600, maximum=601)
    for item in (blue, subnet, port, pool):
        network.set_tags(item, ["b", "a"])
        assert item.fetch_tags(network).tags == ["a", "b"]
        item.add_tag(network, "c")
        item.check_tag(network, "c")
        item.remove_tag(network, "a")
        assert item.fetch_tags(network).tags == ["b", "c"]
        with pytest.raises(exceptions.NotFoundException):
            item.check_tag(network, "a")
    assert requests.put(f"{url}/v2.0/network_segment_ranges/{scope.id}/tags/x").status_code == 201
    green = network.create_network(name="green")

    def names(**filters: str) -> list[str]:
        return sorted(found.name for found in network.networks(**filters))

    assert names(tags="b,c") == ["blue"]
    assert names(tags="b,d") == []
    assert names(any_tags="d,c") == ["blue"]
    assert names(not_tags="b,c") == ["green"]
    assert names(not_any_tags="b,x") == ["green"]
    network.set_tags(green, ["d"])
    assert names(any_tags="d,c") == ["blue", "green"]
    network.set_tags(blue, [])
    assert network.get_network(blue.id).tags == []
    assert requests.put(f"{url}/v2.0/networks/{blue.id}/tags", json={"tags": [1]}).status_code == 400
    assert requests.put(f"{url}/v2.0/networks/{blue.id}/tags", json={"tag": []}).status_code == 400
    tagged = network.create_ports([{"network_id": blue.id, "tags": ["x"]}])
    assert [found.tags for found in tagged] == [["x"]]


def test_rbac_policies(network: Proxy, blue: Any) -> None:
    policy = network.create_rbac_policy(
        object_type="network", object_id=blue.id, action="access_as_shared", target_project_id="green"
    )
    assert network.get_rbac_policy(policy.id).target_project_id == "green"
    assert network.get_network(blue.id).is_shared is False
    wider = network.update_rbac_policy(policy, target_project_id="*")
    assert wider.target_project_id == "*"
    assert network.get_network(blue.id).is_shared is True
    with pytest.raises(exceptions.ConflictException):
        network.create_rbac_policy(
            object_type="network", object_id=blue.id, action="access_as_shared", target_project_id="*"
        )
    port = network.create_port(network_id=blue.id, project_id="green")
    with pytest.raises(exceptions.ConflictException, match="green"):
        network.delete_rbac_policy(policy, ignore_missing=False)
    network.delete_port(port)
    network.delete_rbac_policy(policy, ignore_missing=False)
    assert network.get_network(blue.id).is_shared is False
    network.update_network(blue, is_shared=True, is_router_external=True)
    found = {(item.action, item.target_project_id) for item in network.rbac_policies(object_id=blue.id)}
    assert found == {("access_as_shared", "*"), ("access_as_external", "*")}
    with pytest.raises(exceptions.BadRequestException):
        network.create_rbac_policy(
            object_type="network", object_id=blue.id, action="nonsense", target_project_id="green"
        )


def test_zones(network: Proxy, plugin: Plugin, blue: Any) -> None:
    assert list(network.availability_zones()) == []
    plugin.node_seen(HOST)
    (zone,) = network.availability_zones()
    assert (zone.name, zone.resource, zone.state) == ("nova", "network", "available")
    assert next(network.agents()).availability_zone == "nova"
    made = network.create_network(availability_zone_hints=["nova"])
    assert made.availability_zone_hints == ["nova"]
    network.create_port(network_id=made.id, binding_host_id="web1")
    assert network.get_network(made.id).availability_zones == ["nova"]
    assert network.get_network(blue.id).availability_zones == []
    with pytest.raises(exceptions.NotFoundException, match="mars"):
        network.create_network(availability_zone_hints=["mars"])


def test_address_availability(network: Proxy, blue: Any) -> None:
    subnet = network.create_subnet(network_id=blue.id, ip_version=4, cidr="10.1.0.0/24",
                                   allocation_pools=[{"start": "10.1.0.10", "end": "10.1.0.19"}])  # fmt: skip
    network.create_port(network_id=blue.id)
    network.create_port(network_id=blue.id, fixed_ips=[{"ip_address": "10.1.0.200"}])
    shown = network.get_network_ip_availability(blue.id)
    assert (shown.network_name, shown.total_ips, shown.used_ips, shown.project_id) == ("blue", 10, 2, "red")
    assert [item["subnet_id"] for item in shown.subnet_ip_availability] == [subnet.id]
    assert shown.ip_availability_details == {
        "total_ips_in_subnet": 254, "total_ips_in_allocation_pool": 10, "used_ips_in_subnet": 2,
        "used_ips_in_allocation_pool": 1,
    }  # fmt: skip
    assert [item.network_id for item in network.network_ip_availabilities(network_name="blue", ip_version=4)] == [
        blue.id
    ]
    assert list(network.network_ip_availabilities(ip_version=6)) == []


def test_attributes_of_ports(network: Proxy, blue: Any, url: str) -> None:
    network.create_subnet(network_id=blue.id, ip_version=4, cidr="10.1.0.0/24")
    options = [{"opt_name": "bootfile-name", "opt_value": "x.0"}, {"opt_name": "ntp", "opt_value": "10.1.0.3"}]
    port = network.create_port(network_id=blue.id, extra_dhcp_opts=options, fixed_ips=[{"ip_address": "10.1.0.57"}])
    assert [item["opt_value"] for item in port.extra_dhcp_opts] == ["x.0", "10.1.0.3"]
    assert (port.data_plane_status, port.propagate_uplink_status) == (None, True)
    changed = network.update_port(
        port, extra_dhcp_opts=[{"opt_name": "ntp", "opt_value": None}], data_plane_status="DOWN",
        propagate_uplink_status=False,
    )  # fmt: skip
    assert [item["opt_name"] for item in changed.extra_dhcp_opts] == ["bootfile-name"]
    assert (changed.data_plane_status, changed.propagate_uplink_status) == ("DOWN", False)
    address = f"{url}/v2.0/ports/{port.id}"
    fresh = requests.put(address, json={"port": {"mac_address": None}}).json()["port"]["mac_address"]
    assert fresh != port.mac_address
    other = network.create_port(network_id=blue.id, fixed_ips=[{"ip_address": "10.1.0.9"}])
    found = [item.id for item in network.ports(fixed_ips="ip_address_substr=1.0.5")]
    assert found == [port.id]
    assert len(list(network.ports(fixed_ips="ip_address_substr=10.1"))) == 2
    assert [item.id for item in network.ports(fixed_ips="ip_address_substr=0.9")] == [other.id]


def test_a_write_that_changes_nothing_moves_nothing(network: Proxy, blue: Any, url: str) -> None:
    address, body = f"{url}/v2.0/networks/{blue.id}", {"network": {"name": "blue"}}
    before = requests.get(address).json()["network"]
    assert requests.put(address, json=body).json()["network"] == before
    tags = requests.put(f"{address}/tags", json={"tags": []})
    assert (tags.status_code, requests.get(address).json()["network"]) == (200, before)
    requests.put(f"{address}/tags/x")
    after = requests.get(address).json()["network"]
    assert after["revision_number"] == before["revision_number"] + 1
    stale = {"If-Match": f"revision_number={before['revision_number']}"}
    refused = requests.delete(address, headers=stale)
    assert (refused.status_code, refused.json()["NeutronError"]["type"]) == (412, "RevisionNumberConstraintFailed")
    since = requests.get(f"{url}/v2.0/networks?changed_since=2000-01-01T00:00:00Z").json()["networks"]
    assert [item["id"] for item in since] == [blue.id]
    assert requests.get(f"{url}/v2.0/networks?changed_since=2999-01-01T00:00:00").json()["networks"] == []
    assert requests.get(f"{url}/v2.0/networks?changed_since=yesterday").status_code == 400
    fresh = {"If-Match": f"revision_number={after['revision_number']}"}
    assert requests.delete(address, headers=fresh).status_code == 204


def test_what_is_not_carried_is_refused(url: str) -> None:
    for name in ("vlan_transparent", "qinq"):
        answer = requests.post(f"{url}/v2.0/networks", json={"network": {name: True}})
        assert answer.status_code == 400
        accepted = requests.post(f"{url}/v2.0/networks", json={"network": {name: False}})
        assert accepted.status_code == 201


def test_prefixes_of_a_pool(network: Proxy, blue: Any, url: str) -> None:
    pool = network.create_subnet_pool(name="pool", prefixes=["10.0.0.0/16"], default_prefix_length=24)
    network.create_subnet(network_id=blue.id, ip_version=4, subnet_pool_id=pool.id)
    path = f"{url}/v2.0/subnetpools/{pool.id}"
    added = requests.put(f"{path}/add_prefixes", json={"prefixes": ["10.2.0.0/16"]})
    assert added.json() == {"prefixes": ["10.0.0.0/16", "10.2.0.0/16"]}
    removed = requests.put(f"{path}/remove_prefixes", json={"prefixes": ["10.2.0.0/16"]})
    assert removed.json() == {"prefixes": ["10.0.0.0/16"]}
    assert requests.put(f"{path}/remove_prefixes", json={"prefixes": ["10.0.0.0/24"]}).status_code == 400


@pytest.mark.parametrize(
    ("collection", "bodies"),
    [
        ("networks", [{"name": "a"}, {"name": "b"}]),
        ("subnetpools", [{"name": "a", "prefixes": ["10.0.0.0/8"]}, {"name": "b", "prefixes": ["2001:db8::/32"]}]),
        ("network_segment_ranges", [{"network_type": "gre", "minimum": 5, "maximum": 6},
                                    {"network_type": "gre", "minimum": 7, "maximum": 2**32 - 1}]),
        ("subnets", [{"network_id": "{blue}", "ip_version": 4, "cidr": f"10.{number}.0.0/24"} for number in (1, 2)]),
        ("ports", [{"network_id": "{blue}", "name": "a"}, {"network_id": "{blue}", "name": "b"}]),
        ("segments", [{"network_id": "{blue}", "network_type": "gre", "segmentation_id": number}
                      for number in (90, 91)]),
        ("rbac_policies", [{"object_type": "network", "object_id": "{blue}", "target_tenant": target,
                            "action": "access_as_shared"} for target in ("green", "yellow")]),
    ],
)  # fmt: skip
def test_bulk(url: str, blue: Any, collection: str, bodies: list[dict[str, Any]]) -> None:
    """All resources that can be created can be created many at once, and all or none are."""
    bodies = [{name: blue.id if value == "{blue}" else value for name, value in body.items()} for body in bodies]
    path = f"{url}/v2.0/{collection.replace('rbac_', 'rbac-')}"
    before = len(requests.get(path).json()[collection])
    refused = requests.post(path, json={collection: [*bodies, {**bodies[0], "nonsense": 1}]})
    assert refused.status_code == 400, refused.text
    broken = requests.post(path, json={collection: [*bodies, {**bodies[0], "description": 7}]})
    assert broken.status_code == 400, broken.text
    assert len(requests.get(path).json()[collection]) == before
    made = requests.post(path, json={collection: bodies})
    assert made.status_code == 201, made.text
    assert len(made.json()[collection]) == 2
    assert len(requests.get(path).json()[collection]) == before + 2
