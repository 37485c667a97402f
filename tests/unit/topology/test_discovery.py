"""Links are found, kept, moved and lost as the cables are; nobody can make one up."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.topology.cabling import KEY, Cabling, end, ring
from topology import lldp
from topology.discovery import Pace
from topology.fabric import Options, Topology
from topology.links import PortState, Role


def test_ring_is_found_at_once() -> None:
    bed = ring(6)
    bed.connect()
    bed.run(0.2)
    assert bed.links == bed.cabled
    assert bed.events.totals["link-up"] == 6


def test_port_down_ends_the_link_at_once_and_up_brings_it_back() -> None:
    bed = ring(4)
    bed.connect()
    bed.run(1)
    assert bed.topology.port(end(1, 1), False, bed.now)
    assert len(bed.links) == 3
    bed.run(30)
    assert len(bed.links) == 3
    bed.topology.port(end(1, 1), True, bed.now)
    bed.run(0.2)
    assert bed.links == bed.cabled


def test_silent_failure_ends_by_age_and_one_way_is_no_link() -> None:
    bed = ring(4)
    bed.connect()
    bed.run(1)
    del bed.cables[end(1, 1)]
    bed.run(5)
    assert len(bed.links) == 4
    bed.run(5)
    assert len(bed.links) == 3
    assert bed.topology.discovery.one_way() == [(end(2, 2), end(1, 1))]


def test_moved_cable() -> None:
    bed = ring(3)
    bed.cable(end(4, 1), end(4, 2))
    bed.connect()
    bed.run(1)
    bed.cable(end(1, 1), end(4, 1))
    bed.run(3)
    assert frozenset((end(1, 1), end(4, 1))) in bed.links
    assert frozenset((end(1, 1), end(2, 2))) not in bed.links
    assert bed.events.totals["moved"] == 1


def test_lost_session_keeps_its_links_and_reconnecting_does_too() -> None:
    bed = ring(4)
    bed.connect()
    bed.run(1)
    assert bed.topology.switch_lost(end(1, 1).node_id, bed.now) == set()
    bed.run(60)
    assert bed.links == bed.cabled
    assert bed.connect() == set()
    bed.run(60)
    assert bed.links == bed.cabled
    assert bed.events.totals["link-down"] == 0
    assert (bed.events.totals["switch-down"], bed.events.totals["switch-up"]) == (1, 1)


@pytest.mark.parametrize("role", [Role.TENANT, Role.TUNNEL])
def test_bound_ports_get_no_probe(role: Role) -> None:
    bed = ring(3)
    bed.port(end(1, 9), role)
    bed.connect()
    bed.run(20)
    assert end(1, 9) not in {where for where, _ in bed.captured}
    bed.ports[end(1, 1).node_id][1] = PortState(True, Role.TENANT)
    bed.connect()
    assert len(bed.links) == 2


def test_forged_replayed_and_foreign_frames_make_no_link() -> None:
    bed = ring(3)
    bed.port(end(1, 9), Role.TENANT)
    bed.port(end(2, 9), Role.FREE)
    bed.connect()
    bed.run(1)
    where, frame = bed.captured[-1]
    before = bed.links
    forged = lldp.encode(lldp.Probe(2, 9, 10**6), b"guessed", bytes(6))
    for port in (end(1, 9), end(2, 9)):
        bed.topology.frame(port, forged, bed.now)
        bed.topology.frame(port, frame, bed.now)
        bed.topology.frame(port, bed.captured[0][1], bed.now)
        bed.topology.frame(port, frame[:30], bed.now)
    assert bed.links == before
    assert bed.events.totals["forged"] == 2
    assert bed.events.totals["replayed"] == 4
    assert bed.events.totals["malformed"] == 2
    texts = " ".join(event.text for event in bed.events.since())
    assert str(end(1, 9)) in texts
    assert str(where) in texts


def test_probe_of_a_free_port_replayed_at_a_tenant_port_makes_no_link() -> None:
    bed = ring(3)
    bed.port(end(1, 9), Role.TENANT)
    bed.port(end(2, 9), Role.FREE)
    bed.cables[end(2, 9)] = end(1, 9)
    bed.connect()
    bed.run(10)
    assert len(bed.links) == 3
    assert bed.events.totals["replayed"] > 0


def test_flood_of_frames_is_counted_and_ignored() -> None:
    bed = ring(3)
    bed.connect()
    bed.run(1)
    for _ in range(1000):
        bed.topology.frame(end(1, 1), b"rubbish", bed.now)
    assert bed.events.totals["malformed"] <= 40
    assert bed.events.totals["too-many"] >= 960
    assert len(bed.events.since()) < 30


def test_flapping_port_is_damped_and_used_again() -> None:
    bed = ring(4)
    bed.connect()
    for _ in range(8):
        bed.topology.port(end(1, 1), False, bed.now)
        bed.run(0.5)
        bed.topology.port(end(1, 1), True, bed.now)
        bed.run(0.5)
    assert len(bed.links) == 3
    assert bed.events.totals["damped"] == 1
    bed.run(60)
    assert bed.links == bed.cabled


def test_foreign_neighbour_is_shown_by_name_until_it_ages() -> None:
    bed = ring(3)
    bed.port(end(1, 7), Role.UPLINK, "physnet1")
    bed.connect()
    frame = (
        lldp.DESTINATION
        + bytes(6)
        + b"\x88\xcc"
        + bytes.fromhex("02070402000000000704050565746831060200140a056c656166370000")
    )
    bed.topology.frame(end(1, 7), frame, bed.now)
    (seen,) = bed.topology.discovery.strangers
    assert (seen.end, seen.neighbour.system_name, seen.neighbour.port) == (end(1, 7), "leaf7", "eth1")
    bed.run(25)
    assert bed.topology.discovery.strangers == []


def test_hundred_switches_of_48_ports_in_a_ring_of_rings_do_not_flap() -> None:
    bed = Cabling(pace=Pace(period=2.0, rate=1000.0))
    for group in range(10):
        for place in range(10):
            number = group * 10 + place + 1
            bed.cable(end(number, 1), end(group * 10 + (place + 1) % 10 + 1, 2))
            for port in range(5, 49):
                bed.port(end(number, port), Role.FREE)
        bed.cable(end(group * 10 + 1, 3), end((group + 1) % 10 * 10 + 6, 4))
    bed.connect()
    bed.run(1)
    assert bed.links == bed.cabled
    assert len(bed.links) == 110
    sent = bed.sent
    bed.run(60)
    assert bed.events.totals["link-down"] == 0
    assert (bed.sent - sent) / 60 <= 1001


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.integers(1, 3), st.sampled_from(["up", "down", "move", "wait"])), max_size=12
    )
)
def test_any_history_ends_in_what_is_cabled(history: list[tuple[int, int, str]]) -> None:
    """Whatever happened: once it is quiet, the links are the cables between ports that are up."""
    bed = ring(4)
    for number in range(1, 5):
        bed.port(end(number, 3), Role.FREE)
    bed.connect()
    down = set()
    for switch, port, what in history:
        where = end(switch, port)
        if what in ("up", "down"):
            (down.discard if what == "up" else down.add)(where)
            bed.topology.port(where, what == "up", bed.now)
        elif what == "move":
            other = end(switch % 4 + 1, 3)
            for each in (where, other):
                bed.cables.pop(bed.cables.pop(each, each), None)
            bed.cables[where], bed.cables[other] = other, where
        bed.run(0.3)
    bed.run(60)
    assert bed.links == {pair for pair in bed.cabled if not pair & down}


def test_a_probe_that_was_not_sent_is_due_at_once() -> None:
    bed = ring(3)
    bed.connect()
    discovery = bed.topology.discovery
    for probe in discovery.due(bed.now):
        discovery.unsent(probe.end, bed.now)
    again = {probe.end for probe in discovery.due(bed.now)}
    assert again == set(bed.cables)


def test_a_switch_that_takes_no_probe_is_not_tried_all_the_time() -> None:
    bed = ring(3)
    bed.connect()
    discovery, tried = bed.topology.discovery, 0
    for turn in range(600):
        for probe in discovery.due(bed.now + turn * 0.05):
            discovery.unsent(probe.end, bed.now + turn * 0.05)
            tried += 1
    assert 20 * 6 < tried < 40 * 6


def test_what_was_captured_before_a_restart_is_of_no_use_after_it() -> None:
    """With the same key: numbers go on where they were, and do not begin anew."""
    bed = ring(3)
    bed.connect()
    bed.run(1)
    where, frame = bed.captured[0]
    bed.topology = Topology(KEY, Pace(), {"physnet1": (0, 4094)}, bed.events, Options(first_probe=10**6))
    bed.connect()
    probes = {probe.end for probe in bed.topology.discovery.due(bed.now)}
    assert where in probes
    bed.topology.frame(bed.cables[where], frame, bed.now)
    assert bed.events.totals["replayed"] == 1
    assert bed.topology.discovery.peer(bed.cables[where]) is None
