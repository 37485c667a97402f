"""Scenarios of connections: peers that are no switches, switches that hang, that come twice, that come in a storm."""

from __future__ import annotations

import os
import random
import socket
import struct
import threading
import time

from controller.errors import SwitchError, SwitchTimeout
from controller.model import switch_node_id
from tests.ovs.programs import flow, program
from tests.ovs.world import World

HELLO = struct.pack("!BBHI", 4, 0, 8, 1)

_DIALLED: list[socket.socket] = []


def dial(data: bytes = b"") -> socket.socket:
    """Connect to the controller and say something."""
    peer = socket.create_connection(("127.0.0.1", 6653), 5)
    _DIALLED.append(peer)
    peer.sendall(data)
    return peer


def ended(peer: socket.socket, timeout: float = 30.0) -> bool:
    """Whether the controller closes the connection in time."""
    deadline = time.monotonic() + timeout
    peer.settimeout(0.2)
    while time.monotonic() < deadline:
        try:
            if not peer.recv(65536):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


class FakeSwitch:
    """Introduces itself as an OpenFlow 1.3 switch; afterwards answers echo requests only."""

    def __init__(self, datapath_id: int) -> None:
        self.datapath_id = datapath_id
        self.ended = False
        self.socket = dial(HELLO)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        asked = 0
        try:
            while header := self._read(8):
                _, kind, length, xid = struct.unpack("!BBHI", header)
                body = self._read(length - 8)
                if kind == 5:
                    asked += 1
                    if asked == 1:
                        self._say(6, xid, struct.pack("!QIBB2xII", self.datapath_id, 0, 254, 0, 0, 0))
                elif kind == 18 and body[:2] == b"\0\r":
                    self._say(19, xid, struct.pack("!HH4x", 13, 0))
                elif kind == 2:
                    self._say(3, xid, body)
        except OSError:
            pass
        self.ended = True

    def _say(self, kind: int, xid: int, body: bytes) -> None:
        self.socket.sendall(struct.pack("!BBHI", 4, kind, 8 + len(body), xid) + body)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                return b""
            data += part
        return data


def garbage_costs_one_connection(world: World) -> None:
    node = world.switch()
    world.southbound.apply(node, program(1, flow(1)))
    rng = random.Random(1)
    sayings = [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\0" * 64,
        bytes(rng.randrange(256) for _ in range(5000)),
        struct.pack("!BBHI", 4, 0, 65535, 1),
        struct.pack("!BBHI", 4, 0, 3, 1) * 100,
        HELLO + struct.pack("!BBHI", 4, 6, 9, 2) + b"x",
        HELLO + b"\xff" * 2000,
        HELLO + struct.pack("!BBHI", 4, 99, 8, 3),
        HELLO + struct.pack("!BBHI", 4, 19, 16, 3) + b"\xff" * 8,
        struct.pack("!BBHI", 1, 0, 8, 1),
        struct.pack("!BBHI", 9, 0, 8, 1),
    ]
    peers = [(saying, dial(saying)) for saying in sayings]
    for number in range(20):
        world.southbound.apply(node, program(2 + number, flow(number)))
    for saying, peer in peers:
        assert ended(peer), f"still open after {saying[:40]!r}"
    assert world.state(node) == "in-sync"
    assert world.events.lost == []
    assert len(world.southbound.states()) == 1


def peers_that_linger_are_cut_off(world: World) -> None:
    """They get the end of the connection, and do not end it on their side."""
    before, peers = open_files(), [dial() for _ in range(20)]
    for peer in peers:
        assert ended(peer)
    world.wait(lambda: open_files() <= before, f"no more than {before} open files")
    for peer in peers:
        peer.close()


def open_files() -> int:
    """Sockets and files of this process, other than those of the peers here."""
    mine = sum(1 for peer in _DIALLED if peer.fileno() >= 0)
    return len(os.listdir("/proc/self/fd")) - mine


def garbage_from_a_known_switch(world: World) -> None:
    node = world.switch()
    fake = FakeSwitch(77)
    world.wait(lambda: world.state(switch_node_id(77)), "the fake switch has introduced itself")
    for kind in (1, 10, 12, 19, 33, 99):
        fake.socket.sendall(struct.pack("!BBHI", 4, kind, 12, 0x15710001) + b"\xff" * 4)
    fake.socket.sendall(struct.pack("!BBHI", 0x99, 0, 8, 0))
    world.wait(lambda: fake.ended, "the fake switch's connection is closed")
    world.southbound.apply(node, program(1, flow(1)))
    assert world.state(node) == "in-sync"


