"""The match and set fields in use, declared once: names, numbers on the wire, widths, prerequisites.

Names are os-ken's (and those of the OpenFlow specification without ``OFPXMT_OFB_``). Numbers and prerequisites are
those of OpenFlow 1.3.5, section 7.2.3.7; fields of class 1 are Open vSwitch's (``nicira-ext.h``, NXM_NX_*).
Values are unsigned integers everywhere; :meth:`Field.parse` and the converters below make them from text.
"""

from __future__ import annotations

import enum
import ipaddress
import socket
from binascii import unhexlify
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from controller.dataplane.elements import MatchField
from controller.errors import CompileError

OPENFLOW_BASIC = 0x8000
NICIRA = 0x0001

VLAN_PRESENT = 0x1000
"""OFPVID_PRESENT: set in every ``vlan_vid`` that means a tag; ``vlan_vid`` 0 means an untagged packet."""
NO_VLAN = 0
ANY_VLAN = (VLAN_PRESENT, VLAN_PRESENT)
"""``match(vlan_vid=ANY_VLAN)``: tagged, whatever the id."""

ETH_IPV4 = 0x0800
ETH_ARP = 0x0806
ETH_IPV6 = 0x86DD
ETH_LLDP = 0x88CC
IP_TCP = 6
IP_UDP = 17
IP_ICMP = 1
IP_ICMPV6 = 58
ND_SOLICIT = 135
ND_ADVERT = 136

IN_PORT = 0xFFFFFFF8
"""Reserved port: back out of the port the packet came in by."""
CONTROLLER = 0xFFFFFFFD
"""Reserved port: to the controller as a packet-in."""


class Kind(enum.Enum):
    """How a value is written as text."""

    INTEGER = "integer"
    MAC = "mac"
    IPV4 = "ipv4"
    IPV6 = "ipv6"


@dataclass(frozen=True, slots=True)
class Requirement:
    """A prerequisite: the packet's ``name``, looked at through ``bits``, must be one of ``values``."""

    name: str
    values: frozenset[int]
    bits: int

    def met_by(self, matches: Mapping[str, MatchField]) -> bool:
        """Whether a match on these fields (by name) admits such packets only."""
        field = matches.get(self.name)
        if field is None or (field.mask is not None and field.mask & self.bits != self.bits):
            return False
        return field.value & self.bits in self.values

    def __str__(self) -> str:
        values = " or ".join(f"0x{value:x}" for value in sorted(self.values))
        return f"{self.name}={values}"


