"""OpenFlow bytes of flows, groups and bundles, for OpenFlow 1.3 (version 4) and 1.4 (version 5).

Messages are complete (header included) and carry a constant transaction id unless told otherwise, so that the same
bytes go to every switch: Open vSwitch and the standard ask only that a message in a bundle has the transaction id of
its wrapper. Layouts: OpenFlow 1.3.5 and 1.4.1, section 7.3; bundles on 1.3: ONF extension 230 (EXT-230), which Open
vSwitch implements. Requests and replies are in ``dataplane.messages``.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple

from controller.dataplane.values import (
    OWNER_MASK,
    OWNER_SHIFT,
    OWNER_TAG,
    Action,
    Bucket,
    Flow,
    Fragment,
    Group,
    MatchField,
)
from controller.dataplane.wire import Writer, write_actions, write_match
from controller.errors import EncodeError
from controller.turns import give_way

OF13 = 4
OF14 = 5
VERSIONS = (OF13, OF14)

XID = 0x1571_0001
"""Transaction id of everything that is encoded once and shared."""

ANY = 0xFFFFFFFF
"""OFPP_ANY, OFPG_ANY and OFP_NO_BUFFER alike."""
ALL_TABLES = 0xFF
ALL_GROUPS = 0xFFFFFFFC
ALL_BITS = 0xFFFFFFFFFFFFFFFF
MAX_MESSAGE = 0xFFFF

EXPERIMENTER = 4
FLOW_MOD = 14
GROUP_MOD = 15
BARRIER_REQUEST = 20
BUNDLE_CONTROL = 33
BUNDLE_ADD = 34

ONF_VENDOR_ID = 0x4F4E4600
ONF_BUNDLE_CONTROL = 2300
ONF_BUNDLE_ADD = 2301

ATOMIC = 1
ORDERED = 2
BUNDLE_FLAGS = ATOMIC | ORDERED

PIECE = 256
"""Flows encoded in one go: less than a millisecond."""

NO_MATCH = struct.pack("!HH4x", 1, 4)
"""The ``ofp_match`` that matches everything."""

_ADD, _DELETE, _DELETE_STRICT = 0, 3, 4
_HEADER = struct.Struct("!BBHI")
_FLOW_MOD = struct.Struct("!BBHIQQBBHHHIIIHH")
_GROUP_MOD = struct.Struct("!BBHIHBxI")
_BUCKET = struct.Struct("!HHII4x")


class GroupCommand(enum.IntEnum):
    """What a group-mod does."""

    ADD = 0
    MODIFY = 1
    DELETE = 2


class BundleType(enum.IntEnum):
    """Types of bundle-control messages."""

    OPEN_REQUEST = 0
    OPEN_REPLY = 1
    CLOSE_REQUEST = 2
    CLOSE_REPLY = 3
    COMMIT_REQUEST = 4
    COMMIT_REPLY = 5
    DISCARD_REQUEST = 6
    DISCARD_REPLY = 7


class InstalledFlow(NamedTuple):
    """A flow as a switch tells it. ``match`` is the ``ofp_match`` in the switch's own bytes (padding included)."""

    cookie: int
    table: int
    priority: int
    match: bytes
    packets: int = 0


class EncodedFragment(NamedTuple):
    """The messages of a fragment: group-mods (ADD) in the order of its groups, flow-mods in the order of its flows."""

    groups: tuple[bytes, ...]
    flows: tuple[bytes, ...]


_flow_templates: dict[tuple[int, Hashable], Callable[[Flow, int, int], bytes]] = {}
_match_templates: dict[Hashable, Callable[[tuple[MatchField, ...]], bytes]] = {}
_action_templates: dict[Hashable, Callable[[tuple[Action, ...]], bytes]] = {}
_add_prefixes: dict[tuple[int, int, int, int, int], bytes] = {}


def encode_flow_add(flow: Flow, version: int, cookie: int | None = None, xid: int = XID) -> bytes:
    """A flow-mod ADD, which also overwrites a flow with the same table, priority and match.

    ``cookie`` stands in for the flow's own (the stamp carries the program hash). Raises :class:`EncodeError`.
    """
    try:
        template = _flow_templates.get((version, flow.shape))
        if template is None:
            template = _flow_templates.setdefault((version, flow.shape), _flow_template(flow, version))
        return template(flow, flow.cookie if cookie is None else cookie, xid)
    except struct.error as error:
        raise EncodeError(f"flow of table {flow.table} ({flow.why or hex(flow.cookie)}): {error}") from error


