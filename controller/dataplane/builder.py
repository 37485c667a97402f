"""A flow reads as a sentence.

    flow(l2_lookup, 100).match(network=7, eth_dst=mac).set(destination=dest).because(port.id).goto(deliver)
    flow(deliver, 100).match(destination=dest).set(tunnel_id=77, tun_ipv4_dst="192.0.2.9").output(5).done()
    flow(classify).drop()

Names are OpenFlow fields (``dataplane.fields``) or metadata bit fields of the table's pipeline; several of those
become one masked match, or one write-metadata. A value is an integer, the field's text form (``"fa:16:3e:00:00:01"``,
``"10.0.0.1"``), ``(value, mask)``, or None, which asks nothing. The last word - :meth:`FlowBuilder.goto`,
:meth:`FlowBuilder.done` or :meth:`FlowBuilder.drop` - checks the flow against its table and returns it. A sentence
that is said for every port is a :func:`controller.dataplane.forms.form`.
"""

from __future__ import annotations

from operator import attrgetter

from controller.dataplane.fields import FIELDS, named
from controller.dataplane.metadata import as_match, merge
from controller.dataplane.tables import DROP, BoundTable, Pipeline
from controller.dataplane.values import (
    Action,
    Flow,
    MatchField,
    Move,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    ToGroup,
)
from controller.errors import CompileError

Value = int | str | tuple[int, int] | None

_by_name = attrgetter("name")
_NOTHING = (0, 0)


class FlowBuilder:
    """A flow in the making; start with :func:`flow`. Actions are applied in the order they are written."""

    __slots__ = ("_actions", "_match", "_match_metadata", "_meter", "_priority", "_table", "_why", "_write")

    def __init__(self, table: BoundTable, priority: int) -> None:
        if not 0 <= priority <= 0xFFFF:
            raise CompileError(f"a flow of table {table.name} has priority {priority}; it must be 0..65535")
        self._table = table
        self._priority = priority
        self._match: list[MatchField] = []
        self._match_metadata = _NOTHING
        self._actions: list[Action] = []
        self._write = _NOTHING
        self._why = ""
        self._meter: int | None = None

    def match(self, *matches: MatchField, **values: Value) -> FlowBuilder:
        """Only packets with these values. ``matches`` are ready-made, e.g. of ``fields.prefix``."""
        self._match.extend(matches)
        for name, given in values.items():
            if given is None:
                continue
            if name in FIELDS:
                self._match.append(_match_field(name, given))
            else:
                placed = self._placed(name, given)
                self._match_metadata = merge(self._match_metadata, placed, name)
        return self

    def set(self, **values: int | str) -> FlowBuilder:
        """Set header fields (in this order) and metadata fields (taking effect at the next table)."""
        for name, given in values.items():
            if name in FIELDS:
                self._actions.append(_set_field(name, given))
            else:
                self._write = merge(self._write, self._placed(name, given), name)
        return self

    def output(self, port: int, max_len: int = 0) -> FlowBuilder:
        """Send out of a port; ``max_len`` bytes if it is the controller."""
        return self.apply(Output(port, max_len))

    def group(self, group_id: int) -> FlowBuilder:
        """Hand to a group."""
        return self.apply(ToGroup(group_id))

    def push_vlan(self, vlan_vid: int | None = None, ethertype: int = 0x8100) -> FlowBuilder:
        """Push a tag and set its id; ``vlan_vid`` is the plain number 0..4095, None leaves it to the switch."""
        self.apply(PushVlan(ethertype))
        return self if vlan_vid is None else self.set(vlan_vid=0x1000 | vlan_vid)

    def pop_vlan(self) -> FlowBuilder:
        """Remove the outermost tag."""
        return self.apply(PopVlan())

    def move(self, source: str, target: str) -> FlowBuilder:
        """Copy one field into another of the same width (Open vSwitch only)."""
        return self.apply(Move(source, target))

    def meter(self, meter_id: int | None) -> FlowBuilder:
        """Only as many packets as a meter lets pass; None asks nothing."""
        self._meter = meter_id
        return self

    def apply(self, *actions: Action) -> FlowBuilder:
        """Ready-made actions."""
        self._actions.extend(actions)
        return self

    def because(self, why: str) -> FlowBuilder:
        """The API object that the flow serves; shown when the flow is explained or refused."""
        self._why = why
        return self

    def goto(self, table: BoundTable) -> Flow:
        """Go on in a later table. Raises :class:`CompileError` if the table's contract is broken."""
        return self._build(table.id)

    def done(self) -> Flow:
        """End here, after the actions. Raises :class:`CompileError` if the table's contract is broken."""
        return self._build(None)

    def drop(self) -> Flow:
        """End here without any action. Raises :class:`CompileError` if actions were given."""
        if self._actions or self._write[1]:
            raise CompileError(f"a flow of table {self._table.name} has actions and drops")
        return self._build(None)

    def _placed(self, name: str, given: int | str | tuple[int, int]) -> tuple[int, int]:
        field = self._table.layout[name]
        if isinstance(given, str):
            raise CompileError(f"metadata field {name} takes a number, not {given!r}")
        return field.place(*given) if isinstance(given, tuple) else field.place(given)

    def _build(self, goto: int | None) -> Flow:
        match = self._match
        if self._match_metadata[1]:
            match.append(as_match(self._match_metadata))
        if len(match) > 1:
            match.sort(key=_by_name)
        write = self._write if self._write[1] else None
        built = Flow(
            self._table.id, self._priority, tuple(match), tuple(self._actions), write, goto, self._why, self._meter
        )
        self._table.check(built)
        return built


def flow(table: BoundTable, priority: int = 0) -> FlowBuilder:
    """Begin a flow of a table."""
    return FlowBuilder(table, priority)


def miss(pipeline: Pipeline, table: BoundTable) -> Flow:
    """The table-miss entry of a table, as it declares: go on, or drop (written out, so that it counts packets)."""
    target = table.declaration.miss
    sentence = flow(table).because(f"table-miss of {table.name}")
    return sentence.drop() if target == DROP else sentence.goto(pipeline[target])


def misses(pipeline: Pipeline) -> tuple[Flow, ...]:
    """The table-miss entries of all tables that packets can come to."""
    return tuple(miss(pipeline, table) for table in pipeline.reachable())


def _match_field(name: str, given: int | str | tuple[int, int]) -> MatchField:
    if isinstance(given, tuple):
        value, mask = given
        return MatchField(name, value, None if mask == named(name).full else mask)
    return MatchField(name, named(name).parse(given) if isinstance(given, str) else given)


def _set_field(name: str, given: int | str) -> SetField:
    field = named(name)
    value = field.parse(given) if isinstance(given, str) else given
    field.check(value)
    return SetField(name, value)
