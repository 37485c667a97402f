"""What is asked of a switch and what it answers: groups, meters, bundle replies, errors.

The parsers take whole messages (header included) and look only at what a comparison needs, which makes them some
twenty times faster than building an object per action. A message that is not what it says raises
:class:`controller.errors.SwitchError`. Layouts: OpenFlow 1.3.5 and 1.4.1, section 7.3.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

from controller.dataplane import error_names
from controller.dataplane.encoder import (
    ALL_METERS,
    BUNDLE_ADD,
    BUNDLE_CONTROL,
    EXPERIMENTER,
    FLOW_MOD,
    GROUP_MOD,
    METER_MOD,
    ONF_BUNDLE_ADD,
    ONF_BUNDLE_CONTROL,
    ONF_VENDOR_ID,
    VERSIONS,
    XID,
)
from controller.errors import EncodeError, SwitchError

ERROR = 1
MULTIPART_REQUEST = 18
MULTIPART_REPLY = 19
MP_GROUP_DESC = 7
MP_METER_CONFIG = 10
REPLY_MORE = 1

_HEADER = struct.Struct("!BBHI")
_MULTIPART = struct.Struct("!BBHIHH4x")
_METER_CONFIG = struct.Struct("!HHI")
_GROUP_DESC = struct.Struct("!HBxI")
_ONF = struct.Struct("!II")
_BUNDLE = struct.Struct("!IHH")


class InstalledGroup(NamedTuple):
    """A group as a switch tells it; ``buckets`` compare with ``encoder.encode_buckets``."""

    type: int
    buckets: bytes


class GroupDescription(NamedTuple):
    """One group-desc reply: groups by id; ``more`` tells that another one follows."""

    groups: dict[int, InstalledGroup]
    more: bool


class BundleReply(NamedTuple):
    """A bundle-control message from the switch; ``kind`` is a ``encoder.BundleType``."""

    bundle_id: int
    kind: int


class ErrorMessage(NamedTuple):
    """An OFPT_ERROR. ``cookie``, ``group_id`` or ``meter_id`` name the flow, group or meter of the offending message
    (also in a bundle); ``about`` is the type of that message, None if the switch did not send it back."""

    xid: int
    kind: int
    code: int
    text: str
    cookie: int | None = None
    group_id: int | None = None
    about: int | None = None
    meter_id: int | None = None


def group_desc_request(version: int, xid: int = XID) -> bytes:
    """Ask for all groups with their buckets."""
    return _request(version, MP_GROUP_DESC, b"", xid)


def meter_config_request(version: int, xid: int = XID) -> bytes:
    """Ask for all meters with their bands."""
    return _request(version, MP_METER_CONFIG, struct.pack("!I4x", ALL_METERS), xid)


def parse_meter_config(message: bytes) -> dict[int, bytes]:
    """Meters by id, in one reply; the content compares with :meth:`controller.dataplane.values.Meter.encoded`."""
    _multipart(message, MP_METER_CONFIG)
    meters: dict[int, bytes] = {}
    offset, end = _MULTIPART.size, len(message)
    while offset < end:
        if end - offset < _METER_CONFIG.size:
            raise SwitchError("a meter-config reply ends within an entry")
        length, _flags, meter_id = _METER_CONFIG.unpack_from(message, offset)
        if length < _METER_CONFIG.size or offset + length > end:
            raise SwitchError("a meter-config reply has an entry with an impossible length")
        meters[meter_id] = bytes(message[offset + 2 : offset + 4] + message[offset + 8 : offset + length])
        offset += length
    return meters


def parse_group_desc(message: bytes) -> GroupDescription:
    """A group-desc reply."""
    more = _multipart(message, MP_GROUP_DESC)
    groups: dict[int, InstalledGroup] = {}
    offset, end = _MULTIPART.size, len(message)
    while offset < end:
        if end - offset < _GROUP_DESC.size:
            raise SwitchError("a group-desc reply ends within an entry")
        length, kind, group_id = _GROUP_DESC.unpack_from(message, offset)
        if length < _GROUP_DESC.size or offset + length > end:
            raise SwitchError("a group-desc reply has an entry with an impossible length")
        groups[group_id] = InstalledGroup(kind, bytes(message[offset + _GROUP_DESC.size : offset + length]))
        offset += length
    return GroupDescription(groups, more)


def parse_bundle_reply(message: bytes) -> BundleReply | None:
    """A bundle-control message of 1.4, or of the ONF extension; None if the message is something else."""
    if len(message) < _HEADER.size:
        raise SwitchError("a message is too short")
    kind, body = message[1], _HEADER.size
    if kind == EXPERIMENTER and message[8:16] == _ONF.pack(ONF_VENDOR_ID, ONF_BUNDLE_CONTROL):
        body += _ONF.size
    elif kind != BUNDLE_CONTROL:
        return None
    if len(message) < body + _BUNDLE.size:
        raise SwitchError("a bundle-control message is too short")
    bundle_id, what, _flags = _BUNDLE.unpack_from(message, body)
    return BundleReply(bundle_id, what)


def parse_error(message: bytes) -> ErrorMessage:
    """An error message, with the flow, group or meter it is about."""
    if len(message) < 12 or message[1] != ERROR:
        raise SwitchError("an error message is too short, or is no error message")
    _version, _type, _length, xid = _HEADER.unpack_from(message)
    kind, code = struct.unpack_from("!HH", message, 8)
    data = bytes(message[12:])
    if kind == error_names.EXPERIMENTER and len(data) >= 4:
        kind, text = _experimenter(code, data)
        data = data[4:]
        code = code - error_names.ONF_BUNDLE_BASE if kind == error_names.BUNDLE_FAILED else code
    else:
        text = error_names.error_name(kind, code)
    about = _about(data)
    cookie, group, meter = (about.get(what) for what in ("cookie", "group", "meter"))
    return ErrorMessage(xid, kind, code, text, cookie, group, about.get("type"), meter)


def _request(version: int, kind: int, body: bytes, xid: int) -> bytes:
    if version not in VERSIONS:
        raise EncodeError(f"OpenFlow version {version} on the wire is not supported")
    length = _MULTIPART.size + len(body)
    return _MULTIPART.pack(version, MULTIPART_REQUEST, length, xid, kind, 0) + body


def _multipart(message: bytes, expected: int) -> bool:
    """Check the headers; returns whether more replies follow."""
    if len(message) < _MULTIPART.size:
        raise SwitchError("a multipart reply is too short")
    _version, kind, length, _xid, what, flags = _MULTIPART.unpack_from(message)
    if kind != MULTIPART_REPLY or what != expected or length != len(message):
        raise SwitchError(
            f"a multipart reply of type {what} (message {kind}, {length} bytes) is not what was asked for"
        )
    return bool(flags & REPLY_MORE)


def _experimenter(code: int, data: bytes) -> tuple[int, str]:
    (vendor,) = struct.unpack_from("!I", data)
    if vendor == ONF_VENDOR_ID and 0 <= code - error_names.ONF_BUNDLE_BASE <= 15:
        kind = error_names.BUNDLE_FAILED
        return kind, error_names.error_name(kind, code - error_names.ONF_BUNDLE_BASE)
    return error_names.EXPERIMENTER, f"experimenter 0x{vendor:08x} error {code}"


def _about(data: bytes) -> Mapping[str, int]:
    """What an offending message (of which the switch may send back the first 64 bytes only) was about."""
    if len(data) < _HEADER.size:
        return {}
    kind = data[1]
    if kind == BUNDLE_ADD and len(data) > 16:
        return _about(data[16:])
    if kind == EXPERIMENTER and data[8:16] == _ONF.pack(ONF_VENDOR_ID, ONF_BUNDLE_ADD) and len(data) > 24:
        return _about(data[24:])
    if kind == FLOW_MOD and len(data) >= 16:
        return {"type": kind, "cookie": int.from_bytes(data[8:16], "big")}
    if kind == GROUP_MOD and len(data) >= 16:
        return {"type": kind, "group": int.from_bytes(data[12:16], "big")}
    if kind == METER_MOD and len(data) >= 16:
        return {"type": kind, "meter": int.from_bytes(data[12:16], "big")}
    return {"type": kind}
