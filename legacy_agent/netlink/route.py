"""Dumps and requests of the kernel's routing netlink: what interfaces and forwarding databases are read with.

Hand-made, because the agent reads everything on every event: an interface costs pyroute2 six hundred microseconds.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

from legacy_agent.netlink.errors import KernelError
from legacy_agent.netlink.messages import DONE, DUMP, ERROR, REQUEST, Received, error_code, message, messages

_INTERRUPTED = 0x10
_ATTEMPTS = 5


class RouteSocket:
    """A socket of the network namespace of the thread that makes it. ``timeout`` (seconds) is for each answer."""

    def __init__(self, timeout: float = 5.0) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._socket.settimeout(timeout)
        self._sequence = 0

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def dump(self, kind: int, body: bytes, what: str) -> list[bytes]:
        """The bodies of all answers; once more when something changed meanwhile, because then some are missing or are
        there twice. Raises :class:`KernelError`; ``what`` is for its message."""
        found: list[bytes] = []
        for _ in range(_ATTEMPTS):
            answers = list(self._answers(kind, body, what))
            found = [answer.body for answer in answers if answer.kind != DONE]
            if not any(answer.flags & _INTERRUPTED for answer in answers):
                break
        return found

    def next(self) -> int:
        """A new sequence number."""
        self._sequence += 1
        return self._sequence

    def send(self, data: bytes) -> None:
        """Send requests. Raises :class:`KernelError`."""
        try:
            self._socket.send(data)
        except OSError as error:
            raise KernelError(f"cannot ask the kernel: {error}", error.errno or 0) from error

    def receive(self, what: str) -> list[Received]:
        """Some answers, to whatever was asked. Raises :class:`KernelError`."""
        try:
            return list(messages(self._socket.recv(1 << 20)))
        except OSError as error:
            raise KernelError(f"cannot {what}: the kernel does not answer: {error}", error.errno or 0) from error

    def _answers(self, kind: int, body: bytes, what: str) -> Iterator[Received]:
        sequence = self.next()
        self.send(message(kind, sequence, REQUEST | DUMP, body))
        while True:
            for answer in self.receive(what):
                if answer.sequence != sequence:
                    continue
                if answer.kind == ERROR:
                    code = error_code(answer.body)
                    raise KernelError(f"cannot {what}: {os.strerror(code)}", code)
                yield answer
                if answer.kind == DONE:
                    return
