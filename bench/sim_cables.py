"""Simulated switches that are cabled to each other: what is sent out of one port comes in at the other end.

``python -m bench.sim_cables --rings 10 --size 10 --ports 48`` makes a ring of rings and obeys standard input as
:mod:`bench.sim_switches` does, with these commands more: ``port`` (``switch``, ``number``, ``up``), ``flood``
(``switch``, ``number``, ``rate``: frames a second that come in there, 0: no more).
"""

from __future__ import annotations

import argparse
import struct
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from bench.sim_switch import Make, SimSwitch
from bench.sim_switches import Commands, Connection, Loop

PACKET_IN, PACKET_OUT = 10, 13
CONTROLLER_PORT = 0xFFFFFFFD
End = tuple[int, int]
"""Datapath id and port number."""

_IN = struct.Struct("!IHBBQHHIIxxxxxx")
"""Buffer, length, reason, table, cookie, then a match on the ingress port alone, with its padding and two more."""

TICK = 0.01
JUNK = bytes.fromhex("0180c200000e 020000000001 88cc 0203 07 4141 0403 05 4142 0602 0078 0000".replace(" ", ""))


def ring_of_rings(rings: int, size: int) -> dict[End, End]:
    """The cables, from either end: in each ring port 1 to port 2 of the next; ring to ring port 3 to port 4."""
    cables: dict[End, End] = {}
    for ring in range(rings):
        first = ring * size + 1
        pairs = [((first + place, 1), (first + (place + 1) % size, 2)) for place in range(size)]
        if rings > 1:
            pairs.append(((first, 3), ((ring + 1) % rings * size + size // 2 + 1, 4)))
        for one, other in pairs:
            cables[one], cables[other] = other, one
    return cables


class CabledSwitch(SimSwitch):
    """A switch whose packet-outs go somewhere. ``down`` are ports without a link."""

    def __init__(self, datapath_id: int, make: Make, cables: Mapping[End, End]) -> None:
        super().__init__(datapath_id, make)
        self.down: set[int] = set()
        self.frames_sent = 0
        self._cables = cables
        self.others: Mapping[int, Connection] = {}

    def receive(self, message: bytes) -> Sequence[bytes]:
        """As ever; a frame that is to go out comes in at the other end of the cable."""
        if message[1] == PACKET_OUT:
            self._send(message)
            return ()
        return super().receive(message)

    def packet_in(self, number: int, frame: bytes) -> bytes:
        """What tells the controller of a frame that came in."""
        head = _IN.pack(0xFFFFFFFF, len(frame), 1, 0, 0, 1, 12, 0x80000004, number)
        return self._message(PACKET_IN, 0, head + frame)

    def _send(self, message: bytes) -> None:
        length = int.from_bytes(message[16:18], "big")
        actions, frame = message[24 : 24 + length], message[24 + length :]
        self.frames_sent += 1
        while len(actions) >= 8:
            kind, size, port = struct.unpack_from("!HHI", actions)
            other = self._cables.get((self.datapath_id, port)) if kind == 0 else None
            if other is not None and port not in self.down:
                self._arrive(other, frame)
            actions = actions[max(size, 8) :]

    def _arrive(self, end: End, frame: bytes) -> None:
        connection = self.others[end[0]]
        if isinstance(connection.switch, CabledSwitch) and end[1] not in connection.switch.down:
            connection.send(connection.switch.packet_in(end[1], frame))


class CableCommands(Commands):
    """The commands of this module."""

    def __init__(self, loop: Loop, connections: Sequence[Connection]) -> None:
        super().__init__(loop, connections)
        self._by_id = {item.switch.datapath_id: item for item in connections}
        self._flooding: dict[End, int] = {}

    def _port(self, chosen: list[Connection], switch: int, number: int, up: bool) -> None:  # noqa: ARG002
        connection = self._by_id[switch]
        assert isinstance(connection.switch, CabledSwitch)
        (connection.switch.down.discard if up else connection.switch.down.add)(number)
        connection.send(connection.switch.port_status(number, connection.switch.make.ports[number], up))

    def _flood(self, chosen: list[Connection], switch: int, number: int, rate: int) -> None:  # noqa: ARG002
        self._flooding[switch, number] = rate
        if rate:
            self._pour((switch, number))

    def _pour(self, end: End) -> None:
        rate, connection = self._flooding[end], self._by_id[end[0]]
        assert isinstance(connection.switch, CabledSwitch)
        if rate:
            connection.send(connection.switch.packet_in(end[1], JUNK) * max(1, int(rate * TICK)))
            self._loop.later(TICK, lambda: self._pour(end))

    def _frames(self, chosen: list[Connection]) -> dict[str, Any]:
        return {"sent": sum(item.switch.frames_sent for item in chosen if isinstance(item.switch, CabledSwitch))}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="sim_cables", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=6653)
    parser.add_argument("--rings", type=int, default=10)
    parser.add_argument("--size", type=int, default=10)
    parser.add_argument("--ports", type=int, default=48)
    options = parser.parse_args()
    cables = ring_of_rings(options.rings, options.size)
    make = Make(version=4, ports={number: f"p{number}" for number in range(1, options.ports + 1)})
    loop = Loop(("127.0.0.1", options.port))
    switches = [CabledSwitch(number, make, cables) for number in range(1, options.rings * options.size + 1)]
    connections = [Connection(switch, loop) for switch in switches]
    for switch in switches:
        switch.others = {item.switch.datapath_id: item for item in connections}
    commands = CableCommands(loop, connections)
    loop.run(lambda: commands.ended)
    return 0


if __name__ == "__main__":
    sys.exit(main())
