"""The values of an OpenFlow program: matches, actions, flows, groups, fragments.

No policy here: the pipeline (``mechanisms.openflow``) makes these values, the encoder turns them into OpenFlow, the
interpreter executes them. All are immutable and hashable, so that equality is content equality; flows and groups are
compared by hashes of their OpenFlow bytes too, which must be the same in every process.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property, reduce
from operator import xor
from typing import TYPE_CHECKING, Any, NamedTuple

from controller.dataplane.elements import (
    Action,
    MatchField,
    Move,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    ToGroup,
)
from controller.dataplane.templates import (
    ANY,
    Shape,
    body_of,
    content_hash,
    encode_actions,
    long_hash,
    match_in,
    shape_of,
    unencodable,
)
from controller.turns import give_way, in_turns

__all__ = [
    "OWNER_MASK", "OWNER_SHIFT", "OWNER_TAG", "Action", "Bucket", "Flow", "Form", "Fragment", "Group", "GroupType",
    "MatchField", "Meter", "Move", "Output", "PopVlan", "Program", "PushVlan", "SetField", "ToGroup",
]  # fmt: skip

OWNER_TAG = 0x1571
"""Top 16 bits of every cookie of ours ("1sth"); flows with another tag are foreign and never touched."""

OWNER_SHIFT = 48
OWNER_MASK = 0xFFFF << OWNER_SHIFT
TAG = OWNER_TAG << OWNER_SHIFT

PIECE = 256
"""Flows hashed or encoded in one go: less than a millisecond."""

_BUCKET = struct.Struct("!HHII4x")
_METER = struct.Struct("!HHHII4x")
_PKTPS, _BURST, _DROP = 2, 4, 1


class Form(NamedTuple):
    """What flows have in common that differ in a few numbers only, see :mod:`controller.dataplane.forms`."""

    table: int
    priority: int
    say: Callable[..., Flow]
    """The sentence in full, with all its checks."""
    write: Callable[..., bytes]
    """The body. Raises ``struct.error``."""


@dataclass(frozen=True, init=False)
class Flow:
    """One flow entry; ``match`` is sorted by field name. ``why`` names the API object it serves (not hashed).

    A flow that a form made has the form and its arguments instead, until somebody asks for anything but its bytes.
    """

    table: int
    priority: int
    match: tuple[MatchField, ...]
    actions: tuple[Action, ...]
    metadata: tuple[int, int] | None
    """``(value, mask)`` for write-metadata."""
    goto: int | None
    why: str = field(compare=False)
    meter: int | None
    """The meter that packets must pass first; above its rate they are dropped, whatever the actions."""

    def __init__(
        self,
        table: int,
        priority: int,
        match: tuple[MatchField, ...] = (),
        actions: tuple[Action, ...] = (),
        metadata: tuple[int, int] | None = None,
        goto: int | None = None,
        why: str = "",
        meter: int | None = None,
    ) -> None:
        # As a frozen dataclass would, in a third of the time: programs are made of a hundred thousand of them.
        own = self.__dict__
        own["table"], own["priority"], own["match"], own["actions"] = table, priority, match, actions
        own["metadata"], own["goto"], own["why"], own["meter"] = metadata, goto, why, meter

    if not TYPE_CHECKING:  # which would take it to have every attribute

        def __getattr__(self, name: str) -> Any:
            own = self.__dict__
            form: Form | None = own.get("form")
            if form is None or name not in _PARTS:
                raise AttributeError(f"a flow has no {name!r}")
            if name in ("table", "priority"):
                return getattr(form, name)
            own.update(form.say(*own["args"]).__dict__)
            return own[name]

    def __reduce__(self) -> tuple[type[Flow], tuple[object, ...]]:
        parts = (self.table, self.priority, self.match, self.actions, self.metadata, self.goto, self.why, self.meter)
        return Flow, parts

    @cached_property
    def cookie(self) -> int:
        """Owner tag and 48-bit hash of (table, priority, match, instructions): equal cookies are equal flows.

        Raises :class:`controller.errors.EncodeError` if the flow cannot be put into OpenFlow.
        """
        return TAG | int.from_bytes(content_hash(self.body()), "big")

    @cached_property
    def shape(self) -> Shape:
        """What it has in common with flows that differ in ordinary values only."""
        return shape_of(self)

    def body(self) -> bytes:
        """Its bytes in a flow-mod, from the cookie mask on. Raises :class:`controller.errors.EncodeError`."""
        own = self.__dict__
        form: Form | None = own.get("form")
        if form is None:
            return body_of(self, self.shape, self.why)
        try:
            return form.write(*own["args"])
        except struct.error as error:
            raise unencodable(self, self.why, error) from error

    @property
    def key(self) -> tuple[int, int, tuple[MatchField, ...]]:
        """What identifies a flow on a switch: a second flow with this key replaces the first."""
        return (self.table, self.priority, self.match)

    @property
    def encoded_key(self) -> tuple[int, int, bytes]:
        """The same with the match as its bytes, which are had sooner. Raises
        :class:`controller.errors.EncodeError`."""
        return (self.table, self.priority, match_in(self.body()))


_PARTS = frozenset(part.name for part in fields(Flow))


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
        return long_hash(struct.pack("!II", self.id, self.type) + self.encoded_buckets())

    def encoded_buckets(self) -> bytes:
        """The buckets as they are in group-mods and in group-desc replies: what groups are compared by."""
        return b"".join([_encode_bucket(bucket) for bucket in self.buckets])


@dataclass(frozen=True)
class Meter:
    """A meter entry: of the flows that point to it ``rate`` packets a second pass, ``burst`` at once, and the others
    are dropped. Ids are ours to choose and carry no owner tag."""

    id: int
    rate: int
    burst: int
    why: str = field(default="", compare=False)

    @cached_property
    def digest(self) -> int:
        """64-bit hash of the content."""
        return long_hash(b"meter" + struct.pack("!I", self.id) + self.encoded())

    def encoded(self) -> bytes:
        """Flags and bands as they are in meter-mods and in meter-config replies: what meters are compared by."""
        return _METER.pack(_PKTPS | _BURST, _DROP, 16, self.rate, self.burst)


@dataclass(frozen=True)
class Fragment:
    """A part of a program that changes as one and is hashed and encoded once, however many switches carry it.

    ``key`` says what it is for, e.g. ``("network", id)``; a program holds at most one fragment per key, and no two
    fragments of a program contain a flow with the same key, or a group or meter with the same id.
    """

    key: Hashable
    flows: tuple[Flow, ...] = ()
    groups: tuple[Group, ...] = ()
    meters: tuple[Meter, ...] = ()

    @cached_property
    def digest(self) -> int:
        """XOR of all cookies and of the digests of groups and meters."""
        digest = 0
        for start in range(0, len(self.flows), PIECE):
            digest ^= reduce(xor, [flow.cookie for flow in self.flows[start : start + PIECE]])
            give_way()
        for group in self.groups:
            digest ^= group.digest
        for meter in self.meters:
            digest ^= meter.digest
        return digest

    @property
    def mark(self) -> int:
        """64 bits that stand for the content: fragments with the same mark are the same."""
        return self.digest

    @property
    def fragments(self) -> tuple[Fragment, ...]:
        """Itself: what is made of parts may have single fragments among them."""
        return (self,)


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
        """64-bit hash of all flows, groups and meters."""
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

    def meters(self) -> Iterator[Meter]:
        """All meters, fragment by fragment."""
        for fragment in self.fragments.values():
            yield from fragment.meters

    @classmethod
    def of(cls, revision: int, fragments: Iterable[Fragment]) -> Program:
        """A program of these fragments."""
        return cls(revision, {fragment.key: fragment for fragment in fragments})


def _encode_bucket(bucket: Bucket) -> bytes:
    actions = encode_actions(bucket.actions)
    watch = ANY if bucket.watch_port is None else bucket.watch_port
    return _BUCKET.pack(_BUCKET.size + len(actions), bucket.weight, watch, ANY) + actions
