"""Link Layer Discovery Protocol frames (IEEE 802.1AB-2016): our own probes, and what ordinary neighbours say.

A probe names the switch and port it left by and carries a keyed digest and a sequence number in an organizationally
specific TLV, so that only this controller can make one. Pure: bytes in, values out.
"""

from __future__ import annotations

import hmac
import ipaddress
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

DESTINATION = bytes.fromhex("0180c200000e")
"""Nearest-bridge group address: no bridge forwards it."""

ETHERTYPE = 0x88CC
TTL = 120
"""Seconds that foreign listeners may keep what a probe tells; our own ageing is the discovery's."""

_END, _CHASSIS, _PORT, _TTL, _PORT_DESCRIPTION, _SYSTEM_NAME, _ORGANIZATION = 0, 1, 2, 3, 4, 5, 127
_CHASSIS_MAC, _CHASSIS_ADDRESS, _CHASSIS_LOCAL = 4, 5, 7
_PORT_COMPONENT, _PORT_MAC, _PORT_ADDRESS = 2, 3, 4
_OURS = bytes.fromhex("0a157101")
_AGENTS = bytes.fromhex("0a157102")
"""A locally administered OUI with the subtypes of probes and of agents' announcements."""

_PROBE = struct.Struct("!Q16s")
_SWITCH = "dpid:"


class LldpError(ValueError):
    """The frame is no LLDP frame, or breaks the rules of 802.1AB."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What one of our probes says: where it left, and which one it is. ``digest`` is not verified yet."""

    datapath_id: int
    port: int
    sequence: int
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Announcement:
    """What an agent adds to its LLDP frames: ``said`` is what ``digest`` covers."""

    sequence: int
    said: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class Neighbour:
    """What a frame tells about its sender; ``probe`` or ``announcement`` if it claims to be one of ours (unverified).
    ``ttl`` is in seconds."""

    chassis: str
    port: str
    ttl: int
    system_name: str = ""
    port_description: str = ""
    probe: Probe | None = None
    announcement: Announcement | None = None


def encode(probe: Probe, key: bytes, source: bytes) -> bytes:
    """The frame of a probe; ``source`` is its source MAC address."""
    body = _tlv(_CHASSIS, bytes([_CHASSIS_LOCAL]) + f"{_SWITCH}{probe.datapath_id:016x}".encode())
    body += _tlv(_PORT, bytes([_PORT_COMPONENT]) + struct.pack("!I", probe.port))
    body += _tlv(_TTL, struct.pack("!H", TTL))
    body += _tlv(_ORGANIZATION, _OURS + _PROBE.pack(probe.sequence, digest_of(probe, key)))
    return DESTINATION + source + struct.pack("!H", ETHERTYPE) + body + _tlv(_END, b"")


def digest_of(probe: Probe, key: bytes) -> bytes:
    """The keyed digest of where and which."""
    said = struct.pack("!QIQ", probe.datapath_id, probe.port, probe.sequence)
    return blake2b(said, key=key, digest_size=16, person=b"isthmus-lldp").digest()


def genuine(probe: Probe, key: bytes) -> bool:
    """Whether the holder of ``key`` made the probe."""
    return hmac.compare_digest(digest_of(probe, key), probe.digest)


def genuine_announcement(announcement: Announcement, key: bytes) -> bool:
    """Whether the agent with that key made it."""
    expected = blake2b(announcement.said, key=key, digest_size=16, person=b"isthmus-host").digest()
    return hmac.compare_digest(expected, announcement.digest)


def source_of(datapath_id: int, port: int) -> bytes:
    """The source MAC address of probes by that port: a locally administered one of our own."""
    return b"\x02" + struct.pack("!QI", datapath_id, port)[5:8] + struct.pack("!H", port & 0xFFFF)


