"""The agent's loop: plans and kernel events wake one worker, which compares and applies; a reporter tells the rest.

Level-triggered: whatever woke it, the worker compares the whole plan with the whole kernel. So merged, lost or
repeated wake-ups do no harm, and a device that somebody tampered with is put right.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from controller.delta import difference
from controller.errors import IsthmusError
from legacy_agent import facts
from legacy_agent.drivers.api import AgentDriver, HostSettings, Item, ItemKey, WatchingDriver
from legacy_agent.facts import Capabilities, HostFacts
from legacy_agent.host_plan import HostNetwork, HostPlan, HostReport
from legacy_agent.watch import Backoff, ControllerGone

LOG = logging.getLogger(__name__)

_SETTLE = 0.02
"""Seconds in which the events of one cause are gathered."""

_CALM = 1.0
"""Longest pause in seconds where the same is to be done again and again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a comparison led to: errors by network, and what had to be changed (empty: nothing). ``endpoints`` maps
    port id -> interface, for VMs of which a driver knows. ``unread`` are the drivers that could not read the host."""

    errors: Mapping[str, str]
    changed: Mapping[ItemKey, Item]
    endpoints: Mapping[str, str] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()


def realise(plan: HostPlan, drivers: Mapping[str, AgentDriver]) -> Outcome:
    """Make the host look like the plan, each driver its networks. What cannot be applied is in the outcome. A driver
    that cannot read the host leaves the others alone."""
    errors = {
        network.network_id: f"agent driver {network.driver!r} is not enabled on this host ([agent] drivers: "
        f"{', '.join(drivers) or 'none'})"
        for network in plan.networks
        if network.driver not in drivers
    }
    changed: dict[ItemKey, Item] = {}
    endpoints: dict[str, str] = {}
    unread: set[str] = set()
    for name, driver in drivers.items():
        mine = tuple(network for network in plan.networks if network.driver == name)
        try:
            outcome = _realise(mine, driver)
        except Exception as error:
            unread.add(name)
            errors.update(dict.fromkeys((network.network_id for network in mine), _reason(name, error)))
            continue
        errors.update(outcome.errors)
        endpoints.update(outcome.endpoints)
        changed |= {(name, key): item for key, item in outcome.changed.items()}
    return Outcome(errors, changed, endpoints, frozenset(unread))


def _reason(name: str, error: Exception) -> str:
    """What to tell of an error of a driver; one that nobody thought of is logged with its traceback."""
    if isinstance(error, IsthmusError):
        return str(error)
    LOG.error("internal error of agent driver %s", name, exc_info=error)
    return f"internal error of agent driver {name}: {error!r}"


def _realise(networks: tuple[HostNetwork, ...], driver: AgentDriver) -> Outcome:
    snapshot = driver.snapshot()
    wanted = driver.desired(networks, snapshot)
    delta = difference(wanted.items, snapshot.items)
    if not delta:
        return Outcome(wanted.errors, {}, snapshot.endpoints)
    LOG.info("%s: %d to add, %d to change, %d to remove", driver.name, len(delta.add), len(delta.change),
             len(delta.remove))  # fmt: skip
    changed = {**delta.remove, **delta.add, **delta.change}
    return Outcome({**wanted.errors, **driver.apply(delta, snapshot)}, changed, snapshot.endpoints)


class ReportTarget(Protocol):
    """Who gets reports; :class:`legacy_agent.watch.ControllerClient` is one."""

    def report(self, report: HostReport) -> None:
        """Put the report; raises :class:`ControllerGone`."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: between audits of an idle host, between reports, largest pause after a failure."""

    audit: float = 60.0
    report: float = 10.0
    retry_max: float = 30.0


