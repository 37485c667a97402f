"""What may leave a port: the rules of one tap, first match decides. The same meaning as the OpenFlow table
``port_security``."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from hashlib import blake2b

from legacy_agent.drivers.senders import Sender, mac_bytes, senders
from legacy_agent.host_plan import HostPort
from legacy_agent.netlink.nft import ACCEPT, DROP, Base, Field, Meta, Rule, Test, encode_rule

ETH_DST, ETH_SRC, ETH_TYPE = Field(Base.LINK, 0, 6), Field(Base.LINK, 6, 6), Field(Base.LINK, 12, 2)
ARP_OPERATION = Field(Base.NETWORK, 6, 2)
ARP_SENDER_MAC, ARP_SENDER_IP, ARP_TARGET_IP = (
    Field(Base.NETWORK, 8, 6),
    Field(Base.NETWORK, 14, 4),
    Field(Base.NETWORK, 24, 4),
)
IPV4_SRC, IPV6_SRC = Field(Base.NETWORK, 12, 4), Field(Base.NETWORK, 8, 16)
UDP_SRC, UDP_DST = Field(Base.TRANSPORT, 0, 2), Field(Base.TRANSPORT, 2, 2)
ICMPV6_TYPE, ND_TARGET = Field(Base.TRANSPORT, 0, 1), Field(Base.TRANSPORT, 8, 16)

_TAGGED = (0x8100, 0x88A8)
_ARP, _RARP, _IPV4, _IPV6 = 0x0806, 0x8035, 0x0800, 0x86DD
_ARP_REQUEST = 1
_UDP, _ICMPV6 = 17, 58
_DHCP_SERVER, _DHCP_CLIENT, _DHCPV6_SERVER, _DHCPV6_CLIENT = 67, 68, 547, 546
_ROUTER_SOLICITATION, _ROUTER_ADVERTISEMENT, _REDIRECT = 133, 134, 137
_NEIGHBOUR_SOLICITATION, _NEIGHBOUR_ADVERTISEMENT = 135, 136
_LISTENER_REPORTS = (131, 132, 143)

_LINK_LOCAL_CONTROL = Test(ETH_DST, bytes.fromhex("0180c2000000"), mask=bytes.fromhex("fffffffffff0"))


def rules(port: HostPort) -> tuple[Rule, ...]:
    """The rules of one port, complete: the last one decides whatever is left."""
    common = (
        *(Rule((_ethertype(tag),), DROP) for tag in _TAGGED),
        Rule((_LINK_LOCAL_CONTROL,), DROP),
    )
    if not port.port_security:
        return (*common, Rule((), ACCEPT))
    allowed = senders(port)
    return (
        *common,
        Rule(tuple(Test(ETH_SRC, mac_bytes(sender.mac), equal=False) for sender in allowed), DROP, counter=True),
        *(() if port.may_serve_dhcp else _no_services()),
        *(rule for sender in allowed for rule in (*_arp(sender), *_ipv4(sender), *_ipv6(sender))),
        Rule((), DROP, counter=True),
    )


def uplink_rules() -> tuple[Rule, ...]:
    """The rules of an uplink that is in the bridge of a flat network: what has a tag belongs to another network. The
    kernel has taken away already what belongs to VLAN networks of this host."""
    return (*(Rule((_ethertype(tag),), DROP, counter=True) for tag in _TAGGED), Rule((), ACCEPT))


def marker(rule: Rule) -> str:
    """What is written beside a rule in the kernel: equal markers mean equal rules, so an agent that has just been
    started recognises rules that are right as they are."""
    return "isthmus " + blake2b(encode_rule(rule), digest_size=8).hexdigest()


def _no_services() -> Iterator[Rule]:
    """Answers that only network services may give."""
    forbidden = (
        (_ethertype(_IPV4), *_udp(source=_DHCP_SERVER)),
        (_ethertype(_IPV4), *_udp(destination=_DHCP_CLIENT)),
        (_ethertype(_IPV6), *_udp(source=_DHCPV6_SERVER)),
        (_ethertype(_IPV6), *_udp(destination=_DHCPV6_CLIENT)),
        (_ethertype(_IPV6), *_icmpv6(_ROUTER_ADVERTISEMENT)),
        (_ethertype(_IPV6), *_icmpv6(_REDIRECT)),
    )
    return (Rule(tests, DROP, counter=True) for tests in forbidden)


def _arp(sender: Sender) -> Iterator[Rule]:
    """ARP as itself (RFC 826), probes for its own addresses (RFC 5227), and RARP as hypervisors announce guests."""
    arp = (_source(sender), _ethertype(_ARP), Test(ARP_SENDER_MAC, mac_bytes(sender.mac)))
    request = Test(ARP_OPERATION, _ARP_REQUEST.to_bytes(2, "big"))
    for cidr in sender.ipv4:
        yield Rule((*arp, *_within(ARP_SENDER_IP, cidr)), ACCEPT)
        yield Rule((*arp, request, Test(ARP_SENDER_IP, bytes(4)), *_within(ARP_TARGET_IP, cidr)), ACCEPT)
    yield Rule((_source(sender), _ethertype(_RARP)), ACCEPT)


def _ipv4(sender: Sender) -> Iterator[Rule]:
    for cidr in sender.ipv4:
        yield Rule((_source(sender), _ethertype(_IPV4), *_within(IPV4_SRC, cidr)), ACCEPT)
    client = _udp(_DHCP_CLIENT, _DHCP_SERVER)
    yield Rule((_source(sender), _ethertype(_IPV4), Test(IPV4_SRC, bytes(4)), *client), ACCEPT)


def _ipv6(sender: Sender) -> Iterator[Rule]:
    """Neighbour discovery as itself (RFC 4861), duplicate address detection (RFC 4862) and multicast listener reports
    (RFC 3590) before it has an address."""
    ipv6 = (_source(sender), _ethertype(_IPV6))
    targets = [_within(ND_TARGET, cidr, equal=False) for cidr in sender.ipv6]
    if all(targets):  # a range that holds every address has no test: then no target is foreign
        foreign = (test for tests in targets for test in tests)
        yield Rule((*ipv6, *_icmpv6(_NEIGHBOUR_ADVERTISEMENT), *foreign), DROP, counter=True)
    for cidr in sender.ipv6:
        yield Rule((*ipv6, *_within(IPV6_SRC, cidr)), ACCEPT)
    unspecified = Test(IPV6_SRC, bytes(16))
    for cidr in sender.ipv6:
        solicitation = _icmpv6(_NEIGHBOUR_SOLICITATION)
        yield Rule((*ipv6, unspecified, *solicitation, *_within(ND_TARGET, cidr)), ACCEPT)
    for kind in (_ROUTER_SOLICITATION, *_LISTENER_REPORTS):
        yield Rule((*ipv6, unspecified, *_icmpv6(kind)), ACCEPT)


def _within(field: Field, cidr: str, equal: bool = True) -> tuple[Test, ...]:
    """The field lies (or does not lie) in the range; no test at all for a range that holds every address."""
    network = ipaddress.ip_network(cidr, strict=False)
    if network.prefixlen == 0:
        return ()
    mask = None if network.prefixlen == network.max_prefixlen else network.netmask.packed
    return (Test(field, network.network_address.packed, equal, mask),)


def _source(sender: Sender) -> Test:
    """The frame comes from this MAC."""
    return Test(ETH_SRC, mac_bytes(sender.mac))


def _ethertype(value: int) -> Test:
    return Test(ETH_TYPE, value.to_bytes(2, "big"))


def _udp(source: int | None = None, destination: int | None = None) -> tuple[Test, ...]:
    ports = ((UDP_SRC, source), (UDP_DST, destination))
    given = (Test(field, number.to_bytes(2, "big")) for field, number in ports if number is not None)
    return (Test(Meta.L4_PROTOCOL, bytes([_UDP])), *given)


def _icmpv6(kind: int) -> tuple[Test, ...]:
    return (Test(Meta.L4_PROTOCOL, bytes([_ICMPV6])), Test(ICMPV6_TYPE, bytes([kind])))
