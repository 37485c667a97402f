"""Scenarios of programming a switch: what ``apply`` and ``audit`` do to its tables."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import pytest

import controller.southbound.applying as applying
from controller.dataplane.values import Flow, MatchField, Meter, Output, Program, ToGroup
from controller.errors import EncodeError, SwitchError
from mechanisms.openflow import meters, stamp
from tests.ovs.programs import GROUP, flow, group, program, to_group, to_tunnel
from tests.ovs.world import World

FLOWS = 100


def whole(revision: int = 1, *more: Flow) -> Program:
    """A program with everything in it."""
    return program(revision, *(flow(number) for number in range(FLOWS)), group(1, 2), to_group(), to_tunnel(1), *more)


def stamped(world: World) -> int:
    """The hash on the switch."""
    (line,) = world.bed.flows("br0", f"table={stamp.TABLE}")
    return int(line.partition("cookie=")[2].partition(",")[0], 16)


def check_holds(world: World, wanted: Program, foreign: int = 0) -> None:
    """The switch holds the program, the stamp, and so many flows of others."""
    cookies = sorted(line.partition(",")[0].removeprefix("cookie=") for line in world.bed.flows())
    ours = {f"{item.cookie:#x}" for item in wanted.flows()}
    assert ours <= set(cookies), sorted(ours - set(cookies))
    assert len(cookies) == len(ours) + 1 + foreign, world.bed.flows()
    assert stamped(world) == wanted.stamp
    expected = sorted(f"group_id={item.id}" for item in wanted.groups())
    assert sorted(line.split(",")[0] for line in world.bed.groups() if "group_id=5," not in line) == expected


def refusal(world: World, node: str, wanted: Program) -> SwitchError:
    """The error with which an apply ends."""
    try:
        world.southbound.apply(node, wanted)
    except SwitchError as error:
        print(error)
        return error
    raise AssertionError("what is bad was accepted")


def _from_nothing(world: World, protocols: str, version: str) -> None:
    node = world.switch(protocols)
    wanted = whole()
    applied = world.southbound.apply(node, wanted)
    assert (applied.revision, applied.adopted, applied.flows_added) == (1, False, FLOWS + 2), applied
    assert applied.groups_changed == 1
    check_holds(world, wanted)
    state = world.southbound.state(node)
    assert state is not None
    assert (state.state, state.openflow_version) == ("in-sync", version), state
    assert {"nicira", "bundles", "ovsdb"} <= state.capabilities
    assert world.southbound.apply(node, wanted).flows_added == 0
    assert world.southbound.audit(node, wanted).flows_added == 0
    check_holds(world, wanted)
    world.southbound.apply(node, program(2, flow(1)))
    check_holds(world, program(2, flow(1)))


def from_nothing_13(world: World) -> None:
    _from_nothing(world, "OpenFlow13", "1.3")


def from_nothing_14(world: World) -> None:
    _from_nothing(world, "OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15", "1.4")


def without_bundles(world: World) -> None:
    node = world.switch("OpenFlow13")
    plain(world, node)
    world.southbound.apply(node, whole())
    check_holds(world, whole())
    changed = program(2, *(flow(number, port=2) for number in range(0, FLOWS, 2)), group(3))
    applied = world.southbound.apply(node, changed)
    assert (applied.flows_added, applied.flows_removed) == (50, 52), applied
    check_holds(world, changed)
    bad = flow(7, port=0xFFFFFF10)
    assert refusal(world, node, program(3, flow(1), bad, flow(2))).cookie == bad.cookie
    check_holds(world, program(3, flow(1), flow(2)))


def plain(world: World, node: str) -> None:
    """Take the switch's bundles away, as hardware of OpenFlow 1.3 has none."""
    session = world.southbound._sessions[node]
    session._applier = applying.Applier(session.exchange, bundles=False)


def adopt_equal_stamp(world: World) -> None:
    node = world.switch()
    world.southbound.apply(node, whole())
    before, mods = world.bed.ages(), world.bed.flow_mods()
    time.sleep(0.3)
    world.reconnect()
    applied = world.southbound.apply(node, whole(9))
    assert applied.adopted, applied
    assert applied.revision == 9
    after = world.bed.ages()
    assert before.keys() == after.keys()
    assert all(after[key] > before[key] for key in before), "a flow was written again"
    assert world.bed.flow_mods() == mods, "flow-mods were sent"


def reconnect_sends_only_the_difference(world: World) -> None:
    node = world.switch()
    world.southbound.apply(node, whole())
    before = world.bed.ages()
    time.sleep(0.3)
    world.reconnect()
    wanted = program(2, *(flow(number) for number in range(1, FLOWS + 1)), group(1, 2), to_group(), to_tunnel(1))
    applied = world.southbound.apply(node, wanted)
    assert (applied.adopted, applied.flows_added, applied.flows_removed) == (False, 1, 1), applied
    after = world.bed.ages()
    kept = [key for key in before if key in after and not key.endswith(f" {stamp.TABLE}")]
    assert len(kept) == FLOWS + 1
    assert all(after[key] > before[key] for key in kept), "a flow that was right was written again"
    check_holds(world, wanted)


