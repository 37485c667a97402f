"""The reconciler against switches that fail, wait and come back."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from controller.dataplane.values import Program
from controller.hosts import Hosts
from controller.model import Attachment, Binding, Observation, Port, Segment
from controller.pace import Pace
from legacy_agent.host_plan import HostReport
from tests.unit.controller.world import HOST, NET, SWITCH_A, SWITCH_B, PortsCompiler, World, eventually, facts, port

P1, P2 = "port-one-111", "port-two-222"


def seen(node_id: str, *ports: str, link_up: bool = True) -> Observation:
    return Observation(node_id, {name: Attachment(name, "eth", 1, link_up) for name in ports})


def test_a_port_is_active_only_when_every_carrier_acknowledged() -> None:
    with World() as world:
        world.reconciler.switch_ready(facts(SWITCH_A), seen(SWITCH_A, P1))
        world.reconciler.switch_ready(facts(SWITCH_B), seen(SWITCH_B, P2))
        world.store.commit(ports={P2: port(P2, SWITCH_B)})
        eventually(lambda: world.status(P2) == "ACTIVE")
        world.switches.blocked.add(SWITCH_B)
        world.store.commit(ports={P1: port(P1, SWITCH_A)})
        eventually(lambda: world.status(P1) == "BUILD")
        assert "000000000000000b" in world.reason(P1)
        world.switches.blocked.clear()
        eventually(lambda: world.status(P1) == "ACTIVE")


def test_a_failing_switch_fails_alone_and_heals() -> None:
    with World() as world:
        world.switches.broken.add(SWITCH_B)
        world.store.commit(ports={P1: port(P1, SWITCH_A)})
        world.reconciler.switch_ready(facts(SWITCH_A), seen(SWITCH_A, P1))
        world.reconciler.switch_ready(facts(SWITCH_B), seen(SWITCH_B))
        eventually(lambda: world.status(P1) == "ACTIVE")
        world.store.commit(ports={P2: port(P2, SWITCH_B)})
        world.reconciler.switch_ready(facts(SWITCH_B), seen(SWITCH_B, P2))
        eventually(lambda: "table 4 is full" in world.reason(P2))
        assert world.status(P2) == "BUILD"
        world.switches.broken.clear()
        eventually(lambda: world.status(P2) == "ACTIVE")


def test_a_port_that_carries_nothing_because_of_another_is_down_as_long_as_that_is_there() -> None:
    segments = Segment("one", "vlan", "physnet1", 1), Segment("two", "vlan", "physnet2", 2)

    def on(segment: Segment, name: str) -> Port:
        return replace(port(name, SWITCH_A), binding=Binding(SWITCH_A, segment.id, "openflow", 1))

    with World() as world:
        world.store.commit(networks={"net": replace(NET, segments=segments)})
        world.reconciler.switch_ready(facts(SWITCH_A), seen(SWITCH_A, P1, P2))
        world.store.commit(ports={P2: on(segments[1], P2)})
        eventually(lambda: world.status(P2) == "ACTIVE")
        world.store.commit(ports={P1: on(segments[0], P1)})
        eventually(lambda: world.status(P1) == "ACTIVE")
        eventually(lambda: "carries the network by segment vlan 1 on physnet1" in world.reason(P2))
        assert world.status(P2) == "DOWN"
        world.store.commit(ports={P1: None})
        eventually(lambda: world.status(P2) == "ACTIVE")


def test_down_says_why() -> None:
    with World() as world:
        world.store.commit(ports={P1: port(P1, None, binding_refusal="physnet9 is not mapped")})
        eventually(lambda: world.store.statuses.get(P1) == ("DOWN", "physnet9 is not mapped"))
        world.reconciler.switch_ready(facts(SWITCH_A), seen(SWITCH_A))
        world.store.commit(ports={P1: port(P1, SWITCH_A)})
        eventually(lambda: f"iface-id={P1}" in world.reason(P1))
        world.reconciler.switch_ready(facts(SWITCH_A), seen(SWITCH_A, P1, link_up=False))
        eventually(lambda: "link of eth" in world.reason(P1))
        world.reconciler.switch_ready(facts(SWITCH_A), seen(SWITCH_A, P1))
        eventually(lambda: world.status(P1) == "ACTIVE")
        world.store.commit(ports={P1: port(P1, SWITCH_A, admin_state_up=False)})
        eventually(lambda: world.store.statuses[P1] == ("DOWN", "administratively down"))
        world.store.commit(ports={P1: port(P1, SWITCH_A)})
        eventually(lambda: world.status(P1) == "ACTIVE")
        world.store.commit(networks={"net": replace(NET, admin_state_up=False)})
        eventually(lambda: "network net" in world.reason(P1))
        world.store.commit(networks={"net": NET})
        eventually(lambda: world.status(P1) == "ACTIVE")
        world.reconciler.switch_lost(SWITCH_A)
        eventually(lambda: "is not connected" in world.reason(P1))
        eventually(lambda: world.store.lost == [SWITCH_A])
        world.reconciler.switch_ready(facts(SWITCH_A), seen(SWITCH_A, P1))
        eventually(lambda: world.status(P1) == "ACTIVE")


def test_plugging_and_unplugging_reach_the_store() -> None:
    with World() as world:
        world.reconciler.switch_ready(facts(SWITCH_A), seen(SWITCH_A, P1))
        world.reconciler.switch_ready(facts(SWITCH_A), seen(SWITCH_A, P2))
        eventually(lambda: world.store.unplugged == [(P1, SWITCH_A)])
        assert world.store.plugged == [(P1, SWITCH_A), (P2, SWITCH_A)]


def test_only_touched_switches_are_programmed() -> None:
    with World() as world:
        for name in (SWITCH_A, SWITCH_B):
            world.reconciler.switch_ready(facts(name), seen(name))
        eventually(lambda: len(world.switches.programs) == 2)
        eventually(lambda: not any(state.pending for state in world.reconciler.board.states()))
        before = len(world.switches.programs[SWITCH_B])
        revision = world.store.commit(ports={P1: port(P1, SWITCH_A)})
        eventually(lambda: world.switches.programs[SWITCH_A][-1].revision >= revision)
        eventually(lambda: world.reconciler.board.revision_of(SWITCH_B) >= revision)
        assert len(world.switches.programs[SWITCH_B]) == before


def test_a_store_that_was_away_loses_nothing() -> None:
    with World() as world:
        world.reconciler.switch_ready(facts(SWITCH_A), seen(SWITCH_A, P1))
        eventually(lambda: SWITCH_A in world.switches.programs)
        world.store.failures = 1
        world.store.commit(ports={P1: port(P1, SWITCH_A)})
        eventually(lambda: world.status(P1) == "ACTIVE")


def shown(world: World, observation: Observation) -> int:
    """The stamp that the switch would have now."""
    intent = world.reconciler.board.intent
    program = PortsCompiler().compile(intent, intent.nodes[observation.node_id], observation)
    assert isinstance(program, Program)
    return program.stamp


def test_a_switch_that_shows_its_stamp_is_adopted_and_follows(caplog: pytest.LogCaptureFixture) -> None:
    with World() as world, caplog.at_level(logging.INFO):
        world.store.commit(ports={P1: port(P1, SWITCH_A)})
        world.store.node_seen(facts(SWITCH_A))
        eventually(lambda: SWITCH_A in world.reconciler.board.intent.nodes)
        world.switches.holding[SWITCH_A] = shown(world, seen(SWITCH_A, P1))
        world.reconciler.switch_ready(facts(SWITCH_A), seen(SWITCH_A, P1))
        eventually(lambda: world.status(P1) == "ACTIVE")
        assert SWITCH_A not in world.switches.programs
        eventually(lambda: f"in force already (adopted): {SWITCH_A}" in caplog.text)
        world.store.commit(ports={P2: port(P2, SWITCH_A, revision=9)})
        eventually(lambda: len(world.switches.programs.get(SWITCH_A, ())) == 1)
        world.reconciler.switch_lost(SWITCH_A)
        eventually(lambda: world.status(P1) == "DOWN")
        world.switches.holding[SWITCH_A] = 1
        world.reconciler.switch_ready(facts(SWITCH_A), seen(SWITCH_A, P1))
        eventually(lambda: len(world.switches.programs[SWITCH_A]) == 2)
        eventually(lambda: world.status(P1) == "ACTIVE")


def test_audits_run_when_idle() -> None:
    with World(Pace(retry_max=0.05, audit_interval=0.02)) as world:
        world.reconciler.switch_ready(facts(SWITCH_A), seen(SWITCH_A))
        eventually(lambda: world.switches.audits >= 2)


def report(revision: int = 0, **more: object) -> HostReport:
    return HostReport("h1", applied_revision=revision, drivers={"linuxbridge": ("vlan",)}, **more)  # type: ignore[arg-type]


def test_a_host_gets_its_plan_and_its_report_acknowledges() -> None:
    with World() as world:
        hosts = Hosts(world.reconciler, world.store)
        hosts.report(report())
        first = hosts.plan("h1", 0, 1.0)
        assert first is not None
        assert first.networks == ()
        hosts.report(report(first.revision))
        assert hosts.plan("h1", first.revision, 0.01) is None
        world.store.commit(ports={P1: port(P1, HOST)})
        plan = hosts.plan("h1", first.revision, 5.0)
        assert plan is not None
        assert plan.networks[0].peers == (P1,)
        hosts.report(report(first.revision, devices={P1[:11]: "tap" + P1[:11]}))
        eventually(lambda: world.status(P1) == "BUILD")
        hosts.report(report(plan.revision, devices={P1[:11]: "tap" + P1[:11]}))
        eventually(lambda: world.status(P1) == "ACTIVE")
        hosts.report(report(plan.revision, devices={P1[:11]: "tap" + P1[:11]}, errors={"net": "no 802.1q"}))
        eventually(lambda: "no 802.1q" in world.reason(P1))


def test_an_agent_that_outlived_the_database_gets_the_plan_and_acknowledges_nothing() -> None:
    with World() as world:
        hosts = Hosts(world.reconciler, world.store)
        world.store.commit(ports={P1: port(P1, HOST)})
        hosts.report(report(999, devices={P1[:11]: "tap" + P1[:11]}))
        eventually(lambda: world.status(P1) == "BUILD")
        plan = hosts.plan("h1", 999, 0.0)
        assert plan is not None
        assert plan.networks


def test_a_silent_host_is_down() -> None:
    with World(Pace(agent_down_time=0.2, audit_interval=0.0)) as world:
        hosts = Hosts(world.reconciler, world.store)
        world.store.commit(ports={P1: port(P1, HOST)})
        hosts.report(report(2, devices={P1[:11]: "tap" + P1[:11]}))
        eventually(lambda: world.store.lost == [HOST])
        eventually(lambda: "is not connected" in world.reason(P1))


def test_a_follower_that_fell_behind_the_feed_loads_anew() -> None:
    with World() as world:
        world.store.commit(ports={P1: port(P1, SWITCH_A), P2: port(P2, SWITCH_A)})
        world.reconciler.switch_ready(facts(SWITCH_A), seen(SWITCH_A, P1, P2))
        eventually(lambda: world.status(P2) == "ACTIVE")
        world.store.expired = True
        world.store.commit(ports={P1: None})
        eventually(lambda: P1 not in world.reconciler.board.intent.ports)
        assert P2 in world.reconciler.board.intent.ports


def test_a_port_that_the_store_set_down_is_written_again() -> None:
    with World() as world:
        world.reconciler.switch_ready(facts(SWITCH_A), seen(SWITCH_A, P1))
        world.store.commit(ports={P1: port(P1, SWITCH_A)})
        eventually(lambda: world.status(P1) == "ACTIVE")
        world.store.statuses[P1] = ("DOWN", "")
        world.store.commit(ports={P1: port(P1, SWITCH_A, revision=9)})
        eventually(lambda: world.status(P1) == "ACTIVE")
