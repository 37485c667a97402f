"""What an unknown switch can do: it is given samples of all that programs contain, and they are taken back.

Features that a switch tells of itself (table features) are optional and often wrong; what it takes, it can do. Only
errors that say *I cannot* count. That a sample's port is not there, or that a table is full, says nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from controller.dataplane.encoder import (
    GROUP_MOD,
    GroupCommand,
    encode_flow_add,
    encode_flow_delete,
    encode_group,
    encode_group_delete,
    encode_meter,
    encode_meter_delete,
)
from controller.dataplane.messages import ErrorMessage
from controller.southbound.exchange import Exchange
from mechanisms.openflow.adapt import without_indirect
from mechanisms.openflow.features import INDIRECT
from mechanisms.openflow.samples import Sample, metered, samples

LOG = logging.getLogger(__name__)

TELLING: dict[int, frozenset[int]] = {
    2: frozenset({0, 2, 3, 10, 11, 12, 13, 14}),
    3: frozenset(range(7)),
    4: frozenset({0, 2, 6, 8, 9}),
    5: frozenset({2}),
    6: frozenset({1, 5, 6, 10}),
    12: frozenset({0, *range(4, 12)}),
}
"""OpenFlow error type -> codes by which a switch says that it cannot (OpenFlow 1.4.1, section 7.5.4): unknown actions
and fields to set, unknown instructions and metadata, fields and masks that cannot be matched, no such table, no such
kind of group, no such meter."""


def lacking(exchange: Exchange, meters: bool = False) -> dict[str, str]:
    """Feature -> why the switch lacks it; ``meters``: it says that it has them. Leaves nothing behind. Raises
    :class:`controller.errors.SwitchError`."""
    found: dict[str, str] = {}
    tried: list[Sample] = []
    exchange.take_errors()
    try:
        for sample in (*samples(), metered()) if meters else samples():
            tried.append(sample)
            # Without indirect groups programs use others: so do the samples that follow.
            problem = _try(exchange, sample, INDIRECT in found)
            if problem:
                found[sample.feature] = problem
    finally:
        exchange.send(b"".join(_removals(exchange.version, tried)))
        exchange.barrier()
        exchange.take_errors()
    for feature, problem in found.items():
        LOG.info("%s lacks %s: %s", exchange.name, feature, problem)
    return found


def _try(exchange: Exchange, sample: Sample, direct: bool) -> str:
    exchange.send(b"".join(_additions(exchange.version, sample, direct)))
    exchange.barrier()
    for error in exchange.take_errors():
        if error.code in TELLING.get(error.kind, ()):
            return f"the switch refuses {_subject(sample, error)} ({error.text})"
    return ""


def _additions(version: int, sample: Sample, direct: bool) -> Iterator[bytes]:
    for meter in sample.meters:
        yield encode_meter(meter, GroupCommand.ADD, version)
    for group in sample.groups:
        made = without_indirect(group) if direct else group
        yield encode_group(made, GroupCommand.ADD, version)
    for flow in sample.flows:
        yield encode_flow_add(flow, version)


def _removals(version: int, tried: Iterable[Sample]) -> Iterator[bytes]:
    for sample in tried:
        yield from (encode_flow_delete(flow, version) for flow in sample.flows)
        yield from (encode_group_delete(group.id, version) for group in sample.groups)
        yield from (encode_meter_delete(meter.id, version) for meter in sample.meters)


def _subject(sample: Sample, error: ErrorMessage) -> str:
    if error.about == GROUP_MOD:
        kinds = {group.id: group.type.name.lower().replace("_", "-") for group in sample.groups}
        return f"{kinds.get(error.group_id or 0, 'such')} groups"
    for flow in sample.flows:
        if flow.cookie == error.cookie:
            parts = [match.name for match in flow.match] + [type(action).__name__ for action in flow.actions]
            return f"a flow in table {flow.table} with {', '.join(dict.fromkeys(parts)) or 'no match'}"
    return f"what {sample.feature} takes"
