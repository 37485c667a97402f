"""What ``osken-manager controller.app`` loads: the composition root. It wires the parts and starts them."""

from __future__ import annotations

import hashlib
import logging
import os
import resource
import secrets
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from os_ken import cfg as os_ken_cfg
from os_ken.base import app_manager
from os_ken.lib import hub
from oslo_config import cfg
from prometheus_client import ProcessCollector

from controller import config, garbage
from controller.api.standalone import settle
from controller.api.wsgi import make_application
from controller.api_server import DRAIN, ApiServer, listen, with_tls
from controller.db.fabric_memory import FabricMemory
from controller.db.feed import StoreFeed
from controller.errors import IsthmusError
from controller.fabric import FabricControl
from controller.hosts import Hosts
from controller.measures import Measures
from controller.metrics import StateCollector
from controller.overview import Overview
from controller.owners import Owners
from controller.pace import Pace
from controller.plugin.plugin import Plugin, open_store
from controller.reconciler import Reconciler
from controller.southbound.openflow_app import OpenFlowSessions
from controller.southbound.service import Southbound
from controller.switches import SwitchEvents
from mechanisms.manager import MechanismManager
from topology import cables, discovery, tags
from topology.events import Event, EventLog
from topology.fabric import Options, Topology
from topology.learning import Limits
from typedrivers.manager import TypeManager

LOG = logging.getLogger(__name__)

DESCRIPTORS = 65536
"""Open files that are wanted."""

STOP_DEADLINE = DRAIN + 1.5
"""Seconds after SIGTERM at which the process ends even if something still runs."""


class _Relay:
    """Passes the southbound's events to the reconciler, which is made after the southbound."""

    target: SwitchEvents

    def __getattr__(self, name: str) -> Any:
        return getattr(self.target, name)


class Isthmus(app_manager.OSKenApp):  # type: ignore[misc]
    """The controller. One instance per process."""

    _CONTEXTS = {"sessions": OpenFlowSessions}  # noqa: RUF012
    OFP_VERSIONS = OpenFlowSessions.OFP_VERSIONS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config.register(os_ken_cfg.CONF)
        _plain_log()
        try:
            self._compose(os_ken_cfg.CONF, kwargs["sessions"])
        except (IsthmusError, cfg.Error, OSError) as error:
            sys.exit(f"isthmus: {error}")

    def _compose(self, conf: cfg.ConfigOpts, sessions: OpenFlowSessions) -> None:
        types = TypeManager.load(conf)
        mechanisms = MechanismManager.load(conf.ml2.mechanism_drivers)
        self._store = open_store(conf, types)
        plugin = Plugin(conf, self._store, types, mechanisms)
        relay = _Relay()
        linked = tags.parse(conf.topology.physical_networks)
        self._fabric = _fabric(conf, linked) if linked else None
        self._measures = Measures()
        self._southbound = Southbound(conf, relay, self._fabric, linked, self._measures)
        sessions.connect(self._southbound)
        pace = Pace(conf.openflow.retry_max, conf.openflow.audit_interval, conf.agent.agent_down_time)
        feed = StoreFeed(self._store, conf.arp_responder)
        self._reconciler = Reconciler(feed, plugin, mechanisms, self._southbound, pace, hub.spawn,
                                      fabric=self._fabric, measures=self._measures,
                                      overlay_ip_version=conf.ml2.overlay_ip_version)  # fmt: skip
        relay.target = self._reconciler
        overview = Overview(self._reconciler, Hosts(self._reconciler, plugin), self._southbound, mechanisms,
                            self._fabric, plugin.ports_named)  # fmt: skip
        registry = self._measures.registry
        ProcessCollector(registry=registry)
        registry.register(StateCollector(self._reconciler, self._southbound.queues))
        application = make_application(conf, plugin, overview, registry)
        listener = listen(str(conf.api.bind_host), conf.api.bind_port)
        if conf.api.tls_cert:
            listener = with_tls(listener, conf.api.tls_cert, conf.api.tls_key)
        self._api = ApiServer(listener, application)

    def start(self) -> None:
        """Start the parts; called by os-ken once every application exists."""
        super().start()
        _allow_descriptors()
        garbage.tune()
        hub.spawn(garbage.collect_for_ever, self._measures.collected)
        hub.spawn(self._measures.watch_lag)
        _on_sigterm(self._close_parts)
        settle()
        self._reconciler.start()
        garbage.keep()
        if self._fabric is not None:
            self._fabric.recall(FabricMemory(self._store))
        self._southbound.start()
        if self._fabric is not None:
            self._fabric.owner = Owners(lambda: self._reconciler.board.intent)
            board = self._reconciler.board
            self._fabric.start(self._southbound.send_frame, board.touch, board.follows)
        hub.spawn(self._api.run)
        LOG.info("API on %s, OpenFlow on port %d", self._api.url, os_ken_cfg.CONF.openflow.listen_port)

    def stop(self) -> None:
        """Stop the parts; nodes keep forwarding as they are."""
        self._close_parts()
        super().stop()

    def _close_parts(self) -> None:
        self._api.stop()
        self._reconciler.stop()
        self._southbound.stop()
        self._store.dispose()


def _fabric(conf: cfg.ConfigOpts, linked: dict[str, tuple[int, int]]) -> FabricControl:
    events = EventLog(epoch=time.time() - time.monotonic(), tell=_log_event)
    key = hashlib.sha256(conf.topology.secret.encode()).digest() if conf.topology.secret else secrets.token_bytes(32)
    pace = discovery.Pace(conf.topology.probe_interval, conf.topology.probe_rate)
    planned = cables.read_plan(conf.topology.cable_plan) if conf.topology.cable_plan else ()
    limits = Limits(conf.topology.address_age, conf.topology.address_rate, conf.topology.address_limit)
    options = Options(conf.topology.fast_failover, limits, first_probe=time.time_ns())
    topology = Topology(key, pace, linked, events, options)
    return FabricControl(topology, events, conf.topology.hold_time, hub.spawn, planned=planned)


def _log_event(event: Event) -> None:
    """Events outlive the bounded list of the API in the log."""
    LOG.info("fabric: %s: %s", event.kind, event.text)


class _Line(logging.Formatter):
    """Works out date and time once per second."""

    _second: tuple[int, str] = (-1, "")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        second = int(record.created)
        if self._second[0] != second:
            self._second = (second, time.strftime(datefmt or self.default_time_format, self.converter(second)))
        return f"{self._second[1]},{int(record.msecs):03d}"


def _allow_descriptors() -> None:
    """As many open files as the hard limit grants: shells start with 1,024, and each switch and agent is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _plain_log() -> None:
    """Give os-ken's handlers a line that says when, how bad and where; which of thousands of green threads wrote it is
    not said, for finding that out costs more than all the rest of the line."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # nor is the place in the source; see logging's own words
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_Line("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _on_sigterm(close: Callable[[], None]) -> None:
    """End the process with status 0 once ``close`` is done, or at the deadline.

    It does not wait for the interpreter to take itself apart, which with thousands of green threads takes seconds.
    """

    def leave(*_: Any) -> None:
        logging.shutdown()
        os._exit(0)

    def terminate(*_: Any) -> None:
        signal.signal(signal.SIGALRM, lambda *_: os._exit(0))  # whoever holds up the end may hold the log's lock too
        signal.setitimer(signal.ITIMER_REAL, STOP_DEADLINE)
        hub.spawn(close).link(leave)

    signal.signal(signal.SIGTERM, terminate)
