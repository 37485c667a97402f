"""An OpenFlow switch in memory: executes a program on packets, with the rules of OpenFlow 1.3.5, section 5.

It refuses what a switch refuses (an unmet prerequisite, a group that is not there, a goto backwards) and what no
switch does reliably: two flows of one priority that match the same packet and act differently. Lookup is by tuple
space, one hash table per set of matched fields and masks: large programs and whole traffic matrices stay quick.
There is no time in it, so meters let everything pass.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from controller.dataplane import fields
from controller.dataplane.packet import TUNNEL_FIELDS, Packet, Vlan
from controller.dataplane.values import (
    Action,
    Bucket,
    Flow,
    Group,
    GroupType,
    Meter,
    Move,
    Output,
    PopVlan,
    Program,
    PushVlan,
    SetField,
    ToGroup,
)
from controller.errors import CompileError
from controller.turns import in_turns

FLOOD_PORT = 0xFFFFFFFB
ALL_PORTS = 0xFFFFFFFC
MAX_GROUP_DEPTH = 16
_METADATA_BITS = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Emission:
    """A packet that leaves by a port (or goes to ``fields.CONTROLLER``, with the metadata it has there)."""

    port: int
    packet: Packet
    metadata: int = 0


@dataclass(frozen=True, slots=True)
class Trace:
    """What became of a packet. ``steps`` are the tables it came to with the flow that matched, None for a miss."""

    steps: tuple[tuple[int, Flow | None], ...]
    emissions: tuple[Emission, ...]


class Switch:
    """``ports`` are the ports that exist; those in ``tunnel_ports`` keep the packet's tunnel fields, others lose them.

    Raises :class:`CompileError` for a program that a switch would refuse.
    """

    def __init__(
        self,
        program: Program | Iterable[Flow],
        ports: Collection[int],
        groups: Iterable[Group] = (),
        tunnel_ports: Collection[int] = (),
        meters: Iterable[Meter] = (),
    ) -> None:
        self._live = dict.fromkeys(ports, True)
        self._tunnels = frozenset(tunnel_ports)
        flows = program.flows() if isinstance(program, Program) else program
        listed = program.groups() if isinstance(program, Program) else groups
        self._groups: dict[int, Group] = {}
        for group in listed:
            if group.id in self._groups:
                raise CompileError(f"group {group.id} is there twice ({group.why}; {self._groups[group.id].why})")
            self._groups[group.id] = group
        known = {meter.id for meter in (program.meters() if isinstance(program, Program) else meters)}
        self._tables = _indexed(flows, self._groups, known)

    def set_live(self, port: int, live: bool) -> None:
        """Bring a port up or down: fast-failover groups look at it, and nothing leaves by a port that is down."""
        self._live[port] = live

    def inject(self, packet: Packet, in_port: int) -> list[Emission]:
        """What leaves the switch when the packet comes in by that port."""
        return list(self.trace(packet, in_port).emissions)

    def trace(self, packet: Packet, in_port: int) -> Trace:
        """:meth:`inject` with the flows that the packet met."""
        walk = _Walk(self, _state(packet, in_port, in_port in self._tunnels))
        walk.run()
        return Trace(tuple(walk.steps), tuple(walk.emissions))

    def flow_for(self, table: int, values: Mapping[str, int]) -> Flow | None:
        """The flow that a packet with these field values meets in a table."""
        index = self._tables.get(table)
        return index.lookup(values) if index else None

    def group(self, group_id: int) -> Group:
        """The group with that id. Raises :class:`CompileError` if there is none."""
        if group_id not in self._groups:
            raise CompileError(f"group {group_id} does not exist")
        return self._groups[group_id]

    def live(self, port: int) -> bool:
        """Whether the port exists and is up."""
        return self._live.get(port, False)

    def everywhere_but(self, in_port: int) -> list[int]:
        """All ports but one, for the reserved ports ALL and FLOOD."""
        return [port for port in self._live if port != in_port]

    def is_tunnel(self, port: int) -> bool:
        """Whether packets keep their tunnel fields when they leave by the port."""
        return port in self._tunnels


@dataclass(slots=True)
class _State:
    """A packet on its way: field values (with ``in_port``, ``metadata`` and those of the outermost tag), tags."""

    values: dict[str, int]
    vlans: list[Vlan]
    payload: str

    def clone(self) -> _State:
        return _State(dict(self.values), list(self.vlans), self.payload)

    def retag(self) -> None:
        """Make the tag's fields those of the outermost tag."""
        self.values.pop("vlan_pcp", None)
        self.values["vlan_vid"] = fields.NO_VLAN
        if self.vlans:
            self.values["vlan_vid"] = fields.VLAN_PRESENT | self.vlans[0].vid
            self.values["vlan_pcp"] = self.vlans[0].pcp

    def packet(self, with_tunnel: bool) -> Packet:
        left_out = _INTERNAL if with_tunnel else _INTERNAL_AND_TUNNEL
        headers = tuple(sorted([item for item in self.values.items() if item[0] not in left_out]))
        return Packet(headers, tuple(self.vlans), self.payload)


