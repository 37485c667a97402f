"""After a restart switches wait for those that were there before, and for nobody who had long been away."""

from __future__ import annotations

from controller.fabric import FabricControl
from controller.model import Node, NodeKind
from controller.pace import Pace
from controller.reconciler import Reconciler
from tests.unit.controller.world import SWITCH_A, SWITCH_B, MemoryStore, NotingSwitches, PortsCompiler, thread
from topology.discovery import Pace as ProbePace
from topology.events import EventLog
from topology.fabric import Topology


class Waiting(FabricControl):
    """Notes who is expected."""

    def expect(self, node_ids: object) -> None:
        self.expected = set(node_ids)  # type: ignore[call-overload]


class Store(MemoryStore):
    """Two switches are known; one has long been away."""

    def long_away(self) -> frozenset[str]:
        return frozenset({SWITCH_B})


def test_who_was_away_already_is_not_expected() -> None:
    events = EventLog()
    fabric = Waiting(Topology(b"key", ProbePace(), {"physnet1": (0, 4094)}, events), events, 15.0, thread)
    store = Store()
    nodes = [Node(node_id, key, NodeKind.SWITCH, node_id, ("openflow",))
             for key, node_id in enumerate((SWITCH_A, SWITCH_B), 1)]  # fmt: skip
    store.commit(nodes={node.id: node for node in nodes})
    reconciler = Reconciler(store, store, PortsCompiler(), NotingSwitches(), Pace(), thread, fabric=fabric)
    reconciler.start()
    reconciler.stop()
    assert fabric.expected == {SWITCH_A}
