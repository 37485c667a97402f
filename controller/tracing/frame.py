"""The frame that is followed: what was asked of it, the rest as the two ports would send it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from neutron_lib.exceptions import InvalidInput

from controller.dataplane import fields
from controller.dataplane.packet import BROADCAST, Packet, Vlan, arp_request, ethernet, icmpv6
from controller.model import Port, ip_version

PROTOCOLS = ("arp", "nd", "icmp", "udp", "tcp", "ethernet")
ECHO_REQUEST, ECHO_REQUEST_V6 = 8, 128
EPHEMERAL, ECHO = 40000, 7
"""Source and destination port of UDP and TCP where nothing is said (RFC 862: port 7 is echo)."""

ANYBODY = {4: "255.255.255.255", 6: "ff02::1"}
UNSPECIFIED = "0.0.0.0"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked of the frame; None: what follows from the ports. ``protocol`` is one of :data:`PROTOCOLS`; arp
    and nd ask who has ``ip_dst``. ``vlan`` is a tag that the sender puts on."""

    eth_src: str | None = None
    eth_dst: str | None = None
    ip_src: str | None = None
    ip_dst: str | None = None
    protocol: str | None = None
    src_port: int | None = None
    dst_port: int | None = None
    vlan: int | None = None

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Wanted:
        """Read from text. Raises ``InvalidInput`` naming what cannot be."""
        protocol = given.get("protocol") or None
        if protocol is not None and protocol not in PROTOCOLS:
            raise _wrong(f"protocol is one of {', '.join(PROTOCOLS)}, not '{protocol}'")
        return cls(
            eth_src=_mac(given, "eth_src"),
            eth_dst=_mac(given, "eth_dst"),
            ip_src=_address(given, "ip_src"),
            ip_dst=_address(given, "ip_dst"),
            protocol=protocol,
            src_port=_number(given, "src_port", 0, 0xFFFF),
            dst_port=_number(given, "dst_port", 0, 0xFFFF),
            vlan=_number(given, "vlan", 1, 4094),
        )


WANTED = tuple(Wanted.__dataclass_fields__)
"""The names of what can be asked of a frame."""


def frame_of(wanted: Wanted, sender: Port, target: Port | None) -> Packet:
    """The frame that ``sender`` sends, to ``target`` where one is named. Raises ``InvalidInput`` for what cannot be,
    as an ARP request for an IPv6 address."""
    source, destination = _addresses(wanted, sender, target)
    if source and destination and ip_version(source) != ip_version(destination):
        raise _wrong(f"ip_src {source} and ip_dst {destination} are of different versions")
    packet = _packet(wanted, sender, target, source, destination)
    if wanted.eth_dst:
        packet = packet.changed(eth_dst=fields.mac(wanted.eth_dst))
    return packet if wanted.vlan is None else Packet(packet.headers, (Vlan(wanted.vlan),), packet.payload)


def frame_text(packet: Packet) -> str:
    """A frame in one line, e.g. ``fa:16:3e:00:00:01 > fa:16:3e:00:00:02 vlan 100: icmp 10.0.0.1 > 10.0.0.2``."""
    known = dict(packet.headers)
    tags = "".join(f" vlan {tag.vid}" for tag in packet.vlans)
    return f"{_said(known, 'eth_src')} > {_said(known, 'eth_dst')}{tags}: {_content(known)}"


def _content(known: Mapping[str, int]) -> str:
    if "arp_op" in known:
        sender, target = _said(known, "arp_spa"), _said(known, "arp_tpa")
        return f"arp who has {target}, tell {sender}" if known["arp_op"] == 1 else f"arp {sender} is at " + _said(
            known, "arp_sha")  # fmt: skip
    family = next((name for name in ("ipv4", "ipv6") if f"{name}_src" in known), None)
    if family is None:
        return f"EtherType 0x{known['eth_type']:04x}"
    ends = [_said(known, f"{family}_{end}") for end in ("src", "dst")]
    protocol = next((name for name in ("udp", "tcp") if f"{name}_src" in known), "icmp")
    if protocol != "icmp":
        ends = [
            f"{address} port {known[f'{protocol}_{end}']}" for address, end in zip(ends, ("src", "dst"), strict=True)
        ]
    asked = f", who has {_said(known, 'ipv6_nd_target')}" if "ipv6_nd_target" in known else ""
    return f"{protocol} {ends[0]} > {ends[1]}{asked}"


def _said(known: Mapping[str, int], name: str) -> str:
    return fields.named(name).format(known[name])


