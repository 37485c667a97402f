"""What happened in the fabric, kept for people: a bounded list of events."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """``time`` is seconds since the epoch; ``kind`` one of a few words (link-up, link-down, forged ...); ``count`` is
    how many alike were put into this one."""

    number: int
    time: float
    kind: str
    text: str
    count: int = 1


class EventLog:
    """The newest ``size`` events, and how many there were of each kind.

    An event that repeats the last of its kind word by word is counted there, so that a flood of forgeries does not
    wash away everything else. ``epoch`` is added to the times of events: wall clock minus the clock they are told by.
    """

    def __init__(self, size: int = 1000, epoch: float = 0.0) -> None:
        self._epoch = epoch
        self._events: deque[Event] = deque(maxlen=size)
        self._number = 0
        self.totals: Counter[str] = Counter()

    def add(self, time: float, kind: str, text: str) -> None:
        """Record an event."""
        time += self._epoch
        self.totals[kind] += 1
        for position in range(len(self._events) - 1, max(-1, len(self._events) - 17), -1):
            known = self._events[position]
            if (known.kind, known.text) == (kind, text):
                if position == len(self._events) - 1 or kind not in _TURNING:
                    self._events[position] = Event(known.number, time, kind, text, known.count + 1)
                    return
                break
        self._number += 1
        self._events.append(Event(self._number, time, kind, text))

    def since(self, number: int = 0) -> list[Event]:
        """Events after ``number``, oldest first."""
        return [event for event in self._events if event.number > number]


_TURNING = frozenset({"link-up", "link-down", "port-up", "port-down", "switch-up", "switch-down", "moved", "one-way"})
"""Kinds whose order among others matters: never merged across others."""
