"""Hears of flows that somebody takes out of a bridge or replaces: the flow monitor of OpenFlow 1.4, section 7.3.5.17.

The database tells nothing of flows. What is heard is not read: the driver compares everything anyway. The bridge's
management socket takes any number of such connections.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

_VERSION = 5
_HELLO, _ERROR, _ECHO_REQUEST, _ECHO_REPLY, _MULTIPART_REQUEST, _MULTIPART_REPLY = 0, 1, 2, 3, 18, 19
_FLOW_MONITOR, _ANY, _ALL_TABLES, _ADD = 16, 0xFFFFFFFF, 0xFF, 0
_REMOVED_OR_MODIFIED = 1 << 2 | 1 << 3

_HEADER = struct.Struct("!BBHI")
_REQUEST = struct.Struct("!HH4xIIIHBBHH4x")
"""Multipart header, flow monitor request, and a match without fields."""


def losses(path: str, timeout: float = 5.0) -> Iterator[None]:
    """Yields once when it hears of flows that are lost, then after each. ``path`` is that of the bridge's management
    socket; ``timeout`` (seconds) is for the connection to come about. Raises ``OSError`` when it does not, or ends."""
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(timeout)
        channel.connect(path)
        peer = _Peer(channel)
        peer.send(_HELLO, b"")
        if peer.receive() != _HELLO:
            raise ConnectionError(f"{path} is no OpenFlow switch")
        monitor = (1, _ANY, _ANY, _REMOVED_OR_MODIFIED, _ALL_TABLES, _ADD)
        peer.send(_MULTIPART_REQUEST, _REQUEST.pack(_FLOW_MONITOR, 0, *monitor, 1, 4))
        yield
        channel.settimeout(None)  # nothing may be lost for ever
        while True:
            kind = peer.receive()
            if kind == _ERROR:
                raise ConnectionError(f"{path} cannot tell of flows that are lost")
            if kind == _MULTIPART_REPLY:
                yield


class _Peer:
    """One OpenFlow connection."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    def send(self, kind: int, body: bytes, transaction: int = 0) -> None:
        """One message."""
        self._channel.sendall(_HEADER.pack(_VERSION, kind, _HEADER.size + len(body), transaction) + body)

    def receive(self) -> int:
        """The kind of the next message that is no echo request; those are answered."""
        while True:
            _, kind, length, transaction = _HEADER.unpack(self._read(_HEADER.size))
            body = self._read(max(0, length - _HEADER.size))
            if kind != _ECHO_REQUEST:
                return int(kind)
            self.send(_ECHO_REPLY, body, transaction)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._channel.recv(size - len(data))
            if not part:
                raise ConnectionError("it closed the connection")
            data += part
        return data
