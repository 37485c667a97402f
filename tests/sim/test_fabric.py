"""Whatever the cabling: who is connected talks, once, and nobody else hears it; after every failure too."""

from __future__ import annotations

import os
from itertools import combinations

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.dataplane.values import GroupType, Program
from controller.intent import Change
from controller.model import Port
from tests.sim.cabled import UPLINK_PORT, Cabled, peers
from tests.sim.test_traffic import datagram
from tests.unit.topology.cabling import end
from topology.links import End

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
LARGEST = 7 if THOROUGH else 5
"""Switches of the atlas graphs that are tried."""

ATLAS = [graph for graph in nx.graph_atlas_g()
         if 2 <= len(graph) <= LARGEST and nx.is_connected(graph)]  # fmt: skip


def check(world: Cabled, senders: list[Port] | None = None) -> None:
    """The full matrix: unicast of every pair of a network and broadcast of every port."""
    parts = world.parts()
    for port in senders or list(world.state.ports.values()):
        wanted = peers(world, parts, port)
        assert world.send(port, datagram(port)) == sorted(wanted)
        assert all(count == 1 for count in world.crossed.values()), "a broadcast crossed a link twice"
        for other in wanted.values():
            assert world.send(port, datagram(port, other)).count(other.id) == 1


def check_meanwhile(world: Cabled) -> None:
    """While programs are the old ones: no loop, nothing twice, nothing to strangers."""
    for port in world.state.ports.values():
        mates = {other.id for other in world.state.ports.values() if other.network_id == port.network_id}
        for packet in (datagram(port), *(datagram(port, world.state.ports[mate]) for mate in mates - {port.id})):
            heard = world.send(port, packet)
            assert set(heard) <= mates
            assert len(heard) == len(set(heard))


def of_graph(graph: nx.Graph, **details: object) -> Cabled:  # type: ignore[type-arg]
    return Cabled([node + 1 for node in graph], [(a + 1, b + 1) for a, b in graph.edges], **details)  # type: ignore[arg-type]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("share", range(8 if THOROUGH else 1))
@pytest.mark.parametrize("size", range(2, LARGEST + 1))
def test_atlas_every_graph_and_every_single_failure(size: int, share: int) -> None:
    for graph in [graph for graph in ATLAS if len(graph) == size][share :: 8 if THOROUGH else 1]:
        world = of_graph(graph)
        check(world)
        for cable in world.links():
            changed = world.fail(cable)
            check_meanwhile(world)
            world.install(changed)
            check(world)
            world.install(world.mend(cable))
        check(world)


@pytest.mark.parametrize("size", range(2, 5))
def test_atlas_with_a_cloud_behind_two_switches(size: int) -> None:
    for graph in (graph for graph in ATLAS if len(graph) == size):
        for uplinks in combinations(range(1, size + 1), 2):
            world = of_graph(graph, uplinks=uplinks, hosts=(20, 21))
            check(world)
            for cable in [*world.links(), *(end(number, UPLINK_PORT) for number in uplinks)]:
                changed = world.fail(cable)
                check_meanwhile(world)
                world.install(changed | world.bed.run(1.0))
                check(world)
                world.install(world.mend(cable))
            check(world)


@pytest.mark.parametrize("size", range(1, 5))
def test_legacy_hosts_cabled_to_switches_and_a_cloud_besides(size: int) -> None:
    """Each host is a leaf of its own; the cloud is entered by one uplink only."""
    for graph in (graph for graph in nx.graph_atlas_g() if len(graph) == size and nx.is_connected(graph)):
        world = of_graph(graph, uplinks=(1, size), hosts=(20,), cabled_hosts={30: 1, 31: size, 32: size})
        check(world)
        for cable in [*world.links(), end(1, UPLINK_PORT), world._socket(31)]:
            changed = world.fail(cable)
            check_meanwhile(world)
            world.install(changed | world.bed.run(1.0))
            check(world)
            world.install(world.mend(cable))
        check(world)


def test_frames_to_a_cabled_host_go_there_and_nowhere_else() -> None:
    world = Cabled([1, 2, 3], [(1, 2), (2, 3)], cabled_hosts={30: 1, 31: 3})
    hosted = {port.binding.node_id: port for port in world.state.ports.values()
              if port.binding and port.network_id == world.networks[0].id}  # fmt: skip
    one, other = hosted["host:lb30"], hosted["host:lb31"]
    assert world.send(one, datagram(one, other)) == [other.id]
    assert sum(world.crossed.values()) == 3


def test_hosts_talk_through_switches_that_have_no_port_of_the_network() -> None:
    world = Cabled([1, 2], [(1, 2)], cabled_hosts={30: 1, 31: 2})
    world.intent.apply(Change.of(2, ports={port.id: None for port in world.state.ports.values()
                                 if port.binding and port.binding.node_id.startswith("switch:")}))  # fmt: skip
    world.install()
    legacy = [port for port in world.state.ports.values() if port.binding and port.binding.node_id.startswith("host:")]
    for one in legacy:
        for other in legacy:
            if one is not other:
                assert (other.id in world.send(one, datagram(one, other))) == (one.network_id == other.network_id)


