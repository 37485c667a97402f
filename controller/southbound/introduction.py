"""The first words with a switch: the version, what it is, and what its stamp says. Bytes and values only.

All are asked in one go as soon as the version of the protocol is agreed upon, with transaction ids of their own, so
that their bytes are the same for every switch. The ports come last: when they are known, so is mostly all the rest.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from controller.dataplane.encoder import BundleType, bundle_control
from controller.dataplane.messages import MULTIPART_REPLY, parse_bundle_reply
from controller.southbound import wire
from mechanisms.openflow import stamp

FEATURES, DESCRIPTION, OPENED, DISCARDED, METERS, STAMPS, PORTS = XIDS = range(1, 8)
"""Transaction ids."""

OWN = frozenset(XIDS) - {FEATURES, PORTS}
"""Questions whose answers are read here."""

UNIMPORTANT = frozenset({METERS})
"""Questions that need no answer: a switch that has not said that it has meters when all the rest is said has none."""

LAST_XID = XIDS[-1]

PROBE = 0x1570
"""The id of the bundle that is opened, and thrown away, to see whether the switch has bundles."""

_ELEMENT = struct.Struct("!HH")
_VERSION_BITMAP = 1
_MULTIPARTS = {
    xid: kind.to_bytes(2, "big")
    for xid, kind in ((DESCRIPTION, wire.MP_DESC), (METERS, wire.MP_METER_FEATURES), (STAMPS, wire.MP_FLOW))
}
"""Question -> the kind of multipart reply that answers it, as bytes."""


class Introduction(NamedTuple):
    """What a switch says of itself besides features and ports: make, whether it has bundles, what is in the table of
    the stamp (None: it refused to say), and the highest meter id (0: no meters that we could use)."""

    description: wire.Description
    bundles: bool
    stamps: Sequence[wire.FlowEntry] | None
    meters: int = 0


@cache
def questions(version: int) -> bytes:
    """All of them."""
    return b"".join([
        wire.features_request(version, FEATURES),
        wire.multipart_request(version, DESCRIPTION, wire.MP_DESC),
        bundle_control(PROBE, BundleType.OPEN_REQUEST, version, xid=OPENED),
        bundle_control(PROBE, BundleType.DISCARD_REQUEST, version, xid=DISCARDED),
        wire.multipart_request(version, METERS, wire.MP_METER_FEATURES),
        wire.multipart_request(version, STAMPS, wire.MP_FLOW, wire.flow_selection(stamp.TABLE)),
        wire.multipart_request(version, PORTS, wire.MP_PORT_DESC),
    ])  # fmt: skip


def _answers(xid: int, message: bytes) -> bool:
    """Whether a message is of a kind that may answer the question."""
    kind = message[1]
    if kind == wire.ERROR:
        return True
    if xid in _MULTIPARTS:
        return kind == MULTIPART_REPLY and message[8:10] == _MULTIPARTS[xid]
    return kind in (wire.EXPERIMENTER, wire.BUNDLE_CONTROL)


class Introducing:
    """Collects the answers. Features and ports are somebody else's: whoever reads those gives only the others."""

    def __init__(self) -> None:
        self._parts: dict[int, list[bytes]] = {}
        self._missing = set(OWN)
        self._then: Callable[[Introduction], None] | None = None

    @property
    def complete(self) -> bool:
        """Whether everything is answered that must be."""
        return self._missing <= UNIMPORTANT

    def take(self, xid: int, message: bytes) -> bool:
        """Take a message if it answers a question. Raises :class:`controller.errors.SwitchError` with the last, if
        what was said cannot be read."""
        if xid not in self._missing or not _answers(xid, message):
            return False
        self._parts.setdefault(xid, []).append(message)
        if not wire.has_more(message):
            self._missing.discard(xid)
            if xid not in UNIMPORTANT and self.complete and self._then is not None:
                self._then(self.result())
        return True

    def when_complete(self, then: Callable[[Introduction], None]) -> None:
        """Call it with what was said, now or as soon as that is complete. Raises SwitchError likewise."""
        self._then = then
        if self.complete:
            then(self.result())

    def result(self) -> Introduction:
        """What was said. Raises SwitchError."""
        made, opened, stamps = self._parts[DESCRIPTION], self._parts[OPENED], self._parts[STAMPS]
        bundle = None if opened[-1][1] == wire.ERROR else parse_bundle_reply(opened[-1])
        return Introduction(
            wire.Description() if made[-1][1] == wire.ERROR else wire.description(made[0]),
            bundle is not None and bundle.kind == BundleType.OPEN_REPLY,
            None if stamps[-1][1] == wire.ERROR else wire.flow_entries(stamps),
            wire.highest_meter(self._parts[METERS][-1]) if METERS not in self._missing else 0,
        )


@lru_cache(maxsize=256)
def agreed_version(version: int, elements: bytes, ours: frozenset[int]) -> int | None:
    """The version to speak with a peer that said hello with these elements (OpenFlow 1.4.1, section 6.3.1); None if
    there is none, or the peer would take another for agreed upon."""
    theirs = _bitmap(elements)
    if theirs is None:
        agreed = min(version, max(ours))
        return agreed if agreed in ours else None
    highest = max((item for item in theirs if item <= max(ours)), default=None)
    return highest if highest in ours else None


def _bitmap(elements: bytes) -> frozenset[int] | None:
    """The versions in the bitmaps of a greeting; None if it has none."""
    at, found = 0, set()
    while len(elements) - at >= 4:
        kind, length = _ELEMENT.unpack_from(elements, at)
        if length < 4:
            break
        if kind == _VERSION_BITMAP:
            words = elements[at + 4 : at + length]
            found |= {8 * (place ^ 3) + bit for place, byte in enumerate(words) for bit in range(8) if byte >> bit & 1}
        at += (length + 7) // 8 * 8
    return frozenset(found) or None
