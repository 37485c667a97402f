"""The HTTP server in the controller's process: deadlines, accidents, and its end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import eventlet
import pytest

from controller import api_server
from controller.api_server import ApiServer, listen

TICK = 0.2
"""Seconds in place of each deadline."""

HEAD = b"%s %s HTTP/1.1\r\nHost: x\r\n"


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Says what it was sent, after as many seconds as the query has; ``/deaf`` does not read it."""
    path = environ["PATH_INFO"]
    content = b"" if path == "/deaf" else environ["wsgi.input"].read()
    eventlet.sleep(float(environ.get("QUERY_STRING") or 0))
    said = b"%s %s" % (environ["CONTENT_TYPE"].encode(), content)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(said)))])
    return [said]


class Running:
    """A server in a thread of its own, with the hub of that thread."""

    def __init__(self) -> None:
        self.port = 0
        self.ended = threading.Event()
        self._ready, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        listener = listen("127.0.0.1", 0)
        self.port = listener.getsockname()[1]
        server = ApiServer(listener, application)
        eventlet.spawn(server.run)
        self._ready.set()
        while not self._stop.is_set():
            eventlet.sleep(0.01)
        server.stop()
        self.ended.set()

    def stop(self) -> None:
        self._stop.set()

    @contextmanager
    def client(self, *lines: bytes, method: bytes = b"GET", path: bytes = b"/") -> Iterator[socket.socket]:
        """A connection on which a request was begun with these lines of its head."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(HEAD % (method, path) + b"".join(line + b"\r\n" for line in lines))
            yield connection


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    for name in ("IDLE", "HEAD", "BODY", "LINGER"):
        monkeypatch.setattr(api_server, name, TICK)
    running = Running()
    yield running
    running.stop()
    assert running.ended.wait(10)


def everything(connection: socket.socket) -> bytes:
    """What comes until the connection is closed."""
    parts = []
    try:
        while part := connection.recv(1 << 16):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def drip(connection: socket.socket, piece: bytes) -> float:
    """Seconds for which somebody takes a piece now and then, which no limit of a single read ends."""
    began = time.monotonic()
    while time.monotonic() - began < 20 * TICK:
        try:
            connection.sendall(piece)
        except OSError:
            break
        connection.setblocking(False)
        try:
            if not connection.recv(1):
                break
        except BlockingIOError:
            pass
        except OSError:
            break
        connection.setblocking(True)
        time.sleep(TICK / 10)
    return time.monotonic() - began


def test_requests_are_answered_one_after_another(server: Running) -> None:
    with server.client(b"", path=b"/a") as connection:
        assert connection.recv(1 << 16).endswith(b"\r\n\r\n ")
        connection.sendall(HEAD % (b"POST", b"/") + b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi")
        assert connection.recv(1 << 16).endswith(b"text/plain hi"), "said and unsaid content types are told apart"


def test_chunked_bodies_are_read(server: Running) -> None:
    with server.client(b"Transfer-Encoding: chunked", b"", b"2", b"hi", b"0", b"", method=b"POST") as connection:
        assert connection.recv(1 << 16).endswith(b" hi")


@pytest.mark.parametrize(
    "lines",
    [
        [b"Transfer-Encoding: gzip, chunked"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"],
        [b"Transfer-Encoding: xchunked"],
        [b"Content-Length: 0", b"Content-Length: 20"],
    ],
)
def test_a_body_whose_end_is_not_clear_is_no_second_request(server: Running, lines: list[bytes]) -> None:
    hidden = HEAD % (b"GET", b"/hidden")
    with server.client(*lines, b"", hidden, method=b"POST") as connection:
        answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1


def test_an_idle_connection_ends(server: Running) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as silent:
        assert everything(silent) == b""
    with server.client(b"") as connection:
        assert everything(connection).endswith(b" ")


def test_a_head_that_drips_ends(server: Running) -> None:
    with server.client() as connection:
        assert drip(connection, b"X-A: b\r\n") < 10 * TICK
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        assert drip(connection, b"G") < 10 * TICK, "the first line too"


def test_a_body_that_drips_ends(server: Running) -> None:
    with server.client(b"Content-Length: 100000", b"", method=b"POST") as connection:
        assert drip(connection, b"x") < 10 * TICK


def test_a_body_that_nobody_reads_does_not_hold_the_connection(server: Running) -> None:
    with server.client(b"Transfer-Encoding: chunked", b"", method=b"POST", path=b"/deaf") as connection:
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
        assert drip(connection, b"2\r\nhi\r\n") < 10 * TICK


def test_requests_are_answered_before_the_end_and_nobody_is_accepted(server: Running) -> None:
    with server.client(b"", path=b"/?0.6") as slow:
        time.sleep(TICK)
        server.stop()
        time.sleep(TICK)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port), timeout=1)
        assert not server.ended.is_set()
        assert slow.recv(1 << 16).startswith(b"HTTP/1.1 200")


def test_the_end_does_not_wait_for_those_who_wait(server: Running) -> None:
    with server.client(b"", path=b"/v2.0/isthmus/hosts/web1/plan?30"):
        time.sleep(TICK)
        server.stop()
        assert server.ended.wait(TICK)
