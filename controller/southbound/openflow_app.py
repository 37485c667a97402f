"""os-ken's side of the southbound: where its events come in. Every handler only hands over.

:class:`OpenFlowSessions` is an os-ken application without decisions; the composition root names it in ``_CONTEXTS``
and connects it with :meth:`OpenFlowSessions.connect`. :func:`configure` sets os-ken's own options from ours; it must
run before the applications are started (the constructor of :class:`controller.southbound.service.Southbound` does it).
"""

from __future__ import annotations

import contextlib
import logging
import struct
import time
from collections.abc import Callable
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from os_ken import cfg as os_ken_cfg
from os_ken import exception as os_ken_errors
from os_ken.base import app_manager
from os_ken.controller import controller, ofp_event
from os_ken.controller.handler import (
    CONFIG_DISPATCHER,
    DEAD_DISPATCHER,
    HANDSHAKE_DISPATCHER,
    MAIN_DISPATCHER,
    set_ev_cls,
)
from os_ken.lib import hub
from os_ken.ofproto import ofproto_parser, ofproto_v1_3, ofproto_v1_3_parser, ofproto_v1_4, ofproto_v1_4_parser
from oslo_config import cfg

from controller.measures import UNREADABLE, Measures
from controller.southbound.connection import Connection, Unreadable

LOG = logging.getLogger(__name__)

BACKLOG = 4096
"""Connections waiting to be accepted: with os-ken's 50, a thousand switches that come at once need a minute."""

UNANSWERED_ECHOES = 3
"""Echo requests without an answer after which a switch is held to be gone."""

ECHO_REQUEST, ECHO_REPLY = 2, 3

LATEST_VERSION = 6
"""OpenFlow 1.5 on the wire: peers may greet with a version that we do not speak."""

_HEADER = struct.Struct("!BBHI")

STATES = [HANDSHAKE_DISPATCHER, MAIN_DISPATCHER, DEAD_DISPATCHER]

Datapath = Any
Deliver = Callable[[int, int, bytes], bool]


class SessionSink(Protocol):
    """What the southbound does with os-ken's events; nothing here may block."""

    def connected(self, datapath: Datapath) -> None:
        """A peer connected; nothing is known of it."""

    def introduced(self, datapath: Datapath) -> None:
        """A switch has told its features and its ports."""

    def disconnected(self, datapath: Datapath) -> None:
        """A connection ended."""

    def port_changed(self, datapath: Datapath, removed: bool, port: Any) -> None:
        """A switch reported a port."""


_answers: WeakKeyDictionary[Any, Deliver] = WeakKeyDictionary()


def take_answers(datapath: Datapath, deliver: Deliver) -> None:
    """From now on offer every message of this connection, still as bytes, to ``deliver(type, xid, message)``; what it
    takes os-ken never parses."""
    _answers[datapath] = deliver


class _DeepBacklogServer(hub.StreamServer):  # type: ignore[misc]
    """os-ken's listener with a backlog that outlasts a storm of reconnecting switches."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.server.listen(BACKLOG)


_send_msg, _acknowledge = controller.Datapath.send_msg, controller.Datapath.acknowledge_echo_reply


def _time_echoes(measures: Measures) -> None:
    """Have os-ken's connections tell how long the answers to their echo requests take."""
    asked: WeakKeyDictionary[Any, dict[int, float]] = WeakKeyDictionary()

    def send_msg(datapath: Datapath, msg: Any, close_socket: bool = False) -> Any:
        if msg.cls_msg_type == ECHO_REQUEST:
            asked.setdefault(datapath, {})[msg.xid] = time.monotonic()
        return _send_msg(datapath, msg, close_socket=close_socket)

    def acknowledge_echo_reply(datapath: Datapath, xid: int) -> None:
        began = asked.get(datapath, {}).pop(xid, None)
        if began is not None:
            measures.echo(time.monotonic() - began)
        _acknowledge(datapath, xid)

    controller.Datapath.send_msg = send_msg
    controller.Datapath.acknowledge_echo_reply = acknowledge_echo_reply


