"""The messages that only the southbound asks for and reads: features, description, flow counts, whole flow entries.

Layouts are those of OpenFlow 1.3.5 and 1.4.1, section 7.3, which are alike here. Everything else on the wire is in
``controller.dataplane.encoder`` and ``controller.dataplane.messages``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from controller.dataplane.encoder import ALL_TABLES, ANY, NO_MATCH, OF13, OF14, InstalledFlow
from controller.dataplane.messages import MULTIPART_REPLY, MULTIPART_REQUEST, REPLY_MORE
from controller.errors import SwitchError
from controller.turns import in_turns

VERSION_NAMES = {OF13: "1.3", OF14: "1.4"}

ERROR = 1
EXPERIMENTER = 4
FEATURES_REQUEST = 5
FEATURES_REPLY = 6
BARRIER_REPLY = 21
BUNDLE_CONTROL = 33

MP_DESC = 0
MP_FLOW = 1
MP_METER_FEATURES = 11
MP_PORT_DESC = 13

FEATURES_SIZE = 32
"""Bytes of a features reply."""

_HEADER = struct.Struct("!BBHI")
_MULTIPART = struct.Struct("!HH4x")
_FLOW_REQUEST = struct.Struct("!B3xII4xQQ")
_FLOW_ENTRY = struct.Struct("!HBx8xH10xQQ8x2xH")
_METER_FEATURES = struct.Struct("!III")
_DROP_BAND, _PKTPS_AND_BURST = 1 << 1, 1 << 1 | 1 << 2
_PORT = struct.Struct("!IH10x16s4xI")
_PORT_SIZES = {OF13: 64, OF14: 72}
"""Least bytes of a port: section 7.2.1."""
_MATCH_AT = 48
_TEXT = 256
"""Bytes of each text of a description."""
PARTS_AT = 16
"""Where the content of a multipart reply begins."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a switch says of its make."""

    manufacturer: str = ""
    hardware: str = ""
    software: str = ""

    @property
    def is_open_vswitch(self) -> bool:
        """Whether the Nicira extensions may be used."""
        return "open vswitch" in self.hardware.lower() or "nicira" in self.manufacturer.lower()


class PortDescription(NamedTuple):
    """What is needed of a port that a switch describes; named as in os-ken."""

    port_no: int
    name: bytes
    state: int


class FlowEntry(NamedTuple):
    """An installed flow with its instructions in the switch's own bytes."""

    flow: InstalledFlow
    instructions: bytes


def features_request(version: int, xid: int) -> bytes:
    """Ask for the features."""
    return _HEADER.pack(version, FEATURES_REQUEST, 8, xid)


def multipart_request(version: int, xid: int, kind: int, body: bytes = b"") -> bytes:
    """Any multipart request."""
    return _HEADER.pack(version, MULTIPART_REQUEST, 16 + len(body), xid) + _MULTIPART.pack(kind, 0) + body


def flow_selection(table: int = ALL_TABLES, cookie: int = 0, mask: int = 0) -> bytes:
    """The body of a flow request: flows of a table whose cookie equals ``cookie`` under ``mask``."""
    return _FLOW_REQUEST.pack(table, ANY, ANY, cookie, mask) + NO_MATCH


def has_more(message: bytes) -> bool | None:
    """Whether more parts of this multipart reply follow; None if it is none."""
    if message[1] != MULTIPART_REPLY or len(message) < PARTS_AT:
        return None
    return bool(_MULTIPART.unpack_from(message, 8)[1] & REPLY_MORE)


def flow_entries(parts: Sequence[bytes]) -> list[FlowEntry]:
    """The entries of all parts of a flow dump. Only what a comparison needs is looked at, which is some twenty times
    faster than building an object per action. Raises :class:`SwitchError`."""
    if len(parts) == 1:
        return _entries(parts[0])
    return [entry for part in in_turns(parts) for entry in _entries(part)]


def _entries(part: bytes) -> list[FlowEntry]:
    entries: list[FlowEntry] = []
    at, end = PARTS_AT, len(part)
    while at < end:
        if end - at < _FLOW_ENTRY.size:
            raise SwitchError("a flow-stats reply ends within an entry")
        length, table, priority, cookie, packets, matched = _FLOW_ENTRY.unpack_from(part, at)
        start, stop = at + _MATCH_AT, at + _MATCH_AT + (matched + 7) // 8 * 8
        if matched < 4 or stop > at + length or at + length > end:
            raise SwitchError("a flow-stats reply has an entry with an impossible length")
        flow = InstalledFlow(cookie, table, priority, part[start:stop], packets)
        entries.append(FlowEntry(flow, part[stop : at + length]))
        at += length
    return entries


def port_descriptions(version: int, part: bytes) -> Iterator[PortDescription]:
    """The ports of one part of a port description."""
    at, end, least = PARTS_AT, len(part), _PORT_SIZES[version]
    while at < end:
        if end - at < least:
            raise SwitchError("a description of ports ends within a port")
        number, length, name, state = _PORT.unpack_from(part, at)
        size = least if version == OF13 else length
        if size < _PORT.size:
            raise SwitchError(f"port {number} is described in {size} bytes")
        yield PortDescription(number, name, state)
        at += size


def highest_meter(part: bytes) -> int:
    """The highest meter id, of a switch whose meters can drop by packets per second with a burst; else 0, also of an
    error."""
    if part[1] != MULTIPART_REPLY or len(part) < PARTS_AT + _METER_FEATURES.size:
        return 0
    highest, bands, capabilities = _METER_FEATURES.unpack_from(part, PARTS_AT)
    usable = bands & _DROP_BAND and capabilities & _PKTPS_AND_BURST == _PKTPS_AND_BURST
    return highest if usable else 0


def description(part: bytes) -> Description:
    """A switch description. Many switches are of the same make, and say so in the same words."""
    return _description(part[PARTS_AT : PARTS_AT + 3 * _TEXT])


@lru_cache(maxsize=64)
def _description(said: bytes) -> Description:
    texts = [said[start : start + _TEXT].split(b"\0", 1)[0] for start in (0, _TEXT, 2 * _TEXT)]
    return Description(*(text.decode("utf-8", "replace") for text in texts))
