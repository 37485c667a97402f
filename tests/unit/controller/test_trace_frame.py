"""The frame of a trace: what is not said follows from the two ports, and what cannot be is refused."""

from __future__ import annotations

import pytest
from neutron_lib.exceptions import InvalidInput

from controller.model import Port
from controller.tracing.frame import Wanted, frame_of, frame_text

ONE = Port("one", "net", "fa:16:3e:00:00:01", ("10.0.0.1", "2001:db8::1"))
TWO = Port("two", "net", "fa:16:3e:00:00:02", ("2001:db8::2", "10.0.0.2"))
SIX = Port("six", "net", "fa:16:3e:00:00:06", ("2001:db8::6",))
BARE = Port("bare", "net", "fa:16:3e:00:00:0b")

BOTH = "fa:16:3e:00:00:01 > fa:16:3e:00:00:02"
ALL = "fa:16:3e:00:00:01 > ff:ff:ff:ff:ff:ff"


@pytest.mark.parametrize(("wanted", "target", "text"), [
    ({}, TWO, f"{BOTH}: icmp 10.0.0.1 > 10.0.0.2"),
    ({}, SIX, "fa:16:3e:00:00:01 > fa:16:3e:00:00:06: icmp 2001:db8::1 > 2001:db8::6"),
    ({}, None, f"{ALL}: icmp 10.0.0.1 > 255.255.255.255"),
    ({}, BARE, "fa:16:3e:00:00:01 > fa:16:3e:00:00:0b: icmp 10.0.0.1 > 255.255.255.255"),
    ({"ip_src": "2001:db8::9"}, TWO, f"{BOTH}: icmp 2001:db8::9 > 2001:db8::2"),
    ({"ip_dst": "10.0.0.9"}, None, f"{ALL}: arp who has 10.0.0.9, tell 10.0.0.1"),
    ({"ip_dst": "2001:db8::9"}, None,
     "fa:16:3e:00:00:01 > 33:33:ff:00:00:09: icmp 2001:db8::1 > ff02::1:ff00:9, who has 2001:db8::9"),
    ({"ip_dst": "10.0.0.9", "eth_dst": "FA:16:3E:00:00:09"}, None,
     "fa:16:3e:00:00:01 > fa:16:3e:00:00:09: icmp 10.0.0.1 > 10.0.0.9"),
    ({"protocol": "arp"}, TWO, f"{ALL}: arp who has 10.0.0.2, tell 10.0.0.1"),
    ({"protocol": "nd"}, TWO,
     "fa:16:3e:00:00:01 > 33:33:ff:00:00:02: icmp 2001:db8::1 > ff02::1:ff00:2, who has 2001:db8::2"),
    ({"protocol": "udp", "src_port": "68", "dst_port": "67"}, None,
     f"{ALL}: udp 10.0.0.1 port 68 > 255.255.255.255 port 67"),
    ({"protocol": "tcp", "eth_src": "fa:16:3e:00:00:ff", "vlan": "5"}, TWO,
     "fa:16:3e:00:00:ff > fa:16:3e:00:00:02 vlan 5: tcp 10.0.0.1 port 40000 > 10.0.0.2 port 7"),
    ({"protocol": "ethernet"}, TWO, f"{BOTH}: EtherType 0x88b5"),
])  # fmt: skip
def test_frames(wanted: dict[str, str], target: Port | None, text: str) -> None:
    assert frame_text(frame_of(Wanted.of(wanted), ONE, target)) == text


def test_a_port_without_addresses_sends_what_is_no_ip() -> None:
    assert frame_text(frame_of(Wanted(), BARE, TWO)).endswith("EtherType 0x88b5")
    assert frame_text(frame_of(Wanted(protocol="arp"), BARE, TWO)).endswith("who has 10.0.0.2, tell 0.0.0.0")
    assert "icmp :: >" in frame_text(frame_of(Wanted(protocol="nd"), BARE, TWO))


@pytest.mark.parametrize(("wanted", "target", "fault"), [
    ({"protocol": "ospf"}, TWO, "protocol is one of arp, nd, icmp, udp, tcp, ethernet"),
    ({"eth_src": "fa:16"}, TWO, "eth_src: 'fa:16' is not a MAC address"),
    ({"eth_dst": "zz:16:3e:00:00:01"}, TWO, "eth_dst"),
    ({"ip_src": "10.0.0.256"}, TWO, "ip_src: '10.0.0.256' is not an IP address"),
    ({"ip_dst": "host"}, TWO, "ip_dst"),
    ({"src_port": "65536"}, TWO, "src_port: '65536' is not a number from 0 to 65535"),
    ({"dst_port": "-1"}, TWO, "dst_port"),
    ({"vlan": "0"}, TWO, "vlan: '0' is not a number from 1 to 4094"),
    ({"vlan": "٣"}, TWO, "vlan"),
    ({"ip_src": "10.0.0.1", "ip_dst": "2001:db8::1"}, TWO, "of different versions"),
    ({"protocol": "arp"}, SIX, "arp asks for an IPv4 address, and port six has no such fixed IP address"),
    ({"protocol": "arp"}, None, "and none is given"),
    ({"protocol": "arp", "ip_dst": "2001:db8::1"}, None, "2001:db8::1 is none"),
    ({"protocol": "nd"}, BARE, "nd asks for an IPv6 address"),
])  # fmt: skip
def test_frames_that_cannot_be(wanted: dict[str, str], target: Port | None, fault: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        frame_of(Wanted.of(wanted), ONE, target)
    assert fault in str(refused.value)


def test_ip_from_a_port_that_has_none_must_be_said() -> None:
    with pytest.raises(InvalidInput, match="give ip_src"):
        frame_of(Wanted(protocol="udp"), BARE, None)
