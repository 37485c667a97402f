"""Frames to and from the controller: packet-in, packet-out (OpenFlow 1.3.5 and 1.4.1, sections 7.4.1 and 7.3.7)."""

from __future__ import annotations

import queue
import struct
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from controller.dataplane.fields import CONTROLLER

PACKET_IN = 10
_PACKET_OUT = 13
_NO_BUFFER = 0xFFFFFFFF
_OUT = struct.Struct("!BBHIIIH6xHHIH6x")
_IN_PORT = 0x80000004
_METADATA = 0x80000400 >> 9
"""The header of the metadata field without mask bit and length."""
_MATCH_AT = 24
RATE, BURST = 25.0, 50.0
"""Frames per second and port that are handed on, and how many may come at once."""

WAITING = 64
"""Frames that may wait for a switch that does not take them; more are dropped: probes come again."""


def packet_out(version: int, port: int, frame: bytes) -> bytes:
    """The message that has the switch send a frame out of a port."""
    return (
        _OUT.pack(version, _PACKET_OUT, _OUT.size + len(frame), 0, _NO_BUFFER, CONTROLLER, 16, 0, 16, port, 0) + frame
    )


class PacketIn(NamedTuple):
    """A frame that came to the controller: ingress port, metadata that it had, as much of it as was sent."""

    port: int
    metadata: int
    frame: bytes

    @property
    def source(self) -> str:
        """The frame's source address, as text; empty if it is too short or the address is no station's."""
        raw = self.frame[6:12]
        return raw.hex(":") if len(raw) == 6 and not raw[0] & 1 and any(raw) else ""


def packet_in(message: bytes) -> PacketIn | None:
    """What is in a packet-in; None if it cannot be read."""
    if len(message) < _MATCH_AT + 8:
        return None
    match_length = int.from_bytes(message[_MATCH_AT + 2 : _MATCH_AT + 4], "big")
    data_at = _MATCH_AT + (match_length + 7) // 8 * 8 + 2
    if match_length < 4 or data_at > len(message):
        return None
    at, end, port, metadata = _MATCH_AT + 4, _MATCH_AT + match_length, None, 0
    while at + 4 <= end:
        header = int.from_bytes(message[at : at + 4], "big")
        if header == _IN_PORT:
            port = int.from_bytes(message[at + 4 : at + 8], "big")
        elif header >> 9 == _METADATA:
            metadata = int.from_bytes(message[at + 4 : at + 12], "big")
        at += 4 + (header & 0xFF)
    return PacketIn(port, metadata, message[data_at:]) if port is not None else None


class FrameLimit:
    """How many frames of one port of a switch are looked at: a few more than discovery takes and reports
    (:data:`topology.discovery.FLOOD_LIMIT`), so that it learns of a flood; the rest costs no more than its parsing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: dict[int, tuple[float, float]] = {}

    def admits(self, port: int) -> bool:
        """Whether a frame of that port, now, is within the limit."""
        now = self._clock()
        left, then = self._left.get(port, (BURST, now))
        left = min(left + (now - then) * RATE, BURST)
        self._left[port] = (left - 1.0 if left >= 1.0 else left, now)
        return left >= 1.0


class FrameSender:
    """Sends buffers to one switch in a thread of its own, so that a slow switch holds up nobody else."""

    def __init__(self, send: Callable[[bytes], object], name: str) -> None:
        self._send, self._name = send, name
        self._waiting: queue.Queue[bytes | None] = queue.Queue(WAITING)
        self._started = False

    @property
    def waiting(self) -> int:
        """How many buffers wait."""
        return self._waiting.qsize()

    def put(self, buffer: bytes) -> bool:
        """Send later; False if too much waits already. Never blocks."""
        if not self._started:
            self._started = True
            threading.Thread(target=self._run, name=f"frames to {self._name}", daemon=True).start()
        try:
            self._waiting.put_nowait(buffer)
        except queue.Full:
            return False
        return True

    def stop(self) -> None:
        """End the thread."""
        while self._started:
            try:
                self._waiting.put_nowait(None)
            except queue.Full:
                self._waiting.get_nowait()
            else:
                return

    def _run(self) -> None:
        while (buffer := self._waiting.get()) is not None:
            self._send(buffer)
