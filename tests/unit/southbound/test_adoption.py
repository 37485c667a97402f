"""When a switch may be taken to hold its program without being read: against a simulated switch."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest

from bench.sim_switch import BAD_BUNDLE, CLOSE, DISCARD, Make, SimSwitch
from controller.dataplane.lazy import Content, LazyFragment
from controller.dataplane.values import Program
from controller.errors import CompileError, SwitchError
from controller.southbound.applying import FRESH, Applier, Rejected
from tests.ovs.programs import flow, group, program, to_group
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


@pytest.mark.parametrize("bundles", [True, False])
def test_what_is_refused_takes_nothing_else_along(bundles: bool) -> None:
    """Without bundles the rest is there when it is tried again: a group that is new is not to be added twice."""
    bed, wanted = Bed(bundles), program(1, flow(1), flow(2), group(1, 2), to_group())
    bed.line.switch.faults.refuse_with = f"{0x020000000002:012x}"
    session = bed.session()
    with pytest.raises(Rejected) as refusal:
        session.apply(wanted)
    assert [item.cookie for item in refusal.value.rejections] == [flow(2).cookie]
    assert {item.cookie for item in session.installed.flows()} == {flow(1).cookie, to_group().cookie}  # type: ignore[union-attr]
    bed.line.switch.faults.refuse_with = ""
    session.apply(wanted)
    assert bed.holds(wanted)


class Strict(SimSwitch):
    """Refuses to close or discard a bundle of which it refused a part."""

    def _bundle_control(self, xid: int, message: bytes, at: int) -> Sequence[bytes]:
        number, kind = struct.unpack_from("!IH", message, at)
        if kind in (CLOSE, DISCARD) and self._bundles.get(number, b"") is None:
            return (self._bundle_error(message, BAD_BUNDLE),)
        return super()._bundle_control(xid, message, at)


def test_a_switch_that_throws_away_a_bad_bundle_by_itself() -> None:
    bed = Bed()
    bed.line.switch = Strict(5, Make(5))
    bed.line.switch.faults.refuse_flow = 2
    with pytest.raises(Rejected, match="everything else is installed"):
        bed.session().apply(ONE)
    assert bed.session().apply(ONE).flows_added == 1


def test_a_bundle_that_fails_without_a_reason_is_not_left_open() -> None:
    class Vague(SimSwitch):
        def _misbehave(self, message: bytes) -> list[bytes]:
            found = super()._misbehave(message)
            return [error[:12] for error in found and [found[0][:2] + b"\0\x0c" + found[0][4:]]]

    bed = Bed()
    bed.line.switch = Vague(5, Make(5))
    bed.line.switch.faults.refuse_flow = 1
    with pytest.raises(SwitchError, match="refused a change"):
        bed.session().apply(ONE)
    assert bed.line.switch._bundles == {}
