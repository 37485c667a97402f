"""A frame on an OpenFlow switch: the compiled program executed, every table with the flow that matched."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from functools import cached_property

from controller.dataplane import fields
from controller.dataplane.interpreter import Emission, Switch, Trace
from controller.dataplane.packet import Packet
from controller.dataplane.values import Flow, GroupType, Output, Program, ToGroup
from controller.model import Port, ip_version
from controller.tracing import reasons
from controller.tracing.passage import (
    Came,
    FromCable,
    FromPhysical,
    FromPort,
    FromTunnel,
    Passage,
    Sent,
    Step,
    ToCable,
    ToNobody,
    ToPhysical,
    ToPort,
    ToTunnel,
    Way,
)
from controller.tracing.site import Seen, Site
from controller.turns import in_turns
from mechanisms.openflow.here import locate
from mechanisms.openflow.pipeline import (
    ARP_RESPONDER,
    CLASSIFY,
    DELIVER,
    FLOOD,
    HOP,
    L2_LOOKUP,
    PIPELINE,
    PORT_SECURITY,
    PUNT,
)
from mechanisms.openflow.text import flow_text
from topology.links import End

_MISS = "table-miss"
_SAYS = {
    CLASSIFY.id: "it belongs to {}",
    PORT_SECURITY.id: "allowed to {}",
    ARP_RESPONDER.id: "a request for the address of {}",
    L2_LOOKUP.id: "its destination is {}",
    FLOOD.id: "to all that hear {}",
    DELIVER.id: "on its way by {}",
    HOP.id: "over links to {}",
}
"""What a flow of a table says of a frame, by what the flow serves."""


class TracedSwitch:
    """A switch that runs a program, as one trace sees it. Raises ``CompileError`` for a program that no switch would
    take."""

    def __init__(self, seen: Seen, program: Program, site: Site, network_id: str) -> None:
        self._seen, self._program, self._site = seen, program, site
        self._node_id, self._network_id = seen.node.id, network_id
        self._down = site.cabling.down.get(self._node_id, frozenset())
        self._here = locate(seen.node, seen.observation)
        self._ports: Mapping[int, str] = {ofport: port_id for port_id, ofport in self._here.ports.items()}
        self._uplinks = {ofport: name for name, ofport in self._here.uplinks.items()}
        self._tunnels = {ofport: name for name, ofport in self._here.tunnels.items()}

    def passage(self, came: Came, packet: Packet) -> Passage:
        """What becomes of a frame there."""
        in_port = self._in_port(came)
        if in_port is None:
            return Passage(ended=self._no_entrance(came))
        if in_port in self._down and not isinstance(came, FromPort):
            return Passage(ended=f"port {in_port}, by which it would come in, is down")
        trace = self._switch.trace(_decapsulated(came, packet), in_port)
        steps = tuple(self._step(table, flow) for table, flow in trace.steps)
        sent = tuple(Sent(self._way(emission, in_port), emission.packet.without_tunnel())
                     for emission in trace.emissions)  # fmt: skip
        leaves = any(not isinstance(each.way, ToNobody) for each in sent)
        return Passage(steps, sent, "" if leaves else self._end(came, packet, trace))

    @cached_property
    def _switch(self) -> Switch:
        """Made when a frame comes: every flow is looked at for it, but for those of other networks, which no frame of
        this one can come to. A program may have a hundred thousand of these that nobody has looked into yet."""
        fragments = [fragment for key, fragment in self._program.fragments.items() if not self._is_foreign(key)]
        program, existing = Program.of(self._program.revision, fragments), self._existing()
        tunnels = frozenset(self._tunnels)
        made = Switch(in_turns(program.flows()), existing, program.groups(), tunnels, program.meters())
        for ofport in self._down & existing - self._ports.keys():
            made.set_live(ofport, False)
        return made

    def _is_foreign(self, key: Hashable) -> bool:
        """Whether a fragment is another network's, by its key."""
        parts = key if isinstance(key, tuple) else (key,)
        return any(isinstance(part, str) and part != self._network_id and self._site.network(part) is not None
                   for part in parts)  # fmt: skip

    def _existing(self) -> set[int]:
        """The OpenFlow ports that there are, by all that is known of the switch."""
        fabric, ends = self._seen.observation.fabric, {*self._site.cabling.links}
        ends |= {end for sockets in self._site.cabling.sockets.values() for end in sockets}
        found = {*self._ports, *self._uplinks, *self._tunnels, *self._seen.observation.switch_ports}
        found |= {end.port for end in ends if end.node_id == self._node_id}
        if fabric is not None:
            found |= {*fabric.links, *(ofport for tree in fabric.trees.values() for ofport in tree.uplinks)}
        return found

    def _in_port(self, came: Came) -> int | None:
        if isinstance(came, FromPort):
            return self._here.ports.get(came.port_id)
        if isinstance(came, FromPhysical):
            return self._here.uplinks.get(came.physical_network)
        return came.ofport if isinstance(came, FromCable) else self._here.tunnels.get(came.network_type)

    def _no_entrance(self, came: Came) -> str:
        if isinstance(came, FromPort):
            return f"nothing is plugged into the switch for port {came.port_id} (or the switch has not said so)"
        if isinstance(came, FromPhysical):
            return f"the switch has no port into physical network {came.physical_network}"
        return "the switch has no such port"

    def _way(self, emission: Emission, in_port: int) -> Way:
        ofport, packet = emission.port, emission.packet
        if ofport == fields.CONTROLLER:
            return ToNobody("a copy to the controller")
        if ofport in self._ports:
            return ToPort(self._ports[ofport], f"port {ofport}", answer=ofport == in_port)
        if ofport in self._uplinks:
            return ToPhysical(self._uplinks[ofport], f"port {ofport}")
        if ofport in self._tunnels:
            endpoint = next((fields.named(name).format(packet[name]) for name in ("tun_ipv4_dst", "tun_ipv6_dst")
                             if packet.get(name)), "")  # fmt: skip
            return ToTunnel(self._tunnels[ofport], packet["tunnel_id"], endpoint, f"port {ofport}")
        end = End(self._node_id, ofport)
        if end in self._site.cabling.links or self._site.cabling.hosts_at(end):
            return ToCable(ofport)
        return ToNobody(f"by port {ofport}, behind which nothing is known")

    def _step(self, table: int, flow: Flow | None) -> Step:
        name = PIPELINE.by_id(table).name
        if flow is None:
            return Step(f"{name}: no flow matches", name)
        text, groups = flow_text(flow), tuple(self._groups(flow))
        if flow.why.startswith(_MISS):
            onward = f"goes on to {PIPELINE.by_id(flow.goto).name}" if flow.goto is not None else "drops it"
            return Step(f"{name}: no flow for it, the table {onward}", name, text, flow.why, flow.cookie)
        said = "{}" if flow.goto is None and not flow.actions else _SAYS.get(table, "{}")
        return Step(f"{name}: {said.format(flow.why)}", name, text, flow.why, flow.cookie, groups)

    def _groups(self, flow: Flow) -> Iterator[str]:
        for action in flow.actions:
            if isinstance(action, ToGroup):
                group = self._switch.group(action.group_id)
                count = len(group.buckets)
                kind = group.type.name.lower().replace("_", " ")
                yield f"group 0x{group.id:x} ({kind}, {count} bucket{'' if count == 1 else 's'}): {group.why}"

    def _end(self, came: Came, packet: Packet, trace: Trace) -> str:
        """Why nothing leaves, by the table where the frame ended."""
        table, flow = trace.steps[-1]
        if flow is not None and flow.actions and table != PUNT.id:
            return self._unsent(packet, flow)
        reason = {
            PUNT.id: self._control,
            CLASSIFY.id: self._unknown,
            PORT_SECURITY.id: self._insecure,
            L2_LOOKUP.id: self._unheard,
            FLOOD.id: self._unheard,
            DELIVER.id: self._undelivered,
            HOP.id: self._undelivered,
        }.get(table)
        return reason(came, packet, flow) if reason is not None else f"dropped in table {PIPELINE.by_id(table).name}"

    def _control(self, came: Came, packet: Packet, flow: Flow | None) -> str:  # noqa: ARG002 - all have one shape
        said = flow.why if flow is not None else "control frames"
        return f"frames to {fields.mac_text(packet['eth_dst'])} end at every switch ({said})"

    def _unknown(self, came: Came, packet: Packet, flow: Flow | None) -> str:  # noqa: ARG002
        if isinstance(came, FromPort):
            port = self._site.port(came.port_id)
            if port is None:
                return f"port {came.port_id} does not exist any more"
            down = reasons.silence(self._site, port)
            if not down and packet.vlans:
                return reasons.tagged(port, packet)
            return down or f"the switch's plan has no network for port {port.id}"
        what, owner = reasons.tag_text(packet), self._site.owner(self._network_id, packet["eth_dst"])
        here = owner is not None and owner.binding is not None and owner.binding.node_id == self._node_id
        why = f" ({self._absent(owner)})" if owner is not None and here else ""
        if isinstance(came, FromPhysical):
            return f"no network is carried here by {what} on physical network {came.physical_network}{why}"
        if isinstance(came, FromCable):
            return f"no network is accepted here by {what} from port {came.ofport}{why}"
        return f"no network is carried here by {came.network_type} {came.tunnel_id}{why}"

    def _absent(self, port: Port) -> str:
        """Why a port that belongs to this switch has no part in its program."""
        down = reasons.silence(self._site, port)
        return down or f"nothing is plugged in for port {port.id}, which belongs to this switch"

    def _insecure(self, came: Came, packet: Packet, flow: Flow | None) -> str:
        port = self._site.port(came.port_id) if isinstance(came, FromPort) else None
        if port is None:
            return "dropped by port security"
        forbidden = flow.why.removesuffix(" from tenant ports") if flow is not None else ""
        return reasons.security(port, packet, "" if forbidden.startswith(_MISS) else forbidden)

    def _unheard(self, came: Came, packet: Packet, flow: Flow | None) -> str:  # noqa: ARG002
        to = fields.mac_text(packet["eth_dst"])
        if packet["eth_dst"] >> 40 & 1:
            return "nobody else on this side hears broadcasts and multicasts of the network"
        return f"no port of the network has the address {to}, and there is nowhere else that it could be"

    def _undelivered(self, came: Came, packet: Packet, flow: Flow | None) -> str:  # noqa: ARG002
        to = fields.mac_text(packet["eth_dst"])
        owner = self._site.owner(self._network_id, packet["eth_dst"])
        if owner is None or owner.binding is None:
            return f"there is no way from here to where {to} is"
        if owner.binding.node_id != self._node_id:
            return f"there is no way from here to node {owner.binding.node_id} of port {owner.id}"
        return self._absent(owner)

    def _unsent(self, packet: Packet, flow: Flow) -> str:
        """A flow sent the frame somewhere, but nothing left."""
        outputs = sorted({ofport for ofport in self._outputs(flow) if not self._switch.live(ofport)})
        if outputs:
            return f"it would leave by port {', '.join(map(str, outputs))}, which is down ({flow.why})"
        if packet["eth_dst"] >> 40 & 1:
            return f"nobody else hears broadcasts and multicasts here ({flow.why})"
        return f"it would leave only by the port that it came by ({flow.why})"

    def _outputs(self, flow: Flow) -> Iterator[int]:
        for action in flow.actions:
            if isinstance(action, Output):
                yield action.port
            elif isinstance(action, ToGroup):
                group = self._switch.group(action.group_id)
                for bucket in group.buckets if group.type is not GroupType.SELECT else ():
                    yield from (each.port for each in bucket.actions if isinstance(each, Output))


def _decapsulated(came: Came, packet: Packet) -> Packet:
    """The frame with what the switch knows of the tunnel that it came by."""
    if not isinstance(came, FromTunnel):
        return packet
    fitting = [f"tun_ipv{ip_version(came.source)}"] if came.source else []
    ends = {f"{outer}_src": fields.named(f"{outer}_src").parse(came.source) for outer in fitting}
    return packet.changed(tunnel_id=came.tunnel_id, **ends)
