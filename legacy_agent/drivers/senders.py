"""As whom a port may send: the data behind every driver's anti-spoofing rules."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from legacy_agent.host_plan import HostPort


@dataclass(frozen=True, slots=True)
class Sender:
    """One MAC that a port may use, with the ranges that go with it; a link-local address is always among the v6."""

    mac: str
    ipv4: tuple[str, ...]
    ipv6: tuple[str, ...]


def senders(port: HostPort) -> list[Sender]:
    """Everybody a port may send as, ordered by MAC."""
    return [
        Sender(mac, _ranges(port, mac, 4), tuple(sorted({*_ranges(port, mac, 6), link_local(mac)})))
        for mac in sorted({port.mac, *port.macs})
    ]


def link_local(mac: str) -> str:
    """The IPv6 link-local address a host derives from its MAC (modified EUI-64, RFC 4291 appendix A)."""
    octets = mac_bytes(mac)
    identifier = bytes([octets[0] ^ 0x02]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + identifier))


def mac_bytes(text: str) -> bytes:
    """Six bytes of a MAC address written with colons or dashes."""
    return bytes.fromhex(text.replace(":", "").replace("-", ""))


def _ranges(port: HostPort, mac: str, version: int) -> tuple[str, ...]:
    found = {item.cidr for item in port.allowed if item.mac == mac}
    return tuple(sorted(cidr for cidr in found if ipaddress.ip_network(cidr, strict=False).version == version))
