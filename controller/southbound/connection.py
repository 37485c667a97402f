"""One connection of a switch: os-ken's, with less work per message and per connection.

os-ken reads a header, then a body, has every buffer sent by one thread and every state told by another, and asks for
one thing after another. When a thousand switches come at once that is most of what they cost. Here whatever has
arrived is read at once, what the socket takes is sent at once (a thread that sends is there when it does not), what a
switch must say of itself is asked in one go and read from the bytes; the rest is os-ken's as ever, and other os-ken
applications hear the same events.
"""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Callable, Collection
from socket import SHUT_RDWR
from typing import Any, Protocol

from os_ken.controller import controller, ofp_event
from os_ken.controller.handler import CONFIG_DISPATCHER, DEAD_DISPATCHER, HANDSHAKE_DISPATCHER, MAIN_DISPATCHER
from os_ken.lib import hub
from os_ken.ofproto import ofproto_parser

from controller.dataplane.messages import MULTIPART_REPLY, REPLY_MORE
from controller.errors import SwitchError
from controller.measures import Measures
from controller.southbound import introduction, wire
from controller.southbound.echoes import Echoes
from controller.southbound.introduction import Introducing
from controller.southbound.receiving import Receiver

READ = 1 << 16
"""Bytes read at once."""

LINGER = 2.0
"""Seconds that a peer has, after we ended the connection, to read the last words and hang up."""

HELLO, ECHO_REQUEST, ECHO_REPLY = 0, 2, 3

_HEADER = struct.Struct("!BBHI")
_MULTIPART = struct.Struct("!HH")
_FEATURES = struct.Struct("!Q4xB")

Deliver = Callable[[int, int, bytes], bool]


class Unreadable(Exception):
    """A peer sent what is no OpenFlow."""


class SessionSink(Protocol):
    """What the southbound does with connections; nothing here may block."""

    def connected(self, datapath: Connection) -> None:
        """A peer connected; nothing is known of it."""

    def introduced(self, datapath: Connection) -> None:
        """A switch has told its features and its ports."""

    def disconnected(self, datapath: Connection) -> None:
        """A connection ended."""

    def port_changed(self, datapath: Any, removed: bool, port: Any) -> None:
        """A switch reported a port."""


class _Line:
    """The socket, which knows whether somebody is in the middle of sending."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        socket.settimeout(None)
        self._receiver = Receiver(socket)
        self.recv, self.recv_at_once = self._receiver.receive, self._receiver.at_once
        self.sending = False
        self.patience: float | None = None
        """Seconds that the peer may take nothing of what is sent; reading has no deadline."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def settimeout(self, seconds: float | None) -> None:
        """For sending; a timer for every read would cost more than the read."""
        self.patience = seconds

    def close(self) -> None:
        """Close it."""
        self._receiver.close()
        self._socket.close()

    def sendall(self, data: bytes) -> None:
        """Send everything; others have their turn meanwhile."""
        self.sending = True
        self._socket.settimeout(self.patience)
        try:
            self._socket.sendall(data)
        finally:
            self._socket.settimeout(None)
            self.sending = False

    def send_now(self, data: bytes) -> int:
        """How many bytes the socket takes without waiting; none with TLS, which may have to wait for the peer."""
        plain = getattr(self._socket, "fd", None)
        if plain is None:
            return 0
        try:
            sent: int = plain.send(data)
        except OSError:  # it is full; or broken, which whoever sends next will notice
            return 0
        return sent


