"""Echo requests to all switches, from one thread: whoever leaves too many unanswered is held to be gone.

One thread and one list of times for all, because a thread of its own for each of a thousand switches costs more than
all it does. Nothing here waits for a switch.
"""

from __future__ import annotations

import heapq
import itertools
import random
import threading
from collections.abc import Callable
from typing import Protocol

UNANSWERED = 3
"""Echo requests without an answer after which a switch is held to be gone."""

LEAST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two looks at what is due; a new connection may be due before those that are known."""


class Answering(Protocol):
    """Whom echo requests are sent to."""

    @property
    def alive(self) -> bool:
        """Whether the connection is still there."""

    def ask_echo(self) -> int:
        """Send an echo request, without blocking; how many of those before have no answer yet."""

    def close(self) -> None:
        """Give it up."""


class Echoes:
    """Asks every connection once per ``interval`` seconds. The first time is some time within the first interval, so
    that those of a thousand switches that come at once are spread."""

    def __init__(
        self, interval: float, clock: Callable[[], float], spread: Callable[[], float] = random.random
    ) -> None:  # fmt: skip
        self._interval, self._clock, self._spread = interval, clock, spread
        self._due: list[tuple[float, int, Answering]] = []
        self._numbers = itertools.count()

    def add(self, connection: Answering) -> None:
        """A new connection."""
        self._put(self._clock() + self._interval * self._spread(), connection)

    def run(self, stopped: threading.Event) -> None:
        """Ask until stopped; for a thread of its own."""
        while not stopped.wait(self.ask()):
            pass

    def ask(self) -> float:
        """Ask all whose time has come; the seconds until it is worthwhile to look again."""
        now = self._clock()
        while self._due and self._due[0][0] <= now:
            connection = heapq.heappop(self._due)[2]
            if connection.alive:
                self._ask(connection, now)
        pause = self._due[0][0] - now if self._due else LONGEST_PAUSE
        return max(LEAST_PAUSE, min(pause, LONGEST_PAUSE, self._interval / 4))

    def _ask(self, connection: Answering, now: float) -> None:
        if connection.ask_echo() > UNANSWERED:
            connection.close()
        else:
            self._put(now + self._interval, connection)

    def _put(self, at: float, connection: Answering) -> None:
        heapq.heappush(self._due, (at, next(self._numbers), connection))
