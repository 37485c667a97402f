"""The values of the fabric: ends of links, links, what a port of a switch is for."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple


class End(NamedTuple):
    """One end of a link: node id of a switch and its OpenFlow port number."""

    node_id: str
    port: int

    def __str__(self) -> str:
        return f"{self.node_id} port {self.port}"


class Link(NamedTuple):
    """A cable between two switches that works both ways; ``a`` is the lesser end. Made by :func:`link`."""

    a: End
    b: End

    def __str__(self) -> str:
        return f"{self.a} - {self.b}"


def link(one: End, other: End) -> Link:
    """The link between two ends, the same whichever is named first."""
    return Link(*sorted((one, other)))


class Role(enum.Enum):
    """What a switch port is for. Links are made of free ports only."""

    FREE = "free"
    TENANT = "tenant"
    UPLINK = "uplink"
    TUNNEL = "tunnel"


@dataclass(frozen=True, slots=True)
class PortState:
    """A port as the switch and its configuration show it."""

    up: bool
    role: Role = Role.FREE
    name: str = ""
