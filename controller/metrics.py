"""The controller's own metrics, read from the running state when ``/metrics`` is asked for."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from controller.node_state import Board


class BoardCollector(Collector):
    """Intent and nodes as Prometheus gauges. Label ``node`` is the node id."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families, in one consistent look."""
        board = self._board
        with board.changed:
            intent = board.intent
            sizes = {"revision": intent.revision, "networks": len(intent.networks), "ports": len(intent.ports),
                     "nodes": len(intent.nodes)}  # fmt: skip
            rows = [
                (state.node_id, state.connected, state.pending, bool(state.error), board.revision_of(state.node_id))
                for state in board.states()
            ]
        for name, value in sizes.items():
            yield GaugeMetricFamily(f"isthmus_intent_{name}", f"The intent's {name}.", value=value)
        yield _per_node("isthmus_node_connected", "1 while the node is connected.", [(row[0], row[1]) for row in rows])
        yield _per_node("isthmus_node_pending", "1 while the node has not acknowledged what was asked of it.",
                        [(row[0], row[2]) for row in rows])  # fmt: skip
        yield _per_node("isthmus_node_failing", "1 while the last attempt to apply the node's plan failed.",
                        [(row[0], row[3]) for row in rows])  # fmt: skip
        yield _per_node("isthmus_node_acknowledged_revision", "Newest revision in force on the node.",
                        [(row[0], row[4]) for row in rows])  # fmt: skip


def _per_node(name: str, text: str, rows: list[tuple[str, float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=["node"])
    for node_id, value in rows:
        family.add_metric([node_id], float(value))
    return family
