"""Frames of VMs that behave and of VMs that do not."""

from __future__ import annotations

import ipaddress
import socket
import struct

from tests.support.ethernet import ARP, BROADCAST, IPV4, ethernet, ipv4, mac_bytes

IPV6, RARP = 0x86DD, 0x8035
ALL_NODES, ALL_NODES_MAC = "ff02::1", "33:33:00:00:00:01"
_UDP, _ICMPV6 = 17, 58


def arp(source: str, sender: tuple[str, str], target: str, operation: int = 1, ethertype: int = ARP) -> bytes:
    """ARP or RARP; ``sender`` is the (MAC, IPv4) that it claims."""
    body = struct.pack("!HHBBH", 1, IPV4, 6, 4, operation) + mac_bytes(sender[0]) + socket.inet_aton(sender[1])
    return ethernet(source, BROADCAST, ethertype, body + bytes(6) + socket.inet_aton(target))


def udp4(source: tuple[str, str], ports: tuple[int, int]) -> bytes:
    """A broadcast datagram."""
    packet = ipv4(source[1], "255.255.255.255", _UDP, _udp(ports))
    return ethernet(source[0], BROADCAST, IPV4, packet)


def udp6(source: tuple[str, str], ports: tuple[int, int]) -> bytes:
    """A multicast datagram."""
    return ethernet(source[0], ALL_NODES_MAC, IPV6, _ipv6(source[1], _UDP, _udp(ports)))


def icmpv6(source: tuple[str, str], kind: int, target: str = "::") -> bytes:
    """An ICMPv6 message; ``target`` matters to neighbour discovery only."""
    body = struct.pack("!BBHI", kind, 0, 0, 0) + ipaddress.IPv6Address(target).packed
    return ethernet(source[0], ALL_NODES_MAC, IPV6, _ipv6(source[1], _ICMPV6, body))


def listener_report(source: tuple[str, str]) -> bytes:
    """MLDv2 with the router alert option before it, as hosts send it."""
    report = struct.pack("!BBHHH", 143, 0, 0, 0, 0)
    options = bytes([_ICMPV6, 0, 5, 2, 0, 0, 1, 0])
    return ethernet(source[0], "33:33:00:00:00:16", IPV6, _ipv6(source[1], 0, options + report))


def tagged(frame: bytes, vlan: int, ethertype: int = 0x8100) -> bytes:
    """The frame with a tag."""
    return frame[:12] + struct.pack("!HH", ethertype, vlan) + frame[12:]


def control(source: str, last: int) -> bytes:
    """A link-local control frame to 01:80:c2:00:00:xx."""
    return ethernet(source, f"01:80:c2:00:00:{last:02x}", 0x88CC, b"control")


def _udp(ports: tuple[int, int]) -> bytes:
    return struct.pack("!HHHH", *ports, 16, 0) + b"datagram"


def _ipv6(source: str, next_header: int, payload: bytes) -> bytes:
    header = struct.pack("!IHBB", 6 << 28, len(payload), next_header, 255)
    return header + ipaddress.IPv6Address(source).packed + ipaddress.IPv6Address(ALL_NODES).packed + payload
