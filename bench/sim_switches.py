"""Thousands of simulated switches in few processes.

``python -m bench.sim_switches --count 1000`` connects that many to a controller and keeps them there. With
``--commands`` it takes one JSON object per line from standard input and answers each with one line: see
:class:`Commands`. Everything is plain standard library: one thread, one epoll loop.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import itertools
import json
import os
import selectors
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, fields
from typing import Any

from bench.sim_switch import ECHO_REPLY, EQUAL, GENERIC, MULTIPART_REQUEST, PORT_DESC, Dropped, Faults, Make, SimSwitch

READ = 1 << 18
MOST_BATCHED = 4
"""Reads of one connection before the others get their turn."""


class Connection:
    """One switch's connection: framing, delayed answers, reconnection."""

    def __init__(self, switch: SimSwitch, loop: Loop) -> None:
        self.switch = switch
        self.connected_at = self.introduced_at = self.last_activity = 0.0
        self.echoes: list[float] = []
        self.closed = 0
        self._loop = loop
        self._socket: socket.socket | None = None
        self._rest = b""
        self._out = bytearray()

    def open(self) -> None:
        """Begin to connect; the greeting goes out as soon as the connection stands."""
        sock = socket.socket(self._loop.family)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._loop.window:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._loop.window)
        sock.connect_ex(self._loop.controller)
        self._socket, self._rest = sock, b""
        self._out = bytearray(self.switch.greet())
        self.introduced_at = self.connected_at = 0.0
        self._loop.selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, self)

    def close(self) -> None:
        """Break the connection."""
        if self._socket is not None:
            if self._socket.fileno() in self._loop.selector.get_map():
                self._loop.selector.unregister(self._socket)
            self._socket.close()
            self._socket = None
            self.closed += 1

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, or one is being made."""
        return self._socket is not None

    def has(self, sock: object) -> bool:
        """Whether this is its present socket."""
        return self._socket is sock

    def send(self, data: bytes) -> None:
        """Send as much as goes now, the rest when the controller takes it."""
        if self._socket is None:
            return
        waiting = bool(self._out)
        self._out += data
        if not waiting and self.connected_at:
            self._flush()

    def ask_echo(self) -> None:
        """An echo request whose answer tells how long it took."""
        self.send(self.switch.echo_request(struct.pack("!d", time.monotonic())))

    def ready(self, events: int) -> None:
        """The socket can be read or written."""
        try:
            if events & selectors.EVENT_WRITE:
                self.connected_at = self.connected_at or time.monotonic()
                self._flush()
            if events & selectors.EVENT_READ:
                self._read()
        except (OSError, Dropped):
            self.close()
            self._loop.lost(self)

    def _flush(self) -> None:
        assert self._socket is not None
        with contextlib.suppress(BlockingIOError):
            while self._out:
                sent = self._socket.send(self._out)
                del self._out[:sent]
        self._choose_events()

    def _choose_events(self) -> None:
        """A deaf switch reads nothing and does not notice when the controller closes."""
        assert self._socket is not None
        reading = 0 if self.switch.faults.deaf else selectors.EVENT_READ
        wanted = reading | (selectors.EVENT_WRITE if self._out else 0)
        registered = self._socket.fileno() in self._loop.selector.get_map()
        if wanted and registered:
            self._loop.selector.modify(self._socket, wanted, self)
        elif wanted:
            self._loop.selector.register(self._socket, wanted, self)
        elif registered:
            self._loop.selector.unregister(self._socket)

    def heed_faults(self) -> None:
        """The switch's faults have changed."""
        if self._socket is not None and self.connected_at:
            self._choose_events()

    def _read(self) -> None:
        assert self._socket is not None
        for _ in range(MOST_BATCHED):
            try:
                data = self._socket.recv(READ)
            except BlockingIOError:
                return
            if not data:
                raise ConnectionResetError("the controller closed the connection")
            if self.switch.faults.deaf:
                return
            self._take(self._rest + data if self._rest else data)
            if self._socket is None or len(data) < READ:
                return

    def _take(self, data: bytes) -> None:
        at, end, receive = 0, len(data), self.switch.receive
        answers: list[bytes] = []
        while end - at >= 8:
            length = data[at + 2] << 8 | data[at + 3]
            if length < 8:
                raise ConnectionResetError("the controller sent a message that is too short")
            if at + length > end:
                break
            message = data[at : at + length]
            at += length
            answer = receive(message)
            if answer:
                answers += answer
            elif message[1] == ECHO_REPLY:
                self._note_echo(message)
            if message[1] == MULTIPART_REQUEST and message[9] == PORT_DESC and not self.introduced_at:
                self.introduced_at = time.monotonic()
        self._rest = data[at:]
        self.last_activity = time.monotonic()
        if answers:
            self._loop.answer(self, b"".join(answers), self.switch.faults.delay)

    def _note_echo(self, message: bytes) -> None:
        if len(message) == 16:
            self.echoes.append(time.monotonic() - struct.unpack_from("!d", message, 8)[0])


