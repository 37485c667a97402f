"""One connection of a switch: os-ken's, with less work per message.

os-ken reads a header, then a body, and hands every buffer to a thread that sends it. When a thousand switches come at
once that is most of what they cost. Here whatever has arrived is read at once, what the socket takes is sent at once,
and ports are read from the bytes; the rest is os-ken's as ever.
"""

from __future__ import annotations

import contextlib
import struct
from typing import Any

from os_ken.controller import controller, ofp_event
from os_ken.controller.handler import CONFIG_DISPATCHER, DEAD_DISPATCHER, MAIN_DISPATCHER
from os_ken.lib import hub
from os_ken.ofproto import ofproto_parser

from controller.dataplane.messages import MULTIPART_REPLY, REPLY_MORE
from controller.errors import SwitchError
from controller.southbound import wire
from controller.turns import give_way

READ = 1 << 16
"""Bytes read at once."""

_HEADER_SIZE = 8
_MULTIPART = struct.Struct("!HH")


class Unreadable(Exception):
    """A peer sent what is no OpenFlow."""


class _Line:
    """The socket, which knows whether somebody is in the middle of sending."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self.sending = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def sendall(self, data: bytes) -> None:
        """Send everything; others have their turn meanwhile."""
        self.sending = True
        try:
            self._socket.sendall(data)
        finally:
            self.sending = False

    def send_now(self, data: bytes) -> int:
        """How many bytes the socket takes without waiting."""
        try:
            sent: int = self._socket.fd.send(data)
        except OSError:  # it is full; or broken, which whoever sends next will notice
            return 0
        return sent


class Connection(controller.Datapath):  # type: ignore[misc]
    """What os-ken serves. ``tables`` is the number of tables that the switch named with its features."""

    tables = 0

    def __init__(self, socket: Any, address: Any) -> None:
        super().__init__(_Line(socket), address)

    def send(self, buf: bytes, close_socket: bool = False) -> bool:
        """Send at once what the socket takes; queue the rest. Blocks the caller while the queue is full."""
        if not close_socket and self.send_q is not None and self.send_q.empty() and not self.socket.sending:
            sent = self.socket.send_now(buf)
            if sent == len(buf):
                return True
            buf = buf[sent:]
        return bool(super().send(buf, close_socket=close_socket))

    def _echo_request_loop(self) -> None:
        """The first question comes some time after the connection, so that those of a thousand switches are spread."""
        hub.sleep(self.echo_request_interval * (self.xid % 1024) / 1024)
        super()._echo_request_loop()

    def _recv_loop(self) -> None:
        try:
            self._receive()
        finally:
            with contextlib.suppress(OSError):
                self.socket.close()

    def _receive(self) -> None:
        rest = b""
        while self.state != DEAD_DISPATCHER:
            try:
                data = self.socket.recv(READ)
            except TimeoutError:
                continue
            except (EOFError, OSError):
                return
            if not data:
                return
            rest = self._take(rest + data if rest else data)
            give_way()

    def _take(self, data: bytes) -> bytes:
        """Deal with all whole messages; what is left of the last."""
        at, end = 0, len(data)
        while end - at >= _HEADER_SIZE and self.state != DEAD_DISPATCHER:
            version, kind, length, xid = ofproto_parser.header(data[at : at + _HEADER_SIZE])
            if end - at < length:
                break
            self._message(version, kind, length, xid, data[at : at + length])
            at += length
        return data[at:]

    def _message(self, version: int, kind: int, length: int, xid: int, data: bytes) -> None:
        if self.state == CONFIG_DISPATCHER:
            if kind == wire.FEATURES_REPLY and length >= 24:
                self.tables = data[20]
            elif kind == MULTIPART_REPLY and version in wire.VERSION_NAMES and self._take_ports(version, data):
                return
        message = ofproto_parser.msg(self, version, kind, length, xid, data)
        if message and self.ofp_brick is not None:
            event = ofp_event.ofp_msg_to_ev(message)
            self.ofp_brick.send_event_to_observers(event, self.state)
            for handler in self.ofp_brick.get_handlers(event):
                if self.state in handler.callers[event.__class__].dispatchers:
                    handler(event)

    def _take_ports(self, version: int, data: bytes) -> bool:
        """Take a part of the description of ports; with the last the switch has introduced itself."""
        kind, flags = _MULTIPART.unpack_from(data, _HEADER_SIZE) if len(data) >= wire.PARTS_AT else (None, 0)
        if kind != wire.MP_PORT_DESC or self.id is None:
            return False
        try:
            self.ports.update({port.port_no: port for port in wire.port_descriptions(version, data)})
        except SwitchError as problem:
            raise Unreadable(str(problem)) from None
        if not flags & REPLY_MORE:
            self.set_state(MAIN_DISPATCHER)
        return True
