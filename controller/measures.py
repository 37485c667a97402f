"""What the controller counts and times while it works, as Prometheus instruments.

Parts are given one :class:`Measures` and tell it what happens. What is a state and no event (nodes, queues) is read
when somebody asks: :mod:`controller.metrics`. Labels are few and fixed; nothing here grows with nodes or ports.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram

from controller.errors import SwitchError, SwitchGone, SwitchTimeout

T = TypeVar("T")

LAG_PERIOD = 0.25
"""Seconds between two looks at how late timers are."""

SHORT = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
LONG = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of buckets in seconds."""

REFUSED, TIMEOUT, GONE, UNREADABLE, SILENT, INTERNAL = ERROR_KINDS = (
    "refused",
    "timeout",
    "gone",
    "unreadable",
    "silent",
    "internal",
)
"""What goes wrong with a switch: it refused something, did not answer in time, went away meanwhile, sent what cannot
be read, or never introduced itself; or the fault is ours."""

ADOPTED, PROGRAMMED, UNCHANGED, FAILED = OUTCOMES = ("adopted", "programmed", "unchanged", "failed")
"""How an attempt to bring a switch to its program ended."""


class Measures:
    """The instruments, in a registry of their own unless one is given."""

    def __init__(self, registry: CollectorRegistry | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self._clock = clock
        self._entries = self._counter(
            "isthmus_openflow_modifications_sent", "Flow and group modifications sent to switches.", "what"
        )
        self._errors = self._counter("isthmus_openflow_errors", "What went wrong with switches.", "kind")
        self._sessions = self._counter(
            "isthmus_openflow_sessions", "Connections of switches that began, and that ended.", "event"
        )
        self._syncs = self._histogram(
            "isthmus_switch_sync_seconds", "Time to bring a switch to its program.", LONG, "outcome"
        )
        self._audits = self._histogram(
            "isthmus_switch_audit_seconds", "Time to read a switch back and repair it.", LONG, "outcome"
        )
        self._compiles = self._histogram("isthmus_switch_compile_seconds", "Time to compile a switch's program.", LONG)
        self._echoes = self._histogram(
            "isthmus_openflow_echo_seconds", "Round trip of the controller's echo requests to switches.", SHORT
        )
        self._lag = self._histogram("isthmus_hub_lag_seconds", "How late timers of the controller fire.", SHORT)
        self._feed = self._histogram(
            "isthmus_feed_lag_seconds", "Time from a change's transaction until the intent has it.", LONG
        )
        self._garbage = self._histogram(
            "isthmus_garbage_pause_seconds", "Pauses for collections of cyclic garbage.", LONG, "scope"
        )
        self._preset()

    def _preset(self) -> None:
        """Every label value exists from the start: a counter that appears with its first event hides that event."""
        for name in ("flow_add", "flow_delete", "group"):
            self._entries.labels(name)
        for name in ERROR_KINDS:
            self._errors.labels(name)
        self._by_event = {name: self._sessions.labels(name) for name in ("began", "ended", "replaced")}
        self._by_outcome = {name: self._syncs.labels(name) for name in OUTCOMES}
        for name in ("recent", "everything"):
            self._garbage.labels(name)
        for name in (PROGRAMMED, UNCHANGED, FAILED):
            self._audits.labels(name)

    def sent(self, flows_added: int, flows_removed: int, groups: int) -> None:
        """Modifications went out, whether the switch took them or not."""
        self._entries.labels("flow_add").inc(flows_added)
        self._entries.labels("flow_delete").inc(flows_removed)
        self._entries.labels("group").inc(groups)

    def error(self, kind: str) -> None:
        """One of :data:`ERROR_KINDS`."""
        self._errors.labels(kind).inc()

    def session(self, event: str) -> None:
        """A connection ``began``, ``ended``, or was ``replaced`` by another of the same datapath id."""
        self._by_event[event].inc()

    def synced(self, work: Callable[[], T], outcome: Callable[[T], str]) -> T:
        """Time an apply; errors are counted by kind and raised again."""
        return self._timed(self._syncs, work, outcome)

    def adopted(self, work: Callable[[], T | None]) -> T | None:
        """Time a look whether a switch holds its program; None (it may not) is not counted: an apply follows."""
        began = self._clock()
        result = work()
        if result is not None:
            self._by_outcome[ADOPTED].observe(self._clock() - began)
        return result

    def audited(self, work: Callable[[], T], outcome: Callable[[T], str]) -> T:
        """Time an audit, likewise."""
        return self._timed(self._audits, work, outcome)

    def compiled(self, work: Callable[[], T]) -> T:
        """Time the compilation of a program; one that fails is not counted."""
        began = self._clock()
        result = work()
        self._compiles.observe(self._clock() - began)
        return result

    def echo(self, seconds: float) -> None:
        """A switch answered an echo request."""
        self._echoes.observe(seconds)

    def taken_over(self, seconds: float) -> None:
        """A change reached the intent so long after its transaction."""
        self._feed.observe(max(0.0, seconds))

    def collected(self, scope: str, seconds: float) -> None:
        """A garbage collection held everything up."""
        self._garbage.labels(scope).observe(seconds)

    def late(self, seconds: float) -> None:
        """A timer fired so late."""
        self._lag.observe(max(0.0, seconds))

    def watch_lag(
        self, sleep: Callable[[float], None] = time.sleep, ended: Callable[[], bool] = lambda: False
    ) -> None:
        """Look for ever how late timers fire; for a thread of its own."""
        while not ended():
            due = self._clock() + LAG_PERIOD
            sleep(LAG_PERIOD)
            self.late(self._clock() - due)

    def _timed(self, histogram: Histogram, work: Callable[[], T], outcome: Callable[[T], str]) -> T:
        began = self._clock()
        try:
            result = work()
        except Exception as error:
            self.error(kind_of(error))
            histogram.labels(FAILED).observe(self._clock() - began)
            raise
        histogram.labels(outcome(result)).observe(self._clock() - began)
        return result

    def _counter(self, name: str, text: str, label: str) -> Counter:
        return Counter(name, text, (label,), registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)


def kind_of(error: Exception) -> str:
    """What kind of error with a switch this is."""
    if isinstance(error, SwitchTimeout):
        return TIMEOUT
    if isinstance(error, SwitchGone):
        return GONE
    return REFUSED if isinstance(error, SwitchError) else INTERNAL