class Loop:
    """Serves connections of many switches. ``reconnect``: seconds after which a lost one comes back (None: never).
    ``window``: bytes that a connection takes unread (0: as many as the kernel likes)."""

    def __init__(self, controller: tuple[str, int], reconnect: float | None = None, window: int = 0) -> None:
        self.controller, self.reconnect, self.window = controller, reconnect, window
        self.family = socket.AF_INET6 if ":" in controller[0] else socket.AF_INET
        self.selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something after a while."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), action))

    def answer(self, connection: Connection, data: bytes, delay: float) -> None:
        """Send an answer now or after a delay."""
        if delay:
            self.later(delay, lambda: connection.send(data))
        else:
            connection.send(data)

    def lost(self, connection: Connection) -> None:
        """A connection ended that the switch did not want to end."""
        if self.reconnect is not None:
            self.later(self.reconnect, lambda: None if connection.is_open else connection.open())

    def run(self, until: Callable[[], bool]) -> None:
        """Serve until the condition holds; it is looked at after every round."""
        while not until():
            self.step()

    def step(self, longest: float = 0.5) -> None:
        """One round."""
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()
        timeout = max(0.0, min(longest, self._timers[0][0] - time.monotonic())) if self._timers else longest
        for key, events in self.selector.select(timeout):
            if callable(key.data):
                key.data()
            elif key.data.has(key.fileobj):  # a command of the same round may have closed it
                key.data.ready(events)


