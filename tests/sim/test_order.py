"""Switches take their new programs one after the other, in any order: what happens in between?

After every single program, all broadcast and unicast of all ports: nothing loops, nothing is heard twice, nothing by
others. What is lost meanwhile is bounded: only unicast whose way changes, and broadcast beyond a part of the tree that
changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sim.cabled import UPLINK_PORT, Cabled
from tests.sim.test_fabric import check, check_meanwhile, of_graph
from tests.unit.topology.cabling import STEP, end
from topology.fabric import HANDOVER
from topology.links import End

STEPS = round(2 * HANDOVER / STEP)


def events(world: Cabled, cable: End) -> Iterator[set[str]]:
    """Pull a cable, or put it back: turn by turn the switches that shall follow, as the controller would ask them."""
    if cable not in world.cut:
        yield world.fail(cable)
    else:
        changed: set[str] = set()
        for each in (cable, world.bed.cables[cable]) if cable in world.bed.cables else (cable,):
            world.cut.discard(each)
            world.running[each.node_id].set_live(each.port, True)
            state = world.bed.ports[each.node_id][each.port]
            world.bed.ports[each.node_id][each.port] = replace(state, up=True)
            changed |= world.bed.topology.port(each, True, world.bed.now)
        yield changed
    for _ in range(STEPS):
        yield world.bed.run(STEP)


@pytest.mark.parametrize("size", [3, 4])
def test_every_graph_every_cable_every_order(size: int) -> None:
    for graph in (graph for graph in nx.graph_atlas_g() if len(graph) == size and nx.is_connected(graph)):
        orders = list(permutations(end(number, 1).node_id for number in range(1, size + 1)))
        for order in orders[:: 1 if size == 3 else 5]:
            world = of_graph(graph)
            for cable in world.links()[:3]:
                for _ in ("pulled", "put back"):
                    for changed in events(world, cable):
                        for node_id in sorted(changed, key=order.index):
                            world.install([node_id])
                            check_meanwhile(world)
            check(world)


@given(data=st.data())
def test_any_cabling_any_events_any_order(data: st.DataObject) -> None:
    count = data.draw(st.integers(3, 6))
    switch = st.integers(1, count)
    pairs = st.tuples(switch, switch).filter(lambda pair: pair[0] != pair[1])
    cables = data.draw(st.lists(pairs, min_size=count - 1, max_size=9))
    uplinks = data.draw(st.sets(switch, max_size=3))
    cabled = data.draw(st.dictionaries(st.integers(30, 31), switch, max_size=1))
    world = Cabled(range(1, count + 1), cables, uplinks=uplinks, hosts=(20,), cabled_hosts=cabled)
    breakable = [*world.links(), *(end(number, UPLINK_PORT) for number in sorted(uplinks))]
    for cable in data.draw(st.lists(st.sampled_from(breakable), max_size=3)):
        for changed in events(world, cable):
            for node_id in data.draw(st.permutations(sorted(changed))):
                world.install([node_id])
                check_meanwhile(world)
    check(world)
