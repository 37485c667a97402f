"""A delta applied to what is installed gives what is desired, step by step in a safe order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.dataplane import program_delta
from controller.dataplane.encoder import EncodedFragment, InstalledFlow, encode_buckets, encode_fragment, encode_match
from controller.dataplane.messages import InstalledGroup
from controller.dataplane.program_delta import ProgramDelta, between, from_installed, ordered
from controller.dataplane.values import (
    Bucket,
    Flow,
    Fragment,
    Group,
    GroupType,
    MatchField,
    Meter,
    Output,
    Program,
    ToGroup,
)

Key = tuple[int, int, bytes]


class FakeSwitch:
    """Flows and groups with OpenFlow's rules: ADD overwrites, strict deletes look at the cookie, groups take flows."""

    def __init__(self) -> None:
        self.flows: dict[Key, Flow | InstalledFlow] = {}
        self.groups: dict[int, Group] = {}

    def apply(self, delta: ProgramDelta) -> None:
        for group in delta.groups_add:
            assert group.id not in self.groups, "GROUP_EXISTS"
            self._check_group(group)
        for group in delta.groups_modify:
            assert group.id in self.groups, "UNKNOWN_GROUP"
            self._check_group(group)
        for flow in delta.flows_add:
            assert all(group in self.groups for group in uses(flow)), "BAD_OUT_GROUP"
            self.flows[key(flow)] = flow
        for gone in delta.flows_remove:
            if self.flows[key(gone)].cookie == gone.cookie:
                del self.flows[key(gone)]
        for group_id in delta.groups_remove:
            assert not any(group_id in uses(flow) for flow in self.flows.values()), "a flow would go with its group"
            del self.groups[group_id]

    def _check_group(self, group: Group) -> None:
        targets = [a.group_id for b in group.buckets for a in b.actions if isinstance(a, ToGroup)]
        assert all(target in self.groups for target in targets), "chained to an unknown group"
        self.groups[group.id] = group

    def dump(self) -> tuple[list[InstalledFlow], dict[int, InstalledGroup]]:
        flows = [InstalledFlow(f.cookie, t, p, m) for (t, p, m), f in self.flows.items()]
        return flows, {g: InstalledGroup(group.type, encode_buckets(group)) for g, group in self.groups.items()}


def key(flow: Flow | InstalledFlow) -> Key:
    match = flow.match if isinstance(flow, InstalledFlow) else encode_match(flow.match)
    return flow.table, flow.priority, match


def uses(flow: Flow | InstalledFlow) -> set[int]:
    if isinstance(flow, InstalledFlow):
        return set()
    return {action.group_id for action in flow.actions if isinstance(action, ToGroup)}


