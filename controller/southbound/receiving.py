"""Receiving from a switch for as long as it is connected, with the hub told once that somebody waits for it.

eventlet tells the kernel whenever somebody begins to wait for a socket, takes that back when something has come, and
asks the socket first whether it need wait at all: five system calls for what two can do. With a thousand switches that
come at once that is a tenth of what they cost.
"""

from __future__ import annotations

from typing import Any

import eventlet
from eventlet import hubs

from controller.turns import give_way


class Receiver:
    """Receives for one thread. With TLS, which has to ask the peer back now and then, or without eventlet, as the
    socket itself does."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._plain: Any = getattr(socket, "fd", None)
        self._hub: Any = hubs.get_hub() if self._plain is not None else None
        self._listener: Any = None
        self._waiting: Any = None

    def at_once(self, size: int) -> bytes:
        """What has come already, at most so many bytes; empty if nothing has, or nothing will."""
        if self._plain is None:
            return b""
        try:
            data: bytes = self._plain.recv(size)
        except OSError:  # whoever waits for more will know
            return b""
        return data

    def receive(self, size: int) -> bytes:
        """Wait for something; at most so many bytes of it, empty if the peer has hung up."""
        if self._plain is None:
            give_way()  # else the others have their turn while this one waits
            data: bytes = self._socket.recv(size)
            return data
        while True:
            self._wait()
            try:
                data = self._plain.recv(size)
            except BlockingIOError:
                continue
            return data

    def close(self) -> None:
        """Nobody receives any more. To be called before the socket is closed."""
        if self._listener is not None:
            self._hub.remove(self._listener)
            self._listener = None

    def _wait(self) -> None:
        self._waiting = current = eventlet.getcurrent()
        if self._listener is None:
            hub = self._hub
            self._listener = hub.add(hub.READ, self._plain.fileno(), self._readable, current.throw, _nothing)
        try:
            self._hub.switch()
        finally:
            self._waiting = None

    def _readable(self, _descriptor: int) -> None:
        """Runs in the hub. What nobody waits for now must not be told again and again."""
        if self._waiting is not None:
            self._waiting.switch()
        else:
            self.close()


def _nothing() -> None:
    """The hub tells that it has given a descriptor up; whoever waits for it is told by an exception too."""
