"""Makes a switch of Open vSwitch a stranger: a relay between it and the controller that changes how it describes
itself and refuses for it what other makes refuse."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable

ERROR, FLOW_MOD, GROUP_MOD, MULTIPART_REPLY = 1, 14, 15, 19
OURS, THEIRS = (b"Nicira, Inc.", b"Open vSwitch"), (b"Strange Inc.", b"Odd hardware")

Refusal = tuple[int, int]


class Stranger:
    """Listens on ``port`` and relays to the controller's. ``refuses`` gives OpenFlow error type and code for messages
    that the switch shall refuse."""

    def __init__(self, port: int, refuses: Callable[[bytes], Refusal | None]) -> None:
        self._refuses = refuses
        self._listener = socket.create_server(("127.0.0.1", port))
        self.refused = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """No more connections."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                switch, _ = self._listener.accept()
                controller = socket.create_connection(("127.0.0.1", 6653))
            except OSError:
                return
            for read, write, relay in ((switch, controller, self._up), (controller, switch, self._down)):
                threading.Thread(target=self._relay, args=(read, write, relay), daemon=True).start()

    def _relay(
        self, read: socket.socket, write: socket.socket, relay: Callable[[bytes, socket.socket, socket.socket], None]
    ) -> None:
        rest = b""
        try:
            while data := read.recv(1 << 16):
                rest += data
                while len(rest) >= 8 and len(rest) >= (length := int.from_bytes(rest[2:4], "big")):
                    relay(rest[:length], read, write)
                    rest = rest[length:]
        except OSError:
            pass
        for end in (read, write):
            end.close()

    def _up(self, message: bytes, _switch: socket.socket, controller: socket.socket) -> None:
        if message[1] == MULTIPART_REPLY and message[8:10] == b"\0\0":
            for ours, theirs in zip(OURS, THEIRS, strict=True):
                message = message.replace(ours, theirs)
        controller.sendall(message)

    def _down(self, message: bytes, controller: socket.socket, switch: socket.socket) -> None:
        refusal = self._refuses(message)
        if refusal is None:
            switch.sendall(message)
            return
        self.refused += 1
        error = message[:1] + bytes([ERROR]) + struct.pack("!H4sHH", 76, message[4:8], *refusal) + message[:64]
        controller.sendall(error.ljust(76, b"\0"))
