"""Addresses are learned, move, grow old and are limited; what was handed out never changes."""

from __future__ import annotations

from collections.abc import Collection

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.topology.cabling import end
from topology.events import EventLog
from topology.learning import MUTED, SCAN, Learning, Limits
from topology.links import End

RED, BLUE = "red", "blue"
A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
ONE, TWO = end(1, 50), end(2, 50)
MEMBERS = {ONE.node_id, TWO.node_id}


def made(**limits: float) -> tuple[Learning, EventLog]:
    events = EventLog()
    return Learning(events, Limits(**limits)), events  # type: ignore[arg-type]


def places(learning: Learning, members: Collection[str] = MEMBERS) -> dict[str, dict[str, End]]:
    return {network: dict(found) for network, found in learning.learned(members).items()}


def test_what_is_heard_is_learned_and_known_where_it_was_heard() -> None:
    learning, _ = made()
    learning.heard(RED, A, ONE, False, 1.0)
    assert places(learning) == {}
    assert learning.flush(1.0)
    assert places(learning) == {RED: {A: ONE}}
    assert learning.known(ONE.node_id) == {RED: frozenset({(50, A)})}
    assert learning.known(TWO.node_id) == {}
    learning.heard(RED, A, ONE, False, 1.1)
    assert not learning.flush(1.1)


def test_an_island_hears_of_its_own_only() -> None:
    learning, _ = made()
    learning.heard(RED, A, ONE, False, 1.0)
    learning.heard(RED, B, TWO, False, 1.0)
    learning.heard(BLUE, B, TWO, False, 1.0)
    learning.flush(1.0)
    assert places(learning, {ONE.node_id}) == {RED: {A: ONE}}
    assert places(learning, {TWO.node_id}) == {RED: {B: TWO}, BLUE: {B: TWO}}
    assert learning.learned(MEMBERS) is learning.learned([*MEMBERS, end(3, 1).node_id])


def test_what_was_handed_out_stays_as_it_is() -> None:
    learning, _ = made()
    learning.heard(RED, A, ONE, False, 1.0)
    learning.flush(1.0)
    before, copy = learning.learned(MEMBERS), places(learning)
    learning.heard(RED, A, TWO, False, 2.0)
    learning.heard(BLUE, B, TWO, False, 2.0)
    learning.flush(2.0)
    assert before == copy != places(learning)


def test_an_address_moves_to_where_it_was_heard_last() -> None:
    learning, events = made()
    for now, where in ((1.0, ONE), (2.0, TWO)):
        learning.heard(RED, A, where, False, now)
        learning.flush(now)
    assert places(learning) == {RED: {A: TWO}}
    assert learning.known(ONE.node_id) == {}
    assert events.totals["address-moved"] == 1


def test_half_way_it_is_asked_for_again_and_then_forgotten() -> None:
    learning, _ = made(age=100.0)
    for mac in (A, B):
        learning.heard(RED, mac, ONE, False, 0.0)
    learning.flush(0.0)
    assert learning.flush(51.0)
    assert learning.known(ONE.node_id) == {}
    assert places(learning) == {RED: {A: ONE, B: ONE}}
    learning.heard(RED, A, ONE, False, 60.0)
    learning.flush(60.0)
    assert learning.known(ONE.node_id) == {RED: frozenset({(50, A)})}
    learning.flush(101.0)
    assert places(learning) == {RED: {A: ONE}}
    learning.flush(161.0)
    assert places(learning) == {}
    assert learning.known(ONE.node_id) == {}


def test_behind_a_switch_without_a_session_nothing_grows_old() -> None:
    learning, _ = made(age=100.0)
    learning.heard(RED, A, ONE, False, 0.0)
    learning.flush(0.0)
    for now in range(10, 1000, 10):
        learning.flush(float(now), away={ONE.node_id})
    assert places(learning) == {RED: {A: ONE}}


def test_an_address_of_ours_is_known_and_not_learned() -> None:
    learning, _ = made()
    learning.heard(RED, A, ONE, True, 1.0)
    learning.heard(RED, A, TWO, True, 1.0)
    assert learning.flush(1.0)
    assert places(learning) == {}
    assert learning.known(ONE.node_id) == learning.known(TWO.node_id) == {RED: frozenset({(50, A)})}


def test_ports_that_are_no_way_in_any_more() -> None:
    learning, _ = made()
    for mac, where in ((A, ONE), (B, TWO)):
        learning.heard(RED, mac, where, False, 1.0)
    learning.flush(1.0)
    learning.keep(lambda each: each == TWO)
    assert learning.flush(1.0)
    assert places(learning) == {RED: {B: TWO}}


def test_a_burst_is_learned_and_a_flood_is_not() -> None:
    learning, events = made(rate=10.0)
    for number in range(100):
        learning.heard(RED, f"02:00:00:00:01:{number:02x}", ONE, False, 1.0)
    learning.heard(RED, A, TWO, False, 1.0)
    learning.flush(1.0)
    assert len(places(learning)[RED]) == 21
    assert learning.muted(ONE.node_id) == {50}
    assert learning.muted(TWO.node_id) == frozenset()
    assert events.totals["too-many-addresses"] == 1
    assert learning.flush(1.0 + MUTED + SCAN)
    assert learning.muted(ONE.node_id) == frozenset()
    learning.heard(RED, B, ONE, False, 13.0)
    learning.flush(13.0)
    assert B in places(learning)[RED]


def test_a_network_has_so_many_and_others_are_not_concerned() -> None:
    learning, _ = made(most=3)
    for number in range(5):
        learning.heard(RED, f"02:00:00:00:01:{number:02x}", ONE, False, 1.0)
    learning.heard(BLUE, A, TWO, False, 1.0)
    learning.flush(1.0)
    assert {network: len(found) for network, found in places(learning).items()} == {RED: 3, BLUE: 1}


@given(st.lists(st.tuples(st.sampled_from((RED, BLUE)), st.sampled_from((A, B)), st.sampled_from((ONE, TWO)),
                          st.booleans(), st.integers(0, 80)), max_size=30))  # fmt: skip
def test_any_history_shows_what_was_heard_last(history: list[tuple[str, str, End, bool, int]]) -> None:
    """Against a model: per address the last place and time; nothing younger than the age is lost."""
    learning, _ = made(age=100.0, rate=1000.0)
    now, last = 0.0, dict[tuple[str, str], tuple[End, float]]()
    for network, mac, where, _, passed in history:
        now += passed
        learning.flush(now)
        learning.heard(network, mac, where, False, now)
        learning.flush(now)
        last[network, mac] = where, now
        shown = {(net, each): place for net, found in places(learning).items() for each, place in found.items()}
        for key, (place, at) in last.items():
            if now - at < 100.0 - SCAN:
                assert shown[key] == place
            elif now - at > 100.0 + SCAN:
                assert key not in shown
        assert shown.keys() <= last.keys()
