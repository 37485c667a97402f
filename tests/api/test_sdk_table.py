"""openstacksdk without Keystone: create, list, find, get, update and delete of every resource, by one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from openstack import exceptions
from openstack.network.v2._proxy import Proxy

from controller.api.attributes import RESOURCE_TYPES
from controller.plugin.plugin import Plugin
from tests.api.world import GONE, HOST

NOWHERE = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Kind:
    """A resource: openstacksdk's word for it, how one is made, what is changed and what it is listed by."""

    name: str
    body: Mapping[str, Any]
    change: Mapping[str, Any] = field(default_factory=dict)
    filters: Mapping[str, Any] = field(default_factory=dict)
    plural: str = ""
    findable: bool = True

    def call(self, network: Proxy, verb: str) -> Callable[..., Any]:
        """openstacksdk's method of a verb."""
        found: Callable[..., Any] = getattr(network, f"{verb}_{self.name}")
        return found


KINDS = {
    "network": Kind("network", {"name": "one", "provider_network_type": "gre"}, {"name": "two", "mtu": 1300},
                    {"provider_network_type": "gre"}),
    "subnet": Kind("subnet", {"name": "one", "ip_version": 4, "cidr": "10.3.0.0/24"},
                   {"name": "two", "dns_nameservers": ["192.0.2.1"]}, {"cidr": "10.3.0.0/24"}),
    "port": Kind("port", {"name": "one", "device_id": "vm"}, {"name": "two", "is_admin_state_up": False},
                 {"device_id": "vm"}),
    "subnetpool": Kind("subnet_pool", {"name": "one", "prefixes": ["10.64.0.0/16"]},
                       {"name": "two", "default_prefix_length": 26}, {"name": "two"}),
    "segment": Kind("segment", {"name": "one", "network_type": "vlan", "physical_network": "physnet1"},
                    {"name": "two", "description": "nice"}, {"network_type": "vlan"}),
    "network_segment_range": Kind(
        "network_segment_range", {"name": "one", "network_type": "vxlan", "minimum": 700, "maximum": 710},
        {"name": "two", "maximum": 720}, {"name": "two"}),
    "rbac_policy": Kind("rbac_policy", {"object_type": "network", "action": "access_as_shared",
                                        "target_project_id": "red"},
                        {"target_project_id": "blue"}, {"target_project_id": "blue"}, "rbac_policies", findable=False),
}  # fmt: skip
OTHERS = {"agent", "availability_zone", "network_ip_availability", "quota"}
"""What is not created; :func:`test_what_is_not_created`."""


def test_the_table_is_complete() -> None:
    ours = {kind.name for kind in RESOURCE_TYPES} - {"switch", "cables"}
    assert ours == set(KINDS) | OTHERS


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_what_is_created(network: Proxy, kind: Kind) -> None:
    parent = network.create_network(name="parent", project_id="owner")
    more = {"object_id": parent.id} if kind.name == "rbac_policy" else {"network_id": parent.id}
    needs_parent = kind.name in ("subnet", "port", "segment", "rbac_policy")
    made = kind.call(network, "create")(**kind.body, **(more if needs_parent else {}))
    for name, value in kind.body.items():
        assert getattr(made, name) == value, name
    assert kind.call(network, "get")(made.id).to_dict() == made.to_dict()
    if kind.findable:
        assert kind.call(network, "find")("one", ignore_missing=False).id == made.id
        assert kind.call(network, "find")(NOWHERE, ignore_missing=True) is None
    before = getattr(made, "revision_number", None)
    changed = kind.call(network, "update")(made.id, **kind.change)
    for name, value in kind.change.items():
        assert getattr(changed, name) == value, name
    assert before is None or changed.revision_number == before + 1
    listed = getattr(network, kind.plural or f"{kind.name}s")(**kind.filters)
    assert [item.id for item in listed] == [made.id]
    kind.call(network, "delete")(made.id, ignore_missing=False)
    with pytest.raises(exceptions.NotFoundException):
        kind.call(network, "get")(made.id)
    with pytest.raises(exceptions.NotFoundException):
        kind.call(network, "delete")(made.id, ignore_missing=False)
    with pytest.raises(exceptions.NotFoundException):
        kind.call(network, "update")(NOWHERE, **kind.change)


def test_what_is_not_created(network: Proxy, plugin: Plugin) -> None:
    plugin.node_seen(HOST)
    plugin.node_seen(GONE)
    plugin.node_lost(GONE.id)
    agents = {agent.host: agent for agent in network.agents()}
    assert network.update_agent(agents["web1"], description="x").description == "x"
    network.delete_agent(agents["gone"], ignore_missing=False)
    assert [zone.name for zone in network.availability_zones()] == ["nova"]
    made = network.create_network(name="one")
    assert network.find_network_ip_availability(made.id).network_name == "one"
    assert [item.network_id for item in network.network_ip_availabilities()] == [made.id]
    network.update_quota("red", ports=7)
    assert [quota.ports for quota in network.quotas()] == [7]
    assert network.get_quota_default("red").ports == 500
    network.delete_quota("red", ignore_missing=False)
    assert list(network.quotas()) == []


def test_what_hangs_below_ports_and_subnets(network: Proxy, plugin: Plugin) -> None:
    plugin.node_seen(HOST)
    made = network.create_network(provider_network_type="vlan", provider_physical_network="physnet1")
    subnet = network.create_subnet(network_id=made.id, ip_version=4, cidr="10.3.0.0/24")
    port = network.create_port(network_id=made.id)
    assert [item.id for item in network.get_subnet_ports(subnet.id)] == [port.id]
    binding = network.create_port_binding(port, host="web1")
    assert (binding.host, [item.host for item in network.port_bindings(port)]) == ("web1", ["web1"])
    network.delete_port_binding(port, host="web1")
    assert [(item.host, item.vif_type) for item in network.port_bindings(port)] == [("", "unbound")]
    network.set_tags(port, ["a", "b"])
    network.add_tag(port, "c")
    assert network.get_port(port.id).tags == ["a", "b", "c"]
    network.remove_tag(port, "a")
    network.add_tags(port, ["d"])
    assert network.get_port(port.id).tags == ["b", "c", "d"]
    network.remove_all_tags(port)
    assert network.get_port(port.id).tags == []
