"""Follows a frame from node to node until every copy of it has arrived or ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from controller.dataplane.packet import Packet
from controller.dataplane.values import Program
from controller.errors import CompileError
from controller.model import Node, NodeKind, Port
from controller.tracing import reasons
from controller.tracing.frame import frame_text
from controller.tracing.host import TracedHost
from controller.tracing.passage import (
    Came,
    FromCable,
    FromPhysical,
    FromPort,
    FromTunnel,
    Passage,
    Sent,
    ToCable,
    ToNobody,
    ToPhysical,
    ToPort,
    ToTunnel,
)
from controller.tracing.reasons import ABSENT
from controller.tracing.site import Seen, Site, Unseen
from controller.tracing.switch import TracedSwitch
from topology.links import End

MOST_NODES = 50
"""Nodes whose plans are compiled for one trace; of a broadcast to more, the rest is told by number."""

MOST_HOPS = 200
"""Times that a copy of the frame comes to a node in one trace."""

STATE = "intended"
NOTE = "From the compiled plans: what nodes shall do with the frame, not what was seen on the wire."


@dataclass
class Hop:
    """A frame on one node. ``before`` are the hops that led there, ``leaves`` what became of each copy."""

    number: int
    node_id: str
    came: Came
    packet: Packet
    before: tuple[Hop, ...] = ()
    passage: Passage = field(default_factory=Passage)
    node: Node | None = None
    notes: tuple[str, ...] = ()
    revision: int = 0
    leaves: list[dict[str, Any]] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """As the API shows it."""
        kind = "unknown" if self.node is None else str(self.node.kind)
        return {
            "number": self.number,
            "node": self.node_id,
            "host": self.node.host if self.node is not None else None,
            "kind": kind,
            "revision": self.revision,
            "notes": list(self.notes),
            "came": str(self.came),
            "from": self.before[-1].number if self.before else None,
            "frame": frame_text(self.packet),
            "steps": [step.row() for step in self.passage.steps],
            "leaves": self.leaves,
            "ended": self.passage.ended or None,
        }


def trace(site: Site, sender: Port, target: Port | None, packet: Packet) -> dict[str, Any]:
    """What would become of a frame that ``sender`` sends, as the API shows it; with ``target``, whether it gets it."""
    return _Walk(site, sender, target, packet).run()


class _Walk:
    """One frame's way."""

    def __init__(self, site: Site, sender: Port, target: Port | None, packet: Packet) -> None:
        self._site, self._sender, self._target, self._packet = site, sender, target, packet
        self._home = site.home(sender, packet["eth_dst"])
        self._hops: list[Hop] = []
        self._waiting: deque[Hop] = deque()
        self._nodes: dict[str, TracedSwitch | TracedHost] = {}
        self._seen: dict[str, Seen] = {}
        self._received: list[str] = []
        self._answered: list[tuple[Hop, Packet]] = []
        self._left_out: list[str] = []

    def run(self) -> dict[str, Any]:
        """See :func:`trace`."""
        unsendable = "" if self._sender.binding is not None else reasons.silence(self._site, self._sender)
        if self._sender.binding is not None:
            self._arrive(self._sender.binding.node_id, FromPort(self._sender.id), self._packet, ())
            while self._waiting:
                self._pass(self._waiting.popleft())
        return self._answer(unsendable)

    def _arrive(self, node_id: str, came: Came, packet: Packet, before: tuple[Hop, ...]) -> Hop | None:
        """A copy comes to a node; None where too many did. There is always room for the target's node."""
        known = {hop.node_id for hop in self._hops}
        binding = self._target.binding if self._target is not None else None
        last = binding is not None and binding.node_id == node_id
        many_nodes = node_id not in known and len(known) >= MOST_NODES and not last
        if len(self._hops) >= MOST_HOPS or many_nodes:
            self._left_out.append(node_id)
            return None
        hop = Hop(len(self._hops) + 1, node_id, came, packet, before)
        self._hops.append(hop)
        self._waiting.append(hop)
        return hop

    def _pass(self, hop: Hop) -> None:
        """What one node does with the frame, and where its copies go."""
        again = [each for each in hop.before if _of(each) == _of(hop)]
        if again:
            hop.passage = Passage(ended=f"it was here before, at step {again[0].number}: there is a loop")
            return
        try:
            machine = self._machine(hop.node_id)
            hop.passage = machine.passage(hop.came, hop.packet)
        except (Unseen, CompileError) as error:
            hop.passage = Passage(ended=str(error))
        seen = self._seen.get(hop.node_id)
        if seen is not None:
            hop.node, hop.notes, hop.revision = seen.node, seen.notes, seen.plan.revision
        for sent in hop.passage.sent:
            hop.leaves.append(self._leave(hop, sent))

    def _machine(self, node_id: str) -> TracedSwitch | TracedHost:
        if node_id not in self._nodes:
            seen = self._seen[node_id] = self._site.look(node_id)
            network_id, plan = self._sender.network_id, seen.plan
            self._nodes[node_id] = (TracedSwitch(seen, plan, self._site, network_id) if isinstance(plan, Program)
                                    else TracedHost(seen, plan, self._site, network_id, self._home))  # fmt: skip
        return self._nodes[node_id]

    def _leave(self, hop: Hop, sent: Sent) -> dict[str, Any]:
        """One copy that leaves a node: a row that says how, and the numbers of the hops where it goes on."""
        way, packet = sent
        before = (*hop.before, hop)
        row: dict[str, Any] = {"port": None, "text": "", "to": []}
        if isinstance(way, ToPort):
            row |= {"port": way.port_id, "text": self._deliver(hop, way, packet)}
            return row
        if isinstance(way, ToNobody):
            return row | {"text": way.text}
        arrivals = list(self._carried(hop, sent))
        hops = [self._arrive(node_id, came, packet, before) for node_id, came in arrivals]
        row["to"] = [each.number for each in hops if each is not None]
        row["text"] = _words(sent) + ("" if arrivals else f": {self._nobody(sent)}")
        return row

    def _deliver(self, hop: Hop, way: ToPort, packet: Packet) -> str:
        if way.answer:
            self._answered.append((hop, packet))
            return f"answered here, in place of the port that is asked for, by {way.device} to port {way.port_id}"
        self._received.append(way.port_id)
        seen = self._seen[hop.node_id].observation.attachments.get(way.port_id)
        note = f", whose interface {seen.device} is down" if seen is not None and not seen.link_up else ""
        if seen is None:
            note = f"; {ABSENT}"
        return f"by {way.device} to port {way.port_id}{note}"

    def _carried(self, hop: Hop, sent: Sent) -> Iterator[tuple[str, Came]]:
        """The nodes that a copy is brought to, and how it comes in there."""
        way = sent.way
        if isinstance(way, ToTunnel):
            sender = self._site.node(hop.node_id)
            source = (sender.tunnel_ip if sender is not None else None) or ""
            for node_id in self._site.endpoints(way.network_type, way.endpoint):
                if node_id != hop.node_id:
                    yield node_id, FromTunnel(way.network_type, way.tunnel_id, source)
        elif isinstance(way, ToCable):
            yield from self._by_cable(End(hop.node_id, way.ofport), but=hop.node_id)
        elif isinstance(way, ToPhysical):
            yield from self._by_uplink(hop, way.physical_network)

    def _by_cable(self, end: End, but: str) -> Iterator[tuple[str, Came]]:
        other = self._site.cabling.links.get(end)
        if other is not None:
            yield other.node_id, FromCable(other.port, end.node_id)
        for host, physical_network in self._site.cabling.hosts_at(end):
            if host != but:
                yield host, FromPhysical(physical_network)

    def _by_uplink(self, hop: Hop, physical_network: str) -> Iterator[tuple[str, Came]]:
        """Into the physical network, or by a cable to a switch where the host hangs on one."""
        socket = self._site.cabling.socket(hop.node_id, physical_network)
        if socket is not None and hop.node is not None and hop.node.kind is NodeKind.HOST:
            yield socket.node_id, FromCable(socket.port, hop.node_id)
            yield from self._by_cable(socket, but=hop.node_id)
            return
        for node_id in self._site.hearers(physical_network, self._sender.network_id, self._home):
            if node_id != hop.node_id:
                yield node_id, FromPhysical(physical_network)

    def _nobody(self, sent: Sent) -> str:
        way = sent.way
        if isinstance(way, ToTunnel):
            return f"no node is known at {way.endpoint}"
        return "no node that is known there takes part in the network"

    # -- the answer ----------------------------------------------------------------------------------------------

    def _answer(self, unsendable: str) -> dict[str, Any]:
        outcome = self._outcome()
        return {
            "state": STATE,
            "note": NOTE,
            "port": self._sender.id,
            "to": self._target.id if self._target is not None else None,
            "frame": frame_text(self._packet),
            "outcome": outcome,
            "result": self._result(outcome, unsendable),
            "received": sorted(self._received),
            "hops": [hop.row() for hop in self._hops],
            "not_followed": sorted(set(self._left_out)),
        }

    def _outcome(self) -> str:
        if self._target is not None and self._target.id in self._received:
            return "delivered"
        if self._answered:
            return "answered"
        return "delivered" if self._target is None and self._received else "lost"

    def _result(self, outcome: str, unsendable: str) -> str:
        """The whole in one sentence."""
        if unsendable:
            return f"nothing is sent: {unsendable}"
        if outcome == "answered":
            hop, packet = self._answered[0]
            return f"{hop.node_id} answers in place of the port that is asked for: {frame_text(packet)}"
        others = len(set(self._received))
        if outcome == "delivered" and self._target is None:
            return f"{others} port{'' if others == 1 else 's'} would get it{self._more()}"
        if outcome == "delivered" and self._target is not None:
            count = self._received.count(self._target.id)
            twice = "" if count == 1 else f", {count} times"
            also = f"; {others - 1} other port{'' if others == 2 else 's'} too" if others > 1 else ""
            return f"port {self._target.id} would get it{twice}{also}{self._more()}"
        return self._lost()

    def _lost(self) -> str:
        """Why nobody gets it, or not the one who should: what is wrong with that port, and where the frame ended."""
        if self._target is None:
            return f"nobody would get it: {self._ends() or 'it goes elsewhere'}{self._more()}"
        why = reasons.unreachable(self._site, self._sender, self._target)
        where = "" if self._received or (why and len(self._hops) > 1) else self._ends()
        texts = [text for text in (where, why) if text] or [f"it does not come to {self._target_node()}"]
        return f"port {self._target.id} would not get it: {'; '.join(texts)}{self._more()}"

    def _ends(self) -> str:
        ended = [f"ends at {hop.node_id}: {hop.passage.ended}" for hop in self._hops if hop.passage.ended]
        return "; ".join(dict.fromkeys(ended))

    def _target_node(self) -> str:
        binding = self._target.binding if self._target is not None else None
        return f"its node {binding.node_id}" if binding is not None else "any node of it"

    def _more(self) -> str:
        count = len(set(self._left_out))
        if not count:
            return ""
        if len(self._hops) >= MOST_HOPS:
            return f" (given up after {MOST_HOPS} steps; {count} nodes were not followed)"
        return f" (of {count} more nodes that it comes to nothing was looked at)"


def _of(hop: Hop) -> tuple[object, ...]:
    """What is the same when a frame is where it was before."""
    entrance = hop.came.ofport if isinstance(hop.came, FromCable) else hop.came
    return hop.node_id, entrance, hop.packet


def _words(sent: Sent) -> str:
    """How a copy leaves a node."""
    way, packet = sent
    tag = f" with VLAN {packet.vlans[0].vid}" if packet.vlans else ""
    if isinstance(way, ToPhysical):
        return f"by {way.device} into physical network {way.physical_network}{tag}"
    if isinstance(way, ToTunnel):
        return f"by {way.device} into tunnel {way.network_type} {way.tunnel_id} to {way.endpoint}"
    return f"by port {way.ofport}{tag}" if isinstance(way, ToCable) else ""
