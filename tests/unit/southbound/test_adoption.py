"""When a switch may be taken to hold its program without being read: against a simulated switch."""

from __future__ import annotations

import pytest

from bench.sim_switch import Make
from controller.dataplane.lazy import Content, LazyFragment
from controller.dataplane.values import Program
from controller.errors import CompileError
from controller.southbound.applying import FRESH, Applier, Rejected
from tests.ovs.programs import flow, program
from tests.unit.southbound.test_exchange import Introduced
from tests.unit.southbound.test_introduction import introduced

ONE, OTHER = program(1, flow(1), flow(2)), program(2, flow(1), flow(3), flow(4))


class Bed:
    """A switch, and a clock that stands still."""

    def __init__(self, bundles: bool = True) -> None:
        self.line, self.bundles, self.now = Introduced(Make(5, bundles=bundles)), bundles, 0.0

    def session(self) -> Applier:
        """A new session, as after a reconnect."""
        applier = Applier(self.line.exchange, self.bundles, clock=lambda: self.now)
        applier.stamp_seen(introduced(self.line.switch).stamps or ())
        self.line.switch.counters = type(self.line.switch.counters)()
        return applier

    def holds(self, wanted: Program) -> bool:
        """Whether the switch has these flows, and their stamp."""
        cookies = {entry.cookie for entry in self.line.switch.tables.flows.values()}
        return cookies == {item.cookie for item in wanted.flows()} | {wanted.stamp}


def test_the_stamp_of_the_handshake_is_enough() -> None:
    bed = Bed()
    bed.session().apply(ONE)
    assert bed.session().apply(ONE).adopted
    assert (bed.line.switch.counters.messages, bed.line.switch.counters.flow_dumps) == (0, 0)


def test_it_is_asked_for_again_when_it_is_old() -> None:
    bed = Bed()
    bed.session().apply(ONE)
    late = bed.session()
    bed.session().apply(OTHER)
    bed.now += FRESH + 1
    assert not late.apply(ONE).adopted
    assert bed.holds(ONE)


@pytest.mark.parametrize("bundles", [True, False])
def test_it_is_not_believed_after_anything_was_sent(bundles: bool) -> None:
    bed = Bed(bundles)
    bed.session().apply(ONE)
    session = bed.session()
    bed.line.switch.faults.refuse_flow = bed.line.switch._flow_mods + 2
    with pytest.raises(Rejected):
        session.apply(OTHER)
    assert not bed.holds(ONE)
    assert not session.apply(ONE).adopted
    assert bed.holds(ONE)


def test_a_program_that_cannot_be_compiled_changes_nothing() -> None:
    def fail(_: object) -> Content:
        raise CompileError("network has 20 bits")

    bed = Bed()
    session = bed.session()
    session.apply(ONE)
    with pytest.raises(CompileError):
        session.apply(Program.of(2, [LazyFragment(("test",), 7, fail)]))
    assert bed.holds(ONE)
    assert session.installed is ONE


def test_another_stamp_for_the_same_flows_costs_one_message() -> None:
    bed = Bed()
    session = bed.session()
    session.apply(ONE)
    same = Program.of(2, [LazyFragment(("test",), "other inputs", lambda _: Content((flow(1), flow(2))))])
    bed.session()  # clears the counters
    applied = session.apply(same)
    assert (applied.flows_added, applied.flows_removed, bed.line.switch.counters.flow_mods) == (0, 0, 1)
    assert bed.holds(same)
