"""Where a port is plugged in decides where it is bound, whatever came first."""

from __future__ import annotations

from dataclasses import replace

from controller.model import Attachment, Observation
from tests.unit.controller.world import HOST, SWITCH_A, SWITCH_B, World, eventually, facts, port

P1 = "port-one-111"
ON_HOST = replace(facts(SWITCH_A), host="h1")
"""A switch on the host whose agent is HOST."""


def seen(node_id: str, *ports: str) -> Observation:
    return Observation(node_id, {name: Attachment(name, "tap", 1) for name in ports})


def settled(world: World) -> bool:
    queued = world.reconciler.queues()["node_events"]
    return not queued and world.store.latest() == world.reconciler.board.intent.revision


def test_a_port_that_did_not_arrive_is_bound_again_where_it_still_is() -> None:
    with World() as world:
        world.store.commit(ports={P1: port(P1, None)})
        eventually(lambda: P1 in world.reconciler.board.intent.ports)
        for node_id in (SWITCH_A, SWITCH_B):
            world.reconciler.node_observed(facts(node_id), seen(node_id, P1))
        world.reconciler.node_observed(facts(SWITCH_B), seen(SWITCH_B))
        assert world.store.unplugged == [(P1, SWITCH_B)]
        assert world.store.plugged == [(P1, SWITCH_A), (P1, SWITCH_B), (P1, SWITCH_A)]


def test_a_tap_in_open_vswitch_is_the_switchs_and_not_the_agents() -> None:
    with World() as world:
        world.reconciler.node_observed(ON_HOST, seen(SWITCH_A))
        world.store.commit(ports={P1: port(P1, SWITCH_A, host="h1")})
        eventually(lambda: settled(world))
        world.reconciler.node_observed(ON_HOST, seen(SWITCH_A, P1))
        world.reconciler.node_observed(facts(HOST), seen(HOST, P1))
        assert world.store.plugged == []
        world.reconciler.node_observed(ON_HOST, seen(SWITCH_A))
        assert world.store.plugged == [(P1, HOST)]


def test_an_agent_that_reports_before_its_switch_takes_nothing_from_it() -> None:
    """As after a restart of the controller."""
    for has, plugged in (((P1,), []), ((), [(P1, HOST)])):
        with World() as world:
            world.store.node_seen(ON_HOST)
            world.store.commit(ports={P1: port(P1, SWITCH_A, host="h1")})
            eventually(lambda world=world: settled(world))  # type: ignore[misc]
            world.reconciler.node_observed(facts(HOST), seen(HOST, P1))
            assert world.store.plugged == []
            world.reconciler.node_observed(ON_HOST, seen(SWITCH_A, *has))
            assert world.store.plugged == plugged
