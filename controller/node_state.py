"""What the controller knows at run time of each node: connected, plugged in, and how far it has followed the intent.

Every change that may alter a node's plan gets a *tick*, a local number that only grows. A node that has acknowledged
tick 7 has in force everything that was asked of it up to then. Ticks, not revisions, because what is plugged in also
changes plans and is no revision.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from controller.intent import Intent
from controller.model import Observation
from legacy_agent.host_plan import HostPlan


@dataclass
class NodeState:
    """Run-time state of one node; guarded by :attr:`Board.changed`.

    :meth:`wait_for` waits for this node alone, so that a change costs the nodes it touches and nobody else.
    """

    node_id: str
    connected: bool = False
    told: Observation | None = None
    """What the node told last."""
    observation: Observation | None = None
    """What it told, with the endpoints of ports that say themselves where they are plugged in."""
    port_numbers: Mapping[str, int] = field(default_factory=dict, repr=False)
    """The numbers of the OpenFlow ports that it told, by name."""
    asked: int = 0
    acknowledged: int = 0
    acknowledged_revision: int = 0
    stale_networks: set[str] | None = field(default_factory=set)
    """Networks whose part of the plan may be out of date; None: all of them."""
    error: str = ""
    network_errors: Mapping[str, str] = field(default_factory=dict)
    host_plan: HostPlan | None = None
    host_plan_tick: int = 0
    applied_revision: int = 0
    last_seen: float = float("-inf")
    attempts: int = 0
    waiting_since: float | None = None
    """When the oldest change was asked that is not in force yet; None: all is."""
    newer_since: float | None = None
    """When the oldest change was asked that nobody has begun to bring into force."""
    wake: Callable[[], None] | None = field(default=None, repr=False)
    """Sees to it that somebody works for this node."""
    _news: threading.Condition = field(default_factory=threading.Condition, repr=False)
    _listeners: int = 0
    """How many wait for news. Raised before a waiter looks at what it waits for, and read after that has changed: it
    spares those who tell a lock that nearly always nobody waits for."""

    @property
    def pending(self) -> bool:
        """Whether something asked of the node is not in force yet."""
        return self.asked > self.acknowledged

    @property
    def is_switch(self) -> bool:
        """Whether the node is an OpenFlow switch (by its id)."""
        return self.node_id.startswith("switch:")

    def tell(self) -> None:
        """Wake those who wait for this node, and who works for it."""
        if self._listeners:
            with self._news:
                self._news.notify_all()
        if self.wake is not None:
            self.wake()

    def wait_for(self, condition: Callable[[], bool], timeout: float) -> None:
        """Wait until ``condition`` holds, ``timeout`` seconds at most; it is looked at whenever somebody tells."""
        with self._news:
            self._listeners += 1
            try:
                self._news.wait_for(condition, timeout)
            finally:
                self._listeners -= 1

    def covers(self, tick: int) -> bool:
        """Whether what was asked at ``tick`` is in force."""
        return self.acknowledged >= self.asked or self.acknowledged >= tick


class Work(NamedTuple):
    """What a node loop has to bring into force: everything asked up to ``tick``."""

    tick: int
    networks: frozenset[str] | None


class Board:
    """The intent and the state of every node, under one condition variable (``changed``).

    Methods that change something take the lock themselves and notify; readers use ``with board.changed``.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.intent = Intent()
        self.clock = clock
        self.started = clock()
        self.transit: Callable[[Collection[str]], Collection[str]] = lambda _node_ids: ()
        """Switches -> the switches that their links reach; nobody, where no links are looked for."""
        self._states: dict[str, NodeState] = {}
        self.known: Callable[[str], NodeState | None] = self._states.get
        """The node's state if it was ever seen by this process. The very look-up: there are many for each port."""
        self._tick = 0

    def state(self, node_id: str) -> NodeState:
        """The node's state, made on first use."""
        known = self._states.get(node_id)
        if known is not None:
            return known
        with self.changed:
            return self._states.setdefault(node_id, NodeState(node_id))

    def states(self) -> Iterator[NodeState]:
        """All states."""
        with self.changed:
            return iter(list(self._states.values()))

    @property
    def tick(self) -> int:
        """The newest tick."""
        return self._tick

    def touch(self, nodes: Mapping[str, Collection[str] | None]) -> int:
        """Ask nodes to follow: node id -> networks concerned (None: everything). Returns the tick."""
        with self.changed:
            self._tick += 1
            now = self.clock()
            for node_id, networks in nodes.items():
                state = self.state(node_id)
                state.asked = self._tick
                state.waiting_since = now if state.waiting_since is None else state.waiting_since
                state.newer_since = now if state.newer_since is None else state.newer_since
                if networks is None:
                    state.stale_networks = None
                elif state.stale_networks is not None:
                    state.stale_networks |= set(networks)
                state.tell()
            return self._tick

    def follows(self, node_id: str, tick: int) -> bool:
        """Whether a node has in force what was asked at ``tick``, or cannot be asked as long as it is away. Takes no
        lock."""
        state = self._states.get(node_id)
        return state is None or not state.connected or state.covers(tick)

    def take(self, node_id: str) -> Work:
        """What is to be done for a node now; its stale networks are the taker's from here on."""
        with self.changed:
            state = self.state(node_id)
            networks = None if state.stale_networks is None else frozenset(state.stale_networks)
            state.stale_networks, state.newer_since = set(), None
            return Work(state.asked, networks)

    def give_back(self, node_id: str, work: Work, error: str) -> None:
        """The work failed: its networks are stale again, the error is shown."""
        with self.changed:
            state = self.state(node_id)
            state.error = error
            state.attempts += 1
            self.put_back(node_id, work)
            self.changed.notify_all()

    def put_back(self, node_id: str, work: Work) -> None:
        """The work was not done: its networks are stale again."""
        with self.changed:
            state = self.state(node_id)
            if work.networks is None:
                state.stale_networks = None
            elif state.stale_networks is not None:
                state.stale_networks |= work.networks

    def acknowledge(self, node_id: str, tick: int, revision: int) -> None:
        """The node has in force what was asked up to ``tick``, by a plan of ``revision``."""
        with self.changed:
            state = self.state(node_id)
            state.acknowledged = max(state.acknowledged, tick)
            state.waiting_since = state.newer_since if state.pending else None
            state.acknowledged_revision = max(state.acknowledged_revision, revision)
            state.error, state.attempts = "", 0
            self.changed.notify_all()

    def revision_of(self, node_id: str) -> int:
        """The newest revision that is in force on the node: with nothing pending, the newest of all."""
        with self.changed:
            state = self._states.get(node_id)
            if state is None:
                return 0
            return state.acknowledged_revision if state.pending else self.intent.revision
