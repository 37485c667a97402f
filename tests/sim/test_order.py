"""Switches take their new programs one after the other, in any order: what happens in between?

After every single program, all broadcast and unicast of all ports: broadcast never loops, nothing is heard twice,
nothing by others. Unicast does not loop either as long as everything stays where it was. Where a destination moves
(the way out of the fabric becomes another, or a part is cut off and may be behind the cloud now) a frame to it may go
in circles until the last switch on the circle has its program; it is one frame all the time.

Where cables are put back nothing is lost: whoever talked goes on talking after every single program, as long as
everything stays where it was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import permutations

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model import Port
from tests.sim.cabled import PHYSNET, UPLINK_PORT, Cabled, Loop, peers
from tests.sim.test_fabric import check, of_graph
from tests.sim.test_traffic import datagram
from tests.support.scenarios import make_network
from tests.unit.topology.cabling import STEP, end
from topology.fabric import HANDOVER
from topology.links import End

STEPS = round(2 * HANDOVER / STEP) + 8
"""Turns in which everything is asked that follows from an event: two handovers and some waves."""


def events(world: Cabled, cable: End) -> Iterator[set[str]]:
    """Pull a cable, or put it back: turn by turn the switches that shall follow, as the controller would ask them."""
    if cable not in world.cut:
        yield world.fail(cable)
    else:
        yield plug_in(world, [cable])
    for _ in range(STEPS):
        yield world.bed.run(STEP)


def plug_in(world: Cabled, cables: Collection[End]) -> set[str]:
    """Both ends' ports of these cables come up (an uplink has one); returns the switches whose view changed."""
    changed: set[str] = set()
    for each in [port for cable in cables for port in (cable, world.bed.cables.get(cable)) if port is not None]:
        world.cut.discard(each)
        world.running[each.node_id].set_live(each.port, True)
        state = world.bed.ports[each.node_id][each.port]
        world.bed.ports[each.node_id][each.port] = replace(state, up=True)
        changed |= world.bed.topology.port(each, True, world.bed.now)
    return changed


def where(world: Cabled) -> tuple[object, ...]:
    """What decides where destinations are: ways out that are in use, and who reaches whom by links."""
    topology = world.bed.topology
    exits = {name: tree.uplinks for name, tree in topology.trees.items()}
    return exits, {topology.view(node_id).members for node_id in world.running}


def check_between(world: Cabled, moved: bool) -> None:
    """No loop, nothing twice, nothing to strangers."""
    for port in world.state.ports.values():
        mates = {other.id for other in world.state.ports.values() if other.network_id == port.network_id}
        packets = [datagram(port), *(datagram(port, world.state.ports[mate]) for mate in mates - {port.id})]
        for packet in packets:
            try:
                heard = world.send(port, packet)
            except Loop:
                assert moved, "unicast loops though nothing has moved"
                assert packet is not packets[0], "broadcast loops"
                continue
            assert set(heard) <= mates
            assert len(heard) == len(set(heard))


@pytest.mark.parametrize("size", [3, 4])
def test_every_graph_every_cable_every_order(size: int) -> None:
    for graph in (graph for graph in nx.graph_atlas_g() if len(graph) == size and nx.is_connected(graph)):
        orders = list(permutations(end(number, 1).node_id for number in range(1, size + 1)))
        for order in orders[:: 1 if size == 3 else 7]:
            world = of_graph(graph)
            for cable in world.links()[:3]:
                for _ in ("pulled", "put back"):
                    before = where(world)
                    for changed in events(world, cable):
                        for node_id in sorted(changed, key=order.index):
                            world.install([node_id])
                            check_between(world, moved=before != where(world))
            check(world)


@given(data=st.data())
def test_any_cabling_any_events_any_order(data: st.DataObject) -> None:
    count = data.draw(st.integers(3, 6))
    switch = st.integers(1, count)
    pairs = st.tuples(switch, switch).filter(lambda pair: pair[0] != pair[1])
    cables = data.draw(st.lists(pairs, min_size=count - 1, max_size=8))
    uplinks = data.draw(st.sets(switch, max_size=3))
    cabled = data.draw(st.dictionaries(st.integers(30, 31), switch, max_size=1))
    world = Cabled(range(1, count + 1), cables, uplinks=uplinks, hosts=(20,), cabled_hosts=cabled)
    breakable = [*world.links(), *(end(number, UPLINK_PORT) for number in sorted(uplinks))]
    for cable in data.draw(st.lists(st.sampled_from(breakable), max_size=2)):
        before = where(world)
        for changed in events(world, cable):
            for node_id in data.draw(st.permutations(sorted(changed))):
                world.install([node_id])
                check_between(world, moved=before != where(world))
    check(world)


def put_back(world: Cabled, cables: Collection[End]) -> Iterator[set[str]]:
    """Put cables back, all at once: turn by turn the switches that shall follow."""
    yield plug_in(world, cables)
    for _ in range(STEPS + 6 * len(cables)):
        yield world.bed.run(STEP)


def talking(world: Cabled) -> list[tuple[Port, Port]]:
    """The pairs that shall reach each other as the world is now."""
    parts = world.parts()
    return [(port, other) for port in world.state.ports.values() for other in peers(world, parts, port).values()]


def check_still(world: Cabled, pairs: Collection[tuple[Port, Port]]) -> None:
    """Nobody who talked is cut off, and nobody hears anything twice."""
    for port, other in pairs:
        assert world.send(port, datagram(port, other)) == [other.id]


NETWORK = make_network(1, ("vlan", PHYSNET, 100))


@pytest.mark.parametrize("size", [3, 4, 5])
def test_a_cable_that_is_put_back_costs_nothing(size: int) -> None:
    """The waves' order; within a wave the last comes first."""
    for graph in (graph for graph in nx.graph_atlas_g() if len(graph) == size and nx.is_connected(graph)):
        world = of_graph(graph, networks=(NETWORK,))
        for cable in world.links():
            world.install(world.fail(cable) | world.bed.run(1.0))
            pairs = talking(world)
            for changed in put_back(world, [cable]):
                for node_id in sorted(changed, reverse=True):
                    world.install([node_id])
                    check_still(world, pairs)
        check(world)


@given(data=st.data())
def test_several_cables_put_back_at_once_cost_nothing(data: st.DataObject) -> None:
    count = data.draw(st.integers(3, 7))
    switch = st.integers(1, count)
    pair = st.tuples(switch, switch).filter(lambda pair: pair[0] != pair[1])
    cables = [(number, number + 1) for number in range(1, count)] + data.draw(st.lists(pair, min_size=1, max_size=5))
    world = Cabled(range(1, count + 1), cables, networks=(NETWORK,))
    pulled = data.draw(st.lists(st.sampled_from(world.links()), min_size=1, max_size=4, unique=True))
    for cable in pulled:
        world.install(world.fail(cable))
    world.install(world.bed.run(1.0))
    pairs = talking(world)
    for changed in put_back(world, pulled):
        for node_id in data.draw(st.permutations(sorted(changed))):
            world.install([node_id])
            check_still(world, pairs)
    check(world)
    newest = {node_id: world.bed.topology.view(node_id) for node_id in world.running}
    assert world.bed.run(2.0) == set(), "not everybody had the last word"
    assert newest == {node_id: world.bed.topology.view(node_id) for node_id in world.running}
