"""Bindings: where ports are realised, and that they follow the nodes' facts, plugs and hosts."""

from __future__ import annotations

from typing import Any

import pytest
from neutron_lib.exceptions.agent import AgentNotFound

from controller.errors import UnknownNode
from controller.model import NodeKind, Port
from controller.plugin import binding
from controller.plugin.api import Query
from controller.plugin.binding import switch_number
from controller.plugin.faults import AgentInUse
from tests.support.store import ADMIN, World, host_facts, switch_facts
from typedrivers.intervals import Interval


def bound(world: World, port: dict[str, Any]) -> tuple[str | None, str]:
    body, model = world.get("port", port), world.model(port)
    return (model.binding.node_id if model.binding else None), body["binding:vif_type"]


def link(switch: str) -> dict[str, Any]:
    return {"binding:profile": {"local_link_information": [{"switch_id": switch, "port_id": "eth7"}]}}


def test_a_port_is_bound_on_its_host(world: World) -> None:
    node = world.plugin.node_seen(host_facts(1))
    network = world.provider("vlan", "physnet1", 100)
    port = world.port(network, "h1")
    assert port["binding:vif_type"] == "tap"
    assert port["binding:vif_details"] == {"connectivity": "l2"}
    model = world.model(port)
    assert model.host == "h1"
    assert model.binding is not None
    assert (model.binding.node_id, model.binding.mechanism, model.binding.port_key) == (node.id, "easy", 1)
    assert model.binding.segment_id == world.feed.load().networks[network["id"]].segments[0].id


def test_an_unknown_host_is_told_and_healed_when_it_appears(world: World) -> None:
    world.plugin.node_seen(host_facts(2))
    port = world.port(world.network(), "h1")
    assert port["binding:vif_type"] == "binding_failed"
    assert port["binding:vif_details"] == {}
    assert "host 'h1' is unknown" in port["status_reason"]
    assert "known hosts: h2" in port["status_reason"]
    assert world.model(port).binding_refusal == port["status_reason"]
    before = world.feed.latest()
    world.plugin.node_seen(host_facts(1))
    assert bound(world, port) == ("host:h1", "tap")
    (change,) = world.feed.since(before)
    assert set(change.ports) == {port["id"]}
    assert set(change.nodes) == {"host:h1"}
    assert world.model(port).revision == change.revision


def test_refusals_are_shown(world: World) -> None:
    world.plugin.node_seen(host_facts(1))
    port = world.port(world.provider("vlan", "physnet2", 100), "h1")
    assert (port["status"], port["status_reason"]) == ("DOWN", "no physnet2 on h1")
    assert world.port(world.network(), "h1", **{"binding:vnic_type": "direct"})["status_reason"].startswith(
        "binding:vnic_type 'direct' is not realised here"
    )


def test_facts_that_change_move_only_the_ports_they_concern(world: World) -> None:
    world.plugin.node_seen(host_facts(1))
    vlan, vxlan = world.provider("vlan", "physnet1", 100), world.provider("vxlan", None, 5)
    a, b = world.port(vlan, "h1"), world.port(vxlan, "h1")
    keys = {port["id"]: world.model(port) for port in (a, b)}
    world.plugin.node_seen(host_facts(1, physical_networks={}))
    assert bound(world, a) == (None, "binding_failed")
    assert world.model(b) == keys[b["id"]]
    world.plugin.node_seen(host_facts(1, physical_networks={"physnet1": "eth9"}))
    assert bound(world, a) == ("host:h1", "tap")
    assert len({binding.port_key for port in (a, b) if (binding := world.model(port).binding)}) == 2


def test_the_same_facts_again_change_nothing(world: World) -> None:
    first = world.plugin.node_seen(host_facts(1))
    world.port(world.network(), "h1")
    world.port(world.provider("vlan", "physnet2", 100), "h1")
    before = world.feed.latest()
    assert world.plugin.node_seen(host_facts(1)) == first
    world.plugin.node_heartbeat("host:h1")
    assert world.feed.latest() == before


