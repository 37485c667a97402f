"""One connected switch: what it can do, what is plugged in, what it holds.

A session passes through named states: ``handshake`` (make, bundles, stamp are not all told yet), ``waiting`` (for
OVSDB to say what the switch is; nothing is changed or cleared meanwhile), ``ready`` (reported, nothing applied yet),
``in-sync``, ``failed`` (the last apply failed, wholly or for some flows), ``gone``. What takes time has a thread of
its own, so that a slow switch costs only itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, TypeVar

from os_ken.lib import hub

from controller.dataplane.values import Program
from controller.declared import NO_UPLINKS
from controller.errors import IsthmusError, SwitchError, SwitchGone
from controller.measures import Measures
from controller.model import NodeFacts, Observation, PortView, switch_node_id
from controller.southbound import wire
from controller.southbound.applying import Applier, Rejected
from controller.southbound.bridge import NOTHING_SAID, Bridge, Make, node_facts, observe, with_links
from controller.southbound.exchange import Exchange
from controller.southbound.introduction import Introduction
from controller.southbound.ovsdb import BridgeWatch, Replicas
from controller.southbound.probing import lacking
from controller.switches import Applied, Rejection, SwitchEvents, SwitchState
from mechanisms.openflow import meters, stamp

LOG = logging.getLogger(__name__)

Outcome = TypeVar("Outcome", Applied, Applied | None)

HANDSHAKE, WAITING, READY, IN_SYNC, FAILED, GONE = "handshake", "waiting", "ready", "in-sync", "failed", "gone"

UNKNOWN = wire.Description()

SETTLE = 0.02
"""Seconds in which what a switch tells is gathered into one report."""

LINK_DOWN = 1
"""OFPPS_LINK_DOWN (with OFPPC_PORT_DOWN, config bit 0): other bits come and go with a link."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Deadlines in seconds, and where a switch's OVSDB is: ``ovsdb_remote(datapath id, address)`` gives the remote,
    None if it is not used. ``uplinks`` maps physical network -> port name, for switches without OVSDB.
    ``linked_networks`` are the physical networks that links between switches carry to every switch, with the first and
    last VLAN id."""

    request_timeout: float
    replicas: Replicas
    retry_max: float
    ovsdb_remote: Callable[[int, str], str | None]
    uplinks: Mapping[str, str] = field(default_factory=dict)
    linked_networks: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    measures: Measures = field(default_factory=Measures)


class Session:
    """The life of one connection. All methods but :meth:`apply` and :meth:`audit` return at once."""

    def __init__(
        self, datapath: Any, settings: Settings, events: SwitchEvents, last_bridge: Bridge | None,
        last_uplinks: Mapping[str, int] = NO_UPLINKS,
    ) -> None:  # fmt: skip
        self.datapath = datapath
        self.datapath_id: int = datapath.id
        self.node_id = switch_node_id(self.datapath_id)
        self.bridge, self._last_uplinks = last_bridge, last_uplinks
        version = datapath.ofproto.OFP_VERSION
        self.exchange = Exchange(datapath, version, settings.request_timeout, self.node_id)
        self._settings = settings
        self._events = events
        self._ports = {port.port_no: _port_view(port.name, port.state) for port in datapath.port_descriptions}
        self._make, self._description = NOTHING_SAID, UNKNOWN
        self._state = HANDSHAKE
        self._last_error = ""
        self._rejections: tuple[Rejection, ...] = ()
        self._foreign_flows = 0
        self._ovsdb_problem = "OVSDB has not answered yet"
        self._watch: BridgeWatch | None = None
        self._reported: tuple[NodeFacts, Observation] | None = None
        self._reporting = self._news = False
        """Whether the switch is reported of, and whether there is something to report."""
        self._bridge_told: threading.Event | None = None
        self._began = time.monotonic()
        self._applier: Applier | None = None
        self._applying = threading.Lock()

    @property
    def ports(self) -> Mapping[int, PortView]:
        """The OpenFlow ports as of now."""
        return self._ports

    @property
    def uplinks(self) -> Mapping[str, int]:
        """The uplinks in use: what is reported, before that what was in use when the session began."""
        return self._reported[1].uplinks if self._reported is not None else self._last_uplinks

    @property
    def is_open(self) -> bool:
        """Whether the connection is still there."""
        return self._state != GONE

    def start(self) -> None:
        """Go on as soon as the switch has answered the first questions."""
        self.datapath.introducing.when_complete(self._introduced)

    @property
    def finished(self) -> bool:
        """Whether those answers are there, or not waited for any more."""
        return not self.is_open or self.datapath.introducing.complete

    def expire(self, now: float) -> None:
        """End it if those answers are overdue."""
        if not self.finished and now > self._began + self.exchange.timeout:
            problem = f"{self.node_id} did not answer within {self.exchange.timeout:g} s"
            LOG.warning("%s: handshake failed: %s", self.node_id, problem)
            self.end(problem)

    def end(self, reason: str) -> None:
        """The connection is gone, or shall be."""
        if self._state == GONE:
            return
        LOG.info("%s: session ended: %s", self.node_id, reason)
        self._state, self._last_error = GONE, reason
        self.exchange.close()
        if self._watch is not None:
            self._watch.stop()
        if self._bridge_told is not None:
            self._bridge_told.set()
        self.datapath.close()

    def port_changed(self, removed: bool, port: Any) -> None:
        """PORT_STATUS: sooner than OVSDB when a link goes down."""
        ports = dict(self._ports)
        if removed:
            ports.pop(port.port_no, None)
        else:
            ports[port.port_no] = _port_view(port.name, port.state)
        if ports != self._ports:
            self._ports = ports
            self._tell_soon()

    def state(self) -> SwitchState:
        """The session as an operator sees it."""
        return SwitchState(
            node_id=self.node_id,
            state=self._state,
            address="{}:{}".format(*self.datapath.address[:2]),
            openflow_version=wire.VERSION_NAMES.get(self.exchange.version, str(self.exchange.version)),
            capabilities=self._make.capabilities | ({"ovsdb"} if self.bridge is not None else frozenset()),
            ports={number: view.name for number, view in sorted(self._ports.items())},
            last_error=self._last_error,
            rejections=self._rejections,
            details=self._details(),
        )

    def apply(self, program: Program) -> Applied:
        """Make the switch hold exactly ``program``. Raises :class:`SwitchError`."""
        return self._work(lambda applier: applier.apply(program))

    @property
    def may_hold(self) -> bool:
        """Whether the switch has just shown a stamp."""
        return self._applier is not None and self._applier.shown is not None

    def adopt(self, program: Program) -> Applied | None:
        """Whether the switch holds ``program``, by what it has shown. Raises :class:`SwitchError`."""
        return self._work(lambda applier: applier.adopt(program))

    def audit(self, program: Program) -> Applied:
        """Read everything back and repair it. Raises :class:`SwitchError`."""
        return self._work(lambda applier: applier.audit(program))

    def _work(self, work: Callable[[Applier], Outcome]) -> Outcome:
        with self._applying:
            if self._applier is None or self._state == GONE:
                raise SwitchGone(f"{self.node_id} is not ready (state {self._state})")
            try:
                applied = work(self._applier)
            except Rejected as problem:
                self._failed(str(problem), problem.rejections)
                raise
            except IsthmusError as problem:
                self._failed(str(problem), ())
                raise
            if applied is None:
                return applied
            if self._state != GONE:
                self._state, self._last_error, self._rejections = IN_SYNC, "", ()
            if not applied.adopted:
                self._foreign_flows = applied.foreign_flows
            return applied

    def _failed(self, problem: str, rejections: tuple[Rejection, ...]) -> None:
        if self._state == GONE:
            return
        known = set(self._rejections)
        self._state, self._last_error, self._rejections = FAILED, problem, rejections
        for rejection in rejections:
            if rejection not in known:
                self._events.switch_rejected(self.node_id, rejection)

    def _introduced(self, said: Introduction) -> None:
        """The switch said of itself what was asked. Most are ready then: only what takes time has a thread."""
        self._description = said.description
        found = {"nicira"} if said.description.is_open_vswitch else set()
        if said.bundles:
            found.add("bundles")
        if said.meters >= meters.HIGHEST:
            found.add(meters.METERS)
        tables, needed = self.datapath.tables, stamp.TABLE + 1
        self._make = Make(frozenset(found), tables, needed, self._settings.uplinks)
        remote = self._settings.ovsdb_remote(self.datapath_id, self.datapath.address[0])
        if remote is not None or (tables >= needed and not said.description.is_open_vswitch):
            hub.spawn(self._find_out, said, remote)
            return
        self._ovsdb_problem = "OVSDB is switched off"
        self._begin(said)

    def _find_out(self, said: Introduction, remote: str | None) -> None:
        """What must be tried, and what OVSDB says."""
        try:
            if self._make.tables >= self._make.tables_needed and not said.description.is_open_vswitch:
                found = self._make.capabilities
                lacks = lacking(self.exchange, meters.METERS in found)
                self._make = replace(self._make, lacks=lacks, capabilities=found - lacks.keys())
            self._await_bridge(remote)
            self._begin(said)
        except SwitchError as problem:
            LOG.warning("%s: handshake failed: %s", self.node_id, problem)
            self.end(str(problem))
        except Exception as problem:
            self._broken(problem)

    def _begin(self, said: Introduction) -> None:
        able = self._make.capabilities
        sent = self._settings.measures.sent
        self._applier = Applier(self.exchange, "bundles" in able, sent, meters=meters.METERS in able)
        self._applier.stamp_seen(said.stamps or ())
        self._reporting = True
        self._report()

    def _await_bridge(self, remote: str | None) -> None:
        """Wait before clear: nothing is reported, so nothing is compiled, before it is known what the switch is."""
        if remote is None:
            self._ovsdb_problem = "OVSDB is switched off"
            return
        self._state = WAITING if self._state == HANDSHAKE else self._state
        replicas, timeout = self._settings.replicas, self._settings.replicas.timeout
        told = self._bridge_told = threading.Event()
        self._watch = BridgeWatch(replicas, remote, self.datapath_id, self._on_bridge, self._settings.retry_max)
        if self._state == GONE:
            return
        self._watch.start()
        if not told.wait(timeout):
            self._ovsdb_problem = f"OVSDB at {remote} did not answer within {timeout:g} s"

    def _on_bridge(self, bridge: Bridge | None, problem: str) -> None:
        if bridge is not None:
            self.bridge = bridge
        elif self._ovsdb_problem != problem:
            LOG.info("%s: %s", self.node_id, problem)
        self._ovsdb_problem = problem
        if self._bridge_told is not None:
            self._bridge_told.set()
        self._tell_soon()

    def _tell_soon(self) -> None:
        """Report when the switch has had time to tell the rest."""
        if self._reporting and not self._news:
            self._news = True
            hub.spawn_after(SETTLE, self._report)

    def _report(self) -> None:
        self._news = False
        if self._state == GONE:
            return
        try:
            facts = node_facts(self.datapath_id, self.bridge, self._make, self._ovsdb_problem, self._ports)
            facts = with_links(facts, self._settings.linked_networks)
            report = (facts, observe(self.datapath_id, self.bridge, self._ports, self._make, self.uplinks))
        except Exception as problem:
            self._broken(problem)
            return
        if self._state in (HANDSHAKE, WAITING):
            self._state = READY
        if report != self._reported:
            self._reported = report
            self._events.switch_ready(*report)

    def _broken(self, problem: Exception) -> None:
        LOG.exception("%s: session", self.node_id)
        self.end(f"internal error: {problem}")

    def _details(self) -> Mapping[str, Any]:
        details: dict[str, Any] = {
            "manufacturer": self._description.manufacturer,
            "hardware": self._description.hardware,
            "software": self._description.software,
            "tables": self._make.tables,
            "foreign_flows": self._foreign_flows,
        }
        if self._ovsdb_problem:
            details["ovsdb"] = self._ovsdb_problem
        if self.bridge is not None:
            details["bridge"] = self.bridge.name
        if self._reported is not None:
            details["tunnel_ports"] = dict(self._reported[1].tunnel_ports)
        if self._applier is not None and self._applier.installed is not None:
            details["revision"] = self._applier.installed.revision
        return details


@lru_cache(maxsize=1 << 14)
def _port_view(name: bytes, state: int) -> PortView:
    """Ports of different switches have the same names; the values are shared."""
    return PortView(name.decode("utf-8", "replace").rstrip("\0"), not state & LINK_DOWN)
