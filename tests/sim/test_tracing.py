"""A trace tells what happens: its receivers are those of the simulated data centre, which executes the same plans in
its own way."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neutron_lib.exceptions import InvalidInput

from controller.dataplane.packet import Packet, arp_request
from controller.model import AddressPair, Port
from controller.tracing.frame import PROTOCOLS, Wanted, frame_of
from controller.tracing.site import Seen, Site, Unseen
from controller.tracing.walk import trace
from mechanisms.manager import MechanismManager
from tests.sim.cabled import Cabled
from tests.sim.fabric import Fabric
from tests.sim.test_fabric import THOROUGH, of_graph
from tests.sim.test_traffic import datagram, forgeries
from tests.sim.world import bound, fabric_of, on_switch, talk
from tests.support.scenarios import (
    State,
    host_node,
    intent_of,
    make_network,
    make_port,
    observe,
    states,
    switch_node,
)
from topology.links import End

some = settings(max_examples=60, deadline=None)
many = settings(max_examples=200, deadline=None)


def site_of(state: State, learned: bool = False) -> Site:
    """What a trace sees of a state in which every bound port is plugged in."""
    manager = MechanismManager.load(["openflow", "linuxbridge", "openvswitch"])
    intent = intent_of(state)

    def look(node_id: str) -> Seen:
        node = state.nodes[node_id]
        seen = observe(node, state.ports)
        return Seen(node, manager.compile(intent, node, seen), seen)

    return Site(intent, look, learned=learned)


def site_of_cabled(world: Cabled, learned: bool = False) -> Site:
    """What a trace sees of cabled switches."""

    def look(node_id: str) -> Seen:
        node = world.state.nodes[node_id]
        return Seen(node, world.plan(node), world.observation(node))

    down: dict[str, frozenset[int]] = {}
    for each in world.cut:
        down[each.node_id] = down.get(each.node_id, frozenset()) | {each.port}
    return Site(world.intent, look, replace(world.bed.topology.cabling(), down=down), learned=learned)


def receivers(found: dict[str, Any]) -> list[str]:
    """The ports that a trace names, the asker among them where it is answered."""
    assert not found["not_followed"]
    return sorted(found["received"] + [found["port"]] * (found["outcome"] == "answered"))


def sent(fabric: Fabric, port: Port, packet: Packet) -> list[str]:
    assert port.binding is not None
    return sorted(item.port_id for item in fabric.send(port.binding.node_id, port.id, packet))


@some
@given(state=states(), data=st.data())
def test_receivers_are_those_of_the_simulation(state: State, data: st.DataObject) -> None:
    """Unicast between any two ports, forgeries, broadcast, ARP; hubs in the place of physical networks."""
    ports = list(bound(state))
    if not ports:
        return
    fabric, site = fabric_of(state), site_of(state)
    places = data.draw(st.sets(st.integers(0, len(ports) - 1), min_size=1, max_size=3))
    senders = [ports[place] for place in sorted(places)]
    for sender in senders:
        for target in ports:
            if target is sender:
                continue
            unicast = datagram(sender, target)
            found = trace(site, sender, target, unicast)
            assert receivers(found) == sent(fabric, sender, unicast)
            assert (found["outcome"] == "delivered") == talk(state, sender, target)
            assert found["outcome"] == "delivered" or "would not get it" in found["result"]
            asked = arp_request(sender.mac_address, sender.fixed_ips[0], target.fixed_ips[0])
            assert receivers(trace(site, sender, target, asked)) == sent(fabric, sender, asked)
        for packet in (datagram(sender), *forgeries(sender)):
            assert receivers(trace(site, sender, None, packet)) == sent(fabric, sender, packet)


@some
@given(state=states())
def test_where_addresses_are_known_unicast_goes_to_its_port_alone(state: State) -> None:
    site = site_of(state, learned=True)
    for sender in bound(state):
        for target in bound(state):
            if target is not sender and talk(state, sender, target):
                found = trace(site, sender, target, datagram(sender, target))
                assert found["received"] == [target.id]
                nodes = {hop["node"] for hop in found["hops"]}
                assert nodes <= {port.binding.node_id for port in (sender, target) if port.binding}


WORDS = {
    "eth_src": ("fa:16:3e:00:00:01", "00:00:5e:00:01:01"),
    "eth_dst": ("ff:ff:ff:ff:ff:ff", "01:80:c2:00:00:0e", "fa:16:3e:00:00:02", "fa:16:3e:99:99:99"),
    "ip_src": ("10.0.0.1", "0.0.0.0", "::", "2001:db8::1", "172.16.0.9"),
    "ip_dst": ("10.0.0.2", "2001:db8::2", "ff02::1"),
    "protocol": PROTOCOLS,
    "src_port": ("0", "67", "546"),
    "dst_port": ("68", "65535"),
    "vlan": ("1", "100"),
}


@some
@given(
    state=states(),
    given_=st.fixed_dictionaries({}, optional={name: st.sampled_from(words) for name, words in WORDS.items()}),
    to_anybody=st.booleans(),
)
def test_any_frame_that_can_be_has_an_end(state: State, given_: dict[str, str], to_anybody: bool) -> None:
    """From any port, bound or not; what cannot be is refused with a word."""
    site, ports = site_of(state), list(state.ports.values())
    fabric = fabric_of(state)
    for sender, target in itertools.pairwise(ports):
        try:
            packet = frame_of(Wanted.of(given_), sender, None if to_anybody else target)
        except InvalidInput:
            continue
        found = trace(site, sender, None if to_anybody else target, packet)
        assert found["outcome"] in ("delivered", "answered", "lost")
        assert found["result"]
        assert all(hop["leaves"] or hop["ended"] for hop in found["hops"])
        if sender.binding is not None and on_switch(state, sender):
            assert receivers(found) == sent(fabric, sender, packet)


@many
@given(given_=st.fixed_dictionaries({}, optional={name: st.sampled_from(words) for name, words in WORDS.items()}),
       secured=st.booleans(), service=st.booleans(), paired=st.booleans())  # fmt: skip
def test_a_switch_and_a_host_let_a_port_send_the_same(
    given_: dict[str, str], secured: bool, service: bool, paired: bool
) -> None:
    """The flows of port security and the guard of the agent, each as traced."""
    network, switch, other = (
        make_network(1, ("vlan", "physnet1", 100), arp_responder=False),
        switch_node(1),
        host_node(2),
    )
    outcomes = []
    for home in (switch, other):
        sender = make_port(
            network, 1, home, port_security_enabled=secured, device_owner="network:dhcp" if service else "",
            allowed_address_pairs=(AddressPair("172.16.0.0/24", "00:00:5e:00:01:01"),) if paired else (),
        )  # fmt: skip
        target = make_port(network, 2, switch_node(3))
        nodes = {node.id: node for node in (switch, other, switch_node(3))}
        state = State({network.id: network}, nodes, {port.id: port for port in (sender, target)})
        try:
            packet = frame_of(Wanted.of(given_), sender, target)
        except InvalidInput:
            return
        found = trace(site_of(state), sender, target, packet)
        outcomes.append((found["outcome"], len(found["hops"]) == 1))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("size", range(2, 5 if THOROUGH else 4))
def test_cabled_switches_with_a_cloud_and_hosts(size: int) -> None:
    for graph in [graph for graph in nx.graph_atlas_g() if len(graph) == size and nx.is_connected(graph)]:
        world = of_graph(graph, uplinks=(1, size), hosts=(20,), cabled_hosts={30: 1, 31: size, 32: size})
        check(world)
        for cable in world.links()[:3]:
            changed = world.fail(cable)
            world.install(changed | world.bed.run(1.0))
            check(world)
            world.install(world.mend(cable))


def check(world: Cabled) -> None:
    """The matrix of the first network, and a broadcast of each of its ports."""
    hubs, learned = site_of_cabled(world), site_of_cabled(world, learned=True)
    ports = [port for port in world.state.ports.values() if port.network_id == world.networks[0].id]
    for sender in ports:
        packet = datagram(sender)
        assert receivers(trace(hubs, sender, None, packet)) == world.send(sender, packet)
        for target in ports:
            if target is not sender:
                packet = datagram(sender, target)
                expected = world.send(sender, packet)
                assert receivers(trace(hubs, sender, target, packet)) == expected
                alone = [target.id] if target.id in expected else []
                assert trace(learned, sender, target, packet)["received"] == alone


def test_a_link_that_is_down_is_named() -> None:
    """The controller has not heard of it yet: the plans are the old ones."""
    world = Cabled([1, 2], [(1, 2)])
    one, other = (port for port in world.state.ports.values() if port.network_id == world.networks[0].id)
    site = site_of_cabled(world)
    cable = End("switch:0000000000000001", 1)
    site = replace(site, cabling=replace(site.cabling, down={cable.node_id: frozenset({1})}))
    found = trace(site, one, other, datagram(one, other))
    assert found["outcome"] == "lost"
    assert "port 1, which is down" in found["result"]


def test_plans_that_go_in_circles_end_with_a_word() -> None:
    """The cable from the middle of three switches to the last one leads back into the middle."""
    world = Cabled([1, 2, 3], [(1, 2), (2, 3)])
    one, *_, other = (port for port in world.state.ports.values() if port.network_id == world.networks[0].id)
    site = site_of_cabled(world)
    links = dict(site.cabling.links)
    links[End("switch:0000000000000002", 2)] = End("switch:0000000000000002", 1)
    found = trace(replace(site, cabling=replace(site.cabling, links=links)), one, other, datagram(one, other))
    assert found["outcome"] == "lost"
    assert "it was here before, at step 2: there is a loop" in found["result"]
    assert len(found["hops"]) == 3


def test_a_node_that_cannot_be_looked_at_is_where_it_ends() -> None:
    world = Cabled([1, 2], [(1, 2)])
    one, other = (port for port in world.state.ports.values() if port.network_id == world.networks[0].id)
    site = site_of_cabled(world)

    def look(node_id: str) -> Seen:
        if node_id.endswith("2"):
            raise Unseen(f"{node_id} is not connected")
        return site.look(node_id)

    found = trace(replace(site, look=look), one, other, datagram(one, other))
    assert found["outcome"] == "lost"
    assert found["result"].endswith("ends at switch:0000000000000002: switch:0000000000000002 is not connected")
    assert on_switch(world.state, one)
