"""What happens to a frame on one node: how it came, the steps there, and how its copies leave. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from controller.dataplane.packet import Packet


class FromPort(NamedTuple):
    """The endpoint of a port sends."""

    port_id: str

    def __str__(self) -> str:
        return f"from port {self.port_id}"


class FromPhysical(NamedTuple):
    """By the node's uplink into a physical network."""

    physical_network: str

    def __str__(self) -> str:
        return f"out of physical network {self.physical_network}"


class FromTunnel(NamedTuple):
    """Out of a tunnel, from the endpoint ``source``."""

    network_type: str
    tunnel_id: int
    source: str

    def __str__(self) -> str:
        return f"out of tunnel {self.network_type} {self.tunnel_id} from {self.source}"


class FromCable(NamedTuple):
    """By an OpenFlow port that is cabled to another switch or to a legacy host."""

    ofport: int
    other: str

    def __str__(self) -> str:
        return f"by port {self.ofport}, cabled to {self.other}"


Came = FromPort | FromPhysical | FromTunnel | FromCable


class ToPort(NamedTuple):
    """Delivered to a port; ``answer``: it is an answer to the frame, made in its stead by the node."""

    port_id: str
    device: str
    answer: bool = False


class ToPhysical(NamedTuple):
    """Into a physical network."""

    physical_network: str
    device: str


class ToTunnel(NamedTuple):
    """Into a tunnel."""

    network_type: str
    tunnel_id: int
    endpoint: str
    device: str


class ToCable(NamedTuple):
    """By an OpenFlow port that is cabled to a switch or to legacy hosts."""

    ofport: int


class ToNobody(NamedTuple):
    """It leaves, and where it goes is not known here, or it is a copy for the controller."""

    text: str


Way = ToPort | ToPhysical | ToTunnel | ToCable | ToNobody


class Sent(NamedTuple):
    """A copy of the frame that leaves a node."""

    way: Way
    packet: Packet


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened on the node; on switches a ``table`` with the ``flow`` that matched, what that serves
    (``why``), its cookie and the groups that it hands the frame to."""

    text: str
    table: str = ""
    flow: str = ""
    why: str = ""
    cookie: int | None = None
    groups: tuple[str, ...] = ()

    def row(self) -> dict[str, Any]:
        """As the API shows it."""
        if not self.table:
            return {"text": self.text}
        cookie = None if self.cookie is None else f"0x{self.cookie:016x}"
        return {"text": self.text, "table": self.table, "flow": self.flow, "why": self.why, "cookie": cookie,
                "groups": list(self.groups)}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Passage:
    """The steps on one node, the copies that leave it, and, where none does, why it ended."""

    steps: tuple[Step, ...] = ()
    sent: tuple[Sent, ...] = ()
    ended: str = ""
