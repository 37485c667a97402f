"""Switches and cables for tests of the topology: probes that are sent come in at the other end."""

from __future__ import annotations

from controller.model import switch_node_id
from topology.discovery import Pace
from topology.events import EventLog
from topology.fabric import Topology
from topology.links import End, PortState, Role

KEY = b"a key for tests"
STEP = 0.05


def end(switch: int, port: int) -> End:
    """Port of the switch with that number."""
    return End(switch_node_id(switch), port)


class Cabling:
    """A topology with its own clock. ``cables`` maps each end to the other; take an entry out to cut one direction."""

    def __init__(self, names: tuple[str, ...] = ("physnet1",), pace: Pace | None = None) -> None:
        self.events = EventLog()
        self.topology = Topology(KEY, pace or Pace(), dict.fromkeys(names, (0, 4094)), self.events)
        self.cables: dict[End, End] = {}
        self.ports: dict[str, dict[int, PortState]] = {}
        self.uplinks: dict[str, dict[str, int]] = {}
        self.now = 100.0
        self.sent = 0
        self.captured: list[tuple[End, bytes]] = []

    def cable(self, one: End, other: End) -> None:
        """Plug a cable in, after what was there is pulled out."""
        for each in (one, other):
            self.cables.pop(self.cables.pop(each, each), None)
        self.cables[one], self.cables[other] = other, one
        for each in (one, other):
            self.ports.setdefault(each.node_id, {})[each.port] = PortState(True)

    def port(self, where: End, role: Role, uplink: str = "") -> None:
        """A port that is no link."""
        self.ports.setdefault(where.node_id, {})[where.port] = PortState(True, role)
        if uplink:
            self.uplinks.setdefault(where.node_id, {})[uplink] = where.port

    def connect(self) -> set[str]:
        """All switches tell what they are."""
        changed = set()
        for node_id, ports in self.ports.items():
            changed |= self.topology.switch(node_id, ports, self.uplinks.get(node_id, {}), self.now)
        return changed

    def run(self, seconds: float) -> set[str]:
        """Let time pass; returns the switches whose view changed."""
        changed, until = set(), self.now + seconds
        while self.now < until:
            probes, touched = self.topology.turn(self.now)
            changed |= touched
            for probe in probes:
                self.sent += 1
                self.captured.append((probe.end, probe.frame))
                receiver = self.cables.get(probe.end)
                if receiver is not None:
                    changed |= self.topology.frame(receiver, probe.frame, self.now + 0.001)
            self.now += STEP
        return changed

    @property
    def links(self) -> set[frozenset[End]]:
        """What was found."""
        return {frozenset(each) for each in self.topology.discovery.links}

    @property
    def cabled(self) -> set[frozenset[End]]:
        """What should be found."""
        return {frozenset((one, other)) for one, other in self.cables.items() if self.cables.get(other) == one}


def ring(count: int, **details: object) -> Cabling:
    """Switches 1..count; port 1 of each goes to port 2 of the next."""
    made = Cabling(**details)  # type: ignore[arg-type]
    for number in range(1, count + 1):
        made.cable(end(number, 1), end(number % count + 1, 2))
    return made