@dataclass(frozen=True, slots=True)
class Field:
    """One OXM/NXM field. ``width`` is in bits, ``number`` within ``oxm_class``."""

    name: str
    oxm_class: int
    number: int
    width: int
    maskable: bool = False
    settable: bool = True
    kind: Kind = Kind.INTEGER
    requires: tuple[Requirement, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of a value on the wire."""
        return (self.width + 7) // 8

    @property
    def full(self) -> int:
        """The mask of all bits."""
        return (1 << self.width) - 1

    def header(self, masked: bool = False) -> int:
        """The 32-bit OXM header: class, field number, mask bit, length."""
        length = self.size * 2 if masked else self.size
        return (self.oxm_class << 16) | (self.number << 9) | (int(masked) << 8) | length

    def parse(self, text: str) -> int:
        """The value of ``text``, e.g. ``fa:16:3e:00:00:01``, ``10.0.0.1``, ``2001:db8::1``, ``0x0806`` or ``17``."""
        try:
            return _PARSERS[self.kind](text)
        except ValueError as error:
            raise CompileError(f"field {self.name} takes a {self.kind.value}, not {text!r}") from error

    def format(self, value: int) -> str:
        """The text of a value, as :meth:`parse` reads it."""
        return _FORMATTERS[self.kind](value)

    def check(self, value: int, mask: int | None = None) -> None:
        """Raise :class:`CompileError` unless value and mask can be matched."""
        if value >> self.width:
            raise CompileError(f"{self.name} has {self.width} bits; 0x{value:x} does not fit")
        if mask is None:
            return
        if not self.maskable:
            raise CompileError(f"{self.name} cannot be masked")
        if mask <= 0 or mask >> self.width:
            raise CompileError(f"{self.name} has {self.width} bits; the mask 0x{mask:x} is not one")
        if value & ~mask:
            raise CompileError(f"{self.name}=0x{value:x} has bits outside its mask 0x{mask:x}")


def mac(text: str) -> int:
    """48-bit value of ``aa:bb:cc:dd:ee:ff``."""
    digits = text.replace(":", "")
    if len(text) != 17 or len(digits) != 12 or text[2::3] != ":::::":
        raise ValueError(f"{text!r} is not a MAC address")
    return int.from_bytes(unhexlify(digits), "big")


def mac_text(value: int) -> str:
    """Text of a 48-bit MAC address, lower case with colons."""
    return value.to_bytes(6, "big").hex(":")


def ipv4(text: str) -> int:
    """32-bit value of a dotted quad."""
    try:
        return int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big")
    except OSError as error:
        raise ValueError(f"{text!r} is not an IPv4 address") from error


def ipv6(text: str) -> int:
    """128-bit value of an IPv6 address."""
    try:
        return int.from_bytes(socket.inet_pton(socket.AF_INET6, text), "big")
    except OSError as error:
        raise ValueError(f"{text!r} is not an IPv6 address") from error


def link_local(mac_address: int) -> int:
    """The EUI-64 link-local IPv6 address (RFC 4291, appendix A) of a MAC address."""
    high, low = mac_address >> 24, mac_address & 0xFFFFFF
    return (0xFE80 << 112) | ((high ^ 0x020000) << 40) | (0xFFFE << 24) | low


def prefix(name: str, text: str) -> MatchField:
    """Match on an address or CIDR, e.g. ``prefix("ipv4_src", "10.0.0.0/24")``; /32 and /128 become exact.

    Raises :class:`CompileError` for host bits, a wrong family, or a prefix of length 0 (which matches everything).
    """
    field = named(name)
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise CompileError(f"{name} takes an address or CIDR, not {text!r}") from error
    if field.width != network.max_prefixlen or network.prefixlen == 0:
        raise CompileError(f"{name} cannot match {text!r}")
    mask = None if network.prefixlen == network.max_prefixlen else int(network.netmask)
    return MatchField(name, int(network.network_address), mask)


_PARSERS: dict[Kind, Callable[[str], int]] = {
    Kind.INTEGER: lambda text: int(text, 0),
    Kind.MAC: mac,
    Kind.IPV4: ipv4,
    Kind.IPV6: ipv6,
}
_FORMATTERS: dict[Kind, Callable[[int], str]] = {
    Kind.INTEGER: hex,
    Kind.MAC: mac_text,
    Kind.IPV4: lambda value: str(ipaddress.IPv4Address(value)),
    Kind.IPV6: lambda value: str(ipaddress.IPv6Address(value)),
}


def _needs(name: str, *values: int, bits: int) -> tuple[Requirement, ...]:
    return (Requirement(name, frozenset(values), bits),)


_TAGGED = _needs("vlan_vid", VLAN_PRESENT, bits=VLAN_PRESENT)
_IP = _needs("eth_type", ETH_IPV4, ETH_IPV6, bits=0xFFFF)
_V4 = _needs("eth_type", ETH_IPV4, bits=0xFFFF)
_V6 = _needs("eth_type", ETH_IPV6, bits=0xFFFF)
_ARP = _needs("eth_type", ETH_ARP, bits=0xFFFF)
_TCP = _needs("ip_proto", IP_TCP, bits=0xFF)
_UDP = _needs("ip_proto", IP_UDP, bits=0xFF)
_ICMP = _V4 + _needs("ip_proto", IP_ICMP, bits=0xFF)
_ICMP6 = _V6 + _needs("ip_proto", IP_ICMPV6, bits=0xFF)
_ND = _needs("icmpv6_type", ND_SOLICIT, ND_ADVERT, bits=0xFF)
_NS = _needs("icmpv6_type", ND_SOLICIT, bits=0xFF)
_NA = _needs("icmpv6_type", ND_ADVERT, bits=0xFF)


def _basic(name: str, number: int, width: int, **details: object) -> Field:
    return Field(name, OPENFLOW_BASIC, number, width, **details)  # type: ignore[arg-type]


_DECLARED = (
    _basic("in_port", 0, 32, settable=False),
    _basic("metadata", 2, 64, maskable=True, settable=False),
    _basic("eth_dst", 3, 48, maskable=True, kind=Kind.MAC),
    _basic("eth_src", 4, 48, maskable=True, kind=Kind.MAC),
    _basic("eth_type", 5, 16, settable=False),
    _basic("vlan_vid", 6, 13, maskable=True),
    _basic("vlan_pcp", 7, 3, requires=_TAGGED),
    _basic("ip_proto", 10, 8, settable=False, requires=_IP),
    _basic("ipv4_src", 11, 32, maskable=True, kind=Kind.IPV4, requires=_V4),
    _basic("ipv4_dst", 12, 32, maskable=True, kind=Kind.IPV4, requires=_V4),
    _basic("tcp_src", 13, 16, requires=_TCP),
    _basic("tcp_dst", 14, 16, requires=_TCP),
    _basic("udp_src", 15, 16, requires=_UDP),
    _basic("udp_dst", 16, 16, requires=_UDP),
    _basic("icmpv4_type", 19, 8, requires=_ICMP),
    _basic("icmpv4_code", 20, 8, requires=_ICMP),
    _basic("arp_op", 21, 16, requires=_ARP),
    _basic("arp_spa", 22, 32, maskable=True, kind=Kind.IPV4, requires=_ARP),
    _basic("arp_tpa", 23, 32, maskable=True, kind=Kind.IPV4, requires=_ARP),
    _basic("arp_sha", 24, 48, maskable=True, kind=Kind.MAC, requires=_ARP),
    _basic("arp_tha", 25, 48, maskable=True, kind=Kind.MAC, requires=_ARP),
    _basic("ipv6_src", 26, 128, maskable=True, kind=Kind.IPV6, requires=_V6),
    _basic("ipv6_dst", 27, 128, maskable=True, kind=Kind.IPV6, requires=_V6),
    _basic("icmpv6_type", 29, 8, requires=_ICMP6),
    _basic("icmpv6_code", 30, 8, requires=_ICMP6),
    _basic("ipv6_nd_target", 31, 128, maskable=True, kind=Kind.IPV6, requires=_ND),
    _basic("ipv6_nd_sll", 32, 48, kind=Kind.MAC, requires=_NS),
    _basic("ipv6_nd_tll", 33, 48, kind=Kind.MAC, requires=_NA),
    _basic("tunnel_id", 38, 64, maskable=True),
    Field("tun_ipv4_src", NICIRA, 31, 32, maskable=True, kind=Kind.IPV4),
    Field("tun_ipv4_dst", NICIRA, 32, 32, maskable=True, kind=Kind.IPV4),
    Field("tun_ipv6_src", NICIRA, 109, 128, maskable=True, kind=Kind.IPV6),
    Field("tun_ipv6_dst", NICIRA, 110, 128, maskable=True, kind=Kind.IPV6),
)

FIELDS: Mapping[str, Field] = {field.name: field for field in _DECLARED}
"""Every declared field by name."""

if len(FIELDS) != len(_DECLARED):
    raise CompileError("a field is declared twice")


def named(name: str) -> Field:
    """The field of that name. Raises :class:`CompileError` if it is not declared."""
    try:
        return FIELDS[name]
    except KeyError:
        raise CompileError(f"no field is named {name!r}; declared are {', '.join(sorted(FIELDS))}") from None


def unmet(name: str, matches: Mapping[str, MatchField]) -> Requirement | None:
    """The first prerequisite of a field that a match (by field name) does not meet, None if all are met."""
    return next((need for need in named(name).requires if not need.met_by(matches)), None)


def by_name(matches: Iterable[MatchField]) -> dict[str, MatchField]:
    """The matches by field name, as :func:`unmet` takes them."""
    return {field.name: field for field in matches}
