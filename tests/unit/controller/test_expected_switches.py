"""What the reconciler tells the fabric: whom to expect after a restart, and what is plugged into whom."""

from __future__ import annotations

from dataclasses import replace

from controller.fabric import FabricControl
from controller.model import DeclaredSwitch, Node, NodeKind, Observation, PortView
from controller.pace import Pace
from controller.reconciler import Reconciler
from tests.unit.controller.world import (
    NET,
    SWITCH_A,
    SWITCH_B,
    MemoryStore,
    NotingSwitches,
    PortsCompiler,
    facts,
    port,
    thread,
)
from topology.discovery import Pace as ProbePace
from topology.events import EventLog
from topology.fabric import Topology


class Waiting(FabricControl):
    """Notes who is expected."""

    def expect(self, node_ids: object) -> None:
        self.expected = set(node_ids)  # type: ignore[call-overload]
        self.seen: list[Observation] = []

    def observed(self, observation: Observation) -> None:
        self.seen.append(observation)

    def uplinks_before(self, node_id: str) -> dict[str, int]:
        return {"physnet1": 3} if node_id == SWITCH_A else {}


class Store(MemoryStore):
    """Two switches are known; one has long been away."""

    def long_away(self) -> frozenset[str]:
        return frozenset({SWITCH_B})


def control() -> Waiting:
    events = EventLog()
    return Waiting(Topology(b"key", ProbePace(), {"physnet1": (0, 4094)}, events), events, 15.0, thread)


def test_who_was_away_already_is_not_expected() -> None:
    fabric, store = control(), Store()
    nodes = [Node(node_id, key, NodeKind.SWITCH, node_id, ("openflow",))
             for key, node_id in enumerate((SWITCH_A, SWITCH_B), 1)]  # fmt: skip
    store.commit(nodes={node.id: node for node in nodes})
    reconciler = Reconciler(store, store, PortsCompiler(), NotingSwitches(), Pace(), thread, fabric=fabric)
    reconciler.start()
    reconciler.stop()
    assert fabric.expected == {SWITCH_A}


def test_a_port_that_moves_while_its_switch_is_away_does_not_bring_the_switch_back() -> None:
    """Else its links, which nobody can probe, would be held to be dead."""
    fabric, store, port_id = control(), Store(), "11111111-0000-0000-0000-000000000000"
    store.commit(networks={"net": NET})
    reconciler = Reconciler(store, store, PortsCompiler(), NotingSwitches(), Pace(), thread, fabric=fabric)
    reconciler.start()
    told = Observation(SWITCH_A, switch_ports={7: PortView("eth7", True)})
    reconciler.node_observed(facts(SWITCH_A), told)

    def plugged(into: str) -> list[Observation]:
        fabric.seen.clear()
        store.commit(ports={port_id: port(port_id, SWITCH_A, local_links=(("a", into),))})
        reconciler.catch_up()
        return fabric.seen

    assert list(plugged("eth7")[-1].attachments) == [port_id]
    reconciler.node_lost(SWITCH_A)
    assert plugged("eth9") == []
    reconciler.node_observed(facts(SWITCH_A), told)
    assert fabric.seen[-1].attachments == {}
    reconciler.stop()


def test_of_two_declared_uplinks_the_one_from_before_the_restart_is_used() -> None:
    fabric, store = control(), Store()
    store.commit(switches={node_id: DeclaredSwitch(node_id, uplinks={"physnet1": ("1", "3")})
                           for node_id in (SWITCH_A, SWITCH_B)})  # fmt: skip
    reconciler = Reconciler(store, store, PortsCompiler(), NotingSwitches(), Pace(), thread, fabric=fabric)
    reconciler.start()
    for node_id, used in ((SWITCH_A, 3), (SWITCH_B, 1)):
        ports = {number: PortView(f"eth{number}", True) for number in (1, 3)}
        made = replace(facts(node_id), capabilities=frozenset({"nicira"}))
        reconciler.node_observed(made, Observation(node_id, switch_ports=ports))
        assert fabric.seen[-1].uplinks == {"physnet1": used}
    reconciler.stop()
