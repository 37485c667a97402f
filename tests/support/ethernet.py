"""Frames made and read by hand: what the probers send, and what the capture understands."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

BROADCAST = "ff:ff:ff:ff:ff:ff"
ARP, IPV4, VLAN = 0x0806, 0x0800, 0x8100
_ICMP, _UDP, _GRE = 1, 17, 47
_VXLAN_PORT = 4789
_TOKEN = b"isthmus-token:"


def mac_bytes(mac: str) -> bytes:
    """Six bytes of a MAC address written with colons."""
    return bytes.fromhex(mac.replace(":", ""))


def mac_text(raw: bytes) -> str:
    """The inverse of :func:`mac_bytes`."""
    return raw.hex(":")


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(source: str, destination: str, ethertype: int, payload: bytes) -> bytes:
    """An Ethernet II frame, padded to 60 bytes."""
    return (mac_bytes(destination) + mac_bytes(source) + struct.pack("!H", ethertype) + payload).ljust(60, b"\0")


def ipv4(source_ip: str, destination_ip: str, protocol: int, payload: bytes) -> bytes:
    """An IPv4 packet with a right header checksum."""
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol, 0)
    header += socket.inet_aton(source_ip) + socket.inet_aton(destination_ip)
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def trimmed(frame: bytes) -> bytes:
    """The frame without padding, which comes and goes on the way; to compare frames by."""
    return frame.rstrip(b"\0")


def token(source: tuple[str, str], destination: tuple[str, str], text: str) -> bytes:
    """A frame that carries ``text`` from ``(MAC, IPv4)`` to ``(MAC, IPv4)``.

    It is an ICMP echo *reply* nobody asked for (the pings of :mod:`tests.support.site` have other identifiers): port
    security lets it pass as ordinary IPv4, and no kernel answers it.
    """
    body = struct.pack("!BBHHH", 0, 0, 0, 0x1579, 0) + _TOKEN + text.encode().ljust(32, b".")
    body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
    return ethernet(source[0], destination[0], IPV4, ipv4(source[1], destination[1], _ICMP, body))


def broadcast_token(source: tuple[str, str], text: str) -> bytes:
    """A token to everybody on the network."""
    return token(source, (BROADCAST, "255.255.255.255"), text)


def arp_request(source_mac: str, sender: tuple[str, str], target_ip: str) -> bytes:
    """An ARP request; ``sender`` is the (MAC, IPv4) that it claims, which may differ from the frame's source."""
    body = struct.pack("!HHBBH", 1, IPV4, 6, 4, 1) + mac_bytes(sender[0]) + socket.inet_aton(sender[1])
    return ethernet(source_mac, BROADCAST, ARP, body + bytes(6) + socket.inet_aton(target_ip))


@dataclass(frozen=True, slots=True)
class Seen:
    """One frame on the underlay. ``inner`` is what a tunnel carries; ``key`` is the GRE key, ``vni`` the VXLAN id."""

    frame: bytes
    vlan: int | None = None
    key: int | None = None
    vni: int | None = None
    outer_source: str = ""
    outer_destination: str = ""
    inner: bytes = b""

    def carries(self, wanted: bytes) -> bool:
        """Whether this is that untagged frame, tagged or encapsulated or as it is."""
        plain = self.inner or (self.frame if self.vlan is None else self.frame[:12] + self.frame[16:])
        return trimmed(plain) == trimmed(wanted)


def decode(frame: bytes) -> Seen:
    """Read VLAN tag, GRE key and VXLAN network id off a frame; never raises, what it cannot read is left out."""
    vlan, offset = None, 12
    if frame[offset : offset + 2] == b"\x81\x00":
        vlan, offset = struct.unpack_from("!H", frame, 14)[0] & 0xFFF, 16
    if frame[offset : offset + 2] != b"\x08\x00" or len(frame) < offset + 22:
        return Seen(frame, vlan)
    packet = frame[offset + 2 :]
    payload = packet[(packet[0] & 0xF) * 4 : struct.unpack_from("!H", packet, 2)[0]]
    ends = {"outer_source": socket.inet_ntoa(packet[12:16]), "outer_destination": socket.inet_ntoa(packet[16:20])}
    if packet[9] == _GRE and len(payload) >= 4:
        return _decode_gre(frame, vlan, payload, ends)
    if packet[9] == _UDP and len(payload) >= 16 and struct.unpack_from("!H", payload, 2)[0] == _VXLAN_PORT:
        return Seen(frame, vlan, vni=int.from_bytes(payload[12:15]), inner=payload[16:], **ends)
    return Seen(frame, vlan, **ends)


def _decode_gre(frame: bytes, vlan: int | None, payload: bytes, ends: dict[str, str]) -> Seen:
    flags, protocol = struct.unpack_from("!HH", payload)
    if protocol != 0x6558:
        return Seen(frame, vlan, **ends)
    offset = 4 + (4 if flags & 0x8000 else 0)
    key = None
    if flags & 0x2000:
        key, offset = struct.unpack_from("!I", payload, offset)[0], offset + 4
    offset += 4 if flags & 0x1000 else 0
    return Seen(frame, vlan, key=key, inner=payload[offset:], **ends)
