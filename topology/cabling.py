"""What is cabled to what, for those who follow a frame: a snapshot of links, of legacy hosts behind switch ports, and
of switches with a port into a physical network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from topology.links import End

Sockets = Mapping[str, Mapping[End, frozenset[str]]]
"""Physical network -> switch port -> node ids of the legacy hosts that have their uplink into it there."""


@dataclass(frozen=True, slots=True)
class Cabling:
    """``links`` maps each end of a link to the other. ``entrances`` are the switches with a port into a physical
    network that links carry, ``down`` the ports of each switch whose link is down."""

    links: Mapping[End, End] = field(default_factory=dict)
    sockets: Sockets = field(default_factory=dict)
    entrances: Mapping[str, frozenset[str]] = field(default_factory=dict)
    down: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def socket(self, node_id: str, physical_network: str) -> End | None:
        """The switch port that a legacy host has its uplink into a physical network at; None if that is not known."""
        ends = self.sockets.get(physical_network, {}).items()
        return next((end for end, hosts in sorted(ends) if node_id in hosts), None)

    def hosts_at(self, end: End) -> list[tuple[str, str]]:
        """The legacy hosts behind a switch port, each with the physical network that it reaches there."""
        return sorted((host, name) for name, ends in self.sockets.items() for host in ends.get(end, ()))

    def joined(self, node_id: str) -> frozenset[str]:
        """The switches that links reach from this one, itself among them."""
        neighbours: dict[str, set[str]] = {}
        for end, other in self.links.items():
            neighbours.setdefault(end.node_id, set()).add(other.node_id)
        found, waiting = {node_id}, [node_id]
        while waiting:
            fresh = neighbours.get(waiting.pop(), set()) - found
            found |= fresh
            waiting += fresh
        return frozenset(found)
