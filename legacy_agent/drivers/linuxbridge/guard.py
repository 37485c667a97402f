"""What may leave a port: the rules of one tap, first match decides. The same meaning as the OpenFlow table
``port_security``."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from hashlib import blake2b

from legacy_agent.host_plan import AllowedAddress, HostPort
from legacy_agent.netlink.nft import ACCEPT, DROP, Base, Field, Meta, Rule, Test, encode_rule

ETH_DST, ETH_SRC, ETH_TYPE = Field(Base.LINK, 0, 6), Field(Base.LINK, 6, 6), Field(Base.LINK, 12, 2)
ARP_SENDER_MAC, ARP_SENDER_IP = Field(Base.NETWORK, 8, 6), Field(Base.NETWORK, 14, 4)
IPV4_SRC, IPV6_SRC = Field(Base.NETWORK, 12, 4), Field(Base.NETWORK, 8, 16)
UDP_PORTS = Field(Base.TRANSPORT, 0, 4)
ICMPV6_TYPE, ND_TARGET = Field(Base.TRANSPORT, 0, 1), Field(Base.TRANSPORT, 8, 16)

_TAGGED = (0x8100, 0x88A8)
_ARP, _RARP, _IPV4, _IPV6 = 0x0806, 0x8035, 0x0800, 0x86DD
_UDP, _ICMPV6 = 17, 58
_DHCP_CLIENT = (68, 67)
_DHCP_SERVER, _DHCPV6_SERVER = (67, 68), (547, 546)
_ROUTER_ADVERTISEMENT, _NEIGHBOUR_ADVERTISEMENT = 134, 136
_FROM_UNSPECIFIED = (135, 131, 132, 143)
"""ICMPv6 types a port may send from ``::``: duplicate address detection, and joining and leaving groups before it."""

_LINK_LOCAL_CONTROL = Test(ETH_DST, bytes.fromhex("0180c2000000"), mask=bytes.fromhex("fffffffffff0"))


def rules(port: HostPort) -> tuple[Rule, ...]:
    """The rules of one port, complete: the last one decides whatever is left."""
    common = (
        *(Rule((_ethertype(tag),), DROP) for tag in _TAGGED),
        Rule((_LINK_LOCAL_CONTROL,), DROP),
    )
    if not port.port_security:
        return (*common, Rule((), ACCEPT))
    macs = sorted({port.mac, *port.macs})
    return (
        *common,
        Rule(tuple(Test(ETH_SRC, _mac(mac), equal=False) for mac in macs), DROP, counter=True),
        *(() if port.may_serve_dhcp else _no_services()),
        *_arp(macs, port.allowed),
        *_ipv4(macs, port.allowed),
        *_ipv6(macs, port.allowed),
        Rule((), DROP, counter=True),
    )


def marker(rule: Rule) -> str:
    """What is written beside a rule in the kernel: equal markers mean equal rules, so an agent that has just been
    started recognises rules that are right as they are."""
    return "isthmus " + blake2b(encode_rule(rule), digest_size=8).hexdigest()


def link_local(mac: str) -> str:
    """The IPv6 link-local address a host derives from its MAC (modified EUI-64, RFC 4291 appendix A)."""
    octets = _mac(mac)
    identifier = bytes([octets[0] ^ 0x02]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + identifier))


def _no_services() -> Iterator[Rule]:
    yield Rule((_ethertype(_IPV4), *_udp(_DHCP_SERVER)), DROP, counter=True)
    yield Rule((_ethertype(_IPV6), *_udp(_DHCPV6_SERVER)), DROP, counter=True)
    yield Rule((_ethertype(_IPV6), *_icmpv6(_ROUTER_ADVERTISEMENT)), DROP, counter=True)


def _arp(macs: list[str], allowed: Iterable[AllowedAddress]) -> Iterator[Rule]:
    for mac in macs:
        sender = Test(ARP_SENDER_MAC, _mac(mac))
        yield Rule((_ethertype(_ARP), sender, Test(ARP_SENDER_IP, bytes(4))), ACCEPT)
        yield Rule((_ethertype(_RARP), sender), ACCEPT)
    for address in _of_version(allowed, 4):
        sender = Test(ARP_SENDER_MAC, _mac(address.mac))
        yield Rule((_ethertype(_ARP), sender, *_within(ARP_SENDER_IP, address.cidr)), ACCEPT)


def _ipv4(macs: list[str], allowed: Iterable[AllowedAddress]) -> Iterator[Rule]:
    for address in _of_version(allowed, 4):
        source = Test(ETH_SRC, _mac(address.mac))
        yield Rule((_ethertype(_IPV4), source, *_within(IPV4_SRC, address.cidr)), ACCEPT)
    if macs:
        yield Rule((_ethertype(_IPV4), Test(IPV4_SRC, bytes(4)), *_udp(_DHCP_CLIENT)), ACCEPT)


def _ipv6(macs: list[str], allowed: Iterable[AllowedAddress]) -> Iterator[Rule]:
    own = [AllowedAddress(mac, link_local(mac)) for mac in macs]
    sources = [*own, *_of_version(allowed, 6)]
    targets = [_within(ND_TARGET, cidr, equal=False) for cidr in sorted({source.cidr for source in sources})]
    outside = tuple(test for tests in targets for test in tests)
    if all(targets):  # a target test that matches everything has no tests: then no target is foreign
        yield Rule((_ethertype(_IPV6), *_icmpv6(_NEIGHBOUR_ADVERTISEMENT), *outside), DROP, counter=True)
    for source in sources:
        yield Rule((_ethertype(_IPV6), Test(ETH_SRC, _mac(source.mac)), *_within(IPV6_SRC, source.cidr)), ACCEPT)
    for kind in _FROM_UNSPECIFIED:
        yield Rule((_ethertype(_IPV6), Test(IPV6_SRC, bytes(16)), *_icmpv6(kind)), ACCEPT)


def _of_version(allowed: Iterable[AllowedAddress], version: int) -> list[AllowedAddress]:
    return sorted({item for item in allowed if ipaddress.ip_network(item.cidr, strict=False).version == version})


def _within(field: Field, cidr: str, equal: bool = True) -> tuple[Test, ...]:
    """The field lies (or does not lie) in the range; no test at all for a range that holds every address."""
    network = ipaddress.ip_network(cidr, strict=False)
    if network.prefixlen == 0:
        return ()
    mask = None if network.prefixlen == network.max_prefixlen else network.netmask.packed
    return (Test(field, network.network_address.packed, equal, mask),)


def _ethertype(value: int) -> Test:
    return Test(ETH_TYPE, value.to_bytes(2, "big"))


def _udp(ports: tuple[int, int]) -> tuple[Test, ...]:
    return (Test(Meta.L4_PROTOCOL, bytes([_UDP])),
            Test(UDP_PORTS, ports[0].to_bytes(2, "big") + ports[1].to_bytes(2, "big")))  # fmt: skip


def _icmpv6(kind: int) -> tuple[Test, ...]:
    return (Test(Meta.L4_PROTOCOL, bytes([_ICMPV6])), Test(ICMPV6_TYPE, bytes([kind])))


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", "").replace("-", ""))
