"""A small world for reconciler tests: a store in memory, switches that note what they were given, one network."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from controller.dataplane.values import Flow, Fragment, Program
from controller.errors import FeedExpired, SwitchError
from controller.intent import Change, Intent
from controller.model import Binding, Network, Node, NodeFacts, NodeKind, Observation, Port, Segment
from controller.pace import Pace
from controller.reconciler import Reconciler
from controller.switches import Applied
from legacy_agent.host_plan import HostNetwork, HostPlan

NET = Network("net", 1, (Segment("seg", "vlan", "physnet1", 100),))
SWITCH_A, SWITCH_B, HOST = "switch:000000000000000a", "switch:000000000000000b", "host:h1"


def thread(target: Callable[[], None]) -> None:
    threading.Thread(target=target, daemon=True).start()


def eventually(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until the condition holds; fails the test after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.002)


class MemoryStore:
    """The feed and the node use cases without a database."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.statuses: dict[str, tuple[str, str]] = {}
        self.plugged: list[tuple[str, str]] = []
        self.unplugged: list[tuple[str, str]] = []
        self.lost: list[str] = []
        self.failures = 0
        self.expired = False
        self._callbacks: list[Callable[[int], None]] = []

    def commit(self, **objects: dict[str, object]) -> int:
        revision = len(self.changes) + 1
        self.changes.append(Change.of(revision, **objects))  # type: ignore[arg-type]
        for callback in self._callbacks:
            callback(revision)
        return revision

    def load(self) -> Intent:
        intent = Intent()
        for change in self.changes:
            intent.apply(change)
        return intent

    def since(self, revision: int) -> list[Change]:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the database is away")
        if self.expired:
            self.expired = False
            raise FeedExpired("pruned")
        return [change for change in self.changes if change.revision > revision]

    def subscribe(self, callback: Callable[[int], None]) -> None:
        self._callbacks.append(callback)

    def latest(self) -> int:
        return len(self.changes)

    def node_seen(self, facts: NodeFacts) -> Node:
        node = Node(facts.id, int(facts.id[-1], 16) + 1, facts.kind, facts.host, facts.mechanisms)
        if self.load().nodes.get(node.id) != node:
            self.commit(nodes={node.id: node})
        return node

    def node_heartbeat(self, node_id: str) -> None:
        pass

    def node_heartbeats(self, node_ids: list[str]) -> None:
        pass

    def node_lost(self, node_id: str) -> None:
        self.lost.append(node_id)

    def port_plugged(self, port_id: str, node_id: str) -> None:
        self.plugged.append((port_id, node_id))

    def port_unplugged(self, port_id: str, node_id: str) -> bool:
        """It is free then if the intent has it bound nowhere."""
        self.unplugged.append((port_id, node_id))
        port = self.load().ports.get(port_id)
        return port is not None and port.binding is None

    def find_port(self, id_prefix: str) -> str | None:
        found = [port for port in self.load().ports if port.startswith(id_prefix)]
        return found[0] if len(found) == 1 else None

    def port_statuses(self) -> dict[str, tuple[str, str]]:
        return dict(self.statuses)

    def set_port_statuses(self, statuses: dict[str, tuple[str, str]], revisions: dict[str, int] | None = None) -> None:
        self.statuses.update(statuses)


class NotingSwitches:
    """Switches that take every program, or fail while ``broken``, or wait while ``slow`` is cleared."""

    def __init__(self) -> None:
        self.programs: dict[str, list[Program]] = {}
        self.broken: set[str] = set()
        self.blocked: set[str] = set()
        self.holding: dict[str, int] = {}
        """The stamps that switches show."""
        self.audits = 0

    def apply(self, node_id: str, program: Program) -> Applied:
        while node_id in self.blocked:
            time.sleep(0.005)
        if node_id in self.broken:
            raise SwitchError("table 4 is full")
        self.programs.setdefault(node_id, []).append(program)
        return Applied(program.revision, flows_added=1)

    def may_hold(self, node_id: str) -> bool:
        return node_id in self.holding

    def adopt(self, node_id: str, program: Program) -> Applied | None:
        if self.holding.pop(node_id, None) != program.stamp:
            return None
        return Applied(program.revision, adopted=True)

    def audit(self, node_id: str, program: Program) -> Applied:
        self.audits += 1
        return Applied(program.revision)

    def state(self, node_id: str) -> None:
        return None

    def states(self) -> list[None]:
        return []


class PortsCompiler:
    """A plan is the list of bound ports: enough to see what a node was told."""

    def prepare(self, intent: Intent) -> None:
        pass

    def compile(
        self, intent: Intent, node: Node, observation: Observation, changed_networks: frozenset[str] | None = None
    ) -> Program | HostPlan:
        networks = sorted(intent.networks_of(node.id))
        if node.kind is NodeKind.HOST:
            found = [HostNetwork(name, "linuxbridge", "vlan", "physnet1", 100, 1500,
                                 peers=tuple(sorted(intent.bound_ports(name)))) for name in networks]  # fmt: skip
            return HostPlan(node.host, intent.revision, tuple(found))
        ports = [port for name in networks for port in sorted(intent.bound_ports(name))]
        attached = sorted(observation.attachments)
        return Program.of(intent.revision, [Fragment("ports", (Flow(0, 1, why=f"{ports} {attached}"),))])


def port(port_id: str, node_id: str | None, revision: int = 1, **changes: object) -> Port:
    binding = Binding(node_id, "seg", "openflow", 1) if node_id else None
    return Port(port_id, "net", "fa:16:3e:00:00:01", binding=binding, revision=revision, **changes)  # type: ignore[arg-type]


def facts(node_id: str) -> NodeFacts:
    kind = NodeKind.HOST if node_id.startswith("host:") else NodeKind.SWITCH
    return NodeFacts(node_id, kind, node_id.split(":")[1], ("openflow" if kind is NodeKind.SWITCH else "linuxbridge",))


class World:
    """A running reconciler with its store and switches."""

    def __init__(self, pace: Pace | None = None) -> None:
        self.store, self.switches = MemoryStore(), NotingSwitches()
        self.store.commit(networks={"net": NET})
        self.reconciler = Reconciler(self.store, self.store, PortsCompiler(), self.switches,
                                     pace or Pace(retry_max=0.05, audit_interval=0.0), thread)  # fmt: skip

    def __enter__(self) -> World:
        self.reconciler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.reconciler.stop()

    def status(self, port_id: str) -> str:
        return self.store.statuses.get(port_id, ("", ""))[0]

    def reason(self, port_id: str) -> str:
        return self.store.statuses.get(port_id, ("", ""))[1]
