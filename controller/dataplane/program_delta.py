"""What turns the program on a switch into the desired one; pure.

Order of application (what :func:`ordered` gives):

0. meters added and modified: no flow uses a new one yet (Open vSwitch takes them outside bundles only);
1. groups added, a group before the groups that point to it, then groups modified: flows find their groups;
2. flows added: an ADD overwrites a flow with the same table, priority and match, without a moment in between;
3. flows removed: strict deletes filtered by the old cookie, so that what has just overwritten a flow stays;
4. groups removed, a group after the groups that pointed to it: deleting a group deletes the flows that use it;
5. meters removed: so does deleting a meter.

A flow is the same flow if its cookie (owner tag and content hash) is, a group or meter if its id and digest are, a
fragment if its digest is: unchanged fragments are not looked into.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from weakref import ReferenceType, ref

from controller.dataplane.encoder import (
    GroupCommand,
    InstalledFlow,
    encode_buckets,
    encode_flow_add,
    encode_flow_delete,
    encode_group,
    encode_group_delete,
    encode_meter,
    encode_meter_delete,
    encoded_pieces,
)
from controller.dataplane.messages import InstalledGroup
from controller.dataplane.values import Flow, Fragment, Group, Meter, Program, ToGroup

Removal = Flow | InstalledFlow


@dataclass(frozen=True, slots=True)
class ProgramDelta:
    """The difference, each part in the order in which it is to be applied.

    ``whole`` are the fragments that are new altogether; their flows come first in ``flows_add``, in the same order, so
    that their encoded bytes can be shared.
    """

    groups_add: tuple[Group, ...] = ()
    groups_modify: tuple[Group, ...] = ()
    flows_add: tuple[Flow, ...] = ()
    flows_remove: tuple[Removal, ...] = ()
    groups_remove: tuple[int, ...] = ()
    whole: tuple[Fragment, ...] = ()
    meters_add: tuple[Meter, ...] = ()
    meters_modify: tuple[Meter, ...] = ()
    meters_remove: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        groups = self.groups_add or self.groups_modify or self.groups_remove
        meters = self.meters_add or self.meters_modify or self.meters_remove
        return bool(groups or self.flows_add or self.flows_remove or meters)


class FlowsBetween(NamedTuple):
    """The flows that one fragment has and the other has not."""

    added: tuple[Flow, ...]
    removed: tuple[Flow, ...]


NO_METERS: Mapping[int, bytes] = {}

MOST_KEPT = 8
"""Differences kept per fragment: switches that are behind differ in how far."""


def between(previous: Program, desired: Program) -> ProgramDelta:
    """From a program known to be on the switch to another one."""
    old, new = _changed(previous, desired)
    parts = [flows_between(old[key], fragment) for key, fragment in new.items() if key in old]
    removed = {flow.cookie: flow for part in parts for flow in part.removed}
    removed |= {flow.cookie: flow for key, fragment in old.items() if key not in new for flow in fragment.flows}
    fresh = [fragment for key, fragment in new.items() if key not in old]
    whole = tuple(item for item in fresh if not removed or not any(flow.cookie in removed for flow in item.flows))
    shared = {id(fragment) for fragment in whole}
    rest = {flow.cookie: flow for part in parts for flow in part.added}
    rest |= {flow.cookie: flow for fragment in fresh if id(fragment) not in shared for flow in fragment.flows}
    added = (*(flow for fragment in whole for flow in fragment.flows),
             *(flow for cookie, flow in rest.items() if cookie not in removed))  # fmt: skip
    gone = [flow for cookie, flow in removed.items() if cookie not in rest]
    old_groups = {group.id: group for fragment in old.values() for group in fragment.groups}
    new_groups = {group.id: group for fragment in new.values() for group in fragment.groups}
    old_meters = {meter.id: meter for fragment in old.values() for meter in fragment.meters}
    new_meters = {meter.id: meter for fragment in new.values() for meter in fragment.meters}
    overwritten = {flow.encoded_key for flow in added} if gone else set()
    return ProgramDelta(
        groups_add=_pointed_to_first(group for key, group in new_groups.items() if key not in old_groups),
        groups_modify=tuple(
            group for key, group in new_groups.items() if key in old_groups and old_groups[key].digest != group.digest
        ),
        flows_add=added,
        flows_remove=tuple(flow for flow in gone if flow.encoded_key not in overwritten),
        groups_remove=_ids_reversed(group for key, group in old_groups.items() if key not in new_groups),
        whole=whole,
        meters_add=tuple(meter for key, meter in new_meters.items() if key not in old_meters),
        meters_modify=tuple(meter for key, meter in new_meters.items() if old_meters.get(key, meter) != meter),
        meters_remove=tuple(key for key in old_meters if key not in new_meters),
    )


def flows_between(old: Fragment, new: Fragment) -> FlowsBetween:
    """What a fragment of the same key gained and lost. The answer is kept with the new fragment, so that a change of a
    network is looked for once, however many switches carry it."""
    kept: dict[int, tuple[ReferenceType[Fragment], FlowsBetween]] = vars(new).setdefault("_since", {})
    known = kept.get(id(old))
    if known is not None and known[0]() is old:
        return known[1]
    before, after = {flow.cookie for flow in old.flows}, {flow.cookie for flow in new.flows}
    found = FlowsBetween(
        tuple(flow for flow in new.flows if flow.cookie not in before),
        tuple(flow for flow in old.flows if flow.cookie not in after),
    )
    if len(kept) >= MOST_KEPT:
        kept.clear()
    kept[id(old)] = (ref(old), found)
    return found


def from_installed(
    desired: Program,
    flows: Iterable[InstalledFlow],
    groups: Mapping[int, InstalledGroup],
    owns_group: Callable[[int], bool],
    meters: Mapping[int, bytes] = NO_METERS,
    owns_meter: Callable[[int], bool] = lambda _: False,
) -> ProgramDelta:
    """From a dump of a switch (its flows with our owner tag, all its groups and meters) to the desired program. Groups
    and meters carry no owner tag, so ``owns_group`` and ``owns_meter`` say which ids are ours."""
    wanted = {flow.cookie: flow for flow in desired.flows()}
    ours = list(flows)
    right = {entry.cookie for entry in ours if _is_right(entry, wanted.get(entry.cookie))}
    added = tuple(flow for cookie, flow in wanted.items() if cookie not in right)
    wrong = [entry for entry in ours if not _is_right(entry, wanted.get(entry.cookie))]
    overwritten = {flow.encoded_key for flow in added} if wrong else set()
    wanted_groups = {group.id: group for group in desired.groups()}
    wanted_meters = {meter.id: meter for meter in desired.meters()}
    return ProgramDelta(
        groups_add=_pointed_to_first(group for key, group in wanted_groups.items() if key not in groups),
        groups_modify=tuple(
            group
            for key, group in wanted_groups.items()
            if key in groups and groups[key] != (group.type, encode_buckets(group))
        ),
        flows_add=added,
        flows_remove=tuple(entry for entry in wrong if entry.encoded_key not in overwritten),
        groups_remove=tuple(key for key in groups if key not in wanted_groups and owns_group(key)),
        meters_add=tuple(meter for key, meter in wanted_meters.items() if key not in meters),
        meters_modify=tuple(
            meter for key, meter in wanted_meters.items() if key in meters and meters[key] != meter.encoded()
        ),
        meters_remove=tuple(key for key in meters if key not in wanted_meters and owns_meter(key)),
    )


@dataclass(frozen=True, slots=True)
class FlowAdds:
    """The flow-mods that add flows. They are encoded while they are iterated over, so that a switch works on the first
    before the last is written; a second time they are ready."""

    whole: tuple[Fragment, ...]
    flows: tuple[Flow, ...]
    version: int

    def __iter__(self) -> Iterator[bytes]:
        for fragment in self.whole:
            for piece in encoded_pieces(fragment, self.version):
                yield from piece
        for flow in self.flows:
            yield encode_flow_add(flow, self.version)

    def __bool__(self) -> bool:
        return bool(self.flows) or any(fragment.flows for fragment in self.whole)


Steps = tuple[list[bytes], FlowAdds, list[bytes], list[bytes]]
"""Groups, flows added, flows removed, groups removed."""


def ordered(delta: ProgramDelta, version: int) -> Steps:
    """The messages in four steps: groups, flows added, flows removed, groups removed. A switch without bundles needs a
    barrier between them. Iterating over flows added raises :class:`controller.errors.EncodeError`."""
    groups = [encode_group(group, GroupCommand.ADD, version) for group in delta.groups_add]
    groups += [encode_group(group, GroupCommand.MODIFY, version) for group in delta.groups_modify]
    adds = FlowAdds(delta.whole, delta.flows_add[sum(len(item.flows) for item in delta.whole) :], version)
    removes = [encode_flow_delete(flow, version) for flow in delta.flows_remove]
    return groups, adds, removes, [encode_group_delete(group, version) for group in delta.groups_remove]


def meters_before(delta: ProgramDelta, version: int) -> list[bytes]:
    """The meter-mods that come before everything else. Raises :class:`controller.errors.EncodeError`."""
    added = [encode_meter(meter, GroupCommand.ADD, version) for meter in delta.meters_add]
    return added + [encode_meter(meter, GroupCommand.MODIFY, version) for meter in delta.meters_modify]


def meters_after(delta: ProgramDelta, version: int) -> list[bytes]:
    """The meter-mods that come after everything else."""
    return [encode_meter_delete(meter, version) for meter in delta.meters_remove]


def _changed(previous: Program, desired: Program) -> tuple[dict[Hashable, Fragment], dict[Hashable, Fragment]]:
    """The fragments that differ, of both sides. A flow may have moved from one fragment to another."""
    old, new = dict(previous.fragments), {}
    for key, fragment in desired.fragments.items():
        before = old.get(key)
        if before is not None and _same(before, fragment):
            del old[key]
        else:
            new[key] = fragment
    return old, new


def _same(before: Fragment, after: Fragment) -> bool:
    """Whether two fragments have the same content; lazy ones are not made to find that out if their inputs tell it."""
    return before is after or before.mark == after.mark or before.digest == after.digest


def _is_right(entry: InstalledFlow, wanted: Flow | None) -> bool:
    """Whether an entry stands for the flow of its cookie (a copied cookie elsewhere does not)."""
    return wanted is not None and (entry.table, entry.priority) == (wanted.table, wanted.priority)


def _pointed_to_first(groups: Iterable[Group]) -> tuple[Group, ...]:
    """Groups with every group after those that its buckets name."""
    waiting = {group.id: group for group in groups}
    done: dict[int, Group] = {}

    def place(group: Group) -> None:
        waiting.pop(group.id, None)
        for bucket in group.buckets:
            for action in bucket.actions:
                if isinstance(action, ToGroup) and action.group_id in waiting:
                    place(waiting[action.group_id])
        done[group.id] = group

    while waiting:
        place(next(iter(waiting.values())))
    return tuple(done.values())


def _ids_reversed(groups: Iterable[Group]) -> tuple[int, ...]:
    return tuple(group.id for group in reversed(_pointed_to_first(groups)))
