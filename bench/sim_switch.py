"""One simulated OpenFlow 1.3 or 1.4 switch: bytes in, bytes out. It knows neither sockets nor time.

It answers what controllers ask of real switches (features, description, ports, flow and group statistics, barriers,
bundles of 1.4 or of the ONF extension, roles, echo) from tables that it really keeps, and can be told to misbehave.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bench import sim_tables
from bench.sim_tables import FLOW_MOD, GROUP_MOD, METER_MOD, Refused, Tables

HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, EXPERIMENTER, FEATURES_REQUEST = range(6)
CONFIG_REQUEST, CONFIG_REPLY = 7, 8
MULTIPART_REQUEST, MULTIPART_REPLY, BARRIER_REQUEST, BARRIER_REPLY = 18, 19, 20, 21
ROLE_REQUEST, ROLE_REPLY, ROLE_STATUS = 24, 25, 30
BUNDLE_CONTROL, BUNDLE_ADD = 33, 34
SILENTLY_TAKEN = frozenset({HELLO, ERROR, 9, 13, 16, 17, 28})
"""Set-config, packet-out, port-mod, table-mod and set-async have no answer."""

DESC, FLOW, AGGREGATE, GROUP_DESC, METER_CONFIG, METER_FEATURES, TABLE_FEATURES, PORT_DESC = 0, 1, 2, 7, 10, 11, 12, 13
ONF, ONF_CONTROL, ONF_ADD = 0x4F4E4600, 2300, 2301
OPEN, CLOSE, COMMIT, DISCARD = 0, 2, 4, 6
BAD_REQUEST, BUNDLE_FAILED = 1, 17
BAD_TYPE, BAD_EXPERIMENTER, BAD_MULTIPART = 1, 3, 2
BAD_BUNDLE, MESSAGE_UNSUPPORTED, MESSAGE_FAILED = 4, 10, 12
UNKNOWN_FAILURE = 0
IS_SLAVE = 10
ROLE_FAILED, STALE = 11, 0
NO_CHANGE, EQUAL, MASTER, SLAVE = range(4)
NO_GENERATION = (1 << 64) - 1
BAD_ACTION, BAD_ARGUMENT = 2, 5

LARGEST = 60_000
"""Bytes in one part of a multipart reply."""

_HEADER = struct.Struct("!BBHI")


@dataclass(frozen=True, slots=True)
class Make:
    """What a switch is: OpenFlow version (4 is 1.3, 5 is 1.4), how it describes itself, tables, and whether it has
    bundles. ``meters`` is the highest meter id, 0 without meters; ``ports`` maps port number -> name."""

    version: int = 5
    manufacturer: str = "Nicira, Inc."
    hardware: str = "Open vSwitch"
    software: str = "3.1.0"
    tables: int = 254
    bundles: bool = True
    capacity: int | None = None
    meters: int = 1 << 18
    ports: dict[int, str] = field(default_factory=dict)


GENERIC = ("Simulated Inc.", "Generic switch", "1.0")
"""Manufacturer, hardware and software of a switch without the extensions of Open vSwitch."""


@dataclass(slots=True)
class Faults:
    """How a switch misbehaves; may be changed at any time.

    ``refuse_flow``: the number (from 1, over its life) of the flow-mod that it refuses with "table full".
    ``drop_after_flows``: it closes the connection after so many flow-mods (once). ``garbage_after_flows``: it sends
    bytes that are no OpenFlow (once). ``mute``: it reads and never answers. ``delay``: seconds before every answer.
    ``deaf``: it reads nothing, so that its receive window fills. ``no_echo``: it does not answer echo requests.
    ``refuse_with``: it refuses every flow-mod that contains these bytes (hexadecimal) with "bad argument".
    ``fail_commits``: so many commits of bundles fail without a word of which message was at fault.
    """

    refuse_flow: int | None = None
    drop_after_flows: int | None = None
    garbage_after_flows: int | None = None
    mute: bool = False
    delay: float = 0.0
    deaf: bool = False
    no_echo: bool = False
    refuse_with: str = ""
    fail_commits: int = 0


class Dropped(Exception):
    """The switch closes the connection."""


@dataclass(slots=True)
class Counters:
    """What happened since the counters were last cleared."""

    messages: int = 0
    bytes: int = 0
    flow_mods: int = 0
    group_mods: int = 0
    flow_dumps: int = 0
    errors: int = 0


class SimSwitch:
    """A switch. Its tables outlive its connections."""

    def __init__(self, datapath_id: int, make: Make) -> None:
        self.datapath_id, self.make = datapath_id, make
        self.faults, self.counters = Faults(), Counters()
        self.tables = Tables(make.tables, make.capacity)
        self.role = EQUAL
        self._generation: int | None = None
        self._bundles: dict[int, list[bytes] | None] = {}
        """By id; None: one of its messages was refused, so that it can only be discarded."""
        self._flow_mods = 0

    def greet(self) -> bytes:
        """The first bytes on a new connection."""
        self._bundles.clear()
        self.role = EQUAL
        version = self.make.version
        bitmap = struct.pack("!HHI", 1, 8, 1 << version)
        return _HEADER.pack(version, HELLO, 16, 0) + bitmap

    def receive(self, message: bytes) -> Sequence[bytes]:
        """The answers to one message. Raises :class:`Dropped`."""
        self.counters.messages += 1
        self.counters.bytes += len(message)
        kind = message[1]
        if self.role == SLAVE and kind in (FLOW_MOD, GROUP_MOD, METER_MOD, BUNDLE_CONTROL, BUNDLE_ADD):
            return (self._refusal(message, BAD_REQUEST, IS_SLAVE),)
        if kind == BUNDLE_ADD:
            return self._bundle_add(message, 8)
        if kind in (FLOW_MOD, GROUP_MOD) or (kind == METER_MOD and self.make.meters):
            return self._modify(message)
        if self.faults.mute or kind in SILENTLY_TAKEN or kind == ECHO_REPLY:
            return ()
        return self._answer(kind, message)

    def echo_request(self, payload: bytes) -> bytes:
        """A question to the controller."""
        return self._message(ECHO_REQUEST, 0, payload)

    def port_status(self, number: int, name: str, up: bool) -> bytes:
        """Tell that a port's link changed."""
        return self._message(12, 0, struct.pack("!B7x", 2) + self._port(number, name, up))

    def _answer(self, kind: int, message: bytes) -> Sequence[bytes]:
        xid = int.from_bytes(message[4:8], "big")
        if kind == ECHO_REQUEST:
            if self.faults.no_echo:
                return ()
            return (self._message(ECHO_REPLY, xid, message[8:]),)
        if kind == FEATURES_REQUEST:
            body = struct.pack("!QIBB2xII", self.datapath_id, 0, self.make.tables, 0, 0x4F, 0)
            return (self._message(6, xid, body),)
        if kind == CONFIG_REQUEST:
            return (self._message(CONFIG_REPLY, xid, struct.pack("!HH", 0, 0xFFFF)),)
        if kind == BARRIER_REQUEST:
            return (self._message(BARRIER_REPLY, xid),)
        if kind == ROLE_REQUEST:
            return self._role(xid, message)
        if kind == MULTIPART_REQUEST:
            return self._multipart(xid, message)
        if kind == EXPERIMENTER:
            return self._experimenter(xid, message)
        if kind == BUNDLE_CONTROL:
            return self._bundle_control(xid, message, 8)
        return (self._error(xid, BAD_REQUEST, BAD_TYPE, message),)

    def _role(self, xid: int, message: bytes) -> Sequence[bytes]:
        """A role request; the generation of masters and slaves must not go back."""
        role, generation = struct.unpack_from("!I4xQ", message, 8)
        if role in (MASTER, SLAVE):
            if self._generation is not None and (generation - self._generation) & 1 << 63:
                return (self._error(xid, ROLE_FAILED, STALE, message),)
            self._generation = generation
        self.role = self.role if role == NO_CHANGE else role
        known = NO_GENERATION if self._generation is None else self._generation
        return (self._message(ROLE_REPLY, xid, struct.pack("!I4xQ", self.role, known)),)

    def lose_mastery(self, generation: int) -> bytes:
        """Another controller became master; what this one is told (from 1.4 on)."""
        self.role, self._generation = SLAVE, generation
        return (
            self._message(ROLE_STATUS, 0, struct.pack("!IB3xQ", SLAVE, 0, generation))
            if self.make.version > 4
            else b""
        )

    # -- modifications -------------------------------------------------------------------------------------------

    def _modify(self, message: bytes) -> Sequence[bytes]:
        refusal = self._misbehave(message)
        if not refusal:
            try:
                self.tables.modify(message)
            except Refused as problem:
                refusal = [self._refusal(message, problem.kind, problem.code)]
        return refusal

    def _misbehave(self, message: bytes) -> list[bytes]:
        """Count a modification; what the faults say about it."""
        if message[1] == GROUP_MOD:
            self.counters.group_mods += 1
            return []
        if message[1] == METER_MOD:
            return []
        self.counters.flow_mods += 1
        self._flow_mods += 1
        faults = self.faults
        if faults.drop_after_flows is not None and self._flow_mods >= faults.drop_after_flows:
            faults.drop_after_flows = None
            raise Dropped
        if faults.garbage_after_flows is not None and self._flow_mods >= faults.garbage_after_flows:
            faults.garbage_after_flows = None
            return [bytes(range(255, 191, -1))]
        if faults.refuse_with and bytes.fromhex(faults.refuse_with) in message:
            return [self._refusal(message, BAD_ACTION, BAD_ARGUMENT)]
        if faults.refuse_flow == self._flow_mods:
            return [self._refusal(message, sim_tables.FLOW_MOD_FAILED, sim_tables.TABLE_FULL)]
        return []

    def _refusal(self, message: bytes, kind: int, code: int) -> bytes:
        return self._error(int.from_bytes(message[4:8], "big"), kind, code, message)

    # -- bundles -------------------------------------------------------------------------------------------------

    def _experimenter(self, xid: int, message: bytes) -> Sequence[bytes]:
        vendor, kind = struct.unpack_from("!II", message, 8) if len(message) >= 16 else (0, 0)
        if vendor == ONF and self.make.bundles and kind == ONF_CONTROL:
            return self._bundle_control(xid, message, 16)
        if vendor == ONF and self.make.bundles and kind == ONF_ADD:
            return self._bundle_add(message, 16)
        return (self._error(xid, BAD_REQUEST, BAD_EXPERIMENTER, message),)

    def _bundle_add(self, message: bytes, at: int) -> Sequence[bytes]:
        number = int.from_bytes(message[at : at + 4], "big")
        if number not in self._bundles:
            return (self._bundle_error(message, BAD_BUNDLE),)
        pending, inner = self._bundles[number], message[at + 8 :]
        if pending is None:
            return ()
        if inner[1] == METER_MOD:  # as Open vSwitch
            return (self._bundle_error(message, MESSAGE_UNSUPPORTED),)
        refusal = self._misbehave(inner)
        if refusal:
            self._bundles[number] = None
            return refusal
        pending.append(inner)
        return ()

    def _bundle_control(self, xid: int, message: bytes, at: int) -> Sequence[bytes]:
        number, kind, flags = struct.unpack_from("!IHH", message, at)
        if not self.make.bundles:
            return (self._error(xid, BAD_REQUEST, BAD_TYPE, message),)
        if kind == OPEN:
            self._bundles[number] = []
        elif number not in self._bundles:
            return (self._bundle_error(message, BAD_BUNDLE),)
        elif kind == COMMIT:
            pending = self._bundles.pop(number)
            if self.faults.fail_commits:
                self.faults.fail_commits -= 1
                return (self._bundle_error(message, UNKNOWN_FAILURE),)
            errors = self._commit(pending or [])
            if errors or pending is None:
                return (*errors, self._bundle_error(message, MESSAGE_FAILED))
        elif kind == DISCARD:
            del self._bundles[number]
        body = struct.pack("!IHH", number, kind + 1, flags)
        if at == 16:
            return (self._message(EXPERIMENTER, xid, struct.pack("!II", ONF, ONF_CONTROL) + body),)
        return (self._message(BUNDLE_CONTROL, xid, body),)

    def _commit(self, messages: list[bytes]) -> list[bytes]:
        """All or nothing; the errors of the first that cannot be."""
        changed = self.tables.copy()
        modify = changed.modify
        for message in messages:
            try:
                modify(message)
            except Refused as problem:
                return [self._refusal(message, problem.kind, problem.code)]
        self.tables.adopt(changed)
        return []

    def _bundle_error(self, message: bytes, code: int) -> bytes:
        xid = int.from_bytes(message[4:8], "big")
        if self.make.version == 4:
            return self._message(ERROR, xid, struct.pack("!HHI", 0xFFFF, 2300 + code, ONF) + message[:64])
        return self._error(xid, BUNDLE_FAILED, code, message)

    # -- statistics ----------------------------------------------------------------------------------------------

    def _multipart(self, xid: int, message: bytes) -> Sequence[bytes]:
        (kind,) = struct.unpack_from("!H", message, 8)
        if kind == DESC:
            texts = (self.make.manufacturer, self.make.hardware, self.make.software)
            return self._parts(xid, kind, [b"".join(text.encode().ljust(256, b"\0") for text in texts) + bytes(288)])
        if kind == PORT_DESC:
            return self._parts(xid, kind, (self._port(*item) for item in sorted(self.make.ports.items())))
        if kind in (FLOW, AGGREGATE):
            table, cookie, mask = struct.unpack_from("!B15xQQ", message, 16)
            self.counters.flow_dumps += 1
            chosen = self.tables.select(table, cookie, mask)
            if kind == AGGREGATE:
                return self._parts(xid, kind, [struct.pack("!QQI4x", 0, 0, sum(1 for _ in chosen))])
            return self._parts(xid, kind, map(sim_tables.flow_stats, chosen))
        if kind == GROUP_DESC:
            groups = ((number, *content) for number, content in self.tables.groups.items())
            return self._parts(xid, kind, (sim_tables.group_description(*group) for group in groups))
        if kind == METER_FEATURES and self.make.meters:
            return self._parts(xid, kind, [struct.pack("!IIIBB2x", self.make.meters, 2, 0xF, 8, 0)])
        if kind == METER_CONFIG and self.make.meters:
            meters = self.tables.meters.items()
            return self._parts(xid, kind, (sim_tables.meter_configuration(*meter) for meter in meters))
        if kind == TABLE_FEATURES:
            tables = range(self.make.tables)
            all_bits = (1 << 64) - 1
            packed = (struct.pack("!HB5x32sQQII", 64, n, b"table", all_bits, all_bits, 0, 1 << 20) for n in tables)
            return self._parts(xid, kind, packed)
        return (self._error(xid, BAD_REQUEST, BAD_MULTIPART, message),)

    def _parts(self, xid: int, kind: int, items: Iterator[bytes] | Sequence[bytes]) -> Sequence[bytes]:
        parts: list[list[bytes]] = [[]]
        size = 0
        for item in items:
            if size + len(item) > LARGEST:
                parts.append([])
                size = 0
            parts[-1].append(item)
            size += len(item)
        last = len(parts) - 1
        return [
            self._message(MULTIPART_REPLY, xid, struct.pack("!HH4x", kind, number < last) + b"".join(part))
            for number, part in enumerate(parts)
        ]

    def _port(self, number: int, name: str, up: bool = True) -> bytes:
        mac = (0x0200_0000_0000 | (self.datapath_id & 0xFFFF) << 16 | number & 0xFFFF).to_bytes(6, "big")
        state = 4 if up else 1
        if self.make.version == 4:
            return struct.pack("!I4x6s2x16sII24x", number, mac, name.encode()[:15], 0, state)
        ethernet = struct.pack("!HH4x24x", 0, 32)
        head = struct.pack("!IH2x6s2x16sII", number, 40 + len(ethernet), mac, name.encode()[:15], 0, state)
        return head + ethernet

    def _error(self, xid: int, kind: int, code: int, about: bytes) -> bytes:
        self.counters.errors += 1
        return self._message(ERROR, xid, struct.pack("!HH", kind, code) + about[:64])

    def _message(self, kind: int, xid: int, body: bytes = b"") -> bytes:
        return _HEADER.pack(self.make.version, kind, 8 + len(body), xid) + body