def encode_flow_delete(flow: Flow | InstalledFlow, version: int, xid: int = XID) -> bytes:
    """A flow-mod DELETE_STRICT of exactly this flow: the cookie is compared too, so that a flow that has meanwhile
    taken its place (same table, priority and match) stays."""
    match = flow.match if isinstance(flow, InstalledFlow) else encode_match(flow.match)
    return _flow_delete(version, _DELETE_STRICT, flow.cookie, ALL_BITS, flow.table, flow.priority, match, xid)


def encode_delete_ours(version: int, table: int = ALL_TABLES, xid: int = XID) -> bytes:
    """A flow-mod DELETE of all flows with our owner tag, in one table or in all."""
    return _flow_delete(version, _DELETE, OWNER_TAG << OWNER_SHIFT, OWNER_MASK, table, 0, NO_MATCH, xid)


def encode_match(match: tuple[MatchField, ...]) -> bytes:
    """The ``ofp_match`` of these fields, padded."""
    shape = tuple([(field.name, field.mask is None) for field in match])
    template = _match_templates.get(shape)
    if template is None:
        template = _match_templates.setdefault(shape, _match_template(match))
    try:
        return template(match)
    except struct.error as error:
        raise EncodeError(f"match {match}: {error}") from error


def encode_group(group: Group, command: GroupCommand, version: int, xid: int = XID) -> bytes:
    """A group-mod. Raises :class:`EncodeError` if the buckets do not fit into one message."""
    buckets = b"" if command is GroupCommand.DELETE else encode_buckets(group)
    length = _GROUP_MOD.size + len(buckets)
    if length > MAX_MESSAGE:
        raise EncodeError(f"group {group.id} ({group.why}): {len(group.buckets)} buckets do not fit into one message")
    header = _GROUP_MOD.pack(_checked(version), GROUP_MOD, length, xid, command, group.type, group.id)
    return header + buckets


def encode_group_delete(group_id: int, version: int, xid: int = XID) -> bytes:
    """A group-mod DELETE by id (``ALL_GROUPS`` for all); flows that use the group go with it."""
    return _GROUP_MOD.pack(_checked(version), GROUP_MOD, _GROUP_MOD.size, xid, GroupCommand.DELETE, 0, group_id)


def encode_buckets(group: Group) -> bytes:
    """The buckets of a group as they are in group-mods and in group-desc replies: what groups are compared by."""
    return b"".join([_encode_bucket(bucket) for bucket in group.buckets])


def encode_fragment(fragment: Fragment, version: int) -> EncodedFragment:
    """All ADD messages of a fragment. The answer is kept with the fragment: many switches share the bytes."""
    kept: dict[int, EncodedFragment] = vars(fragment).setdefault("_encoded", {})
    encoded = kept.get(version)
    if encoded is None:
        groups = tuple([encode_group(group, GroupCommand.ADD, version) for group in fragment.groups])
        encoded = kept[version] = EncodedFragment(groups, _encode_flows(fragment, version))
    return encoded


def _encode_flows(fragment: Fragment, version: int) -> tuple[bytes, ...]:
    """A piece at a time, and others have their turn in between; who comes for the same fragment goes on from there."""
    pieces: dict[int, list[bytes]] = vars(fragment).setdefault("_pieces", {})
    done = pieces.setdefault(version, [])
    while (start := len(done)) < len(fragment.flows):
        piece = [encode_flow_add(flow, version) for flow in fragment.flows[start : start + PIECE]]
        if len(done) == start:
            done += piece
        give_way()
    pieces.pop(version, None)
    return tuple(done)


def barrier_request(version: int, xid: int = XID) -> bytes:
    """A barrier request."""
    return _HEADER.pack(_checked(version), BARRIER_REQUEST, 8, xid)


def bundle_control(bundle_id: int, kind: BundleType, version: int, flags: int = BUNDLE_FLAGS, xid: int = XID) -> bytes:
    """Open, close, commit or discard a bundle."""
    body = struct.pack("!IHH", bundle_id, kind, flags)
    if version == OF13:
        body = struct.pack("!II", ONF_VENDOR_ID, ONF_BUNDLE_CONTROL) + body
        return _HEADER.pack(version, EXPERIMENTER, 8 + len(body), xid) + body
    return _HEADER.pack(_checked(version), BUNDLE_CONTROL, 8 + len(body), xid) + body