_INTERNAL = frozenset({"in_port", "metadata", "vlan_vid", "vlan_pcp"})
_INTERNAL_AND_TUNNEL = _INTERNAL.union(TUNNEL_FIELDS)


def _state(packet: Packet, in_port: int, tunnelled: bool) -> _State:
    values = dict.fromkeys(TUNNEL_FIELDS, 0)
    values.update(packet.headers if tunnelled else packet.without_tunnel().headers)
    values["in_port"] = in_port
    values["metadata"] = 0
    state = _State(values, list(packet.vlans), packet.payload)
    state.retag()
    return state


@dataclass(slots=True)
class _Walk:
    """One packet's way through one switch."""

    switch: Switch
    state: _State
    steps: list[tuple[int, Flow | None]] = field(default_factory=list)
    emissions: list[Emission] = field(default_factory=list)

    def run(self) -> None:
        table: int | None = 0
        while table is not None:
            flow = self.switch.flow_for(table, self.state.values)
            self.steps.append((table, flow))
            if flow is None:
                return
            self.apply(flow.actions, self.state, 0)
            if flow.metadata is not None:
                value, mask = flow.metadata
                self.state.values["metadata"] = (self.state.values["metadata"] & ~mask) | (value & mask)
            table = flow.goto

    def apply(self, actions: tuple[Action, ...], state: _State, depth: int) -> None:
        for action in actions:
            if isinstance(action, Output):
                self.output(action.port, state)
            elif isinstance(action, ToGroup):
                self.to_group(self.switch.group(action.group_id), state, depth + 1)
            else:
                _modify(action, state)

    def to_group(self, group: Group, state: _State, depth: int) -> None:
        """Every bucket works on a copy of its own; afterwards the packet goes on as it was."""
        if depth > MAX_GROUP_DEPTH:
            raise CompileError(f"groups are chained in a loop at group {group.id}")
        for bucket in _chosen(group, state, self.switch):
            self.apply(bucket.actions, state.clone(), depth)

    def output(self, port: int, state: _State) -> None:
        in_port = state.values["in_port"]
        if port == fields.CONTROLLER:
            self.emissions.append(Emission(port, state.packet(with_tunnel=True), state.values["metadata"]))
        elif port in (ALL_PORTS, FLOOD_PORT):
            for each in self.switch.everywhere_but(in_port):
                self.emit(each, state)
        elif port == fields.IN_PORT:
            self.emit(in_port, state)
        elif port != in_port:
            self.emit(port, state)

    def emit(self, port: int, state: _State) -> None:
        if self.switch.live(port):
            self.emissions.append(Emission(port, state.packet(self.switch.is_tunnel(port))))


def _chosen(group: Group, state: _State, switch: Switch) -> tuple[Bucket, ...]:
    match group.type:
        case GroupType.ALL:
            return group.buckets
        case GroupType.INDIRECT:
            return group.buckets[:1]
        case GroupType.FAST_FAILOVER:
            alive = [b for b in group.buckets if b.watch_port is not None and switch.live(b.watch_port)]
            return tuple(alive[:1])
        case GroupType.SELECT:
            slots = [bucket for bucket in group.buckets for _ in range(max(bucket.weight, 0))]
            return (slots[hash((state.values["eth_src"], state.values["eth_dst"])) % len(slots)],) if slots else ()


