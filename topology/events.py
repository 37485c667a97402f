"""What happened in the fabric, kept for people: a bounded list of events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

ALIKE = 60.0
"""Seconds after its last occurrence in which an event that is like an earlier one is counted there."""


@dataclass(frozen=True, slots=True)
class Event:
    """``time`` is seconds since the epoch; ``kind`` one of a few words (link-up, link-down, forged ...); ``count`` is
    how many alike were put into this one, of which it has the newest time and text."""

    number: int
    time: float
    kind: str
    text: str
    count: int = 1


class EventLog:
    """The newest ``size`` events, and how many there were of each kind.

    Alike are events of one kind with the same text, or about the same thing where it is named: what strangers send
    can have as many texts as they like. They are counted as one while they come, so that a flood of forgeries does not
    wash away everything else. Where the order matters (:data:`_TURNING`), only the last event can be repeated so.
    ``epoch`` is added to the times of events: wall clock minus the clock they are told by. ``tell`` hears of every
    event, but not of its repetitions.
    """

    def __init__(
        self, size: int = 1000, epoch: float = 0.0, tell: Callable[[Event], object] = lambda _event: None
    ) -> None:
        self._size, self._epoch, self._tell = size, epoch, tell
        self._events: dict[int, Event] = {}
        self._latest: dict[tuple[str, str], int] = {}
        self._number = 0
        self.totals: Counter[str] = Counter()

    def add(self, time: float, kind: str, text: str, about: str = "") -> None:
        """Record an event."""
        time += self._epoch
        self.totals[kind] += 1
        key = (kind, about or text)
        known = self._events.get(self._latest.get(key, 0))
        if known is not None and self._repeats(known, time):
            self._events[known.number] = Event(known.number, time, kind, text, known.count + 1)
            return
        self._number += 1
        event = self._events[self._number] = Event(self._number, time, kind, text)
        self._latest[key] = self._number
        self._forget()
        self._tell(event)

    def since(self, number: int = 0) -> list[Event]:
        """Events after ``number``, oldest first."""
        return [event for event in self._events.values() if event.number > number]

    def _repeats(self, known: Event, time: float) -> bool:
        return known.number == self._number if known.kind in _TURNING else time - known.time <= ALIKE

    def _forget(self) -> None:
        while len(self._events) > self._size:
            del self._events[next(iter(self._events))]
        if len(self._latest) > 2 * self._size:
            self._latest = {key: number for key, number in self._latest.items() if number in self._events}


_TURNING = frozenset(
    {"link-up", "link-down", "port-up", "port-down", "switch-up", "switch-down", "moved", "one-way", "damped", "calm"}
    | {"cable-right", "cable-missing", "cable-miswired", "cable-unexpected"}
)
"""Kinds whose order among others matters: never merged across others."""
