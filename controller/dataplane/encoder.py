"""OpenFlow bytes of flows, groups and bundles, for OpenFlow 1.3 (version 4) and 1.4 (version 5).

Messages are complete (header included) and carry a constant transaction id unless told otherwise, so that the same
bytes go to every switch: Open vSwitch and the standard ask only that a message in a bundle has the transaction id of
its wrapper. Layouts: OpenFlow 1.3.5 and 1.4.1, section 7.3; bundles on 1.3: ONF extension 230 (EXT-230), which Open
vSwitch implements. Requests and replies are in ``dataplane.messages``.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from controller.dataplane.templates import ANY, BODY_AT, content_hash, encode_match
from controller.dataplane.values import (
    OWNER_MASK,
    OWNER_SHIFT,
    OWNER_TAG,
    PIECE,
    TAG,
    Flow,
    Fragment,
    Group,
    Meter,
)
from controller.errors import EncodeError
from controller.turns import give_way

__all__ = ["ANY", "encode_match"]

OF13 = 4
OF14 = 5
VERSIONS = (OF13, OF14)

XID = 0x1571_0001
"""Transaction id of everything that is encoded once and shared."""

ALL_TABLES = 0xFF
ALL_GROUPS = 0xFFFFFFFC
ALL_METERS = 0xFFFFFFFF
ALL_BITS = 0xFFFFFFFFFFFFFFFF
MAX_MESSAGE = 0xFFFF

EXPERIMENTER = 4
FLOW_MOD = 14
GROUP_MOD = 15
BARRIER_REQUEST = 20
METER_MOD = 29
BUNDLE_CONTROL = 33
BUNDLE_ADD = 34

ONF_VENDOR_ID = 0x4F4E4600
ONF_BUNDLE_CONTROL = 2300
ONF_BUNDLE_ADD = 2301

ATOMIC = 1
ORDERED = 2
BUNDLE_FLAGS = ATOMIC | ORDERED

NO_MATCH = struct.pack("!HH4x", 1, 4)
"""The ``ofp_match`` that matches everything."""

_ADD, _DELETE, _DELETE_STRICT = 0, 3, 4
_HEADER = struct.Struct("!BBHI")
_FLOW_MOD = struct.Struct("!BBHIQQBBHHHIIIHH")
_GROUP_MOD = struct.Struct("!BBHIHBxI")
_METER_HEAD = struct.Struct("!BBHIH")
_FLOW_HEAD = struct.Struct("!BBHIQ")
_TAG = OWNER_TAG.to_bytes(2, "big")


class GroupCommand(enum.IntEnum):
    """What a group-mod or a meter-mod does."""

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

    @property
    def encoded_key(self) -> tuple[int, int, bytes]:
        """What identifies a flow on a switch, as :attr:`controller.dataplane.values.Flow.encoded_key`."""
        return (self.table, self.priority, self.match)


class EncodedFragment(NamedTuple):
    """The messages of a fragment: group-mods (ADD) in the order of its groups, flow-mods in the order of its flows."""

    groups: tuple[bytes, ...]
    flows: tuple[bytes, ...]


def encode_flow_add(flow: Flow, version: int, cookie: int | None = None, xid: int = XID) -> bytes:
    """A flow-mod ADD, which also overwrites a flow with the same table, priority and match.

    ``cookie`` stands in for the flow's own (the stamp carries the program hash). Raises :class:`EncodeError`.
    """
    body = flow.body()
    if cookie is None:
        cookie = flow.__dict__.get("cookie")
    if cookie is None:
        cookie = flow.__dict__["cookie"] = TAG | int.from_bytes(content_hash(body), "big")
    return _FLOW_HEAD.pack(_checked(version), FLOW_MOD, BODY_AT + len(body), xid, cookie) + body


def encode_flow_delete(flow: Flow | InstalledFlow, version: int, xid: int = XID) -> bytes:
    """A flow-mod DELETE_STRICT of exactly this flow: the cookie is compared too, so that a flow that has meanwhile
    taken its place (same table, priority and match) stays."""
    table, priority, match = flow.encoded_key
    return _flow_delete(version, _DELETE_STRICT, flow.cookie, ALL_BITS, table, priority, match, xid)


def encode_delete_ours(version: int, table: int = ALL_TABLES, xid: int = XID) -> bytes:
    """A flow-mod DELETE of all flows with our owner tag, in one table or in all."""
    return _flow_delete(version, _DELETE, OWNER_TAG << OWNER_SHIFT, OWNER_MASK, table, 0, NO_MATCH, xid)


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


def encode_meter(meter: Meter, command: GroupCommand, version: int, xid: int = XID) -> bytes:
    """A meter-mod. Open vSwitch takes none in a bundle. Raises :class:`EncodeError`."""
    try:
        content = meter.encoded()
    except struct.error as error:
        raise EncodeError(f"meter {meter.id} ({meter.why}): {error}") from error
    return _meter_mod(meter.id, command, content[:2], content[2:], version, xid)


def encode_meter_delete(meter_id: int, version: int, xid: int = XID) -> bytes:
    """A meter-mod DELETE by id; flows that use the meter go with it."""
    return _meter_mod(meter_id, GroupCommand.DELETE, bytes(2), b"", version, xid)


def _meter_mod(meter_id: int, command: int, flags: bytes, bands: bytes, version: int, xid: int) -> bytes:
    head = _METER_HEAD.pack(_checked(version), METER_MOD, 16 + len(bands), xid, command)
    return head + flags + meter_id.to_bytes(4, "big") + bands


def encode_buckets(group: Group) -> bytes:
    """The buckets of a group as they are in group-mods and in group-desc replies: what groups are compared by."""
    return group.encoded_buckets()


def encode_fragment(fragment: Fragment, version: int) -> EncodedFragment:
    """All ADD messages of a fragment. The answer is kept with the fragment: many switches share the bytes."""
    for _ in encoded_pieces(fragment, version):
        pass
    encoded: EncodedFragment = vars(fragment)["_encoded"][version]
    return encoded


def encoded_pieces(fragment: Fragment, version: int) -> Iterator[Sequence[bytes]]:
    """The flow-mods of :func:`encode_fragment`, some at a time, while the rest is still being encoded.

    Others have their turn in between; who comes for the same fragment meanwhile shares what is done and goes on from
    there.
    """
    kept: dict[int, EncodedFragment] = vars(fragment).setdefault("_encoded", {})
    pieces: dict[int, list[bytes]] = vars(fragment).setdefault("_pieces", {})
    at, flows = 0, fragment.flows
    done: Sequence[bytes] = kept[version].flows if version in kept else pieces.setdefault(version, [])
    while at < len(flows):
        if at == len(done):
            piece = _encode_piece(flows[at : at + PIECE], version)
            if at == len(done) and isinstance(done, list):
                done += piece
            give_way()
        yield done[at : at + PIECE]
        at += PIECE
    if version not in kept:
        groups = tuple([encode_group(group, GroupCommand.ADD, version) for group in fragment.groups])
        kept[version] = EncodedFragment(groups, tuple(done))
        pieces.pop(version, None)


def _encode_piece(flows: Iterable[Flow], version: int) -> list[bytes]:
    """The same as :func:`encode_flow_add` of each, and their cookies are known afterwards: one pass over the bytes."""
    messages: list[bytes] = []
    heads = _Heads(version)
    for flow in flows:
        body = flow.body()
        content = content_hash(body)
        flow.__dict__["cookie"] = TAG | int.from_bytes(content, "big")
        messages.append(heads[len(body)] + content + body)
    return messages


class _Heads(dict[int, bytes]):
    """Length of a body -> what stands before the content hash in a flow-mod of the constant transaction id."""

    def __init__(self, version: int) -> None:
        self.version = _checked(version)

    def __missing__(self, length: int) -> bytes:
        head = self[length] = _HEADER.pack(self.version, FLOW_MOD, BODY_AT + length, XID) + _TAG
        return head


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
    return _make_add_prefix(bundle_id, len(message), version, flags, xid) + message


def bundle_adds(bundle_id: int, messages: Iterable[bytes], version: int) -> bytes:
    """Many messages (of the constant transaction id), each wrapped for the bundle, as one buffer."""
    prefixes = _Prefixes(bundle_id, version)
    return b"".join([piece for message in messages for piece in (prefixes[len(message)], message)])


class _Prefixes(dict[int, bytes]):
    """Length of a message -> what wraps it."""

    def __init__(self, bundle_id: int, version: int) -> None:
        self.bundle_id, self.version = bundle_id, version

    def __missing__(self, length: int) -> bytes:
        prefix = self[length] = _make_add_prefix(self.bundle_id, length, self.version, BUNDLE_FLAGS, XID)
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


def _flow_delete(
    version: int, command: int, cookie: int, mask: int, table: int, priority: int, match: bytes, xid: int
) -> bytes:
    head = (_checked(version), FLOW_MOD, _FLOW_MOD.size + len(match), xid, cookie, mask, table, command)
    return _FLOW_MOD.pack(*head, 0, 0, priority, ANY, ANY, ANY, 0, 0) + match


def _checked(version: int) -> int:
    if version not in VERSIONS:
        raise EncodeError(f"OpenFlow version {version} on the wire is not supported; 1.3 (4) and 1.4 (5) are")
    return version