def overwriting_change(world: World) -> None:
    node = world.switch()
    world.southbound.apply(node, program(1, flow(1, port=1), flow(2)))
    applied = world.southbound.apply(node, program(2, flow(1, port=3), flow(2)))
    assert (applied.flows_added, applied.flows_removed) == (1, 0), applied
    check_holds(world, program(2, flow(1, port=3), flow(2)))
    world.reconnect()
    world.southbound.apply(node, program(3, flow(1, port=4), flow(2)))
    check_holds(world, program(3, flow(1, port=4), flow(2)))


def group_changes(world: World) -> None:
    node = world.switch()
    world.southbound.apply(node, program(1, group(1, 2), to_group()))
    age = world.bed.ages()
    time.sleep(0.2)
    applied = world.southbound.apply(node, program(2, group(2, 3), to_group()))
    assert (applied.flows_added, applied.groups_changed) == (0, 1), applied
    assert "output:3" in world.bed.groups()[0]
    key = f"{to_group().cookie:#x} 5"
    assert world.bed.ages()[key] > age[key], "a changed group rewrote a flow"
    other = GROUP + 1
    world.southbound.apply(node, program(3, group(2, 3, group_id=other), to_group(other)))
    check_holds(world, program(3, group(2, 3, group_id=other), to_group(other)))
    world.southbound.apply(node, program(4, flow(1)))
    check_holds(world, program(4, flow(1)))


def foreign_is_left_alone(world: World) -> None:
    node = world.switch()
    world.bed.ofctl("add-flow", "br0", "cookie=0x99,table=4,priority=7,ip,actions=drop")
    world.bed.ofctl("add-flow", "br0", "cookie=0x98,table=0,priority=1,actions=drop")
    world.bed.ofctl("add-group", "br0", "group_id=5,type=all,bucket=output:1")
    assert world.southbound.apply(node, whole()).foreign_flows == 2
    assert world.southbound.audit(node, whole()).foreign_flows == 2
    world.southbound.apply(node, program(2, flow(1)))
    world.southbound.audit(node, program(2, flow(1)))
    check_holds(world, program(2, flow(1)), foreign=2)
    assert any("group_id=5" in line for line in world.bed.groups())
    state = world.southbound.state(node)
    assert state is not None
    assert state.details["foreign_flows"] == 2


def meters_come_before_their_flows_and_go_after_them(world: World) -> None:
    node = world.switch()
    state = world.southbound.state(node)
    assert state is not None
    assert meters.METERS in state.capabilities
    limited = [flow(1), replace(flow(2), meter=meters.TENANTS.id)]
    world.southbound.apply(node, program(1, *limited, meters.TENANTS, meters.OTHERS))
    assert rates(world) == {meters.TENANTS.id: meters.TENANTS.rate, meters.OTHERS.id: meters.OTHERS.rate}
    assert any("meter:241" in line for line in world.bed.flows())
    world.reconnect()
    assert world.southbound.apply(node, program(1, *limited, meters.TENANTS, meters.OTHERS)).adopted
    world.southbound.apply(node, program(2, *limited, Meter(meters.TENANTS.id, 7, 7)))
    assert rates(world) == {meters.TENANTS.id: 7}
    world.southbound.apply(node, program(3, flow(1), flow(2)))
    assert rates(world) == {}
    check_holds(world, program(3, flow(1), flow(2)))


def audit_repairs_meters(world: World) -> None:
    """A meter that is deleted takes its flows along, and nothing but an audit sees one that is changed."""
    limited = replace(flow(2), meter=meters.TENANTS.id)
    node, wanted = world.switch(), program(1, flow(1), limited, meters.TENANTS, meters.OTHERS)
    world.southbound.apply(node, wanted)
    before = world.bed.flows()
    world.bed.ofctl("add-meter", "br0", "meter=1,pktps,burst,band=type=drop,rate=1,burst_size=1")
    world.bed.ofctl("del-meter", "br0", f"meter={meters.TENANTS.id}")
    world.bed.ofctl("mod-meter", "br0", f"meter={meters.OTHERS.id},pktps,burst,band=type=drop,rate=9,burst_size=9")
    assert world.bed.flows() != before
    repaired = world.southbound.audit(node, wanted)
    assert (repaired.flows_added, repaired.groups_changed) == (1, 2), repaired
    assert world.bed.flows() == before
    assert rates(world) == {1: 1, meters.TENANTS.id: meters.TENANTS.rate, meters.OTHERS.id: meters.OTHERS.rate}
    again = world.southbound.audit(node, wanted)
    assert (again.flows_added, again.flows_removed, again.groups_changed) == (0, 0, 0), again


def rates(world: World) -> dict[int, int]:
    """Meter id -> packets a second."""
    text = world.bed.ofctl("dump-meters", "br0")
    return {int(number): int(rate) for number, rate in re.findall(r"meter=(\d+) .*?rate=(\d+)", text, re.DOTALL)}


