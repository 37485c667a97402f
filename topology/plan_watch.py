"""Tells when the cabling leaves its plan, and when it is back: differences that last become events.

Time is an argument. What comes and goes within :data:`SETTLE` seconds, as while switches connect, is no event.
"""

from __future__ import annotations

from collections.abc import Iterable

from topology.cables import Finding
from topology.events import EventLog

SETTLE = 10.0
"""Seconds that a difference must last before it is an event."""


class PlanWatch:
    """Remembers since when each difference is there."""

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self._since: dict[str, tuple[float, Finding]] = {}
        self._told: set[str] = set()

    def look(self, findings: Iterable[Finding], now: float) -> None:
        """These are the differences as of now."""
        present = {str(finding): finding for finding in findings}
        for text in self._since.keys() - present.keys():
            del self._since[text]
            if text in self._told:
                self._told.discard(text)
                self._events.add(now, "cable-right", f"no longer so: {text}")
        for text, finding in present.items():
            since, _ = self._since.setdefault(text, (now, finding))
            if text not in self._told and now - since >= SETTLE:
                self._told.add(text)
                self._events.add(now, f"cable-{finding.kind}", text)
