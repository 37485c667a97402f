"""Where a port is plugged in decides where it is bound, whatever came first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest

from controller.model import Attachment, Node, NodeFacts, NodeKind, Observation
from controller.pace import Pace
from controller.sightings import DOUBT
from tests.unit.controller.world import HOST, SWITCH_A, SWITCH_B, World, eventually, facts, port

P1 = "port-one-111"
ON_HOST = replace(facts(SWITCH_A), host="h1")
"""A switch on the host whose agent is HOST."""


OTHER: dict[str, Any] = {
    "id": SWITCH_B, "kind": NodeKind.HOST, "host": "other", "mechanisms": (), "tunnel_ip": "192.0.2.1",
    "tunnel_types": frozenset({"gre"}), "physical_networks": {"physnet1": "eth0"},
    "capabilities": frozenset({"ovsdb"}), "limits": {"gre": "no"}, "link_tags": {"physnet1": (1, 9)},
    "served": {"openflow": ("vlan",)}, "vif_details": {"openflow": {"bridge": "br0"}},
}  # fmt: skip


@pytest.mark.parametrize("field", [field.name for field in fields(NodeFacts)])
def test_a_node_said_its_facts_and_nothing_else(field: str) -> None:
    told = facts(SWITCH_A)
    node = Node(key=7, **{item.name: getattr(told, item.name) for item in fields(NodeFacts)})
    assert node.facts() == told
    assert node.said(replace(told))
    assert not node.said(replace(told, **{field: OTHER[field]}))


def seen(node_id: str, *ports: str) -> Observation:
    return Observation(node_id, {name: Attachment(name, "tap", 1) for name in ports})


def test_a_port_that_did_not_arrive_is_bound_again_where_it_still_is() -> None:
    with World() as world:
        world.store.commit(ports={P1: port(P1, None)})
        eventually(lambda: P1 in world.reconciler.board.intent.ports)
        for node_id in (SWITCH_A, SWITCH_B):
            world.reconciler.node_observed(facts(node_id), seen(node_id, P1))
        world.reconciler.node_observed(facts(SWITCH_B), seen(SWITCH_B))
        assert world.store.unplugged == [(P1, SWITCH_B)]
        assert world.store.plugged == [(P1, SWITCH_A), (P1, SWITCH_B), (P1, SWITCH_A)]


@pytest.fixture
def world() -> Iterator[World]:
    """A port of host h1 that is bound to the switch there; time stands still."""
    with World() as found:
        found.store.node_seen(ON_HOST)
        found.store.commit(ports={P1: port(P1, SWITCH_A, host="h1")})
        eventually(lambda: found.store.latest() == found.reconciler.board.intent.revision)
        moment = found.reconciler.board.clock()
        found.reconciler.board.clock = lambda: moment
        yield found


def wait(world: World, seconds: float) -> None:
    moment = world.reconciler.board.clock() + seconds
    world.reconciler.board.clock = lambda: moment


def test_a_tap_in_open_vswitch_is_the_switchs_and_not_the_agents(world: World) -> None:
    world.reconciler.node_observed(ON_HOST, seen(SWITCH_A, P1))
    for _ in range(2):
        world.reconciler.node_observed(facts(HOST), seen(HOST, P1))
    world.reconciler.node_observed(ON_HOST, seen(SWITCH_A))
    world.reconciler.node_observed(facts(HOST), seen(HOST, P1))
    assert world.store.plugged == [], "it is about to go, as the port in Open vSwitch did"
    wait(world, DOUBT + 1)
    world.reconciler.node_observed(facts(HOST), seen(HOST, P1))
    assert world.store.plugged == [(P1, HOST)]


def test_a_tap_that_the_switch_has_not_is_the_agents_at_once(world: World) -> None:
    world.reconciler.node_observed(ON_HOST, seen(SWITCH_A))
    world.reconciler.node_observed(facts(HOST), seen(HOST, P1))
    assert world.store.plugged == [(P1, HOST)]


def test_an_agent_that_reports_before_its_switch_takes_nothing_from_it(world: World) -> None:
    """As after a restart of the controller."""
    world.reconciler.node_observed(facts(HOST), seen(HOST, P1))
    world.reconciler.node_observed(ON_HOST, seen(SWITCH_A, P1))
    world.reconciler.node_observed(facts(HOST), seen(HOST, P1))
    assert world.store.plugged == []


@pytest.mark.parametrize("told", [False, True])
def test_a_switch_that_does_not_come_back_keeps_nothing_from_the_agent(world: World, told: bool) -> None:
    if told:
        world.reconciler.node_observed(ON_HOST, seen(SWITCH_A, P1))
        world.reconciler.node_lost(SWITCH_A)
    world.reconciler.node_observed(facts(HOST), seen(HOST, P1))
    assert world.store.plugged == []
    wait(world, Pace().agent_down_time + DOUBT)
    world.reconciler.node_observed(facts(HOST), seen(HOST, P1))
    assert world.store.plugged == [(P1, HOST)]