def audit_repairs_tampering(world: World) -> None:
    node = world.switch()
    wanted = whole()
    world.southbound.apply(node, wanted)
    before = world.bed.flows()
    groups = world.bed.groups()
    victim = f"cookie={flow(3).cookie:#x}"
    world.bed.ofctl("del-flows", "br0", f"{victim}/-1")
    world.bed.ofctl("mod-flows", "br0", "table=4,dl_dst=02:00:00:00:00:05,actions=drop")
    world.bed.ofctl("add-flow", "br0", f"cookie={flow(6).cookie:#x},table=4,priority=100,in_port=7,actions=output:9")
    world.bed.ofctl("add-flow", "br0", f"cookie={OTHERS:#x},table=2,priority=1,actions=output:1")
    world.bed.ofctl("mod-group", "br0", f"group_id={GROUP},type=all,bucket=output:9")
    world.bed.ofctl("del-flows", "br0", f"table={stamp.TABLE}")
    assert world.bed.flows() != before
    applied = world.southbound.audit(node, wanted)
    print(applied)
    assert world.bed.flows() == before
    assert world.bed.groups() == groups
    again = world.southbound.audit(node, wanted)
    assert (again.flows_added, again.flows_removed, again.groups_changed) == (0, 0, 0), again


OTHERS = 0x1571_0000_0000_1234
"""A cookie with our tag that belongs to no flow of the program."""


def rejected_flow_is_attributed(world: World) -> None:
    for number, protocols in enumerate(("OpenFlow13", "OpenFlow14")):
        _rejected(world, protocols, f"br{number}", number + 1)


def _rejected(world: World, protocols: str, bridge: str, datapath_id: int) -> None:
    node = world.switch(protocols, bridge, datapath_id)
    world.southbound.apply(node, program(1, flow(1)))
    bad_port = flow(2, port=0xFFFFFF10)
    no_group = Flow(5, 50, (MatchField("in_port", 9),), (ToGroup(0x20000099),), why="a flow to nowhere")
    told = len(world.events.rejections)
    error = refusal(world, node, program(2, flow(1), bad_port, no_group, flow(3)))
    assert error.cookie in (bad_port.cookie, no_group.cookie)
    assert {item.cookie for item in world.events.rejections[told:]} == {bad_port.cookie, no_group.cookie}
    assert {item.why for item in world.events.rejections[told:]} == {"flow 2", "a flow to nowhere"}
    state = world.southbound.state(node)
    assert state is not None
    assert (state.state, len(state.rejections)) == ("failed", 2), state
    cookies = {line.partition(",")[0] for line in world.bed.flows(bridge)}
    assert {f"cookie={flow(1).cookie:#x}", f"cookie={flow(3).cookie:#x}"} < cookies
    assert len(cookies) == 3, cookies
    world.southbound.apply(node, program(3, flow(1), flow(2)))
    assert world.state(node) == "in-sync"
    world.bed.disconnect(bridge)


def rejected_group_takes_its_flows_along(world: World) -> None:
    node = world.switch()
    bad = group(0xFFFFFF10)
    refusal(world, node, program(1, bad, to_group(), flow(1)))
    assert [(item.cookie, item.group_id) for item in world.events.rejections] == [(None, bad.id)]
    check_holds(world, program(1, flow(1)))


def rejected_bundle_changes_nothing(world: World) -> None:
    node = world.switch()
    world.southbound.apply(node, program(1, flow(1)))
    before = world.bed.flows()
    applying.ATTEMPTS = 1
    assert "nothing was changed" in str(refusal(world, node, program(2, flow(2), flow(3, port=0xFFFFFF10))))
    assert world.bed.flows() == before
    applying.ATTEMPTS = 64
    world.southbound.apply(node, program(3, flow(2)))
    check_holds(world, program(3, flow(2)))


def unencodable_flow_changes_nothing(world: World) -> None:
    """The first flows are on their way before it is found out."""
    node, good = world.switch(), [flow(number) for number in range(3000)]
    bad = Flow(4, 1, (MatchField("in_port", 1 << 32),), why="port nowhere")
    with pytest.raises(EncodeError, match="port nowhere"):
        world.southbound.apply(node, program(1, *good, bad))
    assert world.bed.flows() == []
    assert world.state(node) == "failed"
    world.southbound.apply(node, program(2, *good))
    check_holds(world, program(2, *good))


def many_flows(world: World) -> None:
    """Larger than any send queue, and other switches are served meanwhile."""
    node = world.switch()
    other = world.switch(name="br1", datapath_id=2)
    wanted = program(1, *(Flow(4, 100, (MatchField("eth_dst", number),), (Output(1),)) for number in range(30000)))
    started = time.monotonic()
    world.southbound.apply(node, wanted)
    print(f"{time.monotonic() - started:.2f} s")
    world.southbound.apply(other, program(1, flow(1)))
    assert world.southbound.audit(node, wanted).flows_added == 0
    world.reconnect()
    assert world.southbound.apply(node, wanted).adopted
