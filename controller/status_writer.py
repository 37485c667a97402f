"""Writes port statuses into the store, whenever what they depend on has changed.

Only *unsettled* ports are looked at again: those whose intent or endpoint changed, and those of a node that came,
went or failed. A port settles when it is ACTIVE or DOWN; a BUILD port stays until its nodes acknowledge.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

from controller.model import Port
from controller.node_state import Board
from controller.plugin.api import Nodes
from controller.status import BUILD, PortStatus, affected, port_status
from controller.switches import Spawn

LOG = logging.getLogger(__name__)

RETRY = 1.0
"""Seconds before statuses that could not be written are tried again."""


class StatusWriter:
    """Decides and records port statuses in a thread of its own."""

    def __init__(self, board: Board, nodes: Nodes, spawn: Spawn) -> None:
        self._board, self._nodes, self._spawn = board, nodes, spawn
        self._due: set[str] = set()
        self._building: set[str] = set()
        self._ticks: dict[str, int] = {}
        self._written: dict[str, PortStatus] = {}
        self._wake = threading.Event()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Start the thread."""
        self._spawn(self._run)

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._wake.set()

    def changed(self, ports: Iterable[str], tick: int) -> None:
        """These ports' intent or endpoints changed; nodes were asked at ``tick``.

        What was written of them is forgotten: the store sets a port DOWN by itself when its binding changes.
        """
        with self._board.changed:
            for port_id in ports:
                self._due.add(port_id)
                self._written.pop(port_id, None)
                self._ticks[port_id] = tick
        self._wake.set()

    def node_changed(self, node_id: str) -> None:
        """A node acknowledged, failed, came or went: look again at the ports that wait for it."""
        with self._board.changed:
            intent = self._board.intent
            waiting = (intent.ports[port_id] for port_id in self._building if port_id in intent.ports)
            self._due |= set(affected(waiting, intent, node_id))
            state = self._board.known(node_id)
            if state is not None and state.network_errors:
                for network_id in state.network_errors:
                    self._due |= set(intent.bound_ports(network_id))
        self._wake.set()

    def status_of(self, port: Port) -> PortStatus:
        """The status of a port as of now."""
        with self._board.changed:
            return port_status(port, self._board.intent, self._board.known, self._ticks.get(port.id, 0))

    def later(self, ports: Iterable[str], seconds: float) -> None:
        """Look at ports after a while: at start, nodes get time to come back before their ports are called DOWN."""

        def wait() -> None:
            if not self._stopped.wait(seconds):
                with self._board.changed:
                    due = [port_id for port_id in ports if port_id not in self._written]
                    self._due.update(due)
                self._wake.set()

        self._spawn(wait)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wake.wait()
            self._wake.clear()
            for port_id in self._take():
                self._settle(port_id)

    def _take(self) -> list[str]:
        with self._board.changed:
            due, self._due = list(self._due), set()
            return due

    def _settle(self, port_id: str) -> None:
        with self._board.changed:
            port = self._board.intent.ports.get(port_id)
            if port is None:
                self._forget(port_id)
                return
            status = self.status_of(port)
            (self._building.add if status.status == BUILD else self._building.discard)(port_id)
        if self._written.get(port_id) == status:
            return
        try:
            self._nodes.set_port_status(port_id, status.status, status.reason)
            self._written[port_id] = status
        except Exception:
            LOG.exception("cannot record the status of port %s; trying again", port_id)
            with self._board.changed:
                self._due.add(port_id)
            self._stopped.wait(RETRY)
            self._wake.set()

    def _forget(self, port_id: str) -> None:
        self._building.discard(port_id)
        self._ticks.pop(port_id, None)
        self._written.pop(port_id, None)
