"""Table ``port_security``: a port sends only as itself. What no flow here allows is dropped.

Flows of a port look at its ingress port; what is forbidden to all is said once, by the bits that ``classify`` sets.
Rules: ARP sender RFC 826, address conflict detection RFC 5227, DHCP RFC 2131 and 8415, neighbour discovery and
duplicate address detection RFC 4861 and 4862, multicast listeners RFC 2710, 3590 and 3810.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from controller.dataplane import fields
from controller.dataplane.builder import FlowBuilder, Value, flow
from controller.dataplane.forms import form
from controller.dataplane.values import Flow
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

_MAC = fields.named("eth_src")
_IPV4 = {"eth_type": fields.ETH_IPV4}
_IPV6 = {"eth_type": fields.ETH_IPV6}
_ICMPV6 = {**_IPV6, "ip_proto": fields.IP_ICMPV6}


@dataclass(frozen=True, slots=True)
class _Sender:
    """One MAC that a port may use, with the addresses and prefixes that go with it, as matches take them; a link-local
    address is always among the v6."""

    mac: int
    ipv4: Sequence[Value]
    ipv6: Sequence[Value]


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
        yield _anything(ofport, port.id)
        return
    for sender in _senders(port):
        yield from _arp(sender, ofport, port.id)
        yield from _ipv4(sender, ofport, port.id)
        yield from _ipv6(sender, ofport, port.id)


def _arp(sender: _Sender, ofport: int, port_id: str) -> Iterator[Flow]:
    for address in sender.ipv4:
        yield _arp_from(ofport, sender.mac, address, port_id)
        yield _arp_probe(ofport, sender.mac, address, port_id)
    yield _rarp(ofport, sender.mac, port_id)


def _ipv4(sender: _Sender, ofport: int, port_id: str) -> Iterator[Flow]:
    for address in sender.ipv4:
        yield _ipv4_from(ofport, sender.mac, address, port_id)
    yield _dhcp_discover(ofport, sender.mac, port_id)


def _ipv6(sender: _Sender, ofport: int, port_id: str) -> Iterator[Flow]:
    for address in sender.ipv6:
        yield _ipv6_from(ofport, sender.mac, address, port_id)
        yield _tentative(ofport, sender.mac, address, port_id)
        for target in sender.ipv6:
            yield _advertisement(ofport, sender.mac, address, target, port_id)
    for unaddressed in _UNADDRESSED:
        yield unaddressed(ofport, sender.mac, port_id)


def _from(ofport: int, port_id: str, priority: int = ALLOW) -> FlowBuilder:
    return flow(PORT_SECURITY, priority).match(in_port=ofport).because(f"port {port_id}")


@form
def _anything(ofport: int, port_id: str) -> Flow:
    return _from(ofport, port_id).goto(ARP_RESPONDER)


@form
def _arp_from(ofport: int, mac: int, address: Value, port_id: str) -> Flow:
    sentence = _from(ofport, port_id).match(eth_src=mac, eth_type=fields.ETH_ARP, arp_sha=mac, arp_spa=address)
    return sentence.goto(ARP_RESPONDER)


@form
def _arp_probe(ofport: int, mac: int, address: Value, port_id: str) -> Flow:
    probe = _from(ofport, port_id).match(eth_src=mac, eth_type=fields.ETH_ARP, arp_sha=mac, arp_tpa=address)
    return probe.match(arp_op=ARP_REQUEST, arp_spa=UNSPECIFIED).goto(ARP_RESPONDER)


@form
def _rarp(ofport: int, mac: int, port_id: str) -> Flow:
    return _from(ofport, port_id).match(eth_src=mac, eth_type=ETH_RARP).goto(ARP_RESPONDER)


@form
def _ipv4_from(ofport: int, mac: int, address: Value, port_id: str) -> Flow:
    return _from(ofport, port_id).match(eth_src=mac, ipv4_src=address, **_IPV4).goto(ARP_RESPONDER)


@form
def _dhcp_discover(ofport: int, mac: int, port_id: str) -> Flow:
    discover = _from(ofport, port_id).match(eth_src=mac, ipv4_src=UNSPECIFIED, ip_proto=fields.IP_UDP, **_IPV4)
    return discover.match(udp_src=DHCP_CLIENT, udp_dst=DHCP_SERVER).goto(ARP_RESPONDER)


@form
def _ipv6_from(ofport: int, mac: int, address: Value, port_id: str) -> Flow:
    return _from(ofport, port_id).match(eth_src=mac, ipv6_src=address, **_IPV6).goto(ARP_RESPONDER)


@form
def _tentative(ofport: int, mac: int, address: Value, port_id: str) -> Flow:
    sentence = _from(ofport, port_id).match(eth_src=mac, ipv6_src=UNSPECIFIED, **_ICMPV6)
    return sentence.match(icmpv6_type=fields.ND_SOLICIT, ipv6_nd_target=address).goto(ARP_RESPONDER)


@form
def _advertisement(ofport: int, mac: int, address: Value, target: Value, port_id: str) -> Flow:
    own = _from(ofport, port_id, ADVERTISE).match(eth_src=mac, ipv6_src=address, **_ICMPV6)
    return own.match(icmpv6_type=fields.ND_ADVERT, ipv6_nd_target=target).goto(ARP_RESPONDER)


def _unaddressed(kind: int) -> Callable[[int, int, str], Flow]:
    @form
    def sentence(ofport: int, mac: int, port_id: str) -> Flow:
        said = _from(ofport, port_id).match(eth_src=mac, ipv6_src=UNSPECIFIED, icmpv6_type=kind, **_ICMPV6)
        return said.goto(ARP_RESPONDER)

    return sentence


_UNADDRESSED = tuple(map(_unaddressed, (ROUTER_SOLICIT, *LISTENER_REPORTS)))
"""What is said by who has no address yet."""


def _senders(port: Port) -> Iterator[_Sender]:
    allowed = [(source.mac, ":" in source.cidr, _within(source.cidr)) for source in allowed_sources(port)]
    for mac in allowed_macs(port):
        number = _MAC.parse(mac)
        ipv4 = [value for owner, is_v6, value in allowed if owner == mac and not is_v6]
        ipv6 = [value for owner, is_v6, value in allowed if owner == mac and is_v6]
        yield _Sender(number, ipv4, list(dict.fromkeys([*ipv6, fields.link_local(number)])))


def _within(cidr: str) -> Value:
    """What a match takes; nothing for a prefix that covers everything."""
    if "/" not in cidr:
        return fields.ipv6(cidr) if ":" in cidr else fields.ipv4(cidr)
    prefix = ipaddress.ip_network(cidr)
    return (int(prefix.network_address), int(prefix.netmask)) if prefix.prefixlen else None