def holds(switch: FakeSwitch, program: Program) -> bool:
    return (
        switch.flows == {key(flow): flow for flow in program.flows()}
        and switch.groups == {group.id: group for group in program.groups()}
    )  # fmt: skip


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Programs with few distinct keys, so that two of them overlap, overwrite and move things between fragments."""
    groups = {
        number: Group(number, GroupType.ALL, (Bucket((Output(draw(st.integers(1, 3))),)),))
        for number in draw(st.sets(st.integers(1, 4)))
    }
    if {1, 2} <= groups.keys() and draw(st.booleans()):
        groups[1] = Group(1, GroupType.ALL, (Bucket((ToGroup(2),)),))
    action = st.builds(Output, st.integers(1, 2))
    if groups:
        action |= st.builds(ToGroup, st.sampled_from(sorted(groups)))  # type: ignore[arg-type]
    keys = draw(st.sets(st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 2))))
    flows = [Flow(t, p, (MatchField("in_port", port),), (draw(action),)) for t, p, port in sorted(keys)]
    parts: dict[int, tuple[list[Flow], list[Group]]] = {number: ([], []) for number in range(3)}
    for flow in flows:
        parts[draw(st.integers(0, 2))][0].append(flow)
    for group in groups.values():
        parts[draw(st.integers(0, 2))][1].append(group)
    kept = [Fragment(name, tuple(f), tuple(g)) for name, (f, g) in parts.items() if f or g]
    return Program.of(1, kept)


@given(steps=st.lists(programs(), min_size=1, max_size=5))
def test_from_program_to_program(steps: list[Program]) -> None:
    switch, previous = FakeSwitch(), Program(0, {})
    for program in steps:
        switch.apply(between(previous, program))
        assert holds(switch, program)
        previous = program


@given(first=programs(), second=programs())
def test_from_a_dump_to_a_program(first: Program, second: Program) -> None:
    switch = FakeSwitch()
    switch.apply(between(Program(0, {}), first))
    flows, groups = switch.dump()
    switch.apply(from_installed(second, flows, groups, lambda _: True))
    assert holds(switch, second)
    assert not from_installed(second, *switch.dump(), lambda _: True)


@given(first=programs(), second=programs())
def test_an_overwritten_flow_is_never_removed(first: Program, second: Program) -> None:
    delta = between(first, second)
    assert not {key(flow) for flow in delta.flows_add} & {key(flow) for flow in delta.flows_remove}
    kept = {flow.cookie for flow in second.flows()}
    assert not kept & {flow.cookie for flow in delta.flows_remove}


@given(program=programs())
def test_equal_programs_need_nothing(program: Program) -> None:
    again = Program.of(2, [Fragment(f.key, f.flows, f.groups) for f in program.fragments.values()])
    assert not between(program, again)


def test_unchanged_fragments_are_not_looked_into() -> None:
    class Opaque(tuple[Flow, ...]):
        def __iter__(self) -> None:  # type: ignore[override]
            raise AssertionError("looked into")

    same = Fragment("same", (Flow(0, 1),))
    assert same.digest
    object.__setattr__(same, "flows", Opaque())
    new = Fragment("new", (Flow(0, 2),))
    delta = between(Program.of(1, [same]), Program.of(2, [same, new]))
    assert delta.flows_add == new.flows
    assert delta.whole == (new,)


def test_groups_of_others_are_left_alone() -> None:
    groups = {5: InstalledGroup(0, b""), 6: InstalledGroup(0, b"")}
    assert from_installed(Program(1, {}), [], groups, lambda group: group == 6) == ProgramDelta(groups_remove=(6,))


def test_a_copied_cookie_in_another_place_is_not_ours_to_keep() -> None:
    flow = Flow(0, 1)
    copy = InstalledFlow(flow.cookie, 0, 9, encode_match(()))
    delta = from_installed(Program.of(1, [Fragment("f", (flow,))]), [copy], {}, lambda _: True)
    assert delta.flows_add == (flow,)
    assert delta.flows_remove == (copy,)


def test_messages_come_in_four_steps_and_share_the_bytes_of_whole_fragments() -> None:
    group = Group(1, GroupType.INDIRECT, (Bucket((Output(1),)),))
    old = Program.of(1, [Fragment("a", (Flow(0, 1), Flow(0, 2)), (Group(2, GroupType.ALL, ()),))])
    new = Program.of(2, [Fragment("a", (Flow(0, 2), Flow(0, 3))), Fragment("b", (Flow(1, 1),), (group,))])
    groups, adds, removes, group_removes = ordered(between(old, new), 4)
    shared: EncodedFragment = encode_fragment(new.fragments["b"], 4)
    assert groups == list(shared.groups)
    assert next(iter(adds)) is shared.flows[0]
    assert (len(list(adds)), len(removes), len(group_removes)) == (2, 1, 1)


def test_removed_groups_go_after_those_that_point_to_them() -> None:
    target = Group(9, GroupType.INDIRECT, (Bucket((Output(1),)),))
    pointer = Group(1, GroupType.ALL, (Bucket((ToGroup(9),)),))
    full = Program.of(1, [Fragment("g", (), (pointer, target))])
    assert between(Program(0, {}), full).groups_add == (target, pointer)
    assert between(full, Program(2, {})).groups_remove == (1, 9)
    assert not any(program_delta.ordered(ProgramDelta(), 4))


def test_meters_are_made_first_and_removed_last() -> None:
    one, faster, other = Meter(1, 10, 10), Meter(1, 20, 10), Meter(2, 10, 10)
    old = Program.of(1, [Fragment("a", (Flow(0, 1, meter=1),), (), (one,)), Fragment("b", (), (), (other,))])
    new = Program.of(2, [Fragment("a", (Flow(0, 1, meter=1),), (), (faster,))])
    delta = between(old, new)
    assert (delta.meters_add, delta.meters_modify, delta.meters_remove) == ((), (faster,), (2,))
    assert len(program_delta.meters_before(delta, 5)) == len(program_delta.meters_after(delta, 5)) == 1
    assert between(Program(0, {}), new).meters_add == (faster,)
    assert not between(new, Program.of(3, [*new.fragments.values()]))


def test_meters_of_a_dump_are_repaired_and_others_left_alone() -> None:
    one = Meter(1, 10, 10)
    wanted = Program.of(1, [Fragment("a", (), (), (one,))])
    mine = lambda number: number < 5  # noqa: E731
    found = {1: one.encoded(), 3: b"", 9: b""}
    assert from_installed(wanted, [], {}, mine, found, mine) == ProgramDelta(meters_remove=(3,))
    assert from_installed(wanted, [], {}, mine, {}, mine) == ProgramDelta(meters_add=(one,))
    slower = {1: Meter(1, 9, 10).encoded()}
    assert from_installed(wanted, [], {}, mine, slower, mine) == ProgramDelta(meters_modify=(one,))