def test_several_segments_bind_by_the_first_that_fits(world: World) -> None:
    world.plugin.node_seen(host_facts(1))
    world.plugin.node_seen(host_facts(2, physical_networks={}))
    segments = [
        {"provider:network_type": "vlan", "provider:physical_network": "physnet1", "provider:segmentation_id": 100},
        {"provider:network_type": "vxlan"},
    ]
    network = world.network(segments=segments)
    model = world.feed.load().networks[network["id"]]
    chosen = [world.model(world.port(network, host)).binding for host in ("h1", "h2")]
    assert [item.segment_id for item in chosen if item] == [segment.id for segment in model.segments]


def test_port_keys_are_the_node_s_own_and_go_up(world: World) -> None:
    world.plugin.node_seen(host_facts(1))
    world.plugin.node_seen(host_facts(2))
    network = world.network()

    def key(port: dict[str, Any]) -> int:
        binding = world.model(port).binding
        assert binding is not None
        return binding.port_key

    ports = [world.port(network, "h1") for _ in range(3)]
    assert [key(port) for port in ports] == [1, 2, 3]
    assert key(world.port(network, "h2")) == 1
    world.delete("port", ports[1])
    assert key(world.port(network, "h1")) == 4
    world.update("port", ports[0], **{"binding:host_id": "h2"})
    assert bound(world, ports[0]) == ("host:h2", "tap")
    assert key(ports[0]) == 2
    world.delete("port", ports[2])


def test_port_keys_are_given_again_when_the_highest_is_taken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "PORT_KEYS", Interval(1, 3))
    world.plugin.node_seen(host_facts(1))
    network = world.network()
    ports = [world.port(network, "h1") for _ in range(3)]
    world.delete("port", ports[1])
    found = world.model(world.port(network, "h1")).binding
    assert found is not None
    assert found.port_key == 2


def test_clearing_the_host_unbinds(world: World) -> None:
    world.plugin.node_seen(host_facts(1))
    port = world.port(world.network(), "h1")
    world.plugin.set_port_statuses({port["id"]: ("ACTIVE", "")})
    changed = world.update("port", port, **{"binding:host_id": ""})
    assert (changed["binding:vif_type"], changed["status"]) == ("unbound", "DOWN")
    assert bound(world, port) == (None, "unbound")


@pytest.mark.parametrize("switch", ["0000000000000002", "0x2", "00:00:00:00:00:02", "2"])
def test_local_link_information_names_the_switch(world: World, switch: str) -> None:
    world.plugin.node_seen(switch_facts(1))
    world.plugin.node_seen(switch_facts(2))
    port = world.port(world.network(), "some-machine", **link(switch))
    assert bound(world, port) == ("switch:0000000000000002", "tap")
    assert world.model(port).local_links == ((switch, "eth7"),)
    without_host = world.port(world.network(), **link(switch))
    assert bound(world, without_host) == ("switch:0000000000000002", "tap")
    assert bound(world, world.port(world.network(), "m", **link("77")))[0] is None


def test_a_switch_that_appears_takes_its_ports(world: World) -> None:
    port = world.port(world.network(), **link("0x5"))
    assert "switch 'switch:0000000000000005' is unknown" in port["status_reason"]
    world.plugin.node_seen(switch_facts(5))
    assert bound(world, port) == ("switch:0000000000000005", "tap")


def test_switch_numbers() -> None:
    assert switch_number("00:00:00:00:00:00:00:ff") == 255
    assert [switch_number(text) for text in ("", "switch one", "0x", "11223344556677889")] == [None] * 4


