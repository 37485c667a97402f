"""The southbound: all switches by their datapath ids. What the reconciler asks, and where os-ken's events arrive."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from oslo_config import cfg

from controller.dataplane.values import Program
from controller.errors import SwitchGone
from controller.garbage import Arrivals
from controller.measures import ADOPTED, PROGRAMMED, SILENT, UNCHANGED, Measures
from controller.model import switch_node_id
from controller.southbound import frames, openflow_app
from controller.southbound.connection import Connection, Deliver
from controller.southbound.echoes import Echoes
from controller.southbound.ovsdb import Replicas, remote_for
from controller.southbound.session import Session, Settings
from controller.switches import Applied, SwitchEvents, SwitchPorts, SwitchState
from mechanisms.openflow.registers import METADATA

LOG = logging.getLogger(__name__)

SWEEP = 1.0
"""Seconds between looks for peers that connected and never said who they are."""

NO_LINKS: Mapping[str, tuple[int, int]] = {}


class Southbound:
    """Implements :class:`controller.switches.Switches` and :class:`controller.southbound.connection.SessionSink`.

    The constructor sets os-ken's options from ``conf`` and must run before os-ken's applications are started.
    ``fabric`` hears of ports and frames, if links between switches are looked for; ``linked_networks`` are the
    physical networks that they carry, with the first and last VLAN id.
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        events: SwitchEvents,
        fabric: SwitchPorts | None = None,
        linked_networks: Mapping[str, tuple[int, int]] = NO_LINKS,
        measures: Measures | None = None,
    ) -> None:
        self._measures = measures or Measures()
        self._echoes = Echoes(conf.openflow.echo_interval, time.monotonic)
        openflow_app.configure(conf, self._measures, self, self._echoes)
        self._ovsdb_port = conf.ovsdb.port if conf.ovsdb.enabled else None
        self._events = events
        self._settings = Settings(
            request_timeout=conf.openflow.request_timeout,
            replicas=Replicas(conf.ovsdb.timeout),
            retry_max=conf.openflow.retry_max,
            ovsdb_remote=self._ovsdb_remote,
            uplinks=conf.openflow.uplinks,
            linked_networks=dict(linked_networks),
            measures=self._measures,
        )
        self._fabric = fabric
        self._senders: dict[str, frames.FrameSender] = {}
        self._remotes = {int(key, 16): remote for key, remote in conf.ovsdb.remotes.items()}
        self._sessions: dict[str, Session] = {}
        self._strangers: dict[Any, float] = {}
        self._arrivals = Arrivals()
        self._unfinished: set[Session] = set()
        """Sessions with first answers missing."""
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin to look after connections that stay silent; switches are served from now on."""
        threading.Thread(target=self._sweep, name="southbound-sweep", daemon=True).start()
        threading.Thread(target=self._echoes.run, args=(self._stopped,), name="southbound-echo", daemon=True).start()

    def stop(self) -> None:
        """End all sessions; the switches keep forwarding as they are."""
        self._stopped.set()
        for session in list(self._sessions.values()):
            session.end("the controller stops")

    def apply(self, node_id: str, program: Program) -> Applied:
        """Make the switch hold exactly ``program``; see :class:`controller.switches.Switches`."""
        return self._measures.synced(lambda: self._session(node_id).apply(program), _outcome)

    def may_hold(self, node_id: str) -> bool:
        """Whether the switch has just shown a stamp; see :class:`controller.switches.Switches`."""
        session = self._sessions.get(node_id)
        return session is not None and session.may_hold

    def adopt(self, node_id: str, program: Program) -> Applied | None:
        """Whether the switch holds ``program``; see :class:`controller.switches.Switches`."""
        return self._measures.adopted(lambda: self._session(node_id).adopt(program))

    def audit(self, node_id: str, program: Program) -> Applied:
        """Read everything back, repair what differs; see :class:`controller.switches.Switches`."""
        return self._measures.audited(lambda: self._session(node_id).audit(program), _outcome)

    def state(self, node_id: str) -> SwitchState | None:
        """The state of the switch's latest session."""
        session = self._sessions.get(node_id)
        return session.state() if session is not None else None

    def states(self) -> Sequence[SwitchState]:
        """The states of all switches that ever connected."""
        return [session.state() for _, session in sorted(self._sessions.items())]

    def queues(self) -> Mapping[str, int]:
        """How much waits, over all switches: buffers and frames to be sent, and peers that said nothing yet."""
        sending = [session.datapath.send_q for session in self._sessions.values() if session.is_open]
        return {
            "switch_buffers": sum(queue.qsize() for queue in sending if queue is not None),
            "switch_frames": sum(sender.waiting for sender in list(self._senders.values())),
            "unknown_peers": len(self._strangers),
        }

    def send_frame(self, node_id: str, port: int, frame: bytes) -> bool:
        """Have a switch send a frame out of a port; False if it is away or takes nothing. Never blocks."""
        session, sender = self._sessions.get(node_id), self._senders.get(node_id)
        if session is None or sender is None or not session.is_open:
            return False
        return sender.put(frames.packet_out(session.exchange.version, port, frame))

    def connected(self, datapath: Connection) -> None:
        """A peer connected; it has ``request_timeout`` seconds to introduce itself."""
        self._strangers[datapath] = time.monotonic()

    def introduced(self, datapath: Connection) -> None:
        """A switch told its features and ports. It takes the place of an older session of the same datapath id."""
        self._strangers.pop(datapath, None)
        node_id = switch_node_id(datapath.id)
        old = self._sessions.get(node_id)
        last = old.uplinks if old is not None else self._uplinks_before(node_id)
        session = Session(datapath, self._settings, self._events, old.bridge if old is not None else None, last)
        datapath.deliver = self._listener(session)
        self._sessions[node_id] = session
        self._measures.session("began")
        if self._fabric is not None:
            self._stop_sending(node_id)
            self._senders[node_id] = frames.FrameSender(datapath.send, node_id)
            self._fabric.switch_introduced(node_id, session.ports)
        if old is not None and old.is_open:
            LOG.warning("%s connected again from %s; the older session ends", node_id, datapath.address)
            self._measures.session("replaced")
            old.end(f"replaced by a connection from {datapath.address[0]}:{datapath.address[1]}")
            self._events.switch_lost(node_id)
        LOG.debug("%s connected from %s", node_id, datapath.address)  # that its program is in force is told soon
        session.start()
        if not session.finished:
            self._unfinished.add(session)
        self._arrivals.one_more()

    def disconnected(self, datapath: Connection) -> None:
        """A connection ended."""
        if self._strangers.pop(datapath, None) is not None:
            self._measures.error(SILENT)
        session = self._session_of(datapath)
        if session is not None:
            self._measures.session("ended")
            session.end(session.state().last_error or "the connection was closed")
            self._stop_sending(session.node_id)
            self._events.switch_lost(session.node_id)

    def port_changed(self, datapath: Any, removed: bool, port: Any) -> None:
        """A switch reported a port."""
        session = self._session_of(datapath)
        if session is not None and session.is_open:
            session.port_changed(removed, port)
            if self._fabric is not None:
                self._fabric.ports_seen(session.node_id, session.ports)

    def _listener(self, session: Session) -> Deliver:
        """Takes frames for the fabric and answers for the session."""
        fabric, answers = self._fabric, session.exchange.deliver
        if fabric is None:
            return answers
        limit = frames.FrameLimit()

        def deliver(kind: int, xid: int, message: bytes) -> bool:
            if kind != frames.PACKET_IN:
                return answers(kind, xid, message)
            found = frames.packet_in(message)
            if found is not None:
                network = METADATA["network"].read(found.metadata)
                if network and found.source:
                    fabric.source_seen(session.node_id, found.port, network, found.source)
                elif not network and found.port in session.ports and limit.admits(found.port):
                    fabric.frame_seen(session.node_id, found.port, found.frame)
            return True

        return deliver

    def _uplinks_before(self, node_id: str) -> Mapping[str, int]:
        return self._fabric.uplinks_before(node_id) if self._fabric is not None else {}

    def _stop_sending(self, node_id: str) -> None:
        sender = self._senders.pop(node_id, None)
        if sender is not None:
            sender.stop()

    def _session(self, node_id: str) -> Session:
        session = self._sessions.get(node_id)
        if session is None:
            raise SwitchGone(f"{node_id} is not connected")
        return session

    def _session_of(self, datapath: Any) -> Session | None:
        """The current session of that very connection; a replaced one is nobody's."""
        session = self._sessions.get(switch_node_id(datapath.id)) if datapath.id is not None else None
        return session if session is not None and session.datapath is datapath else None

    def _ovsdb_remote(self, datapath_id: int, address: str) -> str | None:
        if self._ovsdb_port is None:
            return None
        return self._remotes.get(datapath_id) or remote_for(address, self._ovsdb_port)

    def _sweep(self) -> None:
        while not self._stopped.wait(SWEEP):
            oldest = time.monotonic() - self._settings.request_timeout
            for datapath, since in list(self._strangers.items()):
                if since < oldest:
                    LOG.warning("peer %s did not introduce itself as an OpenFlow switch; closed", datapath.address)
                    self._measures.error(SILENT)
                    self._strangers.pop(datapath, None)
                    datapath.close()
            for session in list(self._unfinished):
                session.expire(time.monotonic())
                if session.finished:
                    self._unfinished.discard(session)


def _outcome(applied: Applied) -> str:
    if applied.adopted:
        return ADOPTED
    return PROGRAMMED if applied.flows_added or applied.flows_removed or applied.groups_changed else UNCHANGED
