"""What is a state and no event, read when ``/metrics`` is asked for: the intent, nodes, queues, the change feed.

What happens is counted in :mod:`controller.measures`. Labels per node exist while the node does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from controller.model import NodeKind
from controller.reconciler import Reconciler

PER_NODE = {
    "isthmus_node_connected": "1 while the node is connected.",
    "isthmus_node_pending": "1 while the node has not acknowledged what was asked of it.",
    "isthmus_node_failing": "1 while the last attempt to apply the node's plan failed.",
    "isthmus_node_acknowledged_revision": "Newest revision in force on the node.",
    "isthmus_node_plan_age_seconds": "Time since the oldest change that the node has not acknowledged (0: none).",
}
"""Gauges with the label ``node`` (the node id); the fields of :class:`NodeRow` in this order."""


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A node's figures."""

    node_id: str
    kind: NodeKind
    connected: bool
    pending: bool
    failing: bool
    revision: int
    plan_age: float

    def values(self) -> tuple[float, ...]:
        """In the order of :data:`PER_NODE`."""
        return (self.connected, self.pending, self.failing, self.revision, self.plan_age)


class StateCollector(Collector):
    """The controller's state as Prometheus gauges. ``queues`` tells the southbound's queue lengths by name."""

    def __init__(self, reconciler: Reconciler, queues: Callable[[], Mapping[str, int]]) -> None:
        self._reconciler, self._queues = reconciler, queues

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families, in one consistent look."""
        board = self._reconciler.board
        with board.changed:
            intent = board.intent
            sizes = {"revision": intent.revision, "networks": len(intent.networks), "ports": len(intent.ports),
                     "nodes": len(intent.nodes)}  # fmt: skip
            rows = [*self._rows()]
        for name, value in sizes.items():
            yield GaugeMetricFamily(f"isthmus_intent_{name}", f"The intent's {name}.", value=value)
        yield _gauge("isthmus_switches_connected", "Switches that are connected.", _up(rows, NodeKind.SWITCH))
        yield _gauge("isthmus_agents_up", "Legacy hosts whose agent reports.", _up(rows, NodeKind.HOST))
        for number, (name, text) in enumerate(PER_NODE.items()):
            yield _labelled(name, text, "node", ((row.node_id, row.values()[number]) for row in rows))
        waiting = {**self._reconciler.queues(), **self._queues()}
        yield _labelled("isthmus_queue_length", "Entries that wait, by queue.", "queue", waiting.items())
        yield from self._feed()

    def _rows(self) -> Iterator[NodeRow]:
        board = self._reconciler.board
        now = board.clock()
        for node_id, node in board.intent.nodes.items():
            state = board.known(node_id)
            if state is None:
                yield NodeRow(node_id, node.kind, False, False, False, 0, 0.0)
                continue
            age = 0.0 if state.waiting_since is None else now - state.waiting_since
            revision = board.revision_of(node_id)
            yield NodeRow(node_id, node.kind, state.connected, state.pending, bool(state.error), revision, age)

    def _feed(self) -> Iterator[GaugeMetricFamily]:
        progress = self._reconciler.feed_progress()
        yield _gauge("isthmus_feed_lag_revisions", "Committed revisions that the intent does not have yet.",
                     progress.committed - progress.taken_over)  # fmt: skip
        yield _gauge("isthmus_feed_silence_seconds", "Time since the change feed was read last.", progress.silence)


def _up(rows: Iterable[NodeRow], kind: NodeKind) -> int:
    return sum(row.connected for row in rows if row.kind is kind)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=float(value))


def _labelled(name: str, text: str, label: str, values: Iterable[tuple[str, float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values:
        family.add_metric([key], float(value))
    return family
