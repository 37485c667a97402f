"""The bridges' and VXLAN devices' forwarding databases by their own netlink messages.

There may be thousands of entries (one per remote MAC), and the agent compares all of them on every event: built and
read here they cost microseconds each, by pyroute2 two hundred. Layout: ``linux/neighbour.h``.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from legacy_agent.netlink.errors import KernelError
from legacy_agent.netlink.messages import (
    ACKNOWLEDGE,
    APPEND,
    CREATE,
    ERROR,
    REPLACE,
    REQUEST,
    attribute,
    attributes,
    error_code,
    message,
)
from legacy_agent.netlink.route import RouteSocket

FLOOD_MAC = "00:00:00:00:00:00"
"""Key of a VXLAN device's entries for broadcast and unknown destinations."""

_NEW, _DELETE, _GET = 28, 29, 30
_AF_BRIDGE = 7
_SELF, _MASTER, _LEARNED_ELSEWHERE, _STICKY = 0x02, 0x04, 0x10, 0x40
_REACHABLE, _STATIC, _PERMANENT = 0x02, 0x40, 0x80
_REMOTE, _MAC, _BRIDGE = 1, 2, 9
_ENTRY = struct.Struct("=BxxxiHBB")
_BATCH = 128
"""Requests per write: their replies must fit the socket's receive buffer."""


@dataclass(frozen=True, slots=True, order=True)
class FdbEntry:
    """A static forwarding entry. With ``remote``: of the VXLAN device itself (MAC -> endpoint, :data:`FLOOD_MAC` once
    per peer). Without: of the bridge (MAC -> port)."""

    device: str
    mac: str
    remote: str | None = None


class ForwardingDatabase:
    """The forwarding databases of the network namespace of ``route``."""

    def __init__(self, route: RouteSocket) -> None:
        self._route = route

    def dump(self, names: Mapping[int, str]) -> frozenset[FdbEntry]:
        """Static entries of the interfaces in ``names`` (number -> name); learned ones and the devices' own addresses
        are left out."""
        found = self._route.dump(_GET, _ENTRY.pack(_AF_BRIDGE, 0, 0, 0, 0), "list the forwarding database")
        return frozenset(entry for body in found if (entry := _read(body, names)) is not None)

    def add(self, entries: Sequence[FdbEntry]) -> dict[FdbEntry, KernelError]:
        """Add entries; a MAC that is known elsewhere moves. Returns what failed."""
        return self._change(entries, _NEW)

    def remove(self, entries: Sequence[FdbEntry]) -> dict[FdbEntry, KernelError]:
        """Remove entries; those that are gone already are fine. Returns what failed."""
        failed = self._change(entries, _DELETE)
        return {entry: error for entry, error in failed.items() if error.code not in (errno.ENOENT, errno.ENODEV)}

    def _change(self, entries: Sequence[FdbEntry], kind: int) -> dict[FdbEntry, KernelError]:
        failed: dict[FdbEntry, KernelError] = {}
        for start in range(0, len(entries), _BATCH):
            failed.update(self._batch(entries[start : start + _BATCH], kind))
        return failed

    def _batch(self, entries: Sequence[FdbEntry], kind: int) -> dict[FdbEntry, KernelError]:
        sent: dict[int, FdbEntry] = {}
        failed: dict[FdbEntry, KernelError] = {}
        requests = []
        for entry in entries:
            try:
                body = _write(entry)
            except OSError as error:
                failed[entry] = KernelError(f"interface {entry.device} does not exist", error.errno or errno.ENODEV)
                continue
            sequence = self._route.next()
            sent[sequence] = entry
            flags = REQUEST | ACKNOWLEDGE | (_flags(entry) if kind == _NEW else 0)
            requests.append(message(kind, sequence, flags, body))
        if requests:
            self._route.send(b"".join(requests))
        return failed | self._answers(sent, "add" if kind == _NEW else "remove")

    def _answers(self, waiting: dict[int, FdbEntry], what: str) -> dict[FdbEntry, KernelError]:
        failed: dict[FdbEntry, KernelError] = {}
        while waiting:
            for kind, _, sequence, body in self._route.receive(f"{what} forwarding entries"):
                entry = waiting.pop(sequence, None) if kind == ERROR else None
                if entry is not None and (code := error_code(body)):
                    text = f"cannot {what} forwarding entry {entry.mac} on {entry.device}: {os.strerror(code)}"
                    failed[entry] = KernelError(text, code)
        return failed


def _flags(entry: FdbEntry) -> int:
    return CREATE | (APPEND if entry.mac == FLOOD_MAC else REPLACE)


def _write(entry: FdbEntry) -> bytes:
    number = socket.if_nametoindex(entry.device)
    mac = attribute(_MAC, bytes.fromhex(entry.mac.replace(":", "")))
    if entry.remote is None:
        return _ENTRY.pack(_AF_BRIDGE, number, _STATIC | _REACHABLE, _MASTER | _STICKY, 0) + mac
    remote = attribute(_REMOTE, ipaddress.ip_address(entry.remote).packed)
    return _ENTRY.pack(_AF_BRIDGE, number, _STATIC | _PERMANENT, _SELF, 0) + mac + remote


def _read(body: bytes, names: Mapping[int, str]) -> FdbEntry | None:
    _, number, state, flags, _ = _ENTRY.unpack_from(body)
    if number not in names or flags & _LEARNED_ELSEWHERE or not state & (_STATIC | _PERMANENT):
        return None
    parts = dict(attributes(body[_ENTRY.size :]))
    if _MAC not in parts:
        return None
    mac = parts[_MAC].hex(":")
    if _REMOTE in parts:
        return FdbEntry(names[number], mac, str(ipaddress.ip_address(parts[_REMOTE]))) if state & _PERMANENT else None
    is_static = _BRIDGE in parts and not state & _PERMANENT
    return FdbEntry(names[number], mac) if is_static else None
