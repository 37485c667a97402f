"""os-ken's side of the southbound: where its events come in. Every handler only hands over.

:class:`OpenFlowSessions` is an os-ken application without decisions; the composition root names it in ``_CONTEXTS``
and connects it with :meth:`OpenFlowSessions.connect`. :func:`configure` sets os-ken's own options from ours; it must
run before the applications are started (the constructor of :class:`controller.southbound.service.Southbound` does it).
"""

from __future__ import annotations

import contextlib
import logging
import struct
from collections.abc import Callable
from typing import Any

from os_ken import cfg as os_ken_cfg
from os_ken import exception as os_ken_errors
from os_ken.base import app_manager
from os_ken.controller import controller, ofp_event
from os_ken.controller.handler import CONFIG_DISPATCHER, HANDSHAKE_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from os_ken.lib import hub
from os_ken.ofproto import ofproto_parser, ofproto_v1_3, ofproto_v1_3_parser, ofproto_v1_4, ofproto_v1_4_parser
from oslo_config import cfg

from controller.listening import Listener
from controller.measures import UNREADABLE, Measures
from controller.southbound.connection import ECHO_REPLY, ECHO_REQUEST, Connection, SessionSink, Unreadable
from controller.southbound.echoes import Echoes

LOG = logging.getLogger(__name__)

BACKLOG = 4096
"""Connections waiting to be accepted: with os-ken's 50, a thousand switches that come at once need a minute."""

LATEST_VERSION = 6
"""OpenFlow 1.5 on the wire: peers may greet with a version that we do not speak."""

MOST_COMPLAINTS = 3
"""Lines of the log about messages of one connection that cannot be read."""

_HEADER = struct.Struct("!BBHI")


class _Server(hub.StreamServer):  # type: ignore[misc]
    """os-ken's listener with a backlog that outlasts a storm of reconnecting switches, and with a deadline for the TLS
    handshake, whose failure is a line of the log, as is one to accept a connection."""

    handle: Callable[[Any, Any], None]
    server: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.server.listen(BACKLOG)
        self.server = Listener(self.server, "OpenFlow")
        self._serve, self.handle = self.handle, self._take

    def _take(self, sock: Any, address: Any) -> None:
        sock.settimeout(os_ken_cfg.CONF.socket_timeout)
        try:
            self._serve(sock, address)
        except OSError as problem:
            LOG.warning("peer %s: no connection: %s", address, problem)
            sock.close()


class _Remembered:
    """Options of os-ken's that are looked up once: it asks for three with each connection, which is a fifth of what
    making one costs."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._conf, name)
        setattr(self, name, value)
        return value


def configure(conf: cfg.ConfigOpts, measures: Measures, sink: SessionSink, echoes: Echoes) -> None:
    """Give os-ken the address, deadlines, connections and message parsers of ours; ``sink`` hears of the connections.
    To be called before applications start."""
    own = os_ken_cfg.CONF
    own.set_override("ofp_listen_host", str(conf.openflow.listen_host))
    own.set_override("ofp_tcp_listen_port", conf.openflow.listen_port)
    if own.ofp_ssl_listen_port is None:  # os-ken listens for TLS instead, if it is given a key and a certificate
        own.set_override("ofp_ssl_listen_port", conf.openflow.listen_port)
    own.set_override("socket_timeout", conf.openflow.request_timeout)
    controller.CONF = _Remembered(own)
    controller.StreamServer = _Server
    controller.datapath_connection_factory = _serve_with(measures, sink, echoes)
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


def _serve_with(measures: Measures, sink: SessionSink, echoes: Echoes) -> Callable[[Any, Any], None]:
    """Serves one connection, as os-ken does; what a peer says ends in a line of the log and not in a traceback."""

    def serve(socket: Any, address: Any) -> None:
        with contextlib.closing(Connection(socket, address, sink, measures, echoes)) as datapath:
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

    def parser(datapath: Any, version: int, kind: int, length: int, xid: int, buffer: bytes) -> Any:
        if kind == ECHO_REQUEST and length == len(buffer):
            # Answered here and not through os-ken's queues, where an answer would wait its turn several times.
            datapath.send(bytes((version, ECHO_REPLY)) + bytes(buffer[2:]))
            return None
        deliver = datapath.deliver
        try:
            if deliver is not None and deliver(kind, xid, bytes(buffer)):
                return None
            return parse(datapath, version, kind, length, xid, buffer)
        except Exception as problem:
            measures.error(UNREADABLE)
            datapath.unreadable += 1
            level = logging.WARNING if datapath.unreadable <= MOST_COMPLAINTS else logging.DEBUG
            LOG.log(level, "message of type %d from %s cannot be read: %r", kind, datapath.address, problem)
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

    @set_ev_cls(ofp_event.EventOFPPortStatus, MAIN_DISPATCHER)  # type: ignore[untyped-decorator]
    def _on_port(self, event: Any) -> None:
        if self._sink is not None:
            removed = event.msg.reason == event.msg.datapath.ofproto.OFPPR_DELETE
            self._sink.port_changed(event.msg.datapath, removed, event.msg.desc)
