"""Writes port statuses into the store, whenever what they depend on has changed.

A port that is not ACTIVE yet waits for certain nodes, together with all ports of its network that were changed at the
same time. Each node knows who waits for it, so that an acknowledgement costs them one look and nobody else anything;
ports are decided anew when the last node they wait for has acknowledged. Statuses are written many at a time, and
what changes while a port is BUILD only now and then.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from controller.model import Port
from controller.node_state import Board
from controller.outage import Outage
from controller.plugin.api import Nodes
from controller.status import BUILD, FIRST, WAITING, WELL, Asked, Look, PortStatus, WaitKey, waits_for
from controller.switches import Spawn

RETRY = 1.0
"""Seconds before statuses that could not be written are tried again."""

PATIENCE = 0.1
"""Seconds that BUILD must last to be written, if the port was not ACTIVE before: most ports are ACTIVE sooner."""

REPEAT = 1.0
"""Seconds between two reasons written for a port that stays BUILD."""

BATCH = 200
"""Ports decided under one lock and written in one transaction."""

SHARE, LONGEST_PAUSE = 0.2, 0.25
"""The part of the time that deciding may take while news keep coming, and the longest pause in seconds that it makes
for that: in a storm of nodes most of what is decided would be out of date at once."""


@dataclass
class Group:
    """Ports that wait for the same thing, and the nodes that are missing; ``seen`` is the look that found them."""

    ports: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    seen: Look | None = None


class StatusWriter:
    """Decides and records port statuses in a thread of its own."""

    def __init__(self, board: Board, nodes: Nodes, spawn: Spawn, start_patience: float = PATIENCE) -> None:
        """``start_patience``: the :data:`PATIENCE` with ports whose intent is as it was at the start: what the store
        says of them is true until their nodes had time to come back."""
        self._start_patience = max(PATIENCE, start_patience)
        self._board, self._nodes, self._spawn = board, nodes, spawn
        self._due: dict[str, None] = {}
        self._due_nodes: dict[str, None] = {}
        """Ports to be decided, and nodes of which all are, in the order in which they came: the ports of a node are
        near each other in memory, which halves the time that it takes to decide very many."""
        self._later: dict[str, float] = {}
        self._ripening: list[tuple[float, str]] = []
        """What is in ``_later`` as a heap, with entries that are out of date."""
        self._groups: dict[WaitKey, Group] = {}
        self._groups_of: dict[str, tuple[WaitKey, ...]] = {}
        self._waiting: dict[str, set[WaitKey]] = defaultdict(set)
        """Node -> what it is waited for."""
        self._asked = Asked()
        self._written: dict[str, PortStatus] = {}
        """What the store said last, as far as it is known."""
        self._doubtful: set[str] = set()
        """Ports of which the store may say something else by now."""
        self._undecided: set[str] = set()
        """Ports that have not been ACTIVE, DOWN or long enough BUILD since the start."""
        self._building: dict[str, float] = {}
        """Port -> when its being BUILD may be written (again)."""
        self._outage = Outage("recording port statuses")
        self._wake = threading.Event()
        self._stopped = threading.Event()

    def start(self, stored: Mapping[str, tuple[str, str]]) -> None:
        """Start the thread; ``stored`` is what the store says of the ports, status and reason. Nodes get time to come
        back before their ports are called DOWN."""
        with self._board.changed:
            ports = self._board.intent.ports
            said = {text: PortStatus(*text) for text in set(stored.values())} | {WELL: WELL}  # most say the same
            self._written = {key: said[stored[key]] for key in ports if key in stored}
            self._undecided = set(ports)
        self._spawn(self._run)
        self._spawn(self._end_patience)

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._wake.set()

    @property
    def waiting(self) -> int:
        """How many ports are to be decided."""
        with self._board.changed:
            again = itertools.chain.from_iterable(self._due_by_network().values())
            return len(self._undecided) + len(set(again) - self._undecided)

    def changed(self, ports: Collection[str], tick: int) -> None:
        """These ports' intent changed; nodes were asked at ``tick``."""
        with self._board.changed:
            self._doubtful.update(ports)  # the store sets a port DOWN by itself when its binding changes
            self._asked.everywhere.update(dict.fromkeys(ports, tick))
            self.plugged(ports, tick)

    def plugged(self, ports: Collection[str], tick: int) -> None:
        """What is plugged in changed: only the ports' own node was asked anything."""
        with self._board.changed:
            self._due |= dict.fromkeys(ports)
            self._asked.here.update(dict.fromkeys(ports, tick))
        self._rouse()

    def node_moved(self, node_id: str, tick: int) -> None:
        """A node came or went, and with it all of its ports; only it was asked anything."""
        with self._board.changed:
            self._due_nodes[node_id] = None
            self._asked.nodes[node_id] = tick
        self._rouse()

    def _rouse(self) -> None:
        """Wake the thread. In a storm it is awake already, and to look costs less than the lock of the event."""
        if not self._wake.is_set():
            self._wake.set()

    def node_changed(self, node_id: str) -> None:
        """A node acknowledged, failed, came or went: look again at the ports that wait for it. What it has in force
        was changed under the lock that ports are decided under; whoever waits for it is noted, or need not wait."""
        state = self._board.known(node_id)
        if not self._waiting.get(node_id) and not (state is not None and state.network_errors):
            return
        with self._board.changed:
            node = self._board.intent.nodes.get(node_id)
            for key in list(self._waiting.get(node_id, ())):
                group = self._groups.get(key)
                if group is None:
                    self._waiting[node_id].discard(key)
                    continue
                if node is None or not waits_for(node, key, state):
                    group.missing.discard(node_id)
                    self._waiting[node_id].discard(key)
                if not group.missing or (state is not None and (state.error or state.network_errors)):
                    self._due |= dict.fromkeys(group.ports)
            if state is not None and state.network_errors:
                for network_id in state.network_errors:
                    self._due |= dict.fromkeys(self._board.intent.bound_ports(network_id))
            news = bool(self._due or self._due_nodes)
        if news:
            self._rouse()

    def status_of(self, port: Port) -> PortStatus:
        """The status of a port as of now."""
        with self._board.changed:
            look = Look(self._board.intent, self._board.known, self._asked, self._board.transit)
            return look.status(port)

    def _end_patience(self) -> None:
        if not self._stopped.wait(self._start_patience):
            with self._board.changed:
                self._due |= dict.fromkeys(self._undecided)
            self._wake.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wake.wait(PATIENCE if self._later else None)
            self._wake.clear()
            began = time.monotonic()
            due = iter(self._take())
            while batch := list(itertools.islice(due, BATCH)):
                self._write(self._decide(batch))
                time.sleep(0)  # others have their turn
            lasted = time.monotonic() - began
            self._stopped.wait(min(lasted / SHARE - lasted, LONGEST_PAUSE))

    def _take(self) -> list[str]:
        """What is to be decided now, ports of a network together: what they wait for is then found out once."""
        with self._board.changed:
            now = time.monotonic()
            while self._ripening and self._ripening[0][0] <= now:
                at, port_id = heapq.heappop(self._ripening)
                if self._later.get(port_id) == at:
                    del self._later[port_id]
                    self._due[port_id] = None
            due = self._due_by_network()
            self._due, self._due_nodes = {}, {}
            return list(itertools.chain.from_iterable(due.values()))

    def _due_by_network(self) -> Mapping[str, Collection[str]]:
        """Network id -> the ports of it that are to be decided; one may be there twice."""
        intent = self._board.intent
        found: dict[str, list[str]] = defaultdict(list)
        for port_id in self._due:
            port = intent.ports.get(port_id)
            found["" if port is None else port.network_id].append(port_id)
        for node_id in self._due_nodes:
            for network_id, ports in intent.ports_of(node_id).items():
                found[network_id] += ports
        return found

    def _decide(self, ports: Iterable[str]) -> dict[str, tuple[PortStatus, int]]:
        """What is to be written of these ports, and the revisions of the ports that it follows from."""
        decided: dict[str, tuple[PortStatus, int]] = {}
        settled, now = [], time.monotonic()
        with self._board.changed:
            look = Look(self._board.intent, self._board.known, self._asked, self._board.transit)
            of, written = self._board.intent.ports, self._written
            for port_id in ports:
                port = of.get(port_id)
                if port is None:
                    self._forget(port_id)
                    continue
                status = look.status(port)
                if status.status == BUILD or port_id in self._groups_of:
                    self._wait_for(port, status, look)
                if written.get(port_id) == status and port_id not in self._doubtful:
                    settled.append(port_id)
                elif not self._postponed(port_id, status, now):
                    decided[port_id] = status, port.revision
            self._settled(settled)
        return decided

    def _wait_for(self, port: Port, status: PortStatus, look: Look) -> None:
        """Note what a BUILD port waits for."""
        self._stop_waiting(port.id)
        if status.status != BUILD:
            return
        self._groups_of[port.id] = keys = look.waits(port)
        for key in keys:
            group = self._groups.setdefault(key, Group())
            group.ports.add(port.id)
            if group.seen is not look:
                group.seen = look
                group.missing = set(look.missing(key))
                for node_id in group.missing:
                    self._waiting[node_id].add(key)

    def _stop_waiting(self, port_id: str) -> None:
        for key in self._groups_of.pop(port_id, ()):
            group = self._groups[key]
            group.ports.discard(port_id)
            if not group.ports:
                del self._groups[key]
                for node_id in group.missing:
                    self._waiting[node_id].discard(key)

    def _postponed(self, port_id: str, status: PortStatus, now: float) -> bool:
        """Whether it is too early to write a BUILD."""
        if status.status != BUILD:
            self._building.pop(port_id, None)
            return False
        if self._was_active(port_id):
            return False
        unchanged = self._asked.everywhere.get(port_id, FIRST) == FIRST
        unchanged = unchanged and status.reason.startswith(WAITING)  # a failure is told soon
        first = self._building.setdefault(port_id, now + (self._start_patience if unchanged else PATIENCE))
        if now >= first:
            return False
        if self._later.get(port_id) != first:
            self._later[port_id] = first
            heapq.heappush(self._ripening, (first, port_id))
        return True

    def _write(self, decided: Mapping[str, tuple[PortStatus, int]]) -> None:
        if not decided:
            return
        statuses = {port_id: status for port_id, (status, _) in decided.items()}
        said = {port_id: (item.status, item.reason) for port_id, item in statuses.items()}
        try:
            self._nodes.set_port_statuses(said, {port_id: revision for port_id, (_, revision) in decided.items()})
        except Exception as error:
            self._outage.failed(error)
            with self._board.changed:
                self._due |= dict.fromkeys(statuses)
                self._doubtful.update(statuses)
            self._stopped.wait(RETRY)
            self._wake.set()
            return
        self._outage.over()
        next_time = time.monotonic() + REPEAT
        with self._board.changed:
            self._written.update(statuses)
            self._settled(statuses)
            for port_id, item in statuses.items():
                if port_id in self._due:  # it changed meanwhile, in the store too perhaps
                    self._doubtful.add(port_id)
                else:
                    self._doubtful.discard(port_id)
                if item.status == BUILD:
                    self._building[port_id] = next_time

    def _settled(self, ports: Collection[str]) -> None:
        """The store says what was found of these ports."""
        self._undecided.difference_update(ports)
        for port_id in self._building.keys() & ports:
            if self._written[port_id].status != BUILD:
                del self._building[port_id]

    def _was_active(self, port_id: str) -> bool:
        """Whether ACTIVE is what was found of the port last; not only before the start."""
        return port_id not in self._undecided and self._written.get(port_id) == WELL

    def _forget(self, port_id: str) -> None:
        self._stop_waiting(port_id)
        self._undecided.discard(port_id)
        self._doubtful.discard(port_id)
        for times in (self._later, self._building, self._asked.everywhere, self._asked.here):
            times.pop(port_id, None)
        self._written.pop(port_id, None)
