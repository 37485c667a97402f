"""Tables as contracts, declared once and in order; their ids follow from the order.

    PIPELINE = Pipeline(
        METADATA,
        Table("classify", "in_port to network", match=("in_port", "vlan_vid"), sets=("network",),
              actions=(PopVlan,), goes_to=("lookup",)),
        Table("lookup", "network and MAC to destination", match=("network", "eth_dst"), sets=("destination",),
              goes_to=("deliver",), miss="deliver"),
        Table("deliver", "destination to output", match=("destination",), actions=(Output,)),
    )
    classify = PIPELINE["classify"]

Every flow is checked against its table when it is built: a match, an action, a set field or a next table that the
table did not declare is a :class:`CompileError` that names the table and the offence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from controller.dataplane import fields
from controller.dataplane.metadata import Layout
from controller.dataplane.templates import Shape, shape_of
from controller.dataplane.values import (
    Action,
    Flow,
    MatchField,
    Move,
    PopVlan,
    PushVlan,
    SetField,
)
from controller.errors import CompileError

DROP = "drop"
MAX_TABLES = 254
"""OpenFlow numbers tables 0..254 (OFPTT_MAX); Open vSwitch keeps 254 for itself."""

_WIDTHS = {field.name: field.width for field in fields.FIELDS.values()}
_TAG = MatchField("vlan_vid", fields.VLAN_PRESENT, fields.VLAN_PRESENT)


@dataclass(frozen=True, slots=True)
class Table:
    """The declaration of one table.

    ``match`` and ``sets`` name OpenFlow fields or metadata bit fields; ``sets`` covers set-field, write-metadata and
    the target of a move. ``actions`` are the other action classes allowed. ``miss`` is ``"drop"`` or a table of
    ``goes_to``. In a ``metered`` table flows may point to meters.
    """

    name: str
    purpose: str
    match: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    actions: tuple[type, ...] = ()
    goes_to: tuple[str, ...] = ()
    miss: str = DROP
    metered: bool = False


class BoundTable:
    """A table with its id within a :class:`Pipeline`; what flows are built on."""

    __slots__ = (
        "_checked",
        "_match_bits",
        "_match_names",
        "_next_ids",
        "_set_bits",
        "_set_names",
        "declaration",
        "id",
        "layout",
        "name",
    )

    def __init__(self, declaration: Table, number: int, layout: Layout, ids: dict[str, int]) -> None:
        self.declaration = declaration
        self.name = declaration.name
        self.id = number
        self.layout = layout
        self._match_names, self._match_bits = _split(declaration.match, layout)
        self._set_names, self._set_bits = _split(declaration.sets, layout)
        self._next_ids = frozenset(ids[name] for name in declaration.goes_to)
        self._checked: set[object] = set()

    def __repr__(self) -> str:
        return f"<table {self.id} {self.name}>"

    def check(self, flow: Flow) -> None:
        """Raise :class:`CompileError` if the flow breaks the contract. Flows of a shape seen before cost little."""
        for field in flow.match:
            if field.mask is not None or field.value >> _WIDTHS[field.name]:
                fields.FIELDS[field.name].check(field.value, field.mask)
        own = flow.__dict__
        shape: Shape = own.get("shape") or own.setdefault("shape", shape_of(flow))  # as the property, without its lock
        if shape in self._checked:
            return
        self._check_match(flow.match)
        self._check_actions(flow)
        if flow.metadata is not None and flow.metadata[1] & ~self._set_bits:
            raise self._offence(f"writes metadata bits 0x{flow.metadata[1] & ~self._set_bits:x} it did not declare")
        if flow.meter is not None and not self.declaration.metered:
            raise self._offence("uses a meter; it is not declared as metered")
        if flow.goto is not None and flow.goto not in self._next_ids:
            raise self._offence(f"goes to table {flow.goto}; allowed: {', '.join(self.declaration.goes_to) or 'none'}")
        self._checked.add(shape)

    def _check_match(self, match: tuple[MatchField, ...]) -> None:
        given = fields.by_name(match)
        if len(given) != len(match):
            raise self._offence("matches a field twice")
        for field in match:
            if field.name == "metadata":
                mask = fields.FIELDS["metadata"].full if field.mask is None else field.mask
                if mask & ~self._match_bits:
                    raise self._offence(f"matches metadata bits 0x{mask & ~self._match_bits:x} it did not declare")
            elif field.name not in self._match_names:
                raise self._offence(f"matches {field.name}; declared: {', '.join(self.declaration.match)}")
            self._check_prerequisite(field.name, given)

    def _check_actions(self, flow: Flow) -> None:
        given = fields.by_name(flow.match)
        for action in flow.actions:
            if isinstance(action, SetField):
                self._check_set(action.name, given)
            elif type(action) not in self.declaration.actions:
                raise self._offence(f"uses {type(action).__name__}; it is not among its actions")
            elif isinstance(action, Move):
                self._check_prerequisite(action.source, given)
                self._check_set(action.target, given)
                if fields.named(action.source).width != fields.named(action.target).width:
                    raise self._offence(f"moves {action.source} to {action.target}, which differ in width")
            elif isinstance(action, PopVlan):
                self._check_prerequisite("vlan_pcp", given)
            _follow(action, given)

    def _check_set(self, name: str, given: dict[str, MatchField]) -> None:
        if name not in self._set_names:
            raise self._offence(f"sets {name}; declared: {', '.join(self.declaration.sets) or 'none'}")
        if not fields.named(name).settable:
            raise self._offence(f"sets {name}, which no switch can set")
        self._check_prerequisite("vlan_pcp" if name == "vlan_vid" else name, given)

    def _check_prerequisite(self, name: str, given: dict[str, MatchField]) -> None:
        missing = fields.unmet(name, given)
        if missing is not None:
            raise self._offence(f"uses {name} without its prerequisite {missing}")

    def _offence(self, what: str) -> CompileError:
        return CompileError(f"a flow of table {self.name} {what}")


class Pipeline:
    """Tables in the order of their ids, with the metadata layout they share.

    Raises :class:`CompileError` for a table declared twice, a next table that is unknown or not later, or a miss that
    goes where the table may not go.
    """

    __slots__ = ("_tables", "layout")

    def __init__(self, layout: Layout, *declarations: Table) -> None:
        self.layout = layout
        ids = {table.name: number for number, table in enumerate(declarations)}
        if len(ids) != len(declarations) or len(declarations) > MAX_TABLES:
            raise CompileError("a table is declared twice, or there are more than 254")
        for table in declarations:
            _check_declaration(table, ids)
        self._tables = {table.name: BoundTable(table, ids[table.name], layout, ids) for table in declarations}

    def __getitem__(self, name: str) -> BoundTable:
        try:
            return self._tables[name]
        except KeyError:
            raise CompileError(f"no table is named {name!r}; there are {', '.join(self._tables)}") from None

    def __iter__(self) -> Iterator[BoundTable]:
        return iter(self._tables.values())

    def __len__(self) -> int:
        return len(self._tables)

    def by_id(self, number: int) -> BoundTable:
        """The table with that id. Raises :class:`CompileError` if there is none."""
        for table in self:
            if table.id == number:
                return table
        raise CompileError(f"no table has the id {number}")

    def reachable(self) -> tuple[BoundTable, ...]:
        """The tables that packets can come to: the first, and all that a table may go to."""
        targets = {name for table in self for name in table.declaration.goes_to}
        return tuple(table for table in self if table.id == 0 or table.name in targets)


def _check_declaration(table: Table, ids: dict[str, int]) -> None:
    for name in table.goes_to:
        if name not in ids or ids[name] <= ids[table.name]:
            raise CompileError(f"table {table.name} may not go to {name!r}: it must be a later table")
    if table.miss != DROP and table.miss not in table.goes_to:
        raise CompileError(f"table {table.name} goes to {table.miss!r} on a miss, which is not among goes_to")
    if SetField in table.actions:
        raise CompileError(f"table {table.name}: set fields are declared by name in 'sets'")


def _split(names: tuple[str, ...], layout: Layout) -> tuple[frozenset[str], int]:
    """The OpenFlow fields among the names, and the metadata bits of the others."""
    bits = layout.mask(*(name for name in names if name not in fields.FIELDS))
    return frozenset(name for name in names if name in fields.FIELDS), bits


def _follow(action: Action, given: dict[str, MatchField]) -> None:
    """What is known of the packet after an action."""
    if isinstance(action, PushVlan):
        given["vlan_vid"] = _TAG
    elif isinstance(action, PopVlan):
        given.pop("vlan_vid", None)
    elif isinstance(action, SetField):
        given[action.name] = MatchField(action.name, action.value)