def configure(conf: cfg.ConfigOpts, measures: Measures) -> None:
    """Give os-ken the address, deadlines and message parsers of ours. To be called before applications start."""
    own = os_ken_cfg.CONF
    own.set_override("ofp_listen_host", str(conf.openflow.listen_host))
    own.set_override("ofp_tcp_listen_port", conf.openflow.listen_port)
    own.set_override("echo_request_interval", conf.openflow.echo_interval)
    own.set_override("maximum_unreplied_echo_requests", UNANSWERED_ECHOES)
    own.set_override("socket_timeout", conf.openflow.request_timeout)
    controller.StreamServer = _DeepBacklogServer
    _time_echoes(measures)
    controller.datapath_connection_factory = _serve_with(measures)
    ofproto_parser.header = _header
    for protocol, parser in ((ofproto_v1_3, ofproto_v1_3_parser), (ofproto_v1_4, ofproto_v1_4_parser)):
        ofproto_parser.register_msg_parser(protocol.OFP_VERSION)(_parse_with(parser.msg_parser, measures))


def _header(buffer: bytearray) -> tuple[int, int, int, int]:
    """Version, type, length and transaction id. Raises :class:`Unreadable` for what cannot be a header: a length
    taken from noise would have us wait for bytes that never come."""
    version, kind, length, xid = _HEADER.unpack_from(buffer)
    if not 1 <= version <= LATEST_VERSION or length < _HEADER.size:
        raise Unreadable(f"no OpenFlow message begins with {bytes(buffer[:8]).hex()}")
    return version, kind, length, xid


def _serve_with(measures: Measures) -> Callable[[Any, Any], None]:
    """Serves one connection, as os-ken does; what a peer says ends in a line of the log and not in a traceback."""

    def serve(socket: Any, address: Any) -> None:
        with contextlib.closing(Connection(socket, address)) as datapath:
            try:
                datapath.serve()
            except (Unreadable, os_ken_errors.OSKenException, AssertionError, struct.error) as problem:
                measures.error(UNREADABLE)
                LOG.warning("peer %s: connection closed: %s", address, problem or repr(problem))

    return serve


def _parse_with(parse: Callable[..., Any], measures: Measures) -> Callable[..., Any]:
    """os-ken's parser of one version behind a first look at the bytes.

    Before a peer has introduced itself, a message that cannot be read ends the connection; later it is only dropped,
    because a working switch may say something that os-ken does not know.
    """

    def parser(datapath: Datapath, version: int, kind: int, length: int, xid: int, buffer: bytes) -> Any:
        if kind == ECHO_REQUEST and length == len(buffer):
            # Answered here and not through os-ken's queues, where an answer would wait its turn several times.
            datapath.send(bytes((version, ECHO_REPLY)) + bytes(buffer[2:]))
            return None
        deliver = _answers.get(datapath)
        try:
            if deliver is not None and deliver(kind, xid, bytes(buffer)):
                return None
            return parse(datapath, version, kind, length, xid, buffer)
        except Exception as problem:
            measures.error(UNREADABLE)
            LOG.warning("message of type %d from %s cannot be read: %r", kind, datapath.address, problem)
            if datapath.state in (HANDSHAKE_DISPATCHER, CONFIG_DISPATCHER):
                datapath.close()
            return None

    return parser


class OpenFlowSessions(app_manager.OSKenApp):  # type: ignore[misc]
    """Receives os-ken's events and enqueues them into the southbound."""

    OFP_VERSIONS = [ofproto_v1_3.OFP_VERSION, ofproto_v1_4.OFP_VERSION]  # noqa: RUF012

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sink: SessionSink | None = None

    def connect(self, sink: SessionSink) -> None:
        """Name the receiver; events before that are dropped, so it belongs into the constructor of the root."""
        self._sink = sink

    @set_ev_cls(ofp_event.EventOFPStateChange, STATES)  # type: ignore[untyped-decorator]
    def _on_state(self, event: Any) -> None:
        if self._sink is None:
            return
        state = getattr(event, "state", event.datapath.state)
        if state == HANDSHAKE_DISPATCHER:
            self._sink.connected(event.datapath)
        elif state == MAIN_DISPATCHER:
            self._sink.introduced(event.datapath)
        else:
            self._sink.disconnected(event.datapath)

    @set_ev_cls(ofp_event.EventOFPPortStatus, MAIN_DISPATCHER)  # type: ignore[untyped-decorator]
    def _on_port(self, event: Any) -> None:
        if self._sink is not None:
            removed = event.msg.reason == event.msg.datapath.ofproto.OFPPR_DELETE
            self._sink.port_changed(event.msg.datapath, removed, event.msg.desc)
