"""Calls to an object in another kernel: one JSON line to ask, one to answer, over TCP.

For the management network of the test bed only: whoever reaches the port may call every public method.
"""

from __future__ import annotations

import json
import socket
import socketserver
import time
import traceback
from collections.abc import Callable
from typing import Any


class RemoteError(Exception):
    """The other side raised; the message is its traceback."""


class Remote:
    """A stand-in for an object that is served elsewhere: every method call is sent there."""

    def __init__(self, address: str, port: int, timeout: float = 180.0) -> None:
        self._address, self._timeout = (address, port), timeout

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args: self._call(name, args)

    def _call(self, name: str, args: tuple[Any, ...]) -> Any:
        with socket.create_connection(self._address, self._timeout) as channel, channel.makefile("rwb") as stream:
            stream.write(json.dumps({"method": name, "args": args}).encode() + b"\n")
            stream.flush()
            line = stream.readline()
        if not line:
            raise RemoteError(f"{self._address[0]}: the connection ended during {name}")
        answer = json.loads(line)
        if "error" in answer:
            raise RemoteError(f"{name} on {self._address[0]}: {answer['error']}")
        return answer["result"]


def wait_for(address: str, port: int, timeout: float) -> None:
    """Return once somebody serves at the address; raises TimeoutError."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        try:
            socket.create_connection((address, port), 1.0).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"nobody serves at {address}:{port} after {timeout:.0f} s")


def serve(target: object, address: str, port: int) -> None:
    """Serve the public methods of ``target`` for ever, each call in a thread of its own."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            line = self.rfile.readline()
            if not line:
                return
            try:
                request = json.loads(line)
                answer = {"result": getattr(target, request["method"])(*request["args"])}
            except Exception:  # whatever goes wrong belongs to the caller
                answer = {"error": traceback.format_exc(limit=-4)}
            self.wfile.write(json.dumps(answer).encode() + b"\n")

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        request_queue_size = 64

    with Server((address, port), Handler) as server:
        server.serve_forever()