def test_plugging_binds_and_unplugging_frees(world: World) -> None:
    world.plugin.node_seen(switch_facts(1))
    world.plugin.node_seen(switch_facts(2))
    network = world.network()
    port = world.port(network)
    world.plugin.port_plugged(port["id"], "switch:0000000000000001")
    assert world.get("port", port)["binding:host_id"] == "sw1"
    assert bound(world, port)[0] == "switch:0000000000000001"
    before = world.feed.latest()
    world.plugin.port_plugged(port["id"], "switch:0000000000000001")
    assert world.feed.latest() == before
    world.plugin.port_plugged(port["id"], "switch:0000000000000002")
    assert bound(world, port)[0] == "switch:0000000000000002"
    world.plugin.port_unplugged(port["id"], "switch:0000000000000001")
    assert bound(world, port)[0] == "switch:0000000000000002"
    world.plugin.port_unplugged(port["id"], "switch:0000000000000002")
    assert bound(world, port) == (None, "unbound")
    assert world.get("port", port)["binding:host_id"] == ""


def test_plugging_does_not_overrule_a_host_that_was_asked_for(world: World) -> None:
    world.plugin.node_seen(host_facts(1))
    world.plugin.node_seen(host_facts(2))
    port = world.port(world.network(), "h1")
    before = world.feed.latest()
    world.plugin.port_plugged(port["id"], "host:h2")
    world.plugin.port_plugged("nobody", "host:h2")
    world.plugin.port_plugged(port["id"], "host:nobody")
    world.plugin.port_plugged(port["id"], "host:h1")
    world.plugin.port_unplugged(port["id"], "host:h1")
    world.plugin.port_unplugged("nobody", "host:h1")
    assert world.feed.latest() == before
    assert bound(world, port) == ("host:h1", "tap")


def test_a_refused_plug_is_shown_and_ends_with_the_plug(world: World) -> None:
    world.plugin.node_seen(host_facts(1))
    port = world.port(world.provider("vlan", "physnet2", 100))
    world.plugin.port_plugged(port["id"], "host:h1")
    assert world.get("port", port)["status_reason"] == "no physnet2 on h1"
    before = world.feed.latest()
    world.plugin.port_plugged(port["id"], "host:h1")
    assert world.feed.latest() == before
    world.plugin.port_unplugged(port["id"], "host:h1")
    assert world.get("port", port)["binding:host_id"] == ""


def test_two_nodes_of_one_host(world: World) -> None:
    world.plugin.node_seen(host_facts(1, mechanisms=("other",)))
    world.plugin.node_seen(switch_facts(1, host="h1"))
    port = world.port(world.network(), "h1")
    assert bound(world, port)[0] == "switch:0000000000000001"


def test_status(world: World) -> None:
    world.plugin.node_seen(host_facts(1))
    port = world.port(world.network(), "h1")
    revision = world.model(port).revision
    before = world.feed.latest()
    world.plugin.set_port_statuses({port["id"]: ("ACTIVE", "")})
    world.plugin.set_port_statuses({port["id"]: ("ACTIVE", "")})
    world.plugin.set_port_statuses({"nobody": ("ACTIVE", "")})
    assert world.get("port", port)["status"] == "ACTIVE"
    assert world.feed.latest() == before + 1
    assert world.feed.since(before) == []
    assert world.model(port).revision == revision
    unbound = world.port(world.network())
    world.plugin.set_port_statuses({unbound["id"]: ("ACTIVE", "")})
    assert world.get("port", unbound)["status"] == "DOWN"


def test_moving_makes_the_port_down_until_somebody_says_otherwise(world: World) -> None:
    world.plugin.node_seen(host_facts(1))
    world.plugin.node_seen(host_facts(2))
    port = world.port(world.network(), "h1")
    world.plugin.set_port_statuses({port["id"]: ("ACTIVE", "")})
    assert world.update("port", port, name="x")["status"] == "ACTIVE"
    assert world.update("port", port, **{"binding:host_id": "h2"})["status"] == "DOWN"


