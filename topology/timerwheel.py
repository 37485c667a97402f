"""One paced timer for all ports: each comes up once per period, evenly spread, however many there are.

Time is an argument (seconds, monotonic). Nobody sleeps here: the caller asks what is due as often as it likes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class TimerWheel(Generic[K]):
    """Keys that take turns. ``period`` is the time between two turns of a key; with more than ``rate`` keys a second
    it grows, so that never more than ``rate`` are due in a second (but for those asked for with :meth:`soon`)."""

    def __init__(self, period: float, rate: float) -> None:
        self._period, self._rate = period, rate
        self._turns: OrderedDict[K, None] = OrderedDict()
        self._soon: dict[K, None] = {}
        self._last: float | None = None
        self._credit = 0.0

    def __len__(self) -> int:
        return len(self._turns)

    def __contains__(self, key: K) -> bool:
        return key in self._turns

    @property
    def period(self) -> float:
        """Seconds between two turns of a key, as of now."""
        return max(self._period, len(self._turns) / self._rate)

    def add(self, key: K) -> None:
        """A new key; it is due at once."""
        if key not in self._turns:
            self._turns[key] = None
            self._soon[key] = None

    def remove(self, key: K) -> None:
        """Forget a key; unknown ones are no error."""
        self._turns.pop(key, None)
        self._soon.pop(key, None)

    def soon(self, key: K) -> None:
        """A known key is due at once, besides its turns."""
        if key in self._turns:
            self._soon[key] = None

    def due(self, now: float) -> list[K]:
        """The keys whose turn has come since the last call. After a long silence each comes once, not many times."""
        passed = 0.0 if self._last is None else max(0.0, now - self._last)
        self._last = now
        self._credit = min(self._credit + passed * len(self._turns) / self.period, float(len(self._turns)))
        found = dict(self._soon)
        self._soon.clear()
        while self._credit >= 1.0 and self._turns:
            key = next(iter(self._turns))
            self._turns.move_to_end(key)
            found[key] = None
            self._credit -= 1.0
        return list(found)
