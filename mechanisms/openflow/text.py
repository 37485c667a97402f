"""Flows and groups as text for people: names of ``dataplane.fields``, metadata by the names of its bit fields."""

from __future__ import annotations

from controller.dataplane import fields
from controller.dataplane.values import (
    Action,
    Flow,
    Group,
    MatchField,
    Meter,
    Move,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    ToGroup,
)
from mechanisms.openflow.pipeline import PIPELINE
from mechanisms.openflow.registers import METADATA

_RESERVED = {fields.IN_PORT: "in_port", fields.CONTROLLER: "controller"}


def flow_text(flow: Flow) -> str:
    """One line, e.g. ``l2_lookup 100 network=7 eth_dst=fa:16:3e:00:00:01 -> destination=0x100001, goto deliver``."""
    match = " ".join(_match_text(field) for field in flow.match) or "everything"
    return f"{PIPELINE.by_id(flow.table).name} {flow.priority} {match} -> {_outcome(flow)}"


def group_text(group: Group) -> str:
    """One line, e.g. ``group 0x10000005 all [output:11] [tun_ipv4_dst=192.0.2.2, output:3]``."""
    buckets = " ".join(f"[{', '.join(map(action_text, bucket.actions))}]" for bucket in group.buckets)
    return f"group 0x{group.id:x} {group.type.name.lower()} {buckets}"


def meter_text(meter: Meter) -> str:
    """One line, e.g. ``meter 241: 100 packets a second, 100 at once``."""
    return f"meter {meter.id}: {meter.rate} packets a second, {meter.burst} at once"


def action_text(action: Action) -> str:
    """One action."""
    match action:
        case Output(port=port):
            return f"output:{_RESERVED.get(port, port)}"
        case ToGroup(group_id=group_id):
            return f"group:0x{group_id:x}"
        case SetField(name=name, value=value):
            return f"{name}={_value_text(name, value)}"
        case Move(source=source, target=target):
            return f"{target}={source}"
        case PushVlan():
            return "push_vlan"
        case PopVlan():
            return "pop_vlan"


def _outcome(flow: Flow) -> str:
    steps = [] if flow.meter is None else [f"meter:{flow.meter}"]
    steps += [action_text(action) for action in flow.actions]
    if flow.metadata is not None:
        steps += [_metadata_text(*flow.metadata)]
    if flow.goto is not None:
        steps.append(f"goto {PIPELINE.by_id(flow.goto).name}")
    return ", ".join(steps) or "drop"


def _match_text(field: MatchField) -> str:
    if field.name == "metadata":
        return _metadata_text(field.value, field.mask)
    mask = "" if field.mask is None else f"/{fields.FIELDS[field.name].format(field.mask)}"
    return f"{field.name}={_value_text(field.name, field.value)}{mask}"


def _value_text(name: str, value: int) -> str:
    if name == "vlan_vid":
        return str(value & ~fields.VLAN_PRESENT) if value & fields.VLAN_PRESENT else "untagged"
    if name in {"eth_type"}:
        return f"0x{value:04x}"
    field = fields.named(name)
    return str(value) if field.kind is fields.Kind.INTEGER else field.format(value)


def _metadata_text(value: int, mask: int | None) -> str:
    """The bit fields that the mask covers; a part is named where the whole is not covered."""
    bits = (1 << 64) - 1 if mask is None else mask
    covered = [field for field in METADATA if field.mask & bits == field.mask]
    names = {field.name for field in covered}
    shown = [field for field in covered if field.part_of not in names]
    return " ".join(f"{field.name}={_number(field.name, field.read(value))}" for field in reversed(shown))


def _number(name: str, value: int) -> str:
    return f"0x{value:x}" if name == "destination" else str(value)