def test_a_status_that_was_decided_too_early_is_left_out(world: World) -> None:
    """The port moves while the status of its old place is on the way to the store."""
    for number in (1, 2):
        world.plugin.node_seen(host_facts(number))
    port = world.port(world.network(), "h1")
    decided_from = world.model(port).revision
    world.update("port", port, **{"binding:host_id": "h2"})
    world.plugin.set_port_statuses({port["id"]: ("ACTIVE", "")}, {port["id"]: decided_from})
    assert world.get("port", port)["status"] == "DOWN"
    world.plugin.set_port_statuses({port["id"]: ("ACTIVE", "")}, {port["id"]: world.model(port).revision})
    assert world.get("port", port)["status"] == "ACTIVE"


def test_a_port_that_is_plugged_in_goes_with_the_name_of_its_node(world: World) -> None:
    world.plugin.node_seen(switch_facts(1))
    network, refused = world.network(), world.provider("vlan", "physnet2", 100)
    plugged, waiting, asked = world.port(network), world.port(refused), world.port(network, "sw1")
    for port in (plugged, waiting):
        world.plugin.port_plugged(port["id"], "switch:0000000000000001")
    world.plugin.set_port_statuses({plugged["id"]: ("ACTIVE", "")})
    before = world.model(plugged)
    world.plugin.node_seen(switch_facts(1, host="leaf1"))
    found = world.get("port", plugged)
    assert (found["binding:host_id"], found["status"]) == ("leaf1", "ACTIVE")
    assert world.model(plugged).binding == before.binding
    assert world.model(plugged).revision == world.feed.latest()
    assert world.get("port", waiting)["status_reason"] == "no physnet2 on leaf1"
    assert "host 'sw1' is unknown" in world.get("port", asked)["status_reason"]
    for port in (plugged, waiting):
        world.plugin.port_unplugged(port["id"], "switch:0000000000000001")
        assert bound(world, port) == (None, "unbound")


def test_a_refused_port_of_another_node_keeps_its_host(world: World) -> None:
    world.plugin.node_seen(host_facts(1))
    world.plugin.node_seen(switch_facts(1, host="h1"))
    port = world.port(world.provider("vlan", "physnet2", 100))
    world.plugin.port_plugged(port["id"], "host:h1")
    world.plugin.node_seen(switch_facts(1, host="leaf1"))
    assert world.get("port", port)["binding:host_id"] == "h1"


def test_find_port(world: World) -> None:
    port = world.port(world.network())
    world.port(world.network())
    assert world.plugin.find_port(port["id"][:11]) == port["id"]
    assert world.plugin.find_port("") is None
    assert world.plugin.find_port("%") is None


def test_node_keys_are_stable(world: World) -> None:
    nodes = [world.plugin.node_seen(host_facts(number)) for number in (1, 2, 3)]
    assert [node.key for node in nodes] == [1, 2, 3]
    again = world.plugin.node_seen(host_facts(2, tunnel_ip="192.0.2.99"))
    assert (again.key, again.tunnel_ip) == (2, "192.0.2.99")
    assert world.feed.load().nodes["host:h2"] == again
    with pytest.raises(UnknownNode):
        world.plugin.node_heartbeat("host:nobody")


def test_agents(world: World) -> None:
    world.plugin.node_seen(host_facts(1))
    world.plugin.node_seen(switch_facts(1))
    switch, host = sorted(world.plugin.list(ADMIN, "agent", Query()), key=lambda agent: -len(agent["host"]))
    assert (host["agent_type"], host["binary"], host["alive"]) == ("Linux bridge agent", "isthmus-agent", True)
    assert host["configurations"]["bridge_mappings"] == {"physnet1": "eth1"}
    assert host["configurations"]["tunnel_ip"] == "192.0.2.1"
    assert switch["agent_type"] == "OpenFlow switch"
    assert switch["configurations"]["datapath_id"] == "0000000000000001"
    assert world.plugin.get(ADMIN, "agent", host["id"]) == host
    assert world.plugin.list(ADMIN, "agent", Query(filters={"host": ["h1"]})) == [host]
    assert world.plugin.list(ADMIN, "agent", Query(filters={"alive": [False]})) == []
    assert world.plugin.list(ADMIN, "agent", Query(limit=1, marker=host["id"])) == [switch]
    with pytest.raises(AgentNotFound):
        world.plugin.get(ADMIN, "agent", "nobody")