class Connection(controller.Datapath):  # type: ignore[misc]
    """What os-ken serves. ``tables`` is the number of tables that the switch named with its features; ``introducing``
    collects what it says of itself besides."""

    tables = 0
    state: Any

    def __init__(self, socket: Any, address: Any, sink: SessionSink, measures: Measures, echoes: Echoes) -> None:
        self.introducing = Introducing()
        self.unreadable = 0
        """How many of its messages could not be read."""
        self.deliver: Deliver | None = None
        """Is offered every message, still as bytes; what it takes os-ken never parses."""
        self._sink, self._measures = sink, measures
        self._sender: Any = None
        self._has_greeted = False
        self._asked: dict[int, float] = {}
        super().__init__(_Line(socket), address)
        self.ports: dict[int, Any] = {}
        self.xid = introduction.LAST_XID
        echoes.add(self)

    @property
    def alive(self) -> bool:
        """Whether the connection is still there."""
        return bool(self.state != DEAD_DISPATCHER)

    @property
    def port_descriptions(self) -> Collection[wire.PortDescription]:
        """The ports as the switch described them."""
        return self.ports.values()

    def set_state(self, state: str) -> None:
        """Have it known, first to the southbound and not by way of os-ken's queues."""
        if state == self.state:
            return
        if self.ofp_brick is None or ofp_event.EventOFPStateChange in self.ofp_brick.observers:
            super().set_state(state)
        else:
            self.state = state  # no application wants to know; the event would be made for nobody
        if state == HANDSHAKE_DISPATCHER:
            self._sink.connected(self)
        elif state == MAIN_DISPATCHER:
            self._sink.introduced(self)
        elif state == DEAD_DISPATCHER:
            self._sink.disconnected(self)

    def close(self) -> None:
        """Say goodbye; a peer that does not hang up either is cut off a little later."""
        if self.alive and self.is_active:
            hub.spawn_after(LINGER, self._cut)
        super().close()

    def _cut(self) -> None:
        if self.is_active:
            with contextlib.suppress(OSError):
                self.socket.shutdown(SHUT_RDWR)  # which whoever waits to read notices

    def serve(self) -> None:
        """Greet, and deal with what comes until the end."""
        try:
            self._recv_loop()
        finally:
            if self._sender is None:
                self.send_q = None
            else:
                hub.kill(self._sender)
                hub.joinall([self._sender])
            self.is_active = False

    def send(self, buf: bytes, close_socket: bool = False) -> bool:
        """Send at once what the socket takes; queue the rest. Blocks the caller while the queue is full."""
        if self._is_free and not close_socket:
            sent = self.socket.send_now(buf)
            if sent == len(buf):
                return True
            buf = buf[sent:]
        if self._sender is None and self.send_q is not None:
            self._sender = hub.spawn(self._send_loop)
        return bool(super().send(buf, close_socket=close_socket))

    @property
    def _is_free(self) -> bool:
        """Whether nothing waits to be sent."""
        return self.send_q is not None and self.send_q.empty() and not self.socket.sending

    def ask_echo(self) -> int:
        """Send an echo request; how many have no answer yet, this one not counted. Never blocks."""
        waiting = len(self._asked)
        self.xid = xid = (self.xid + 1) & 0x7FFFFFFF or 1
        self._asked[xid] = time.monotonic()
        request = _HEADER.pack(self.ofproto.OFP_VERSION, ECHO_REQUEST, _HEADER.size, xid)
        if self._is_free:
            self.send(request)
        else:
            hub.spawn(self.send, request)
        return waiting

    def acknowledge_echo_reply(self, xid: int) -> None:
        """An echo request was answered."""
        began = self._asked.pop(xid, None)
        if began is not None:
            self._measures.echo(time.monotonic() - began)

    def _recv_loop(self) -> None:
        try:
            self._receive()
        finally:
            with contextlib.suppress(OSError):
                self.socket.close()

    def _receive(self) -> None:
        """A peer that has greeted already is answered and asked in one go."""
        rest = self._take(self.socket.recv_at_once(READ))
        if not self._has_greeted:
            self._greet()
        while self.state != DEAD_DISPATCHER:
            try:
                data = self.socket.recv(READ)
            except TimeoutError:
                continue
            except (EOFError, OSError, ValueError):  # the last is how a TLS socket tells that it was shut down
                return
            if not data:
                return
            rest = self._take(rest + data if rest else data)

    def _take(self, data: bytes) -> bytes:
        """Deal with all whole messages; what is left of the last."""
        at, end = 0, len(data)
        while end - at >= _HEADER.size and self.state != DEAD_DISPATCHER:
            version, kind, length, xid = ofproto_parser.header(data[at : at + _HEADER.size])
            if end - at < length:
                break
            self._message(version, kind, length, xid, data[at : at + length])
            at += length
        return data[at:]

    def _message(self, version: int, kind: int, length: int, xid: int, data: bytes) -> None:
        if kind == ECHO_REPLY:
            self.acknowledge_echo_reply(xid)
            return
        if self.state == HANDSHAKE_DISPATCHER and kind == HELLO and self._greeted(version, data):
            return
        if self._is_new and version in wire.VERSION_NAMES and self._introduced(version, kind, xid, data):
            return
        message = ofproto_parser.msg(self, version, kind, length, xid, data)
        if message and self.ofp_brick is not None:
            event = ofp_event.ofp_msg_to_ev(message)
            self.ofp_brick.send_event_to_observers(event, self.state)
            for handler in self.ofp_brick.get_handlers(event):
                if self.state in handler.callers[event.__class__].dispatchers:
                    handler(event)

    @property
    def _is_new(self) -> bool:
        """Whether the first questions are not all answered yet."""
        return self.state == CONFIG_DISPATCHER or not self.introducing.complete

    def _greeted(self, version: int, data: bytes) -> bool:
        """Ask everything if we understand each other; else it is os-ken's to say why not."""
        agreed = introduction.agreed_version(version, data[_HEADER.size :], frozenset(self.supported_ofp_version))
        if agreed is None:
            return False
        questions = introduction.questions(agreed)
        if self._has_greeted:
            self.send(questions)
        else:
            self._greet(questions)
        self.set_version(agreed)
        self.set_state(CONFIG_DISPATCHER)
        return True

    def _greet(self, questions: bytes = b"") -> None:
        self._has_greeted = True
        self.send(_HEADER.pack(self.ofproto.OFP_VERSION, HELLO, _HEADER.size, 0) + questions)

    def _introduced(self, version: int, kind: int, xid: int, data: bytes) -> bool:
        """Take what a switch says of itself."""
        try:
            if self.state == CONFIG_DISPATCHER:
                if kind == wire.FEATURES_REPLY and len(data) >= wire.FEATURES_SIZE:
                    self.id, self.tables = _FEATURES.unpack_from(data, _HEADER.size)
                    return True
                if kind == MULTIPART_REPLY and self._take_ports(version, data):
                    return True
                if kind == wire.ERROR and xid in (introduction.FEATURES, introduction.PORTS):
                    raise Unreadable("the peer refuses to tell its features and ports")
            return self.introducing.take(xid, data)
        except SwitchError as problem:
            raise Unreadable(str(problem)) from None

    def _take_ports(self, version: int, data: bytes) -> bool:
        """Take a part of the description of ports; with the last the switch has introduced itself."""
        kind, flags = _MULTIPART.unpack_from(data, _HEADER.size) if len(data) >= wire.PARTS_AT else (None, 0)
        if kind != wire.MP_PORT_DESC or self.id is None:
            return False
        for port in wire.port_descriptions(version, data):
            self.ports[port.port_no] = port
        if not flags & REPLY_MORE:
            self.set_state(MAIN_DISPATCHER)
        return True
