"""Templates: pieces of OpenFlow bytes with holes, compiled once per shape into one ``struct`` and one function.

A :class:`Writer` collects constant bytes and holes; a hole is a ``struct`` format and the Python expression that fills
it. :meth:`Writer.compile` turns them into a function with a single ``pack`` call, which is what makes encoding fast:
the headers, lengths and paddings of a flow's shape are worked out once. Layouts: OpenFlow 1.3.5, section 7.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from controller.dataplane.elements import Action, MatchField, Move, Output, PopVlan, PushVlan, SetField, ToGroup
from controller.dataplane.fields import FIELDS, Field
from controller.dataplane.holes import expression_of
from controller.errors import EncodeError

OFPMT_OXM = 1
OFPAT_OUTPUT = 0
OFPAT_PUSH_VLAN = 17
OFPAT_POP_VLAN = 18
OFPAT_GROUP = 22
OFPAT_SET_FIELD = 25
OFPAT_EXPERIMENTER = 0xFFFF
NX_VENDOR_ID = 0x00002320
NXAST_REG_MOVE = 6
NXM_NUMBERS = {"eth_dst": 1, "eth_src": 2, "arp_op": 15, "arp_spa": 16, "arp_tpa": 17, "arp_sha": 1 << 7 | 17,
               "arp_tha": 1 << 7 | 18}  # fmt: skip
"""Class and number of fields in Nicira's older numbering (nicira-ext.h of Open vSwitch)."""

_FORMATS = {1: "B", 2: "H", 4: "I", 8: "Q"}


class Writer:
    """Bytes with holes, in order."""

    __slots__ = ("_pieces", "length")

    def __init__(self) -> None:
        self._pieces: list[bytes | tuple[str, str]] = []
        self.length = 0

    def constant(self, layout: str, *values: int) -> None:
        """Bytes that are the same whenever the template is used."""
        data = struct.pack("!" + layout, *values)
        self.length += len(data)
        if self._pieces and isinstance(self._pieces[-1], bytes):
            self._pieces[-1] += data
        elif data:
            self._pieces.append(data)

    def hole(self, layout: str, expressions: str) -> None:
        """A hole of that ``struct`` layout, filled by the comma-separated expressions."""
        self.length += struct.calcsize("!" + layout)
        self._pieces.append((layout, expressions))

    def number(self, size: int, expression: str) -> None:
        """A hole for an unsigned integer of ``size`` bytes."""
        if size in _FORMATS:
            self.hole(_FORMATS[size], expression)
        elif size == 6:
            self.hole("HI", f"{expression} >> 32, {expression} & 0xFFFFFFFF")
        else:
            self.hole("QQ", f"{expression} >> 64, {expression} & 0xFFFFFFFFFFFFFFFF")

    def include(self, other: Writer) -> None:
        """All pieces of another writer."""
        for piece in other._pieces:
            if isinstance(piece, bytes):
                self.constant(f"{len(piece)}s", piece)  # type: ignore[arg-type]
            else:
                self.hole(*piece)

    def settle(self, **known: object) -> None:
        """Make constant what depends on these names only."""
        pieces, self._pieces, self.length = self._pieces, [], 0
        for piece in pieces:
            if isinstance(piece, bytes):
                self.constant(f"{len(piece)}s", piece)  # type: ignore[arg-type]
                continue
            try:
                values = eval(f"({piece[1]},)", dict(known))
            except NameError:
                self.hole(*piece)
            else:
                self.constant(piece[0], *values)

    def compile(self, parameters: str, *locals_: str) -> Callable[..., bytes]:
        """The function ``(parameters) -> bytes``; ``locals_`` are assignments that the expressions use."""
        names: dict[str, Any] = {}
        layout, arguments = "!", []
        for number, piece in enumerate(self._pieces):
            if isinstance(piece, bytes):
                names[f"_{number}"] = piece
                layout += f"{len(piece)}s"
                arguments.append(f"_{number}")
            else:
                layout += piece[0]
                arguments.append(piece[1])
        names["_pack"] = struct.Struct(layout).pack
        body = "".join(f"    {line}\n" for line in locals_)
        exec(f"def encode({parameters}):\n{body}    return _pack({', '.join(arguments)})\n", names)
        function: Callable[..., bytes] = names["encode"]
        return function


def write_match(writer: Writer, match: tuple[MatchField, ...], variable: str) -> None:
    """An ``ofp_match`` with the shape of ``match``; ``variable`` is the tuple's name in the template.

    Fields go in the order of their class and number, which puts prerequisites first (section 7.2.3.6).
    """
    order = sorted(range(len(match)), key=lambda index: _wire_order(_field(match[index].name)))
    body = Writer()
    for index in order:
        field, masked = _field(match[index].name), match[index].mask is not None
        body.constant("I", field.header(masked))
        body.number(field.size, expression_of(match[index].value, f"{variable}[{index}].value"))
        if masked:
            body.number(field.size, f"{variable}[{index}].mask")
    writer.constant("HH", OFPMT_OXM, 4 + body.length)
    writer.include(body)
    writer.constant(f"{-(4 + body.length) % 8}x")


def write_actions(writer: Writer, actions: tuple[Action, ...], variable: str) -> None:
    """An action list with the shape of ``actions``."""
    for index, action in enumerate(actions):
        _write_action(writer, action, f"{variable}[{index}]")


def _field(name: str) -> Field:
    field = FIELDS.get(name)
    if field is None:
        raise EncodeError(f"no field is named {name!r}")
    return field


def _wire_order(field: Field) -> tuple[int, int]:
    return field.oxm_class, field.number


def _write_action(writer: Writer, action: Action, here: str) -> None:
    match action:
        case Output():
            writer.constant("HH", OFPAT_OUTPUT, 16)
            writer.hole("I", expression_of(action.port, f"{here}.port"))
            writer.hole("H6x", expression_of(action.max_len, f"{here}.max_len"))
        case ToGroup():
            writer.constant("HH", OFPAT_GROUP, 8)
            writer.hole("I", expression_of(action.group_id, f"{here}.group_id"))
        case SetField():
            _write_set_field(writer, _field(action.name), expression_of(action.value, f"{here}.value"))
        case PushVlan():
            writer.constant("HH", OFPAT_PUSH_VLAN, 8)
            writer.hole("H2x", f"{here}.ethertype")
        case PopVlan():
            writer.constant("HH4x", OFPAT_POP_VLAN, 8)
        case Move():
            _write_move(writer, _field(action.source), _field(action.target))


def _write_set_field(writer: Writer, field: Field, value: str) -> None:
    length = 8 + field.size
    padding = -length % 8
    writer.constant("HHI", OFPAT_SET_FIELD, length + padding, field.header())
    writer.number(field.size, value)
    writer.constant(f"{padding}x")


def _write_move(writer: Writer, source: Field, target: Field) -> None:
    if source.width != target.width:
        raise EncodeError(f"cannot move {source.name} ({source.width} bits) to {target.name} ({target.width} bits)")
    writer.constant("HHIH", OFPAT_EXPERIMENTER, 24, NX_VENDOR_ID, NXAST_REG_MOVE)
    writer.constant("HHHII", source.width, 0, 0, _nxm_header(source), _nxm_header(target))


def _nxm_header(field: Field) -> int:
    """The header as Open vSwitch itself writes it in this action of its own, so that what it shows of a flow is what
    it was sent, and a flow that is right is known as such."""
    number = NXM_NUMBERS.get(field.name)
    return field.header() if number is None else number << 9 | field.size
