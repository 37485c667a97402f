"""The values of an OpenFlow program: matches, actions, flows, groups, fragments.

No policy and no bytes here: the pipeline (``mechanisms.openflow``) makes these values, the encoder turns them into
OpenFlow, the interpreter executes them. All are immutable and hashable, so that equality is content equality.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b

from controller.turns import in_turns

OWNER_TAG = 0x1571
"""Top 16 bits of every cookie of ours ("1sth"); flows with another tag are foreign and never touched."""

OWNER_SHIFT = 48
OWNER_MASK = 0xFFFF << OWNER_SHIFT
CONTENT_MASK = (1 << OWNER_SHIFT) - 1


@dataclass(frozen=True, slots=True, order=True)
class MatchField:
    """``name`` as in ``dataplane.fields``; ``mask`` None is an exact match. Values are unsigned integers
    (a MAC has 48 bits, IPv6 128)."""

    name: str
    value: int
    mask: int | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """Send the packet out of an OpenFlow port (or a reserved one, e.g. ``IN_PORT``, ``CONTROLLER``)."""

    port: int
    max_len: int = 0


@dataclass(frozen=True, slots=True)
class ToGroup:
    """Hand the packet to a group."""

    group_id: int


@dataclass(frozen=True, slots=True)
class SetField:
    """Set a header or metadata field to a value; ``name`` as in ``dataplane.fields``."""

    name: str
    value: int


@dataclass(frozen=True, slots=True)
class PushVlan:
    """Push an 802.1Q (0x8100) or 802.1ad (0x88a8) tag."""

    ethertype: int = 0x8100


@dataclass(frozen=True, slots=True)
class PopVlan:
    """Remove the outermost VLAN tag."""


@dataclass(frozen=True, slots=True)
class Move:
    """Copy the whole of one field into another of the same width (the Nicira extension NXAST_REG_MOVE)."""

    source: str
    target: str


Action = Output | ToGroup | SetField | PushVlan | PopVlan | Move


@dataclass(frozen=True)
class Flow:
    """One flow entry; ``match`` is sorted by field name. ``why`` names the API object it serves (not hashed)."""

    table: int
    priority: int
    match: tuple[MatchField, ...] = ()
    actions: tuple[Action, ...] = ()
    metadata: tuple[int, int] | None = None
    """``(value, mask)`` for write-metadata."""
    goto: int | None = None
    why: str = field(default="", compare=False)

    @cached_property
    def cookie(self) -> int:
        """Owner tag and 48-bit hash of (table, priority, match, instructions): equal cookies are equal flows."""
        match = [(field.name, field.value, field.mask) for field in self.match]
        content = repr((self.table, self.priority, match, self.actions, self.metadata, self.goto))
        return (OWNER_TAG << OWNER_SHIFT) | _hash(content, 6)

    @cached_property
    def shape(self) -> tuple[Hashable, ...]:
        """The flow without its ordinary values: flows of one shape obey the same rules and share a wire template.

        It keeps every value that decides whether others may be used (``eth_type``, ``ip_proto``, ``icmpv6_type``,
        whether there is a VLAN tag) and which metadata bits are matched and written.
        """
        shape = (
            tuple([_match_shape(field) for field in self.match]),
            tuple([_action_shape(action) for action in self.actions]),
            None if self.metadata is None else self.metadata[1],
            self.goto,
        )
        return _SHAPES.setdefault(shape, shape)

    @property
    def key(self) -> tuple[int, int, tuple[MatchField, ...]]:
        """What identifies a flow on a switch: a second flow with this key replaces the first."""
        return (self.table, self.priority, self.match)


_DECIDING = frozenset({"eth_type", "ip_proto", "icmpv6_type"})
_SHAPES: dict[tuple[Hashable, ...], tuple[Hashable, ...]] = {}
"""One object per shape: a program has a few dozen shapes and up to hundreds of thousands of flows."""


def _match_shape(field: MatchField) -> tuple[Hashable, ...]:
    name = field.name
    if name in _DECIDING:
        return (name, field.mask is not None, field.value)
    if name == "vlan_vid":
        return (name, field.mask is not None, field.value & 0x1000, field.mask)
    return (name, field.mask) if name == "metadata" else (name, field.mask is not None)


def _action_shape(action: Action) -> Hashable:
    if isinstance(action, SetField):
        return (SetField, action.name, action.value if action.name in _DECIDING else None)
    return (Move, action.source, action.target) if isinstance(action, Move) else (type(action),)


class GroupType(enum.IntEnum):
    """OpenFlow group types with their numbers on the wire."""

    ALL = 0
    SELECT = 1
    INDIRECT = 2
    FAST_FAILOVER = 3


@dataclass(frozen=True, slots=True)
class Bucket:
    """An ordered action list of a group. ``watch_port`` only in fast-failover groups, ``weight`` only in select."""

    actions: tuple[Action, ...]
    watch_port: int | None = None
    weight: int = 0


@dataclass(frozen=True)
class Group:
    """A group entry; ids are ours to choose and carry no owner tag, so they are derived from stable keys."""

    id: int
    type: GroupType
    buckets: tuple[Bucket, ...]
    why: str = field(default="", compare=False)

    @cached_property
    def digest(self) -> int:
        """64-bit hash of the content."""
        return _hash(repr((self.id, int(self.type), self.buckets)), 8)


@dataclass(frozen=True)
class Fragment:
    """A part of a program that changes as one and is hashed and encoded once, however many switches carry it.

    ``key`` says what it is for, e.g. ``("network", id)``; a program holds at most one fragment per key, and no two
    fragments of a program contain a flow with the same key or a group with the same id.
    """

    key: Hashable
    flows: tuple[Flow, ...] = ()
    groups: tuple[Group, ...] = ()

    @cached_property
    def digest(self) -> int:
        """XOR of all cookies and group digests."""
        digest = 0
        for flow in in_turns(self.flows):
            digest ^= flow.cookie
        for group in self.groups:
            digest ^= group.digest
        return digest

    @property
    def mark(self) -> int:
        """64 bits that stand for the content: fragments with the same mark are the same."""
        return self.digest


@dataclass(frozen=True)
class Program:
    """Everything that should be on one switch, compiled from the intent at ``revision``."""

    revision: int
    fragments: Mapping[Hashable, Fragment]

    @cached_property
    def stamp(self) -> int:
        """64 bits that say which program it is, written to the ``stamp`` table: XOR of the fragments' marks. Programs
        with the same stamp are the same; it is known before lazy fragments are made."""
        stamp = 0
        for fragment in self.fragments.values():
            stamp ^= fragment.mark
        return stamp

    @cached_property
    def digest(self) -> int:
        """64-bit hash of all flows and groups."""
        digest = 0
        for fragment in in_turns(self.fragments.values()):
            digest ^= fragment.digest
        return digest

    def flows(self) -> Iterator[Flow]:
        """All flows, fragment by fragment."""
        for fragment in self.fragments.values():
            yield from fragment.flows

    def groups(self) -> Iterator[Group]:
        """All groups, fragment by fragment."""
        for fragment in self.fragments.values():
            yield from fragment.groups

    @classmethod
    def of(cls, revision: int, fragments: Iterable[Fragment]) -> Program:
        """A program of these fragments."""
        return cls(revision, {fragment.key: fragment for fragment in fragments})


def _hash(content: str, size: int) -> int:
    return int.from_bytes(blake2b(content.encode(), digest_size=size).digest(), "big")
