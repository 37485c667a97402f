"""Packets as the interpreter sees them: header fields by name, a stack of VLAN tags, a mark for the payload.

A packet has exactly the fields that its types call for: an ARP packet has ``arp_op`` and no ``ipv4_src``. Tunnel
fields (:data:`TUNNEL_FIELDS`) tell of the tunnel that a packet came by or goes by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from controller.dataplane import fields
from controller.dataplane.values import MatchField
from controller.errors import CompileError

TUNNEL_FIELDS = ("tun_ipv4_dst", "tun_ipv4_src", "tun_ipv6_dst", "tun_ipv6_src", "tunnel_id")
_NOT_HEADERS = frozenset({"in_port", "metadata", "vlan_vid", "vlan_pcp"})
BROADCAST = 0xFFFFFFFFFFFF
EXPERIMENTAL = 0x88B5
"""The EtherType IEEE keeps for local experiments: a packet that is nothing else."""


class Vlan(NamedTuple):
    """A tag: the plain id 0..4095, the priority, and the EtherType of the tag."""

    vid: int
    pcp: int = 0
    ethertype: int = 0x8100


@dataclass(frozen=True, slots=True)
class Packet:
    """``headers`` are ``(field name, value)`` sorted by name, ``vlans`` outermost first; made by :meth:`of`."""

    headers: tuple[tuple[str, int], ...]
    vlans: tuple[Vlan, ...] = ()
    payload: str = ""

    @classmethod
    def of(cls, *, vlans: tuple[Vlan, ...] = (), payload: str = "", **values: int | str) -> Packet:
        """A packet of these fields (numbers, or text as ``Field.parse`` reads it).

        Raises :class:`CompileError` for a field that packets of this type do not have, or that is no header field.
        """
        numbers = {
            name: fields.named(name).parse(given) if isinstance(given, str) else given
            for name, given in values.items()
        }
        check(numbers)
        return cls(tuple(sorted(numbers.items())), vlans, payload)

    def __getitem__(self, name: str) -> int:
        return dict(self.headers)[name]

    def get(self, name: str) -> int | None:
        """The field's value, None if the packet has no such field."""
        return dict(self.headers).get(name)

    def changed(self, **values: int) -> Packet:
        """This packet with other or more field values."""
        return replace(self, headers=tuple(sorted({**dict(self.headers), **values}.items())))

    def without_tunnel(self) -> Packet:
        """This packet without what is known of tunnels."""
        return replace(self, headers=tuple(item for item in self.headers if item[0] not in TUNNEL_FIELDS))

    def __str__(self) -> str:
        tags = "".join(f"vlan {tag.vid} " for tag in self.vlans)
        said = " ".join(f"{name}={fields.FIELDS[name].format(value)}" for name, value in self.headers)
        return f"{tags}{said} {self.payload}".strip()


def check(values: Mapping[str, int]) -> None:
    """Raise :class:`CompileError` unless a packet can have exactly these fields."""
    for name in ("eth_dst", "eth_src", "eth_type"):
        if name not in values:
            raise CompileError(f"a packet needs {name}")
    known = {name: MatchField(name, value) for name, value in values.items()}
    for name, value in values.items():
        if name in _NOT_HEADERS:
            raise CompileError(f"{name} is not a header field of a packet")
        fields.named(name).check(value)
        missing = fields.unmet(name, known)
        if missing is not None:
            raise CompileError(f"a packet with {name} must have {missing}")


def ethernet(src: int | str, dst: int | str = BROADCAST, payload: str = "") -> Packet:
    """A frame of no known protocol."""
    return Packet.of(eth_src=src, eth_dst=dst, eth_type=EXPERIMENTAL, payload=payload)


def arp_request(src: int | str, spa: int | str, tpa: int | str, sha: int | str | None = None) -> Packet:
    """Who has ``tpa``? ``sha`` differs from ``src`` only in a forged packet."""
    return Packet.of(
        eth_src=src, eth_dst=BROADCAST, eth_type=fields.ETH_ARP, arp_op=1, arp_sha=src if sha is None else sha,
        arp_spa=spa, arp_tha=0, arp_tpa=tpa,
    )  # fmt: skip


def arp_reply(src: int | str, spa: int | str, dst: int | str, tpa: int | str, sha: int | str | None = None) -> Packet:
    """``spa`` is at ``src``, told to ``dst`` who has ``tpa``."""
    return Packet.of(
        eth_src=src, eth_dst=dst, eth_type=fields.ETH_ARP, arp_op=2, arp_sha=src if sha is None else sha,
        arp_spa=spa, arp_tha=dst, arp_tpa=tpa,
    )  # fmt: skip


def udp(
    src: int | str, dst: int | str, ip_src: str, ip_dst: str, ports: tuple[int, int] = (40000, 7), payload: str = ""
) -> Packet:
    """A UDP datagram over IPv4 or IPv6, as the addresses are; ``ports`` are source and destination."""
    family, eth_type = ("ipv6", fields.ETH_IPV6) if ":" in ip_src else ("ipv4", fields.ETH_IPV4)
    addresses: dict[str, int | str] = {f"{family}_src": ip_src, f"{family}_dst": ip_dst}
    return Packet.of(
        eth_src=src, eth_dst=dst, eth_type=eth_type, ip_proto=fields.IP_UDP, udp_src=ports[0], udp_dst=ports[1],
        payload=payload, vlans=(), **addresses,
    )  # fmt: skip


def icmpv6(
    src: int | str, dst: int | str, ip_src: str, ip_dst: str, kind: int, target: int | str | None = None
) -> Packet:
    """An ICMPv6 message of type ``kind``; ``target`` for neighbour discovery (135 with ``src`` as source link-layer
    address, 136 as target link-layer address)."""
    values: dict[str, int | str] = {"ipv6_src": ip_src, "ipv6_dst": ip_dst, "icmpv6_type": kind, "icmpv6_code": 0}
    if target is not None:
        values |= {"ipv6_nd_target": target, "ipv6_nd_sll" if kind == fields.ND_SOLICIT else "ipv6_nd_tll": src}
    return Packet.of(
        eth_src=src, eth_dst=dst, eth_type=fields.ETH_IPV6, ip_proto=fields.IP_ICMPV6, vlans=(), payload="", **values
    )
