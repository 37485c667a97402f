"""Wire templates, one per shape: what the flows of one shape have in common is worked out once.

The *body* of a flow is its flow-mod ADD from the cookie mask on. It is the same in OpenFlow 1.3 and 1.4 and depends
on nothing but the flow, so it is both what is sent and what the cookie is a hash of. Layouts: OpenFlow 1.3.5,
section 7.3.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable
from hashlib import blake2b
from typing import Protocol

from controller.dataplane.elements import Action, MatchField, Move, SetField
from controller.dataplane.holes import expression_of
from controller.dataplane.wire import Writer, write_actions, write_match
from controller.errors import EncodeError

ANY = 0xFFFFFFFF
"""OFPP_ANY, OFPG_ANY and OFP_NO_BUFFER alike."""

BODY_AT = 16
"""Where the body begins in a flow-mod."""

HASH_VERSION = b"isthmus 2"
"""Goes into every content hash; to be changed with what is hashed, so that nothing of another version is taken for
right."""

_ADD = 0
_MATCH_AT = 32
"""Where the match begins in a body."""
_DECIDING = frozenset({"eth_type", "ip_proto", "icmpv6_type"})


class Parts(Protocol):
    """What is needed of a flow."""

    @property
    def table(self) -> int: ...
    @property
    def priority(self) -> int: ...
    @property
    def match(self) -> tuple[MatchField, ...]: ...
    @property
    def actions(self) -> tuple[Action, ...]: ...
    @property
    def metadata(self) -> tuple[int, int] | None: ...
    @property
    def goto(self) -> int | None: ...
    @property
    def meter(self) -> int | None: ...


class Shape:
    """A flow without its ordinary values: flows of one shape obey the same rules and share a wire template.

    It keeps every value that decides whether others may be used (``eth_type``, ``ip_proto``, ``icmpv6_type``, whether
    there is a VLAN tag) and which metadata bits are matched and written. There is one object per shape, so that shapes
    are compared by identity: a program has a few dozen of them and up to hundreds of thousands of flows.
    """

    __slots__ = ("write",)

    def __init__(self) -> None:
        self.write: Callable[[Parts], bytes] = self._write_first
        """The body of a flow of this shape. Raises :class:`EncodeError` or ``struct.error``; see :func:`body_of`."""

    def _write_first(self, flow: Parts) -> bytes:
        self.write = _body_template(flow)
        return self.write(flow)


_shapes: dict[Hashable, Shape] = {}
_match_templates: dict[Hashable, Callable[[tuple[MatchField, ...]], bytes]] = {}
_action_templates: dict[Hashable, Callable[[tuple[Action, ...]], bytes]] = {}
_new_cookie_hash = blake2b(digest_size=6, person=HASH_VERSION).copy
"""Copying a fresh hash takes half the time of making one."""


def shape_of(flow: Parts) -> Shape:
    """The shape of a flow."""
    metadata, actions = flow.metadata, flow.actions
    key = (
        tuple([_match_shape(field) for field in flow.match]),
        tuple([_action_shape(action) for action in actions]) if actions else (),
        None if metadata is None else metadata[1],
        flow.goto,
        flow.meter,
    )
    shape = _shapes.get(key)
    return _shapes.setdefault(key, Shape()) if shape is None else shape


def body_of(flow: Parts, shape: Shape, why: str = "") -> bytes:
    """The body of a flow. Raises :class:`EncodeError` for values that do not fit."""
    try:
        return shape.write(flow)
    except struct.error as error:
        raise unencodable(flow, why, error) from error


def unencodable(flow: Parts, why: str, error: Exception) -> EncodeError:
    """What to say of a flow that cannot be encoded."""
    return EncodeError(f"flow of table {flow.table} ({why or f'priority {flow.priority}'}): {error}")


def content_hash(body: bytes) -> bytes:
    """The 48-bit hash of a body."""
    digest = _new_cookie_hash()
    digest.update(body)
    return digest.digest()


def match_in(body: bytes) -> bytes:
    """The ``ofp_match`` in a body, padded."""
    length = int.from_bytes(body[_MATCH_AT + 2 : _MATCH_AT + 4], "big")
    return body[_MATCH_AT : _MATCH_AT + (length + 7) // 8 * 8]


def long_hash(content: bytes) -> int:
    """A 64-bit hash."""
    return int.from_bytes(blake2b(content, digest_size=8, person=HASH_VERSION).digest(), "big")


def encode_match(match: tuple[MatchField, ...]) -> bytes:
    """The ``ofp_match`` of these fields, padded. Raises :class:`EncodeError`."""
    shape = tuple([(field.name, field.mask is None) for field in match])
    template = _match_templates.get(shape)
    if template is None:
        template = _match_templates.setdefault(shape, _match_template(match))
    try:
        return template(match)
    except struct.error as error:
        raise EncodeError(f"match {match}: {error}") from error


def encode_actions(actions: tuple[Action, ...]) -> bytes:
    """An action list. Raises :class:`EncodeError`."""
    shape = tuple([_action_shape(action) for action in actions])
    template = _action_templates.get(shape)
    if template is None:
        writer = Writer()
        write_actions(writer, actions, "actions")
        template = _action_templates.setdefault(shape, writer.compile("actions"))
    try:
        return template(actions)
    except struct.error as error:
        raise EncodeError(f"actions {actions}: {error}") from error


def _match_shape(field: MatchField) -> Hashable:
    name, mask = field.name, field.mask
    if name in _DECIDING:
        return (name, mask is not None, field.value)
    if mask is None and name != "vlan_vid":
        return name
    if name == "vlan_vid":
        return (name, field.value & 0x1000, mask)
    return (name, mask if name == "metadata" else None)


def _action_shape(action: Action) -> Hashable:
    if isinstance(action, SetField):
        return (SetField, action.name, action.value if action.name in _DECIDING else None)
    return (Move, action.source, action.target) if isinstance(action, Move) else (type(action),)


def _match_template(match: tuple[MatchField, ...]) -> Callable[[tuple[MatchField, ...]], bytes]:
    writer = Writer()
    write_match(writer, match, "match")
    return writer.compile("match")


def _body_template(flow: Parts) -> Callable[[Parts], bytes]:
    return body_writer(flow).compile("flow", "match = flow.match", "actions = flow.actions")


def body_writer(flow: Parts) -> Writer:
    """The body of flows of this shape, in terms of ``flow``, ``match`` and ``actions`` (and of the holes in it)."""
    writer = Writer()
    writer.constant("Q", 0)
    writer.hole("B", "flow.table")
    writer.constant("BHH", _ADD, 0, 0)
    writer.hole("H", "flow.priority")
    writer.constant("IIIHH", ANY, ANY, ANY, 0, 0)
    write_match(writer, flow.match, "match")
    _write_instructions(writer, flow)
    return writer


def _write_instructions(writer: Writer, flow: Parts) -> None:
    if flow.meter is not None:
        writer.constant("HHI", 6, 8, flow.meter)
    if flow.actions:
        actions = Writer()
        write_actions(actions, flow.actions, "actions")
        writer.constant("HH4x", 4, 8 + actions.length)
        writer.include(actions)
    if flow.metadata is not None:
        writer.constant("HH4x", 2, 24)
        writer.hole("Q", expression_of(flow.metadata[0], "flow.metadata[0]"))
        writer.hole("Q", "flow.metadata[1]")
    if flow.goto is not None:
        writer.constant("HHB3x", 1, 8, flow.goto)