def _modify(action: Action, state: _State) -> None:
    match action:
        case SetField(name=name, value=value):
            _set(name, value, state)
        case Move(source=source, target=target):
            if source not in state.values:
                raise CompileError(f"a packet without {source} cannot have it moved")
            _set(target, state.values[source], state)
        case PushVlan(ethertype=ethertype):
            outer = state.vlans[0] if state.vlans else Vlan(0)
            state.vlans.insert(0, Vlan(outer.vid, outer.pcp, ethertype))
            state.retag()
        case PopVlan():
            if not state.vlans:
                raise CompileError("an untagged packet has no tag to pop")
            del state.vlans[0]
            state.retag()


def _set(name: str, value: int, state: _State) -> None:
    if name not in state.values or (name == "vlan_vid" and not state.vlans):
        raise CompileError(f"a packet without {name} cannot have it set")
    state.values[name] = value
    if name == "vlan_vid":
        state.vlans[0] = state.vlans[0]._replace(vid=value & 0xFFF)
    elif name == "vlan_pcp":
        state.vlans[0] = state.vlans[0]._replace(pcp=value)


class _Index:
    """The flows of one table: per signature (names and masks of the match) a hash table of the values."""

    __slots__ = ("_spaces",)

    def __init__(self, flows: Iterable[Flow]) -> None:
        spaces: dict[_Signature, dict[tuple[int, ...], list[Flow]]] = {}
        for flow in flows:
            signature = tuple([(field.name, _mask(field.name, field.mask)) for field in flow.match])
            entries = spaces.setdefault(signature, {}).setdefault(tuple([field.value for field in flow.match]), [])
            if any(other.priority == flow.priority for other in entries):
                raise CompileError(f"table {flow.table} has the flow {flow.priority} {flow.match} twice ({flow.why})")
            entries.append(flow)
            entries.sort(key=lambda entry: -entry.priority)
        self._spaces = sorted(
            [(max(e[0].priority for e in entries.values()), s, entries) for s, entries in spaces.items()],
            key=lambda space: -space[0],
        )

    def lookup(self, values: Mapping[str, int]) -> Flow | None:
        """The matching flow of the highest priority. Raises :class:`CompileError` if two of one priority disagree."""
        best: Flow | None = None
        for highest, signature, entries in self._spaces:
            if best is not None and highest < best.priority:
                break
            try:
                key = tuple([values[name] & mask for name, mask in signature])
            except KeyError:
                continue
            found = entries.get(key)
            if found is None:
                continue
            flow = found[0]
            if best is None or flow.priority > best.priority:
                best = flow
            elif flow.priority == best.priority and _instructions(flow) != _instructions(best):
                raise CompileError(f"table {flow.table}: two flows of priority {flow.priority} match: {flow}, {best}")
        return best


_Signature = tuple[tuple[str, int], ...]


def _indexed(flows: Iterable[Flow], groups: Mapping[int, Group], meters: set[int]) -> dict[int, _Index]:
    tables: dict[int, list[Flow]] = {}
    for flow in flows:
        _check(flow, groups)
        if flow.meter is not None and flow.meter not in meters:
            raise CompileError(f"flow {flow.why or flow}: meter {flow.meter} does not exist")
        tables.setdefault(flow.table, []).append(flow)
    return {table: _Index(in_turns(entries)) for table, entries in tables.items()}


def _check(flow: Flow, groups: Mapping[int, Group]) -> None:
    known = fields.by_name(flow.match)
    for matched in flow.match:
        fields.named(matched.name).check(matched.value, matched.mask)
        missing = fields.unmet(matched.name, known)
        if missing is not None:
            raise CompileError(f"flow {flow.why or flow}: {matched.name} needs {missing}")
    if flow.goto is not None and flow.goto <= flow.table:
        raise CompileError(f"flow {flow.why or flow}: goes from table {flow.table} back to {flow.goto}")
    for action in flow.actions:
        if isinstance(action, ToGroup) and action.group_id not in groups:
            raise CompileError(f"flow {flow.why or flow}: group {action.group_id} does not exist")


def _mask(name: str, mask: int | None) -> int:
    return fields.FIELDS[name].full if mask is None else mask


def _instructions(flow: Flow) -> tuple[object, ...]:
    return flow.actions, flow.metadata, flow.goto, flow.meter