def decode(frame: bytes) -> Neighbour:
    """Read a frame. Raises :class:`LldpError`."""
    if len(frame) < 14 or frame[12:14] != struct.pack("!H", ETHERTYPE):
        raise LldpError("not an LLDP frame")
    units = list(_units(frame[14:]))
    if [kind for kind, _ in units[:3]] != [_CHASSIS, _PORT, _TTL]:
        raise LldpError("an LLDP frame begins with chassis id, port id and time to live")
    (_, chassis), (_, port), (_, ttl) = units[:3]
    if not 2 <= len(chassis) <= 256 or not 2 <= len(port) <= 256 or len(ttl) < 2:
        raise LldpError("chassis id, port id or time to live has a wrong length")
    rest = dict(reversed(units[3:]))
    return Neighbour(
        chassis=_chassis_text(chassis[0], chassis[1:]),
        port=_port_text(port[0], port[1:]),
        ttl=int.from_bytes(ttl[:2], "big"),
        system_name=_text(rest.get(_SYSTEM_NAME, b"")),
        port_description=_text(rest.get(_PORT_DESCRIPTION, b"")),
        probe=_probe(chassis, port, units[3:]),
        announcement=_announcement(rest.get(_SYSTEM_NAME, b""), port[1:], units[3:]),
    )


def _tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!H", kind << 9 | len(value)) + value


def _units(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and value of each TLV up to the end mark, which may be missing where the frame ends."""
    while data:
        if len(data) < 2:
            raise LldpError("a TLV is cut off")
        head = int.from_bytes(data[:2], "big")
        kind, length = head >> 9, head & 0x1FF
        if kind == _END:
            return
        if len(data) < 2 + length:
            raise LldpError(f"TLV {kind} is cut off")
        yield kind, data[2 : 2 + length]
        data = data[2 + length :]


def _probe(chassis: bytes, port: bytes, units: list[tuple[int, bytes]]) -> Probe | None:
    mine = [value[4:] for kind, value in units if kind == _ORGANIZATION and value[:4] == _OURS]
    name = _text(chassis[1:])
    if not mine or len(mine[0]) != _PROBE.size or not name.startswith(_SWITCH) or len(port) != 5:
        return None
    try:
        datapath_id = int(name.removeprefix(_SWITCH), 16)
    except ValueError:
        return None
    if not 0 <= datapath_id < 1 << 64 or chassis[0] != _CHASSIS_LOCAL or port[0] != _PORT_COMPONENT:
        return None
    sequence, digest = _PROBE.unpack(mine[0])
    return Probe(datapath_id, int.from_bytes(port[1:], "big"), sequence, digest)


def _announcement(name: bytes, port: bytes, units: list[tuple[int, bytes]]) -> Announcement | None:
    mine = [value[4:] for kind, value in units if kind == _ORGANIZATION and value[:4] == _AGENTS]
    if not mine or len(mine[0]) != _PROBE.size:
        return None
    sequence, digest = _PROBE.unpack(mine[0])
    return Announcement(sequence, mine[0][:8] + name + b"\0" + port, digest)


def _chassis_text(subtype: int, value: bytes) -> str:
    if subtype == _CHASSIS_MAC and len(value) == 6:
        return value.hex(":")
    return _address(value) if subtype == _CHASSIS_ADDRESS else _text(value)


def _port_text(subtype: int, value: bytes) -> str:
    if subtype == _PORT_MAC and len(value) == 6:
        return value.hex(":")
    if subtype == _PORT_COMPONENT and len(value) == 4:
        return str(int.from_bytes(value, "big"))
    return _address(value) if subtype == _PORT_ADDRESS else _text(value)


def _address(value: bytes) -> str:
    """A network address: the family's IANA number (1 IPv4, 2 IPv6), then the address."""
    try:
        return str(ipaddress.ip_address(value[1:])) if value[:1] in (b"\1", b"\2") else value.hex(":")
    except ValueError:
        return value.hex(":")


def _text(value: bytes) -> str:
    """What a stranger calls itself, fit to be shown: no control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in value.decode("utf-8", "replace"))