def _packet(wanted: Wanted, sender: Port, target: Port | None, source: str | None, destination: str | None) -> Packet:
    src = wanted.eth_src or sender.mac_address
    protocol = wanted.protocol or _protocol(wanted, target, source, destination)
    if protocol == "ethernet":
        return ethernet(src, target.mac_address if target else BROADCAST)
    if protocol == "arp":
        return arp_request(src, source or UNSPECIFIED, _asked("arp", 4, destination, target))
    if protocol == "nd":
        return _solicitation(src, source, _asked("nd", 6, destination, target))
    if source is None:
        raise _wrong(f"port {sender.id} has no fixed IP address to send {protocol} from; give ip_src")
    dst = target.mac_address if target else fields.mac_text(BROADCAST)
    return _ip(wanted, protocol, (src, dst), (source, destination or ANYBODY[ip_version(source)]))


def _protocol(wanted: Wanted, target: Port | None, source: str | None, destination: str | None) -> str:
    """What a port would say first: who has an address whose owner nobody named, else an echo request."""
    if target is None and wanted.eth_dst is None and destination is not None:
        return "arp" if ip_version(destination) == 4 else "nd"
    return "icmp" if source is not None else "ethernet"


def _addresses(wanted: Wanted, sender: Port, target: Port | None) -> tuple[str | None, str | None]:
    """Source and destination: of one version, if there is one that both ports have."""
    versions = {"arp": (4,), "nd": (6,)}.get(wanted.protocol or "", (4, 6))
    sources = [wanted.ip_src] if wanted.ip_src else list(sender.fixed_ips)
    targets = [wanted.ip_dst] if wanted.ip_dst else list(target.fixed_ips) if target else []
    for version in versions:
        mine, theirs = (next((each for each in known if ip_version(each) == version), None)
                        for known in (sources, targets))  # fmt: skip
        if mine and (theirs or not targets):
            return mine, theirs
    if wanted.protocol in ("arp", "nd"):
        return wanted.ip_src, next((each for each in targets if ip_version(each) == versions[0]), wanted.ip_dst)
    return next(iter(sources), None), wanted.ip_dst


def _asked(protocol: str, version: int, destination: str | None, target: Port | None) -> str:
    """The address that ARP or neighbour discovery asks for."""
    if destination is None:
        whose = f"port {target.id} has no such fixed IP address" if target else "none is given"
        raise _wrong(f"{protocol} asks for an IPv{version} address, and {whose}; give ip_dst")
    if ip_version(destination) != version:
        raise _wrong(f"{protocol} asks for an IPv{version} address; {destination} is none")
    return destination


def _solicitation(src: str, source: str | None, target: str) -> Packet:
    """To the solicited-node multicast group of the target (RFC 4861)."""
    low = int(ipaddress.IPv6Address(target)) & 0xFFFFFF
    group = str(ipaddress.IPv6Address(int(ipaddress.IPv6Address("ff02::1:ff00:0")) | low))
    return icmpv6(src, 0x3333FF000000 | low, source or "::", group, fields.ND_SOLICIT, target)


def _ip(wanted: Wanted, protocol: str, macs: tuple[str, str], addresses: tuple[str, str]) -> Packet:
    v4 = ip_version(addresses[0]) == 4
    family, eth_type = ("ipv4", fields.ETH_IPV4) if v4 else ("ipv6", fields.ETH_IPV6)
    values: dict[str, int | str] = {f"{family}_src": addresses[0], f"{family}_dst": addresses[1]}
    if protocol == "icmp":
        number, name = (fields.IP_ICMP, "icmpv4") if v4 else (fields.IP_ICMPV6, "icmpv6")
        values |= {f"{name}_type": ECHO_REQUEST if v4 else ECHO_REQUEST_V6, f"{name}_code": 0}
    else:
        number = fields.IP_UDP if protocol == "udp" else fields.IP_TCP
        ports = (EPHEMERAL if wanted.src_port is None else wanted.src_port,
                 ECHO if wanted.dst_port is None else wanted.dst_port)  # fmt: skip
        values |= {f"{protocol}_src": ports[0], f"{protocol}_dst": ports[1]}
    return Packet.of(eth_src=macs[0], eth_dst=macs[1], eth_type=eth_type, ip_proto=number, vlans=(), payload="",
                     **values)  # fmt: skip


def _mac(given: Mapping[str, str], name: str) -> str | None:
    text = given.get(name) or None
    try:
        return text and fields.mac_text(fields.mac(text.lower()))
    except ValueError as error:
        raise _wrong(f"{name}: '{text}' is not a MAC address; it has the form fa:16:3e:00:00:01") from error


def _address(given: Mapping[str, str], name: str) -> str | None:
    """In its canonical form; an IPv6 zone is no part of an address on the wire."""
    text = given.get(name) or None
    try:
        return text and str(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError as error:
        raise _wrong(f"{name}: '{text}' is not an IP address") from error


def _number(given: Mapping[str, str], name: str, low: int, high: int) -> int | None:
    text = given.get(name) or None
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise _wrong(f"{name}: '{text}' is not a number from {low} to {high}")
    return int(text)


def _wrong(message: str) -> InvalidInput:
    return InvalidInput(error_message=message)