def bundle_add(bundle_id: int, message: bytes, version: int, flags: int = BUNDLE_FLAGS, xid: int = XID) -> bytes:
    """A message wrapped for a bundle; ``xid`` must be the one the message was encoded with."""
    return _add_prefix(bundle_id, len(message), version, flags, xid) + message


def bundle_adds(bundle_id: int, messages: Iterable[bytes], version: int) -> bytes:
    """Many messages (of the constant transaction id), each wrapped for the bundle, as one buffer."""
    pieces: list[bytes] = []
    for message in messages:
        pieces += (_add_prefix(bundle_id, len(message), version, BUNDLE_FLAGS, XID), message)
    return b"".join(pieces)


def _add_prefix(bundle_id: int, length: int, version: int, flags: int, xid: int) -> bytes:
    key = (bundle_id, length, version, flags, xid)
    prefix = _add_prefixes.get(key)
    if prefix is None:
        if len(_add_prefixes) > 4096:
            _add_prefixes.clear()
        prefix = _add_prefixes[key] = _make_add_prefix(*key)
    return prefix


def _make_add_prefix(bundle_id: int, length: int, version: int, flags: int, xid: int) -> bytes:
    body = struct.pack("!I2xH", bundle_id, flags)
    kind = BUNDLE_ADD
    if version == OF13:
        kind = EXPERIMENTER
        body = struct.pack("!II", ONF_VENDOR_ID, ONF_BUNDLE_ADD) + body
    total = 8 + len(body) + length
    if total > MAX_MESSAGE:
        raise EncodeError(f"a message of {length} bytes does not fit into a bundle")
    return _HEADER.pack(_checked(version), kind, total, xid) + body


def _flow_template(flow: Flow, version: int) -> Callable[[Flow, int, int], bytes]:
    match, instructions = Writer(), Writer()
    write_match(match, flow.match, "match")
    _write_instructions(instructions, flow)
    length = _FLOW_MOD.size + match.length + instructions.length
    writer = Writer()
    writer.constant("BBH", _checked(version), FLOW_MOD, length)
    writer.hole("IQ", "xid, cookie")
    writer.constant("Q", 0)
    writer.hole("B", "flow.table")
    writer.constant("BHH", _ADD, 0, 0)
    writer.hole("H", "flow.priority")
    writer.constant("IIIHH", ANY, ANY, ANY, 0, 0)
    writer.include(match)
    writer.include(instructions)
    return writer.compile("flow, cookie, xid", "match = flow.match", "actions = flow.actions")


def _write_instructions(writer: Writer, flow: Flow) -> None:
    if flow.actions:
        actions = Writer()
        write_actions(actions, flow.actions, "actions")
        writer.constant("HH4x", 4, 8 + actions.length)
        writer.include(actions)
    if flow.metadata is not None:
        writer.constant("HH4x", 2, 24)
        writer.hole("QQ", "*flow.metadata")
    if flow.goto is not None:
        writer.constant("HHB3x", 1, 8, flow.goto)


def _match_template(match: tuple[MatchField, ...]) -> Callable[[tuple[MatchField, ...]], bytes]:
    writer = Writer()
    write_match(writer, match, "match")
    return writer.compile("match")


def _encode_bucket(bucket: Bucket) -> bytes:
    actions = _encode_actions(bucket.actions)
    watch = ANY if bucket.watch_port is None else bucket.watch_port
    return _BUCKET.pack(_BUCKET.size + len(actions), bucket.weight, watch, ANY) + actions


def _encode_actions(actions: tuple[Action, ...]) -> bytes:
    shape = Flow(0, 0, actions=actions).shape
    template = _action_templates.get(shape)
    if template is None:
        writer = Writer()
        write_actions(writer, actions, "actions")
        template = _action_templates.setdefault(shape, writer.compile("actions"))
    try:
        return template(actions)
    except struct.error as error:
        raise EncodeError(f"actions {actions}: {error}") from error


def _flow_delete(
    version: int, command: int, cookie: int, mask: int, table: int, priority: int, match: bytes, xid: int
) -> bytes:
    head = (_checked(version), FLOW_MOD, _FLOW_MOD.size + len(match), xid, cookie, mask, table, command)
    return _FLOW_MOD.pack(*head, 0, 0, priority, ANY, ANY, ANY, 0, 0) + match


def _checked(version: int) -> int:
    if version not in VERSIONS:
        raise EncodeError(f"OpenFlow version {version} on the wire is not supported; 1.3 (4) and 1.4 (5) are")
    return version