class Commands:
    """What ``--commands`` understands. Every command is an object with ``do`` and is answered by one object.

    ``connect`` and ``disconnect`` (all, or those in ``switches``: datapath ids); ``faults`` (with the fields of
    :class:`~bench.sim_switch.Faults`); ``say`` sends ``data`` (hexadecimal); ``slave``: another controller became
    master with a ``generation``, and ``equal``: it is gone; ``reset`` clears the counters; ``echo`` has each send an
    echo request every ``interval`` seconds (0: no more); ``stats`` answers with times (of the monotonic clock) and
    counters; ``end``.
    """

    def __init__(self, loop: Loop, connections: Sequence[Connection]) -> None:
        self._loop, self._connections = loop, connections
        self._echo_interval = 0.0
        self.ended = False
        self._rest = b""
        os.set_blocking(0, False)
        loop.selector.register(0, selectors.EVENT_READ, self._read)

    def _read(self) -> None:
        data = os.read(0, 65536)
        if not data:
            self.ended = True
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            print(json.dumps(self._do(json.loads(line))), flush=True)

    def _do(self, command: dict[str, Any]) -> dict[str, Any]:
        chosen = self._chosen(command.pop("switches", None))
        action: Callable[..., dict[str, Any] | None] = getattr(self, f"_{command.pop('do')}")
        return action(chosen, **command) or {}

    def _chosen(self, wanted: Iterable[int] | None) -> list[Connection]:
        chosen = None if wanted is None else set(wanted)
        return [item for item in self._connections if chosen is None or item.switch.datapath_id in chosen]

    def _connect(self, chosen: list[Connection]) -> None:
        for connection in chosen:
            if not connection.is_open:
                connection.open()

    def _disconnect(self, chosen: list[Connection]) -> None:
        for connection in chosen:
            connection.close()

    def _faults(self, chosen: list[Connection], **values: Any) -> None:
        for connection in chosen:
            connection.switch.faults = Faults(**{**asdict(connection.switch.faults), **values})
            connection.heed_faults()

    def _say(self, chosen: list[Connection], data: str) -> None:
        for connection in chosen:
            connection.send(bytes.fromhex(data))

    def _slave(self, chosen: list[Connection], generation: int = 1) -> None:
        for connection in chosen:
            connection.send(connection.switch.lose_mastery(generation))

    def _equal(self, chosen: list[Connection]) -> None:
        for connection in chosen:
            connection.switch.role = EQUAL

    def _reset(self, chosen: list[Connection]) -> None:
        for connection in chosen:
            connection.switch.counters = type(connection.switch.counters)()
            connection.echoes, connection.closed = [], 0

    def _echo(self, chosen: list[Connection], interval: float) -> None:
        self._echo_interval = interval
        for number, connection in enumerate(chosen if interval else ()):
            self._loop.later(interval * number / len(chosen), lambda it=connection: self._ask(it))  # type: ignore[misc]

    def _ask(self, connection: Connection) -> None:
        if self._echo_interval:
            connection.ask_echo()
            self._loop.later(self._echo_interval, lambda: self._ask(connection))

    def _stats(self, chosen: list[Connection], detail: bool = False) -> dict[str, Any]:
        totals = {
            field.name: sum(getattr(item.switch.counters, field.name) for item in chosen)
            for field in fields(chosen[0].switch.counters)
        }
        times = {"introduced": [item.introduced_at for item in chosen if item.is_open and item.introduced_at],
                 "last_activity": max(item.last_activity for item in chosen)}  # fmt: skip
        flows = [len(item.switch.tables.flows) for item in chosen]
        rows = {"flows_each": flows, "last_each": [item.last_activity for item in chosen]} if detail else {}
        return {
            **totals, **times, **rows,
            "open": sum(item.is_open for item in chosen), "closed": sum(item.closed for item in chosen),
            "flows": sum(flows), "least_flows": min(flows),
            "groups": sum(len(item.switch.tables.groups) for item in chosen),
            "echoes": [seconds for item in chosen for seconds in item.echoes],
        }  # fmt: skip

    def _end(self, chosen: list[Connection]) -> None:  # noqa: ARG002
        self.ended = True


def switches(first: int, count: int, make: Make) -> list[SimSwitch]:
    """Switches with datapath ids from ``first`` on."""
    return [SimSwitch(number, make) for number in range(first, first + count)]


def make_of(options: argparse.Namespace) -> Make:
    """The kind of switch that the command line asks for; port 1 is called ``uplink``, the others ``p2``, ``p3`` ..."""
    ports = {number: f"p{number}" for number in range(2, options.ports + 2)} | {1: "uplink"}
    make = Make(
        version={"1.0": 1, "1.3": 4, "1.4": 5, "1.5": 6}[options.openflow], bundles=not options.no_bundles, ports=ports
    )
    if not options.generic:
        return make
    return Make(make.version, *GENERIC, tables=options.tables, bundles=make.bundles, meters=0, ports=ports)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="sim_switches", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=6653)
    parser.add_argument("--first", type=int, default=1, help="datapath id of the first")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--ports", type=int, default=8, help="ports of each, besides the uplink")
    parser.add_argument("--openflow", choices=("1.0", "1.3", "1.4", "1.5"), default="1.4")
    parser.add_argument("--tables", type=int, default=254)
    parser.add_argument("--no-bundles", action="store_true")
    parser.add_argument("--generic", action="store_true", help="without the extensions of Open vSwitch")
    parser.add_argument("--reconnect", type=float, default=1.0, help="seconds until a lost one comes back (0: never)")
    parser.add_argument("--window", type=int, default=0, help="bytes that a connection takes unread")
    parser.add_argument("--commands", action="store_true", help="obey standard input; nothing connects by itself")
    options = parser.parse_args()
    loop = Loop((options.host, options.port), options.reconnect or None, options.window)
    connections = [Connection(switch, loop) for switch in switches(options.first, options.count, make_of(options))]
    if not options.commands:
        for connection in connections:
            connection.open()
        loop.run(lambda: False)
    commands = Commands(loop, connections)
    loop.run(lambda: commands.ended)
    return 0


if __name__ == "__main__":
    sys.exit(main())