@given(data=st.data())
def test_any_cabling_and_any_sequence_of_failures(data: st.DataObject) -> None:
    """Parallel cables, islands, clouds: after each event only the switches whose view changed get a new program."""
    count = data.draw(st.integers(1, 6))
    switch = st.integers(1, count)
    cables = data.draw(st.lists(st.tuples(switch, switch).filter(lambda pair: pair[0] != pair[1]), max_size=9))
    uplinks = data.draw(st.sets(switch, max_size=3))
    cabled = data.draw(st.dictionaries(st.integers(30, 32), switch, max_size=2))
    world = Cabled(range(1, count + 1), cables, uplinks=uplinks, hosts=(20,), cabled_hosts=cabled)
    check(world)
    breakable = [*world.links(), *(end(number, UPLINK_PORT) for number in sorted(uplinks))]
    if not breakable:
        return
    for cable in data.draw(st.lists(st.sampled_from(breakable), max_size=6)):
        changed = world.mend(cable) if cable in world.cut else world.fail(cable) | world.bed.run(1.0)
        world.install(changed)
        check(world)
        assert_full_recompute_is_the_same(world)


def assert_full_recompute_is_the_same(world: Cabled) -> None:
    """What is installed is what a recompute from the same trees gives."""
    for node_id, running in world.running.items():
        plan = world.plan(world.state.nodes[node_id])
        assert isinstance(plan, Program)
        assert {group.id: group for group in plan.groups()} == {
            group.id: running.group(group.id) for group in plan.groups()
        }


def test_two_equal_ways_are_a_fast_failover_group_and_lose_nothing() -> None:
    """In a square with both diagonals every pair has a way around; the switch itself takes it."""
    world = Cabled([1, 2, 3, 4], [(1, 2), (2, 3), (3, 4), (4, 1), (1, 3), (2, 4)])
    plan = world.plan(world.state.nodes[end(1, 1).node_id])
    assert isinstance(plan, Program)
    kinds = [group.type for group in plan.groups() if group.id >> 28 == 4]
    assert kinds == [GroupType.FAST_FAILOVER] * 3
    for cable in world.links():
        world.fail(cable)
        for port in world.state.ports.values():
            for other in peers(world, world.parts(), port).values():
                assert world.send(port, datagram(port, other)) == [other.id]
        world.install(world.mend(cable))


def test_destinations_are_spread_over_equal_ways() -> None:
    """A leaf with four spines uses all of them."""
    leaves, spines = range(1, 17), range(21, 25)
    world = Cabled([*leaves, *spines], [(leaf, spine) for leaf in leaves for spine in spines])
    hops = world.bed.topology.view(end(1, 1).node_id).next_hops
    assert {hops[end(leaf, 1).node_id][0] for leaf in leaves if leaf != 1} == {1, 2, 3, 4}


def test_a_switch_alone_has_the_program_it_had_without_fabric() -> None:
    """But for the flow that brings LLDP to the controller."""
    world = Cabled([1], [], uplinks=[1], hosts=(20,))
    node = world.state.nodes[end(1, 1).node_id]
    seen = world.observation(node)
    with_fabric = world.plan(node)
    without = world.manager.compile(world.intent, node, type(seen)(node.id, seen.attachments, seen.uplinks))
    assert isinstance(with_fabric, Program)
    assert isinstance(without, Program)
    assert set(with_fabric.flows()) - set(without.flows()) == set(with_fabric.fragments[("lldp",)].flows)
    assert set(without.flows()) <= set(with_fabric.flows())
    assert set(with_fabric.groups()) == set(without.groups())


def test_only_the_switches_that_a_failure_touches_change() -> None:
    """In a long line of triangles a cable that is no tree link and no shortest way of others concerns few."""
    cables = [(number, number + 1) for number in range(1, 12)] + [(number, number + 2) for number in range(1, 11, 2)]
    world = Cabled(range(1, 13), cables)
    tree = world.bed.topology.trees["physnet1"].links
    spare = next(item for item in sorted(world.bed.topology.discovery.links) if item not in tree)
    before = world.bed.topology.paths.recomputed
    changed = world.fail(spare.a)
    assert world.bed.topology.paths.recomputed - before <= 22, "its end's distances to all others, and back"
    world.install(changed)
    check(world)
    assert End(*spare.a).node_id in changed


@pytest.mark.parametrize("spares", [(1,), (1, 3), (2,)])
@pytest.mark.parametrize("cables", [[], [(1, 2), (2, 3), (3, 1)]], ids=["alone", "linked"])
def test_a_second_port_into_the_cloud_waits_and_takes_over(
    cables: list[tuple[int, int]], spares: tuple[int, ...]
) -> None:
    """Two uplinks of one switch into one cloud: never a loop through it, whichever fails and comes back."""
    world = Cabled([1, 2, 3], cables, uplinks=(1, 2, 3), spares=spares, hosts=(20,))
    check(world)
    for where in world.entrances:
        for event in (world.fail, world.mend):
            changed = event(where)
            check_meanwhile(world)
            world.install(changed | world.elect(where.node_id) | {where.node_id} | world.bed.run(1.0))
            check(world)
