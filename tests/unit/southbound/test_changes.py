"""Which entries of a dump are sound, and what is left of a program after refusals."""

from __future__ import annotations

from controller.dataplane.encoder import OF14, InstalledFlow, encode_buckets, encode_match
from controller.dataplane.messages import ErrorMessage, InstalledGroup
from controller.dataplane.values import Bucket, Flow, Fragment, Group, GroupType, MatchField, Output, Program, ToGroup
from controller.southbound.changes import (
    Dump,
    examine,
    instructions_of,
    other_spellings,
    reasons,
    repair,
    without,
)
from controller.southbound.wire import FlowEntry
from mechanisms.openflow import groups

GROUP = Group(0x20000001, GroupType.ALL, (Bucket((Output(1),)),), "a group")
FLOWS = tuple(
    Flow(4, 100, (MatchField("eth_dst", number),), (Output(1),), why=f"flow {number}") for number in range(3)
)
USER = Flow(5, 1, (), (ToGroup(GROUP.id),), why="uses the group")
PROGRAM = Program.of(1, [Fragment("a", FLOWS), Fragment("b", (USER,), (GROUP,))])


def entry(flow: Flow, instructions: bytes | None = None, **changes: int) -> FlowEntry:
    shown = InstalledFlow(flow.cookie, flow.table, flow.priority, encode_match(flow.match))._replace(**changes)
    own = instructions_of(PROGRAM, OF14)[flow.cookie]
    return FlowEntry(shown, own if instructions is None else instructions)


def error(cookie: int | None = None, group_id: int | None = None) -> ErrorMessage:
    return ErrorMessage(1, 2, 4, "BAD", cookie, group_id, 14)


def test_what_is_right_needs_no_work() -> None:
    dump = Dump(tuple(map(entry, (*FLOWS, USER))), {GROUP.id: InstalledGroup(0, _buckets())})
    examined = examine(dump.flows, PROGRAM, OF14, {})
    assert len(examined.sound) == 4
    assert not repair(dump, examined, PROGRAM, OF14)


def test_changed_actions_are_overwritten_unless_the_switch_is_known_to_write_so() -> None:
    entries = (entry(FLOWS[0], b"\0\4\0\10\0\0\0\0"), entry(FLOWS[1]))
    dump = Dump(entries)
    examined = examine(entries, PROGRAM, OF14, {})
    assert [item.cookie for item in examined.sound] == [FLOWS[1].cookie]
    assert repair(dump, examined, PROGRAM, OF14).flows_removed == 0
    spelling = other_spellings(entries, PROGRAM, OF14)
    assert list(spelling) == [FLOWS[0].cookie]
    assert len(examine(entries, PROGRAM, OF14, spelling).sound) == 2


def test_a_copied_cookie_takes_both_away_first() -> None:
    entries = (entry(FLOWS[0]), entry(FLOWS[0], match=encode_match((MatchField("in_port", 7),))))
    work = repair(Dump(entries), examine(entries, PROGRAM, OF14, {}), PROGRAM, OF14)
    assert len(work.steps[0]) == 2
    assert work.flows_added == 4


def test_flows_of_a_refused_group_go_along() -> None:
    left = without(PROGRAM, [error(group_id=GROUP.id), error(cookie=FLOWS[1].cookie)])
    assert [flow.why for flow in left.flows()] == ["flow 0", "flow 2"]
    assert list(left.groups()) == []
    assert without(PROGRAM, [error(cookie=1)]).digest == PROGRAM.digest


def test_reasons() -> None:
    errors = [error(group_id=GROUP.id), error(cookie=FLOWS[1].cookie), error(cookie=1)]
    assert reasons(PROGRAM, errors) == ["a group", "flow 1", ""]


def test_group_ids() -> None:
    assert groups.owns(GROUP.id)
    assert not groups.owns(5)


def _buckets() -> bytes:
    return encode_buckets(GROUP)
