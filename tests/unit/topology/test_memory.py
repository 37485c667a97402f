"""After a restart of the controller what is in use stays in use."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legacy_agent.announce import announcement
from tests.unit.topology.cabling import KEY, Cabling, end, ring
from topology.discovery import Pace
from topology.fabric import Topology
from topology.links import End, Link, PortState, Role, link
from topology.memory import NOTHING, Memory, from_json, to_json
from topology.view import Tree

ends = st.builds(end, st.integers(1, 2**64 - 1), st.integers(1, 2**32 - 1))
links = st.frozensets(st.builds(link, ends, ends), max_size=4)
memories = st.builds(
    Memory,
    links,
    st.dictionaries(st.text(), st.builds(Tree, links, st.frozensets(ends, max_size=3)), max_size=2),
    st.dictionaries(st.tuples(st.text(), st.text()), ends, max_size=3),
)


@given(memories)
def test_what_is_stored_is_read_again(memory: Memory) -> None:
    assert from_json(to_json(memory)) == memory


@pytest.mark.parametrize(
    "stored", [None, [], 7, {}, {"version": 2}, {"version": 1, "links": 3, "trees": {}, "places": []},
               {"version": 1, "links": [[["x", 1], ["2", 1]]], "trees": {}, "places": []},
               {"version": 1, "links": [], "trees": [], "places": []}]
)  # fmt: skip
def test_what_cannot_be_read_is_nothing(stored: object) -> None:
    assert from_json(stored) == NOTHING


def restarted(bed: Cabling, memory: Memory | None) -> Cabling:
    """The same switches and cables, and a controller that knows only what it has remembered."""
    assert memory is not None
    bed.topology = Topology(KEY, Pace(), {"physnet1": (0, 4094)}, bed.events)
    bed.topology.recall(from_json(to_json(memory)))
    return bed


def begin(bed: Cabling, seconds: float) -> None:
    """Let time pass while nobody has a program from the new controller."""
    until = bed.now + seconds
    while bed.now < until:
        for probe in bed.topology.turn(bed.now, None)[0]:
            receiver = bed.cables.get(probe.end)
            if receiver is not None:
                bed.topology.frame(receiver, probe.frame, bed.now)
        bed.now += 0.05


def views(bed: Cabling) -> dict[str, object]:
    return {node_id: bed.topology.view(node_id) for node_id in bed.ports}


def world() -> Cabling:
    """A ring with two uplinks and a host. One cable and one uplink failed for a while: others are in use since."""
    bed = ring(6)
    for number in (2, 5):
        bed.port(end(number, 9), Role.UPLINK, "physnet1")
    bed.port(end(4, 7), Role.FREE)
    bed.connect()
    bed.run(1)
    bed.topology.host("host:lb1", "lb1", {"physnet1": "eth1"}, b"host key", bed.now)
    bed.topology.frame(end(4, 7), announcement("lb1", "eth1", bytes(6), 5, b"host key"), bed.now)
    for where in (sorted(bed.topology.trees["physnet1"].links)[0].a, end(2, 9)):
        for up in (False, True):
            bed.topology.port(where, up, bed.now)
            bed.run(2)
    return bed


def test_every_view_is_what_it_was() -> None:
    bed = world()
    before, fresh = views(bed), ring(6)
    assert end(5, 9) in bed.topology.trees["physnet1"].uplinks, "the first uplink would be another"
    fresh.connect()
    fresh.run(1)
    assert fresh.topology.trees["physnet1"].links != bed.topology.trees["physnet1"].links
    again = restarted(bed, bed.topology.memory)
    again.topology.host("host:lb1", "lb1", {"physnet1": "eth1"}, b"", again.now)
    assert again.topology.uplinks_before(end(5, 1).node_id) == {"physnet1": 9}
    assert again.topology.uplinks_before(end(4, 1).node_id) == {}, "there is a host, and no uplink"
    assert again.topology.memory is None
    again.connect()
    assert again.topology.awaits_links()
    begin(again, 1)
    assert not again.topology.awaits_links()
    assert again.run(1) == set()
    assert views(again) == before
    assert again.topology.memory is not None


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_whatever_happened_before_a_restart_changes_nothing(data: st.DataObject) -> None:
    """Any cabling and any failures that are over or not: every switch has the view that it had."""
    count = data.draw(st.integers(2, 6))
    switch = st.integers(1, count)
    pairs = st.tuples(switch, switch).filter(lambda pair: pair[0] != pair[1])
    bed = Cabling()
    for place, (one, other) in enumerate(data.draw(st.lists(pairs, max_size=8))):
        bed.cable(end(one, 10 + place), end(other, 30 + place))
    uplinks = [end(number, 9) for number in sorted(data.draw(st.sets(switch, max_size=3)))]
    for where in uplinks:
        bed.port(where, Role.UPLINK, "physnet1")
    bed.connect()
    bed.run(1)
    breakable = [*uplinks, *sorted(bed.cables)]
    for where in data.draw(st.lists(st.sampled_from(breakable), max_size=5)) if breakable else ():
        for each in (where, bed.cables.get(where, where)):
            state = bed.ports[each.node_id][each.port]
            bed.ports[each.node_id][each.port] = PortState(not state.up, state.role)
            bed.topology.port(each, not state.up, bed.now)
        bed.run(12)
    before = views(bed)
    again = restarted(bed, bed.topology.memory)
    again.connect()
    begin(again, 1)
    assert not again.topology.awaits_links()
    assert again.run(1) == set()
    assert views(again) == before


def test_what_failed_meanwhile_is_not_waited_for() -> None:
    bed = world()
    memory = bed.topology.memory
    bed.ports[end(1, 1).node_id][1] = PortState(False)
    del bed.ports[end(3, 1).node_id][1]
    again = restarted(bed, memory)
    again.connect()
    begin(again, 1)
    assert not again.topology.awaits_links()
    assert len(again.links) == 4


def test_a_cable_that_was_moved_meanwhile_is_found_where_it_is() -> None:
    bed = world()
    memory = bed.topology.memory
    bed.ports[end(6, 1).node_id][3] = PortState(True)
    bed.cable(end(1, 1), end(6, 3))
    again = restarted(bed, memory)
    again.connect()
    begin(again, 1)
    assert not again.topology.awaits_links()
    again.run(1)
    assert again.links == again.cabled


def test_a_silent_cable_is_waited_for_as_long_as_it_may_come() -> None:
    bed = world()
    gone = end(1, 1)
    memory = bed.topology.memory
    del bed.cables[bed.cables.pop(gone)]
    again = restarted(bed, memory)
    again.connect()
    begin(again, 5)
    assert again.topology.awaits_links()
    again.run(1)
    assert len(again.links) == 5


def test_trees_stay_a_forest_whatever_was_remembered() -> None:
    """A memory that cannot be true any more, even one with a loop, is a wish and not an order."""
    bed = ring(4)
    everything = frozenset(link(one, other) for one, other in bed.cables.items())
    strange = Memory(everything | {Link(end(8, 1), end(9, 1))}, {"physnet1": Tree(everything, frozenset({end(7, 1)}))},
                     {("lb1", "eth1"): End(end(1, 1).node_id, 1)})  # fmt: skip
    again = restarted(bed, strange)
    again.connect()
    begin(again, 1)
    again.run(1)
    tree = again.topology.trees["physnet1"]
    assert (len(tree.links), tree.uplinks) == (3, frozenset())
