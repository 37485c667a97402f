"""Traces in the running controller: plans are compiled as ``isthmus plan`` does, one node at a time, and nothing of
the reconciler's is touched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from neutron_lib.exceptions import InvalidInput, PortNotFound

from controller.compiler import Compiler
from controller.errors import IsthmusError
from controller.fabric import FabricControl
from controller.model import NodeKind, Observation, Port
from controller.node_state import NodeState
from controller.reconciler import Reconciler
from controller.tracing.frame import Wanted, frame_of
from controller.tracing.site import Seen, Site, Unseen
from controller.tracing.walk import trace
from topology.cabling import Cabling

SHORTEST_PREFIX = 4
"""Characters of an id that may stand for the whole."""

Named = Callable[[str], Sequence[str]]
"""Ids of the ports with a name."""


class Tracer:
    """Follows frames through the plans of the newest intent."""

    def __init__(self, reconciler: Reconciler, compiler: Compiler, fabric: FabricControl | None, named: Named) -> None:
        self._reconciler, self._compiler, self._fabric, self._named = reconciler, compiler, fabric, named

    def trace(self, source: str, target: str | None, wanted: Wanted) -> dict[str, Any]:
        """What would become of a frame from one port, to another if one is named; each by its id, its name or the
        beginning of its id. Raises ``PortNotFound``, and ``InvalidInput`` for a frame that cannot be."""
        board = self._reconciler.board
        sender, receiver = self._port(source), self._port(target) if target is not None else None
        cabling = self._fabric.cabling() if self._fabric is not None else Cabling()
        site = Site(board.intent, partial(self._look, sender.network_id), cabling, board.changed)
        return trace(site, sender, receiver, frame_of(wanted, sender, receiver))

    def _port(self, word: str) -> Port:
        intent = self._reconciler.board.intent
        found = [word] if word in intent.ports else [key for key in self._named(word) if key in intent.ports]
        if not found and len(word) >= SHORTEST_PREFIX:
            with self._reconciler.board.changed:
                known = list(intent.ports)
            found = [key for key in known if key.startswith(word)]
        if len(found) > 1:
            listed = ", ".join(sorted(found)[:3]) + (", ..." if len(found) > 3 else "")
            raise InvalidInput(error_message=f"'{word}' stands for {len(found)} ports: {listed}")
        port = intent.ports.get(found[0]) if found else None
        if port is None:
            raise PortNotFound(port_id=word)
        return port

    def _look(self, network_id: str, node_id: str) -> Seen:
        """A node by its newest plan; what is noted of it concerns the network."""
        board = self._reconciler.board
        with board.changed:
            node, state = board.intent.nodes.get(node_id), board.known(node_id)
            if node is None:
                raise Unseen(f"node {node_id} is not known")
            observation = self._reconciler.seen(state) if state is not None else None
            if observation is None and node.kind is NodeKind.SWITCH:
                raise Unseen(f"{node_id} has not connected since the controller started, or its links are still "
                             "looked for: what is plugged in there is not known")  # fmt: skip
            observation = observation or Observation(node_id)
            try:
                plan = self._compiler.compile(board.intent, node, observation)
            except IsthmusError as error:
                raise Unseen(f"the plan of {node_id} cannot be compiled: {error}") from error
            return Seen(node, plan, observation, tuple(_notes(state, network_id)))


def _notes(state: NodeState | None, network_id: str) -> list[str]:
    """How what the node does may differ from its plan."""
    if state is None or not state.connected:
        return ["it is not connected: it goes on by what it had last"]
    notes = ["its plan is not in force yet"] if state.pending else []
    notes += [f"last error: {state.error}"] if state.error else []
    error = state.network_errors.get(network_id)
    return [*notes, f"the node says of network {network_id}: {error}"] if error else notes
