"""Pure decisions around ``dataplane.program_delta``: which entries of a dump are sound, what is left of a program when
a switch refuses parts of it, and in which steps a difference is sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from controller.dataplane.encoder import InstalledFlow, encode_flow_delete, encode_fragment
from controller.dataplane.messages import ErrorMessage, InstalledGroup
from controller.dataplane.program_delta import (
    FlowAdds,
    ProgramDelta,
    between,
    from_installed,
    meters_after,
    meters_before,
    ordered,
)
from controller.dataplane.values import Flow, Fragment, Program, ToGroup
from controller.southbound.wire import FlowEntry
from controller.turns import in_turns
from mechanisms.openflow import groups, meters

NO_PROGRAM = Program(0, {})

MATCH_AT = 48
"""Offset of the match in a flow-mod."""


@dataclass(frozen=True, slots=True)
class Dump:
    """What is on a switch: flows with our owner tag, all groups and meters, the number of flows of others, and stamps
    that a version with another pipeline left in another table. The stamp itself is left out."""

    flows: tuple[FlowEntry, ...] = ()
    groups: Mapping[int, InstalledGroup] | None = None
    foreign_flows: int = 0
    old_stamps: tuple[InstalledFlow, ...] = ()
    meters: Mapping[int, bytes] | None = None


@dataclass(frozen=True, slots=True)
class Examined:
    """``sound`` flows are what they say; ``forged`` ones bear a cookie that another entry bears as well, so that one
    of them is a copy: they are taken away before anything is added. What is in neither is overwritten."""

    sound: tuple[InstalledFlow, ...]
    forged: tuple[InstalledFlow, ...]


@dataclass(frozen=True, slots=True)
class Work:
    """A difference as messages, step by step; a switch without bundles needs a barrier between the steps. Iterating
    over a step raises :class:`controller.errors.EncodeError`. Meters are no part of the steps, because they cannot be
    part of a bundle: ``meters`` are made before them, ``meters_gone`` deleted after them."""

    steps: tuple[list[bytes] | FlowAdds, ...]
    flows_added: int
    flows_removed: int
    groups_changed: int
    meters: tuple[bytes, ...] = ()
    meters_gone: tuple[bytes, ...] = ()

    def __bool__(self) -> bool:
        return any(self.steps) or bool(self.meters or self.meters_gone)


def work(delta: ProgramDelta, version: int, forged: Iterable[InstalledFlow] = ()) -> Work:
    """The messages of a difference."""
    first = [encode_flow_delete(flow, version) for flow in forged]
    steps = (first, *ordered(delta, version))
    before, after = tuple(meters_before(delta, version)), tuple(meters_after(delta, version))
    groups = len(delta.groups_add) + len(delta.groups_modify) + len(delta.groups_remove) + len(before) + len(after)
    return Work(steps, len(delta.flows_add), len(delta.flows_remove) + len(first), groups, before, after)


def repair(dump: Dump, examined: Examined, program: Program, version: int) -> Work:
    """What turns a dumped switch into the program."""
    if not dump.flows and not dump.groups and not dump.meters:
        return work(between(NO_PROGRAM, program), version)  # shares the encoded bytes of whole fragments
    delta = from_installed(program, examined.sound, dump.groups or {}, groups.owns, dump.meters or {}, meters.owns)
    return work(delta, version, (*examined.forged, *dump.old_stamps))


def examine(entries: Iterable[FlowEntry], program: Program, version: int, spelling: Mapping[int, bytes]) -> Examined:
    """Look at the entries of a dump: ``ovs-ofctl mod-flows`` changes actions and keeps the cookie, and a cookie can be
    copied. ``spelling`` is how the switch writes the instructions of flows that it writes otherwise than we do."""
    entries = list(entries)
    if not entries:
        return Examined((), ())
    wanted = instructions_of(program, version)
    times = Counter(entry.flow.cookie for entry in entries)
    sound, forged = [], []
    for entry in entries:
        cookie = entry.flow.cookie
        if times[cookie] > 1:
            forged.append(entry.flow)
        elif cookie not in wanted or entry.instructions in (wanted[cookie], spelling.get(cookie)):
            sound.append(entry.flow)
    return Examined(tuple(sound), tuple(forged))


def other_spellings(entries: Iterable[FlowEntry], program: Program, version: int) -> dict[int, bytes]:
    """Cookie -> instructions, of the flows that a switch shows otherwise than we sent them."""
    wanted = instructions_of(program, version)
    return {
        entry.flow.cookie: entry.instructions
        for entry in entries
        if entry.instructions != wanted.get(entry.flow.cookie, entry.instructions)
    }


def instructions_of(program: Program, version: int) -> dict[int, bytes]:
    """Cookie -> the instructions as we encode them."""
    return {
        flow.cookie: _instructions(message)
        for fragment in in_turns(program.fragments.values())
        for flow, message in zip(fragment.flows, encode_fragment(fragment, version).flows, strict=True)
    }


def without(program: Program, errors: Iterable[ErrorMessage]) -> Program:
    """The program without the flows and groups that a switch refused, and without the flows that use such a group. The
    flows of a meter that it refused do without."""
    errors = list(errors)
    cookies = {error.cookie for error in errors if error.cookie is not None}
    groups = {error.group_id for error in errors if error.group_id is not None}
    refused = {error.meter_id for error in errors if error.meter_id is not None}
    fragments = {key: _reduced(fragment, cookies, groups) for key, fragment in program.fragments.items()}
    if refused:
        fragments = {key: _unmetered(fragment, refused) for key, fragment in fragments.items()}
    return Program(program.revision, fragments)


def reasons(program: Program, errors: Iterable[ErrorMessage]) -> list[str]:
    """What each refused flow, group or meter was for; empty where the program does not know it."""
    errors = list(errors)
    limits = {meter.id: meter.why for meter in program.meters()}
    cookies = {error.cookie for error in errors if error.cookie is not None}
    groups = {error.group_id for error in errors if error.group_id is not None}
    flows = {flow.cookie: flow.why for flow in program.flows() if flow.cookie in cookies} if cookies else {}
    others = {group.id: group.why for group in program.groups() if group.id in groups} if groups else {}

    def why(error: ErrorMessage) -> str:
        if error.cookie is not None:
            return flows.get(error.cookie, "")
        if error.group_id is not None:
            return others.get(error.group_id, "")
        return limits.get(error.meter_id, "") if error.meter_id is not None else ""

    return [why(error) for error in errors]


def _reduced(fragment: Fragment, cookies: set[int], groups: set[int]) -> Fragment:
    flows = tuple(flow for flow in fragment.flows if flow.cookie not in cookies and not _uses(flow, groups))
    kept = tuple(group for group in fragment.groups if group.id not in groups)
    if len(flows) == len(fragment.flows) and len(kept) == len(fragment.groups):
        return fragment
    return Fragment(fragment.key, flows, kept, fragment.meters)


def _unmetered(fragment: Fragment, refused: set[int]) -> Fragment:
    if not any(meter.id in refused for meter in fragment.meters):
        return fragment
    flows = tuple(replace(flow, meter=None) if flow.meter in refused else flow for flow in fragment.flows)
    kept = tuple(meter for meter in fragment.meters if meter.id not in refused)
    return Fragment(fragment.key, flows, fragment.groups, kept)


def _uses(flow: Flow, groups: set[int]) -> bool:
    return any(isinstance(action, ToGroup) and action.group_id in groups for action in flow.actions)


def _instructions(message: bytes) -> bytes:
    matched = int.from_bytes(message[MATCH_AT + 2 : MATCH_AT + 4], "big")
    return message[MATCH_AT + (matched + 7) // 8 * 8 :]