def test_silence_makes_an_agent_down(world: World) -> None:
    world.plugin.node_seen(host_facts(1))
    (agent,) = world.plugin.list(ADMIN, "agent", Query())
    for seconds, alive in ((29, True), (2, False)):
        world.clock.forward(seconds)
        assert world.plugin.get(ADMIN, "agent", agent["id"])["alive"] is alive
    world.plugin.node_heartbeat("host:h1")
    assert world.plugin.get(ADMIN, "agent", agent["id"])["alive"] is True
    world.plugin.node_lost("host:h1")
    world.plugin.node_lost("host:h1")
    assert world.plugin.get(ADMIN, "agent", agent["id"])["alive"] is False
    world.plugin.node_seen(host_facts(1))
    assert world.plugin.get(ADMIN, "agent", agent["id"])["alive"] is True


def test_a_switch_is_alive_while_the_controller_says_so(world: World) -> None:
    world.plugin.node_seen(switch_facts(1))
    (agent,) = world.plugin.list(ADMIN, "agent", Query())
    world.clock.forward(31)
    assert world.plugin.get(ADMIN, "agent", agent["id"])["alive"] is False
    world.plugin.node_heartbeats(["switch:0000000000000001"])
    assert world.plugin.get(ADMIN, "agent", agent["id"])["alive"] is True


def test_agents_are_changed_and_forgotten(world: World) -> None:
    world.plugin.node_seen(host_facts(1))
    (agent,) = world.plugin.list(ADMIN, "agent", Query())
    port = world.port(world.network(), "h1")
    changed = world.plugin.update(ADMIN, "agent", agent["id"], {"admin_state_up": False, "description": "old"})
    assert (changed["admin_state_up"], changed["description"]) == (False, "old")
    before = world.feed.latest()
    assert world.plugin.update(ADMIN, "agent", agent["id"], {"admin_state_up": False, "description": "old"}) == changed
    assert world.feed.latest() == before
    world.plugin.update(ADMIN, "agent", agent["id"], {"description": "older"})
    assert world.feed.since(before) == [], "no plan depends on words about a node"
    assert world.feed.load().nodes["host:h1"].admin_state_up is False
    refused = world.port(world.network(), "h1")
    assert "administratively down" in refused["status_reason"]
    assert bound(world, port)[0] == "host:h1"
    world.plugin.update(ADMIN, "agent", agent["id"], {"admin_state_up": True})
    assert bound(world, refused)[0] == "host:h1"
    with pytest.raises(AgentInUse, match="alive"):
        world.plugin.delete(ADMIN, "agent", agent["id"])
    world.plugin.node_lost("host:h1")
    with pytest.raises(AgentInUse, match="2 ports are bound"):
        world.plugin.delete(ADMIN, "agent", agent["id"])
    world.delete("port", port)
    world.delete("port", refused)
    world.plugin.delete(ADMIN, "agent", agent["id"])
    assert world.feed.load().nodes == {}


def test_kinds_are_kept(world: World) -> None:
    assert world.plugin.node_seen(switch_facts(3)).kind is NodeKind.SWITCH
    assert isinstance(world.model(world.port(world.network())), Port)


def test_who_was_away_long_before_the_others_were_heard_last(world: World) -> None:
    for number in (1, 2, 3):
        world.plugin.node_seen(switch_facts(number))
    world.plugin.node_lost("switch:0000000000000001")
    assert world.plugin.long_away() == frozenset()
    world.clock.forward(61)
    world.plugin.node_heartbeats(["switch:0000000000000002"])
    assert world.plugin.long_away() == {"switch:0000000000000001"}
    world.plugin.node_lost("switch:0000000000000002")
    assert world.plugin.long_away() == {"switch:0000000000000001"}
