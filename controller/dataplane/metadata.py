"""Named bit fields of the 64-bit OpenFlow metadata.

A pipeline declares its :class:`Layout` once, at import; a field that leaves the 64 bits or overlaps another one is an
error there and then. ``part_of`` names a field of which this one is a piece (a destination key made of a node key and
a port key, say); only then may bits be shared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from controller.dataplane.fields import FIELDS
from controller.dataplane.values import MatchField
from controller.errors import CompileError

WIDTH = 64
ALL_BITS = (1 << WIDTH) - 1


@dataclass(frozen=True, slots=True)
class BitField:
    """Bits ``low`` .. ``low + width - 1`` of the metadata."""

    name: str
    low: int
    width: int
    part_of: str | None = None
    purpose: str = ""

    @property
    def mask(self) -> int:
        """The field's bits within the metadata."""
        return ((1 << self.width) - 1) << self.low

    @property
    def maximum(self) -> int:
        """The largest value."""
        return (1 << self.width) - 1

    def place(self, value: int, mask: int | None = None) -> tuple[int, int]:
        """``(value, mask)`` of the whole metadata for a value (looked at through ``mask``) of this field.

        Raises :class:`CompileError` for a value that does not fit.
        """
        if value >> self.width:
            raise CompileError(f"metadata field {self.name} has {self.width} bits; {value} does not fit")
        if mask is None:
            return value << self.low, self.mask
        if mask <= 0 or mask > self.maximum or value & ~mask:
            raise CompileError(f"metadata field {self.name}: 0x{value:x}/0x{mask:x} is no masked value of it")
        return value << self.low, mask << self.low

    def read(self, metadata: int) -> int:
        """The field's value in a metadata."""
        return (metadata & self.mask) >> self.low


class Layout:
    """The bit fields of one pipeline. Immutable; raises :class:`CompileError` for a layout that cannot work."""

    __slots__ = ("_fields",)

    def __init__(self, *fields: BitField) -> None:
        self._fields: Mapping[str, BitField] = {field.name: field for field in fields}
        if len(self._fields) != len(fields):
            raise CompileError("a metadata field is declared twice")
        for field in fields:
            _check_place(field, self._fields)
        _check_overlap([field for field in fields if field.part_of is None])
        for whole in fields:
            _check_overlap([field for field in fields if field.part_of == whole.name])

    def __contains__(self, name: object) -> bool:
        return name in self._fields

    def __iter__(self) -> Iterator[BitField]:
        return iter(self._fields.values())

    def __getitem__(self, name: str) -> BitField:
        try:
            return self._fields[name]
        except KeyError:
            raise CompileError(f"no metadata field is named {name!r}; there are {', '.join(self._fields)}") from None

    def mask(self, *names: str) -> int:
        """The bits of all these fields together."""
        bits = 0
        for name in names:
            bits |= self[name].mask
        return bits

    def place(self, **values: int) -> tuple[int, int]:
        """One ``(value, mask)`` for several fields. Raises :class:`CompileError` where two disagree."""
        total = (0, 0)
        for name, value in values.items():
            total = merge(total, self[name].place(value), name)
        return total

    def match(self, **values: int) -> MatchField:
        """The match on several fields."""
        return as_match(self.place(**values))

    def describe(self, value: int, mask: int = ALL_BITS) -> dict[str, int]:
        """The fields (not the parts of others) that the mask touches, with their values; for people to read."""
        return {field.name: field.read(value) for field in self if field.mask & mask and field.part_of is None}


def merge(left: tuple[int, int], right: tuple[int, int], what: str) -> tuple[int, int]:
    """Both masked values in one. Raises :class:`CompileError` naming ``what`` if they contradict each other."""
    common = left[1] & right[1]
    if (left[0] ^ right[0]) & common:
        raise CompileError(f"metadata {what} is given twice with different values")
    return left[0] | right[0], left[1] | right[1]


def as_match(masked: tuple[int, int]) -> MatchField:
    """The match for a ``(value, mask)``; exact if the mask has all 64 bits."""
    value, mask = masked
    return MatchField("metadata", value, None if mask == ALL_BITS else mask)


def _check_place(field: BitField, fields: Mapping[str, BitField]) -> None:
    if field.width < 1 or field.low < 0 or field.low + field.width > WIDTH:
        raise CompileError(f"metadata field {field.name} is outside the {WIDTH} bits of the metadata")
    if field.name in FIELDS:
        raise CompileError(f"metadata field {field.name} has the name of an OpenFlow field")
    if field.part_of is None:
        return
    whole = fields.get(field.part_of)
    if whole is None or field.mask & ~whole.mask:
        raise CompileError(f"metadata field {field.name} does not lie in {field.part_of}")


def _check_overlap(fields: list[BitField]) -> None:
    taken: dict[int, str] = {}
    for field in fields:
        for bit in range(field.low, field.low + field.width):
            if bit in taken:
                raise CompileError(f"metadata fields {taken[bit]} and {field.name} both use bit {bit}")
            taken[bit] = field.name
