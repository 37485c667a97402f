"""What a simulated switch holds: flows by table, priority and match, and groups by id, as the bytes that brought them.

Entries are shared by all switches of a process: thousands of switches that carry the same networks hold the same few
entries. Layouts: OpenFlow 1.3.5 and 1.4.1, section 7.3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

FLOW_MOD, GROUP_MOD, METER_MOD = 14, 15, 29
ADD, MODIFY, MODIFY_STRICT, DELETE, DELETE_STRICT = range(5)
ALL_TABLES, ALL_GROUPS, ANY = 0xFF, 0xFFFFFFFC, 0xFFFFFFFF
MATCH_AT = 48

FLOW_MOD_FAILED, GROUP_MOD_FAILED, BAD_ACTION, METER_MOD_FAILED = 5, 6, 2, 12
TABLE_FULL, BAD_TABLE_ID = 1, 2
GROUP_EXISTS, UNKNOWN_GROUP, BAD_OUT_GROUP = 0, 8, 9
METER_EXISTS, INVALID_METER, UNKNOWN_METER = 1, 2, 3

_NO_TIMEOUTS, _NO_EXTRAS = bytes(5), b"\xff" * 12 + bytes(4)
_FLOW_ENTRY = struct.Struct("!HBxIIHHHH4xQQQ")
_GROUP_ENTRY = struct.Struct("!HBxI")
_TO_GROUP, _TO_METER = struct.pack("!HH", 22, 8), struct.pack("!HH", 6, 8)
_MOST_SHARED = 1_000_000


class Refused(Exception):
    """The switch refuses a modification: type and code of the OpenFlow error."""

    def __init__(self, kind: int, code: int) -> None:
        super().__init__(f"error {kind}/{code}")
        self.kind, self.code = kind, code


class Entry(NamedTuple):
    """A flow entry. ``key`` is table, priority and match; ``body`` match and instructions as they came."""

    key: bytes
    cookie: int
    table: int
    priority: int
    body: bytes
    groups: tuple[int, ...]
    meters: tuple[int, ...]


class Tables:
    """The flow, group and meter tables of one switch."""

    _shared: dict[bytes, Entry] = {}  # noqa: RUF012 (one for the process is what it is for)

    def __init__(self, tables: int = 254, capacity: int | None = None) -> None:
        self.tables, self.capacity = tables, capacity
        self.flows: dict[bytes, Entry] = {}
        self.groups: dict[int, tuple[int, bytes]] = {}
        self.meters: dict[int, bytes] = {}
        """By id: flags and bands."""

    def copy(self) -> Tables:
        """The same content, to be changed on its own."""
        other = Tables(self.tables, self.capacity)
        other.flows, other.groups, other.meters = dict(self.flows), dict(self.groups), self.meters
        return other

    def adopt(self, other: Tables) -> None:
        """Take over the content of a changed copy."""
        self.flows, self.groups = other.flows, other.groups

    def modify(self, message: bytes) -> None:
        """Carry out a flow-mod, group-mod or meter-mod. Raises :class:`Refused`."""
        if message[1] == GROUP_MOD:
            self._modify_group(message)
        elif message[1] == METER_MOD:
            self._modify_meter(message)
        elif message[25] == ADD:
            self._add(message)
        else:
            self._modify_flows(message)

    def select(self, table: int, cookie: int, mask: int) -> Iterator[Entry]:
        """The flows of a table (:data:`ALL_TABLES`: of all) whose cookie equals ``cookie`` under ``mask``."""
        wanted = cookie & mask
        for entry in self.flows.values():
            if table in (ALL_TABLES, entry.table) and entry.cookie & mask == wanted:
                yield entry

    def cookies(self) -> set[int]:
        """The cookies of all flows."""
        return {entry.cookie for entry in self.flows.values()}

    def _add(self, message: bytes) -> None:
        entry = self._shared.get(message)
        if entry is None:
            entry = self._share(message)
        if entry.table >= self.tables:
            raise Refused(FLOW_MOD_FAILED, BAD_TABLE_ID)
        if entry.groups and not all(group in self.groups for group in entry.groups):
            raise Refused(BAD_ACTION, BAD_OUT_GROUP)
        if entry.meters and not all(meter in self.meters for meter in entry.meters):
            raise Refused(METER_MOD_FAILED, INVALID_METER)
        if self.capacity is not None and len(self.flows) >= self.capacity and entry.key not in self.flows:
            raise Refused(FLOW_MOD_FAILED, TABLE_FULL)
        self.flows[entry.key] = entry

    def _share(self, message: bytes) -> Entry:
        if len(self._shared) > _MOST_SHARED:
            self._shared.clear()
        entry = self._shared[message] = _entry(message)
        return entry

    def _modify_flows(self, message: bytes) -> None:
        """Strict and loose deletion, filtered by cookie; modification of instructions."""
        command, pattern = message[25], _entry(message)
        mask = int.from_bytes(message[16:24], "big")
        if command in (DELETE_STRICT, MODIFY_STRICT):
            found = self.flows.get(pattern.key)
            chosen = [found] if found is not None and (found.cookie ^ pattern.cookie) & mask == 0 else []
        else:
            chosen = list(self.select(pattern.table, pattern.cookie, mask))
        for entry in chosen:
            if command in (DELETE, DELETE_STRICT):
                del self.flows[entry.key]
            else:
                instructions = pattern.body[_padded_match(pattern.body, 0) :]
                match = entry.body[: _padded_match(entry.body, 0)]
                self.flows[entry.key] = entry._replace(
                    body=match + instructions, groups=pattern.groups, meters=pattern.meters
                )

    def _modify_group(self, message: bytes) -> None:
        command, kind, group = struct.unpack_from("!HBxI", message, 8)
        if command == ADD and group in self.groups:
            raise Refused(GROUP_MOD_FAILED, GROUP_EXISTS)
        if command == MODIFY and group not in self.groups:
            raise Refused(GROUP_MOD_FAILED, UNKNOWN_GROUP)
        if command in (ADD, MODIFY):
            self.groups[group] = (kind, message[16:])
            return
        gone = set(self.groups) if group == ALL_GROUPS else {group} & self.groups.keys()
        for number in gone:
            del self.groups[number]
        if gone:
            self.flows = {key: entry for key, entry in self.flows.items() if not gone.intersection(entry.groups)}

    def _modify_meter(self, message: bytes) -> None:
        command, flags, meter = struct.unpack_from("!H2sI", message, 8)
        if command == ADD and meter in self.meters:
            raise Refused(METER_MOD_FAILED, METER_EXISTS)
        if command == MODIFY and meter not in self.meters:
            raise Refused(METER_MOD_FAILED, UNKNOWN_METER)
        if command in (ADD, MODIFY):
            self.meters[meter] = flags + message[16:]
        elif self.meters.pop(meter, None) is not None:
            self.flows = {key: entry for key, entry in self.flows.items() if meter not in entry.meters}


def flow_stats(entry: Entry) -> bytes:
    """The entry in a flow-stats reply."""
    return _FLOW_ENTRY.pack(48 + len(entry.body), entry.table, 1, 0, entry.priority, 0, 0, 0, entry.cookie, 0, 0) + (
        entry.body
    )


def group_description(number: int, kind: int, buckets: bytes) -> bytes:
    """The group in a group-desc reply."""
    return _GROUP_ENTRY.pack(8 + len(buckets), kind, number) + buckets


def meter_configuration(number: int, content: bytes) -> bytes:
    """The meter in a meter-config reply."""
    return struct.pack("!H2sI", 6 + len(content), content[:2], number) + content[2:]


def _entry(message: bytes) -> Entry:
    stop = _padded_match(message, MATCH_AT)
    if stop > len(message):
        raise Refused(4, 0)
    plain = message[25:30] == _NO_TIMEOUTS and message[32:48] == _NO_EXTRAS
    key = message[24:stop] if plain else (
        message[24:25] + _NO_TIMEOUTS + message[30:32] + _NO_EXTRAS + message[MATCH_AT:stop]
    )  # fmt: skip
    return Entry(
        key, int.from_bytes(message[8:16], "big"), message[24], int.from_bytes(message[30:32], "big"),
        message[MATCH_AT:], tuple(_named(_TO_GROUP, message[stop:])),
        tuple(_named(_TO_METER, message[stop : stop + 8])),
    )  # fmt: skip


def _padded_match(data: bytes, at: int) -> int:
    """Where the match that begins at ``at`` ends."""
    return at + (int.from_bytes(data[at + 2 : at + 4], "big") + 7) // 8 * 8


def _named(how: bytes, instructions: bytes) -> Iterator[int]:
    """The groups or meters that instructions name; they and actions are aligned to eight bytes."""
    at = instructions.find(how)
    while at >= 0:
        if at % 8 == 0:
            yield int.from_bytes(instructions[at + 4 : at + 8], "big")
        at = instructions.find(how, at + 4)
