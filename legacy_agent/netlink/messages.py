"""Netlink messages as bytes: what the hand-made parts (nftables, forwarding database) share."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

ERROR, DONE = 2, 3
REQUEST, ACKNOWLEDGE, DUMP = 0x1, 0x4, 0x300
REPLACE, CREATE, APPEND = 0x100, 0x400, 0x800

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_NESTED = 0x8000


def message(kind: int, sequence: int, flags: int, body: bytes) -> bytes:
    """A message with its padding."""
    header = _HEADER.pack(len(body) + _HEADER.size, kind, flags, sequence, 0)
    return header + body + bytes(-len(body) % 4)


class Received(NamedTuple):
    """A message that was received."""

    kind: int
    flags: int
    sequence: int
    body: bytes


def messages(data: bytes) -> Iterator[Received]:
    """The messages in what was received."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            return
        yield Received(kind, flags, sequence, data[offset + _HEADER.size : offset + length])
        offset += length + -length % 4


def error_code(body: bytes) -> int:
    """The errno in the body of an error message; 0 is an acknowledgement."""
    code: int = struct.unpack_from("=i", body)[0]
    return -code


def attribute(kind: int, payload: bytes) -> bytes:
    """An attribute with its padding."""
    length = len(payload) + _ATTRIBUTE.size
    return _ATTRIBUTE.pack(length, kind) + payload + bytes(-length % 4)


def nested(kind: int, *members: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | _NESTED, b"".join(members))


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes in some bytes, kind and content; ends at the first that cannot be one."""
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            return
        yield kind & 0x3FFF, data[offset + _ATTRIBUTE.size : offset + length]
        offset += length + -length % 4
