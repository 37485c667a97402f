"""Meters on a simulated switch, which like Open vSwitch takes none in bundles: made, seen to, done without."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bench.sim_switch import GENERIC, Make, SimSwitch
from bench.sim_tables import METER_MOD, METER_MOD_FAILED
from controller.dataplane.encoder import encode_meter_delete
from controller.dataplane.values import Flow, Fragment, Meter, Output, Program
from controller.southbound import probing
from controller.southbound.applying import Applier, Rejected
from mechanisms.openflow import meters
from tests.ovs.programs import flow
from tests.unit.southbound.test_exchange import Introduced

OUT_OF_METERS = 10
PUNT = Flow(0, 200, (), (Output(7),), why="LLDP", meter=meters.OTHERS.id)


def wanted(*limits: Meter, revision: int = 1) -> Program:
    """A program with these meters."""
    return Program.of(revision, [Fragment(("test",), (PUNT, flow(1)), (), limits)])


PROGRAM = wanted(meters.TENANTS, meters.OTHERS)


def applier(line: Introduced, bundles: bool = True) -> Applier:
    return Applier(line.exchange, bundles, meters=True)


def rates(line: Introduced) -> dict[int, int]:
    """Meter id -> rate."""
    return {number: int.from_bytes(content[6:10], "big") for number, content in line.switch.tables.meters.items()}


WANTED = {meter.id: meter.rate for meter in (meters.TENANTS, meters.OTHERS)}


@pytest.mark.parametrize("bundles", [True, False])
def test_they_are_made_changed_and_removed(bundles: bool) -> None:
    line = Introduced(Make(5, bundles=bundles))
    session = applier(line, bundles)
    assert session.apply(PROGRAM).flows_added == 2
    assert rates(line) == WANTED
    slower = Meter(meters.OTHERS.id, 5, 5)
    session.apply(wanted(slower, revision=2))
    assert rates(line) == {slower.id: 5}
    session.apply(Program.of(3, [Fragment(("test",), (flow(1),))]))
    assert rates(line) == {}
    assert applier(line, bundles).apply(Program.of(4, [Fragment(("test",), (flow(1),))])).adopted


@pytest.mark.parametrize("bundles", [True, False])
def test_an_audit_repairs_what_was_changed_or_deleted(bundles: bool) -> None:
    line = Introduced(Make(5, bundles=bundles))
    session = applier(line, bundles)
    session.apply(PROGRAM)
    line.switch.receive(encode_meter_delete(meters.OTHERS.id, 5))
    line.switch.tables.meters[meters.TENANTS.id] = Meter(1, 9, 9).encoded()
    line.switch.tables.meters[5] = b"\0\1"  # of somebody else
    assert len(line.switch.tables.flows) == 2, "the flow went with its meter"
    repaired = session.audit(PROGRAM)
    assert (repaired.flows_added, repaired.groups_changed) == (1, 2)
    assert rates(line) == {**WANTED, 5: 0}
    again = session.audit(PROGRAM)
    assert (again.flows_added, again.groups_changed) == (0, 0)


def test_a_switch_with_meters_and_nothing_else_left_is_repaired() -> None:
    line = Introduced(Make(5))
    applier(line).apply(PROGRAM)
    line.switch.tables.flows.clear()
    assert applier(line).apply(PROGRAM).flows_added == 2
    assert rates(line) == WANTED


def test_a_flow_that_is_refused_takes_no_meter_along() -> None:
    """The meters are there when the rest is tried again, and are not to be made twice."""
    line = Introduced(Make(5))
    line.switch.faults.refuse_with = f"{0x020000000001:012x}"
    session = applier(line)
    with pytest.raises(Rejected) as refusal:
        session.apply(PROGRAM)
    assert [item.cookie for item in refusal.value.rejections] == [flow(1).cookie]
    assert [item.meter for item in session.installed.flows()] == [meters.OTHERS.id]  # type: ignore[union-attr]


class Full(SimSwitch):
    """Has room for one meter."""

    def _modify(self, message: bytes) -> Sequence[bytes]:
        if message[1] == METER_MOD and message[8:10] == b"\0\0" and self.tables.meters:
            return [self._refusal(message, METER_MOD_FAILED, OUT_OF_METERS)]
        return super()._modify(message)


@pytest.mark.parametrize("bundles", [True, False])
def test_flows_do_without_a_meter_that_is_refused(bundles: bool) -> None:
    line = Introduced(Make(5, bundles=bundles))
    line.switch = Full(5, Make(5, bundles=bundles))
    session = applier(line, bundles)
    with pytest.raises(Rejected, match=r"refused meter 242, LLDP of ports that are neither .*OUT_OF_METERS"):
        session.apply(PROGRAM)
    assert [item.meter for item in session.installed.flows()] == [None, None]  # type: ignore[union-attr]
    assert len(line.switch.tables.flows) == 3
    assert rates(line).keys() == {meters.TENANTS.id}


def test_an_unknown_switch_is_tried_before_it_is_believed() -> None:
    able = Introduced(Make(4, *GENERIC, bundles=False))
    assert probing.lacking(able.exchange, meters=True) == {}
    assert not able.switch.tables.meters
    assert not able.switch.tables.flows
    claims = Introduced(Make(4, *GENERIC, bundles=False, meters=0))
    assert set(probing.lacking(claims.exchange)) == set()
    unable = Introduced(Make(4, *GENERIC, bundles=False))
    unable.switch = Unmetered(5, unable.switch.make)
    assert set(probing.lacking(unable.exchange, meters=True)) == {meters.METERS}


class Unmetered(SimSwitch):
    """Claims to have meters, and takes none of their bands."""

    def _modify(self, message: bytes) -> Sequence[bytes]:
        if message[1] == METER_MOD and message[8:10] == b"\0\0":
            return [self._refusal(message, METER_MOD_FAILED, 8)]
        return super()._modify(message)
