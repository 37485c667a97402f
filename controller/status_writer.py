"""Writes port statuses into the store, whenever what they depend on has changed.

A port that is not ACTIVE yet waits for certain nodes. Each node knows the ports that wait for it, so that an
acknowledgement costs those ports one look each and nobody else anything; a port is decided anew when the last node it
waits for has acknowledged. Statuses are written many at a time, and what changes while it is BUILD only now and then.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping

from controller.model import Port
from controller.node_state import Board
from controller.plugin.api import Nodes
from controller.status import ACTIVE, BUILD, PortStatus, blocking_nodes, port_status, waits_for
from controller.switches import Spawn

LOG = logging.getLogger(__name__)

RETRY = 1.0
"""Seconds before statuses that could not be written are tried again."""

PATIENCE = 0.1
"""Seconds that BUILD must last to be written, if the port was not ACTIVE before: most ports are ACTIVE sooner."""

REPEAT = 1.0
"""Seconds between two reasons written for a port that stays BUILD."""

BATCH = 200
"""Ports decided under one lock and written in one transaction."""


class StatusWriter:
    """Decides and records port statuses in a thread of its own."""

    def __init__(self, board: Board, nodes: Nodes, spawn: Spawn) -> None:
        self._board, self._nodes, self._spawn = board, nodes, spawn
        self._due: set[str] = set()
        self._later: dict[str, float] = {}
        self._missing: dict[str, set[str]] = {}
        """Port -> nodes it waits for."""
        self._waiting: dict[str, set[str]] = defaultdict(set)
        """Node -> ports that wait for it."""
        self._ticks: dict[str, int] = {}
        self._written: dict[str, PortStatus] = {}
        self._active: set[str] = set()
        self._building: dict[str, float] = {}
        """Port -> when its being BUILD may be written (again)."""
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
                self._later.pop(port_id, None)
                self._written.pop(port_id, None)
                self._ticks[port_id] = tick
        self._wake.set()

    def node_changed(self, node_id: str) -> None:
        """A node acknowledged, failed, came or went: look again at the ports that wait for it."""
        with self._board.changed:
            state = self._board.known(node_id)
            for port_id in list(self._waiting.get(node_id, ())):
                self._look_at(port_id, node_id)
            if state is not None and state.network_errors:
                for network_id in state.network_errors:
                    self._due |= set(self._board.intent.bound_ports(network_id))
            news = bool(self._due)
        if news:
            self._wake.set()

    def _look_at(self, port_id: str, node_id: str) -> None:
        """A port and one of the nodes it waits for."""
        port, missing = self._board.intent.ports.get(port_id), self._missing.get(port_id, set())
        node, state = self._board.intent.nodes.get(node_id), self._board.known(node_id)
        waits = port is not None and node is not None and waits_for(node, port, state, self._ticks.get(port_id, 0))
        if not waits:
            missing.discard(node_id)
            self._waiting[node_id].discard(port_id)
        if not missing or (waits and state is not None and (state.error or state.network_errors)):
            self._due.add(port_id)

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
            self._wake.wait(PATIENCE if self._later else None)
            self._wake.clear()
            due = iter(self._take())
            while batch := list(itertools.islice(due, BATCH)):
                self._write(self._decide(batch))
                time.sleep(0)  # others have their turn

    def _take(self) -> list[str]:
        with self._board.changed:
            now = time.monotonic()
            ripe = [port_id for port_id, at in self._later.items() if at <= now]
            for port_id in ripe:
                del self._later[port_id]
            due, self._due = [*self._due.union(ripe)], set()
            return due

    def _decide(self, ports: Iterable[str]) -> dict[str, PortStatus]:
        """What is to be written of these ports."""
        decided, now = {}, time.monotonic()
        with self._board.changed:
            for port_id in ports:
                port = self._board.intent.ports.get(port_id)
                if port is None:
                    self._forget(port_id)
                    continue
                status = self.status_of(port)
                self._wait_for(port, status)
                if self._written.get(port_id) != status and not self._postponed(port_id, status, now):
                    decided[port_id] = status
        return decided

    def _wait_for(self, port: Port, status: PortStatus) -> None:
        """Note which nodes a BUILD port waits for."""
        for node_id in self._missing.pop(port.id, ()):
            self._waiting[node_id].discard(port.id)
        if status.status == BUILD:
            tick = self._ticks.get(port.id, 0)
            nodes = blocking_nodes(port, self._board.intent, self._board.known, tick)
            self._missing[port.id] = nodes
            for node_id in nodes:
                self._waiting[node_id].add(port.id)

    def _postponed(self, port_id: str, status: PortStatus, now: float) -> bool:
        """Whether it is too early to write a BUILD."""
        if status.status != BUILD:
            self._building.pop(port_id, None)
            return False
        if port_id in self._active:
            return False
        first = self._building.setdefault(port_id, now + PATIENCE)
        if now >= first:
            return False
        self._later[port_id] = first
        return True

    def _write(self, statuses: Mapping[str, PortStatus]) -> None:
        if not statuses:
            return
        try:
            self._nodes.set_port_statuses({port_id: (item.status, item.reason) for port_id, item in statuses.items()})
        except Exception:
            LOG.exception("cannot record the status of %d ports; trying again", len(statuses))
            with self._board.changed:
                self._due.update(statuses)
            self._stopped.wait(RETRY)
            self._wake.set()
            return
        next_time = time.monotonic() + REPEAT
        with self._board.changed:
            for port_id, item in statuses.items():
                (self._active.add if item.status == ACTIVE else self._active.discard)(port_id)
                if port_id not in self._due:  # else it changed meanwhile, in the store too perhaps
                    self._written[port_id] = item
                if item.status == BUILD:
                    self._building[port_id] = next_time

    def _forget(self, port_id: str) -> None:
        for node_id in self._missing.pop(port_id, ()):
            self._waiting[node_id].discard(port_id)
        self._active.discard(port_id)
        for times in (self._later, self._building):
            times.pop(port_id, None)
        self._ticks.pop(port_id, None)
        self._written.pop(port_id, None)