def silent_switch_costs_only_itself(world: World) -> None:
    node = world.switch()
    FakeSwitch(77)
    silent = switch_node_id(77)
    world.wait(lambda: world.state(silent) == "handshake", "the silent switch has introduced itself")
    seconds = []
    for number in range(50):
        started = time.monotonic()
        world.southbound.apply(node, program(number + 1, flow(number)))
        seconds.append(time.monotonic() - started)
    assert max(seconds) < 2.0, "somebody waited for the silent one"
    world.wait(lambda: world.state(silent) == "gone", "the silent switch is given up")
    state = world.southbound.state(silent)
    assert state is not None
    assert "did not answer within" in state.last_error, state
    assert world.state(node) == "in-sync"


def hanging_switch_meets_the_deadline(world: World) -> None:
    node = world.switch()
    world.southbound.apply(node, program(1, flow(1)))
    pid = int((world.bed.directory / "vswitchd.pid").read_text())
    os.kill(pid, 19)
    started = time.monotonic()
    try:
        world.southbound.apply(node, program(2, flow(2)))
    except SwitchTimeout as error:
        print(error)
    else:
        raise AssertionError("a stopped switch acknowledged")
    assert 2.5 < time.monotonic() - started < 10
    os.kill(pid, 18)
    world.wait(lambda: _applies(world, node), "the switch is programmed again")
    (line,) = world.bed.flows("br0", "table=4")
    assert f"cookie={flow(2).cookie:#x}" in line


def _applies(world: World, node: str) -> bool:
    try:
        world.southbound.apply(node, program(2, flow(2)))
    except SwitchError:
        return False
    return True


def second_connection_replaces_the_first(world: World) -> None:
    node = world.switch()
    world.southbound.apply(node, program(1, flow(1)))
    first = world.southbound.state(node)
    FakeSwitch(1)
    world.wait(lambda: node in world.events.lost, "the first session is lost")
    world.wait(lambda: world.state(node) == "in-sync" or _comes_back(world, node), "the real switch is back", 20)
    second = world.southbound.state(node)
    assert first is not None
    assert second is not None
    assert first.address != second.address
    assert len(world.southbound.states()) == 1


def _comes_back(world: World, node: str) -> bool:
    try:
        world.southbound.apply(node, program(1, flow(1)))
    except SwitchError:
        return False
    return True


SPENT = 0.1
"""The part of a core that sixty idle switches with their databases may cost."""


def storm(world: World) -> None:
    """Many bridges at once; each is programmed, all come back at once after losing the controller's sockets."""
    count, alone = 60, _idle_share(windows=2)
    words = []
    for number in range(1, count + 1):
        words += ["--", "add-br", f"b{number}", "--", "set", "bridge", f"b{number}", "datapath_type=netdev",
                  "protocols=OpenFlow13,OpenFlow14", f"other_config:datapath-id={number:016x}",
                  "--", "set-controller", f"b{number}", "tcp:127.0.0.1:6653"]  # fmt: skip
    world.bed.vsctl(*words[1:])
    nodes = [switch_node_id(number) for number in range(1, count + 1)]
    started = time.monotonic()
    world.wait(lambda: all(world.state(node) == "ready" for node in nodes), "all are ready", 30)
    print(f"{count} switches ready in {time.monotonic() - started:.2f} s")
    for node in nodes:
        world.southbound.apply(node, program(1, flow(1)))
    after = _idle_share(below=alone + SPENT)
    print(f"idle: {alone:.1%} of a core without switches, {after:.1%} with {count}")
    assert after < alone + SPENT, (alone, after)


def _idle_share(below: float = 0.0, windows: int = 10) -> float:
    """The least part of a core that this process takes in one of some seconds, looked at until it is ``below``.

    What spins does so in every second, however busy the machine is; what is left of a storm comes to an end.
    """
    least = 1.0
    for _ in range(windows):
        cpu, began = time.process_time(), time.monotonic()
        time.sleep(1)
        least = min(least, (time.process_time() - cpu) / (time.monotonic() - began))
        if least < below:
            break
    return least
