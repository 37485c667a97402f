"""Receiving with one registration: nothing is lost, nothing spins, the end is noticed. Real sockets and hub."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import eventlet
import pytest
from eventlet import hubs
from eventlet.green import socket as green

from controller.southbound.receiving import Receiver


@pytest.fixture
def ends() -> Iterator[tuple[Any, Any]]:
    """Two ends of a connection, as a listener and a client have them."""
    listener = eventlet.listen(("127.0.0.1", 0))
    client = green.create_connection(listener.getsockname())
    server, _ = listener.accept()
    yield server, client
    for each in (server, client, listener):
        each.close()


def watched(socket: Any) -> bool:
    """Whether the hub looks for something to read."""
    return socket.fileno() in hubs.get_hub().listeners["read"]


def test_what_is_there_is_had_at_once(ends: tuple[Any, Any]) -> None:
    server, client = ends
    receiver = Receiver(server)
    assert receiver.at_once(100) == b""
    client.sendall(b"hello")
    eventlet.sleep(0.01)
    assert receiver.at_once(3) == b"hel"
    assert receiver.at_once(100) == b"lo"
    assert not watched(server)


def test_it_waits_again_and_again_with_one_registration(ends: tuple[Any, Any]) -> None:
    server, client = ends
    receiver, got, listeners = Receiver(server), list[bytes](), set[int]()

    def receive() -> None:
        while data := receiver.receive(4):
            got.append(data)
            listeners.add(id(hubs.get_hub().listeners["read"][server.fileno()]))
        got.append(b"end")

    thread = eventlet.spawn(receive)
    for data in (b"one", b"two", b"longer"):
        eventlet.sleep(0.01)
        client.sendall(data)
    eventlet.sleep(0.01)
    client.close()
    with eventlet.Timeout(5):
        thread.wait()
    assert b"".join(got) == b"onetwolongerend"
    assert len(listeners) == 1
    receiver.close()
    assert not watched(server)


def test_what_comes_while_nobody_waits_does_not_keep_the_hub_busy(ends: tuple[Any, Any]) -> None:
    server, client = ends
    receiver, got, go_on = Receiver(server), list[bytes](), eventlet.Event()

    def receive() -> None:
        got.append(receiver.receive(100))
        go_on.wait()
        got.append(receiver.receive(100))

    thread = eventlet.spawn(receive)
    eventlet.sleep(0.01)
    client.sendall(b"first")
    eventlet.sleep(0.01)
    assert got == [b"first"]
    assert watched(server)
    client.sendall(b"second")
    eventlet.sleep(0.01)
    assert not watched(server), "told once that nobody waits"
    go_on.send()
    with eventlet.Timeout(5):
        thread.wait()
    assert got == [b"first", b"second"]
    receiver.close()


def test_a_reset_is_an_error(ends: tuple[Any, Any]) -> None:
    server, client = ends
    receiver = Receiver(server)
    client.setsockopt(green.SOL_SOCKET, green.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    thread = eventlet.spawn(receiver.receive, 100)
    eventlet.sleep(0.01)
    client.close()
    with eventlet.Timeout(5), pytest.raises(ConnectionResetError):
        thread.wait()
    assert receiver.at_once(100) == b""


def test_other_sockets_receive_as_they_do() -> None:
    """One with TLS, or of another hub."""

    class Other:
        def recv(self, size: int) -> bytes:
            return b"x" * size

    receiver = Receiver(Other())
    assert receiver.at_once(5) == b""
    assert receiver.receive(5) == b"xxxxx"
    receiver.close()
