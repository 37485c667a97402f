"""Table ``port_security``: a port sends only as itself. What no flow here allows is dropped.

Flows of a port look at its ingress port; what is forbidden to all is said once, by the bits that ``classify`` sets.
Rules: ARP sender RFC 826, address conflict detection RFC 5227, DHCP RFC 2131 and 8415, neighbour discovery and
duplicate address detection RFC 4861 and 4862, multicast listeners RFC 2710, 3590 and 3810.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from controller.dataplane import fields
from controller.dataplane.builder import FlowBuilder, flow
from controller.dataplane.values import Flow, MatchField
from controller.model import Port
from mechanisms.openflow.pipeline import ARP_RESPONDER, PORT_SECURITY
from mechanisms.sources import allowed_macs, allowed_sources

FORBID, ADVERTISE, NO_ADVERTISE, ALLOW = 400, 300, 200, 100

ARP_REQUEST = 1
ETH_RARP = 0x8035
DHCP_SERVER, DHCP_CLIENT = 67, 68
DHCP6_SERVER, DHCP6_CLIENT = 547, 546
ROUTER_SOLICIT, ROUTER_ADVERT, REDIRECT = 133, 134, 137
LISTENER_REPORTS = (131, 132, 143)
UNSPECIFIED = 0

_IPV4 = {"eth_type": fields.ETH_IPV4}
_IPV6 = {"eth_type": fields.ETH_IPV6}
_ICMPV6 = {**_IPV6, "ip_proto": fields.IP_ICMPV6}


@dataclass(frozen=True, slots=True)
class _Sender:
    """One MAC that a port may use, with the prefixes that go with it; a link-local address is always among the v6."""

    mac: int
    ipv4: Sequence[ipaddress.IPv4Network]
    ipv6: Sequence[ipaddress.IPv6Network]


def flows_for_all() -> Iterator[Flow]:
    """What secured ports may not do, whoever they are; the same on every switch."""
    udp4, udp6 = {**_IPV4, "ip_proto": fields.IP_UDP}, {**_IPV6, "ip_proto": fields.IP_UDP}
    forbidden = (
        ({**udp4, "udp_src": DHCP_SERVER}, "DHCP answers"),
        ({**udp4, "udp_dst": DHCP_CLIENT}, "DHCP answers"),
        ({**udp6, "udp_src": DHCP6_SERVER}, "DHCPv6 answers"),
        ({**udp6, "udp_dst": DHCP6_CLIENT}, "DHCPv6 answers"),
        ({**_ICMPV6, "icmpv6_type": ROUTER_ADVERT}, "router advertisements"),
        ({**_ICMPV6, "icmpv6_type": REDIRECT}, "router redirects"),
    )
    for match, what in forbidden:
        yield flow(PORT_SECURITY, FORBID).match(client=1, **match).because(f"{what} from tenant ports").drop()
    advertisement = flow(PORT_SECURITY, NO_ADVERTISE).match(secured=1, icmpv6_type=fields.ND_ADVERT, **_ICMPV6)
    yield advertisement.because("neighbour advertisements for addresses of others").drop()


def flows_of(port: Port, ofport: int) -> Iterator[Flow]:
    """What this port may send."""
    if not port.port_security_enabled:
        yield _from(port, ofport).goto(ARP_RESPONDER)
        return
    for sender in _senders(port):
        for sentence in (*_arp(port, ofport, sender), *_ipv4(port, ofport, sender), *_ipv6(port, ofport, sender)):
            yield sentence.goto(ARP_RESPONDER)


def _from(port: Port, ofport: int, priority: int = ALLOW) -> FlowBuilder:
    return flow(PORT_SECURITY, priority).match(in_port=ofport).because(f"port {port.id}")


def _arp(port: Port, ofport: int, sender: _Sender) -> Iterator[FlowBuilder]:
    arp = {"eth_src": sender.mac, "eth_type": fields.ETH_ARP, "arp_sha": sender.mac}
    for prefix in sender.ipv4:
        yield _from(port, ofport).match(*_within("arp_spa", prefix), **arp)
        probe = _from(port, ofport).match(*_within("arp_tpa", prefix), **arp)
        yield probe.match(arp_op=ARP_REQUEST, arp_spa=UNSPECIFIED)
    yield _from(port, ofport).match(eth_src=sender.mac, eth_type=ETH_RARP)


def _ipv4(port: Port, ofport: int, sender: _Sender) -> Iterator[FlowBuilder]:
    for prefix in sender.ipv4:
        yield _from(port, ofport).match(*_within("ipv4_src", prefix), eth_src=sender.mac, **_IPV4)
    discover = _from(port, ofport).match(eth_src=sender.mac, ipv4_src=UNSPECIFIED, ip_proto=fields.IP_UDP, **_IPV4)
    yield discover.match(udp_src=DHCP_CLIENT, udp_dst=DHCP_SERVER)


def _ipv6(port: Port, ofport: int, sender: _Sender) -> Iterator[FlowBuilder]:
    for prefix in sender.ipv6:
        yield _from(port, ofport).match(*_within("ipv6_src", prefix), eth_src=sender.mac, **_IPV6)
        tentative = _from(port, ofport).match(*_within("ipv6_nd_target", prefix), eth_src=sender.mac, **_ICMPV6)
        yield tentative.match(ipv6_src=UNSPECIFIED, icmpv6_type=fields.ND_SOLICIT)
        for target in sender.ipv6:
            own = _from(port, ofport, ADVERTISE).match(*_within("ipv6_src", prefix), eth_src=sender.mac, **_ICMPV6)
            yield own.match(*_within("ipv6_nd_target", target), icmpv6_type=fields.ND_ADVERT)
    for kind in (ROUTER_SOLICIT, *LISTENER_REPORTS):
        yield _from(port, ofport).match(eth_src=sender.mac, ipv6_src=UNSPECIFIED, icmpv6_type=kind, **_ICMPV6)


def _senders(port: Port) -> Iterator[_Sender]:
    allowed = [(source.mac, ipaddress.ip_network(source.cidr)) for source in allowed_sources(port)]
    for mac in allowed_macs(port):
        mine = [prefix for owner, prefix in allowed if owner == mac]
        number = fields.mac(mac)
        link_local = ipaddress.IPv6Network(fields.link_local(number))
        ipv6 = {prefix for prefix in mine if isinstance(prefix, ipaddress.IPv6Network)} | {link_local}
        yield _Sender(number, [prefix for prefix in mine if isinstance(prefix, ipaddress.IPv4Network)], sorted(ipv6))


def _within(name: str, prefix: ipaddress.IPv4Network | ipaddress.IPv6Network) -> tuple[MatchField, ...]:
    """The match of a field on a prefix; none for a prefix that covers everything."""
    if prefix.prefixlen == 0:
        return ()
    mask = None if prefix.prefixlen == prefix.max_prefixlen else int(prefix.netmask)
    return (MatchField(name, int(prefix.network_address), mask),)