class Agent:
    """State shared by the threads: the newest plan, what is in force, and what there is to say."""

    def __init__(self, settings: HostSettings, drivers: Mapping[str, AgentDriver], read_facts: Callable[[], HostFacts],
                 timing: Timing, version: str = "") -> None:  # fmt: skip
        self._settings = settings
        self.drivers = drivers
        self._read_facts = read_facts
        self._timing = timing
        self._version = version
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._plan_came = threading.Event()
        self._say = threading.Event()
        self._may_report = threading.Event()
        self._plan: HostPlan | None = None
        self._report = HostReport(settings.host)
        self._capabilities = Capabilities()
        self._limits: dict[str, Mapping[str, str]] = {}
        self._errors: Mapping[str, str] = {}
        self._endpoints: Mapping[str, str] = {}
        self._applied = 0
        self._settle = _SETTLE
        self._changed: Mapping[ItemKey, Item] = {}
        self._retry = Backoff(largest=timing.retry_max)
        self._churn = Backoff(first=_SETTLE, largest=_CALM, uniform=lambda _, most: most)
        self.stopped = threading.Event()
        self.announcement_key = ""
        """Key of the digest in LLDP frames, as hexadecimal digits; told to the controller with every report."""

    def accept(self, plan: HostPlan) -> None:
        """A plan has come."""
        with self._lock:
            self._plan = plan
        self._plan_came.set()
        self._wake.set()

    def unknown(self) -> None:
        """The controller does not know this host: tell it."""
        self._may_report.set()
        self._say.set()

    def in_touch(self) -> None:
        """The controller answers, and has nothing new."""
        self._may_report.set()

    def wake(self) -> None:
        """Something changed on the host."""
        self._wake.set()

    def stop(self) -> None:
        """End the loops; the host stays as it is."""
        self.stopped.set()
        self._plan_came.set()
        self._wake.set()
        self._say.set()
        self._may_report.set()

    def work(self) -> None:
        """The worker: probe, then compare and apply on every wake-up, audit and retry. What the host cannot do may
        change: an audit asks all drivers again, and a change asks those that hear of changes of their own (Open
        vSwitch may be started after the agent)."""
        pause = self._turn(self.drivers)
        while not self.stopped.is_set():
            woken = self._wake.wait(pause)
            pause = self._turn(self._limited() if woken else self.drivers, self._settle)

    def _turn(self, probed: Iterable[str], settle: float = 0.0) -> float:
        """Probe some drivers and step, after ``settle`` seconds unless a plan comes; the seconds until the next turn.
        Whatever goes wrong, there is one: reports go on without the worker, and nobody would see that nothing is done
        any more."""
        try:
            self._probe(probed)
            if settle:
                self._plan_came.wait(settle)
            return 0.0 if settle and self.stopped.is_set() else self.step()
        except Exception:
            LOG.exception("internal error; the whole host is compared again soon")
            return self._retry.next()

    def _limited(self) -> list[str]:
        """Drivers that could not do something and have heard of changes since."""
        return [name for name, driver in self.drivers.items()
                if self._limits.get(name) and isinstance(driver, WatchingDriver)]  # fmt: skip

    def _probe(self, names: Iterable[str]) -> None:
        before = self._capabilities.limits
        for name in names:
            try:
                self._limits[name] = self.drivers[name].probe()
            except Exception as error:
                self._limits[name] = dict.fromkeys(self.drivers[name].network_types, _reason(name, error))
        self._capabilities = facts.capabilities_of(self.drivers, self._limits, self._settings)
        for network_type, reason in sorted(self._capabilities.limits.items()):
            if before.get(network_type) != reason:
                LOG.warning("%s networks are not possible: %s", network_type, reason)

    def step(self) -> float:
        """Compare and apply once; seconds until the next time if nothing happens."""
        began = time.monotonic()
        self._wake.clear()
        self._plan_came.clear()
        with self._lock:
            plan = self._plan
        try:
            # Facts first: a tap that appears meanwhile is not wired yet, and must not be reported before it is.
            host_facts = self._read_facts()
        except IsthmusError as error:
            LOG.error("%s", error)
            return self._retry.next()
        outcome = realise(plan, self.drivers) if plan is not None else Outcome({}, {})
        if outcome.unread:  # VMs stay where they were, as far as anybody knows
            outcome = replace(outcome, endpoints={**self._endpoints, **outcome.endpoints})
        self._endpoints = outcome.endpoints
        if outcome.errors != self._errors:
            self._retry.reset()
        self._log_errors(outcome.errors)
        self._publish(plan, outcome, replace(host_facts, endpoints=outcome.endpoints))
        # Where others' events come all the time, and are nothing to us, no more than half of the time goes into them.
        self._settle = _SETTLE if outcome.changed else min(_CALM, max(_SETTLE, time.monotonic() - began))
        self._calm(outcome.changed)
        if outcome.errors or outcome.unread == self.drivers.keys():
            return self._retry.next()
        self._retry.reset()
        return self._timing.audit

    def report_loop(self, target: ReportTarget) -> None:
        """The reporter: whenever there is something new to say, and periodically."""
        self._may_report.wait()
        backoff = Backoff(largest=self._timing.report)
        while not self.stopped.is_set():
            self._say.clear()
            try:
                target.report(self.current_report())
                backoff.reset()
                self._say.wait(self._timing.report)
            except ControllerGone as error:
                LOG.debug("%s", error)
                self.stopped.wait(backoff.next())
            except Exception:
                LOG.exception("internal error; the report is tried again")
                self.stopped.wait(backoff.next())

    def current_report(self) -> HostReport:
        """What there is to say now."""
        with self._lock:
            return replace(self._report, announcement_key=self.announcement_key)

    def _publish(self, plan: HostPlan | None, outcome: Outcome, host_facts: HostFacts) -> None:
        if plan is not None and outcome.unread != self.drivers.keys():
            if plan.revision != self._applied:
                LOG.info("plan of revision %d is in force", plan.revision)
            self._applied = plan.revision
        report = facts.report(self._settings, host_facts, self._capabilities, self._applied, outcome.errors,
                              self._version)  # fmt: skip
        with self._lock:
            news = report != self._report
            self._report = report
        if plan is not None:
            self._may_report.set()
        if news:
            self._say.set()

    def _log_errors(self, errors: Mapping[str, str]) -> None:
        for network_id, reason in sorted(errors.items()):
            if self._errors.get(network_id) != reason:
                LOG.error("network %s: %s", network_id or "-", reason)
        self._errors = errors

    def _calm(self, changed: Mapping[ItemKey, Item]) -> None:
        """Our own changes wake us again, to find nothing to do. Where the same is to do again at once (somebody else
        undoes our work, or it fails and leaves events behind), slow down instead of spinning. A plan is not made to
        wait by it, and what else happens on the host not for long."""
        before, self._changed = self._changed, changed
        if not any(key in before and before[key] == item for key, item in changed.items()):
            self._churn.reset()
            return
        self._plan_came.wait(self._churn.next())
