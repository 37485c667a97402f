"""What may leave a port, as flows: the same meaning as the linuxbridge driver's nftables rules and the controller's
table ``port_security``.

Two tables, because OpenFlow has no "otherwise go on": ``screen`` drops what nobody may send, ``sources`` lets pass
what the port may send as itself and drops the rest.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from legacy_agent.drivers.openvswitch.items import Template
from legacy_agent.drivers.openvswitch.tables import FORWARD, SCREEN, SOURCES, goto
from legacy_agent.drivers.senders import Sender, senders
from legacy_agent.host_plan import HostPort

_TAGGED, _SERVICE, _OWN_TARGET, _ANY_TARGET, _REST = 900, 800, 700, 600, 0
_ACCEPT = 500

_SERVICES = (
    "udp,tp_src=67",
    "udp,tp_dst=68",
    "udp6,tp_src=547",
    "udp6,tp_dst=546",
    "icmp6,icmp_type=134",
    "icmp6,icmp_type=137",
)
"""Answers that only network services may give: DHCP, router advertisements and redirects."""

_ADVERTISEMENT = "icmp6,icmp_type=136"
_UNSPECIFIED = "ipv6_src=::"


def guard(port: HostPort, interface: str) -> Iterator[Template]:
    """The flows of one port in both tables."""
    source = f"in_port={{{interface}}}"
    yield Template(SCREEN, _TAGGED, f"{source},vlan_tci=0x1000/0x1000", ())
    if not port.port_security:
        yield Template(SCREEN, _REST, source, (goto(FORWARD),))
        return
    yield Template(SCREEN, _REST, source, (goto(SOURCES),))
    if not port.may_serve_dhcp:
        for service in _SERVICES:
            yield Template(SCREEN, _SERVICE, f"{source},{service}", ())
    yield Template(SCREEN, _ANY_TARGET, f"{source},{_ADVERTISEMENT}", ())
    for sender in senders(port):
        yield from _targets(sender, source)
        for match in (*_arp(sender), *_ipv4(sender), *_ipv6(sender)):
            yield Template(SOURCES, _ACCEPT, f"{source},dl_src={sender.mac},{match}", (goto(FORWARD),))


def _targets(sender: Sender, source: str) -> Iterator[Template]:
    """Neighbour advertisements for its own addresses go on to the question of their own source."""
    for cidr in sender.ipv6:
        match = f"{source},dl_src={sender.mac},{_ADVERTISEMENT},icmp_code=0{_within('nd_target', cidr)}"
        yield Template(SCREEN, _OWN_TARGET, match, (goto(SOURCES),))


def _arp(sender: Sender) -> Iterator[str]:
    """ARP as itself (RFC 826), probes for its own addresses (RFC 5227), and RARP as hypervisors announce guests."""
    for cidr in sender.ipv4:
        yield f"arp,arp_sha={sender.mac}{_within('arp_spa', cidr)}"
        yield f"arp,arp_op=1,arp_sha={sender.mac},arp_spa=0.0.0.0{_within('arp_tpa', cidr)}"
    yield "rarp"


def _ipv4(sender: Sender) -> Iterator[str]:
    for cidr in sender.ipv4:
        yield f"ip{_within('nw_src', cidr)}"
    yield "udp,nw_src=0.0.0.0,tp_src=68,tp_dst=67"


def _ipv6(sender: Sender) -> Iterator[str]:
    """Duplicate address detection (RFC 4862) and multicast listener reports (RFC 3590) before it has an address."""
    for cidr in sender.ipv6:
        yield f"ipv6{_within('ipv6_src', cidr)}"
        yield f"icmp6,{_UNSPECIFIED},icmp_type=135,icmp_code=0{_within('nd_target', cidr)}"
    for kind in (133, 131, 132, 143):
        yield f"icmp6,{_UNSPECIFIED},icmp_type={kind}"


def _within(field: str, cidr: str) -> str:
    """The field lies in the range; nothing for a range that holds every address."""
    network = ipaddress.ip_network(cidr, strict=False)
    return "" if network.prefixlen == 0 else f",{field}={network if network.num_addresses > 1 else cidr.split('/')[0]}"
