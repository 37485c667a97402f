"""Port security of the agent means what that of the OpenFlow pipeline means, packet by packet."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import example, given, settings
from hypothesis import strategies as st

from controller.dataplane import fields
from controller.dataplane.builder import flow
from controller.dataplane.interpreter import Switch
from controller.dataplane.packet import Packet, Vlan
from controller.model import AddressPair, Network, Port, Segment
from legacy_agent.drivers.linuxbridge import guard
from legacy_agent.drivers.senders import link_local
from legacy_agent.host_plan import HostPort
from legacy_agent.netlink import nft
from legacy_agent.netlink.nft import ACCEPT, DROP, Field, Meta, Rule
from mechanisms.openflow import classify, port_security
from mechanisms.openflow.pipeline import ARP_RESPONDER, CLASSIFY, PUNT
from mechanisms.sources import allowed_macs, allowed_sources

NAMES: Mapping[Field | Meta, str] = {
    guard.ETH_DST: "eth_dst",
    guard.ETH_SRC: "eth_src",
    guard.ETH_TYPE: "eth_type",
    guard.ARP_OPERATION: "arp_op",
    guard.ARP_SENDER_MAC: "arp_sha",
    guard.ARP_SENDER_IP: "arp_spa",
    guard.ARP_TARGET_IP: "arp_tpa",
    guard.IPV4_SRC: "ipv4_src",
    guard.IPV6_SRC: "ipv6_src",
    guard.UDP_SRC: "udp_src",
    guard.UDP_DST: "udp_dst",
    guard.ICMPV6_TYPE: "icmpv6_type",
    guard.ND_TARGET: "ipv6_nd_target",
    Meta.L4_PROTOCOL: "ip_proto",
}

OWN, PAIR, OTHER = "fa:16:3e:00:00:01", "00:00:5e:00:01:07", "fa:16:3e:00:00:02"
MACS = st.sampled_from([OWN, PAIR, OTHER])
IPV4 = st.sampled_from(["0.0.0.0", "10.0.0.1", "10.0.0.2", "10.9.0.3", "10.9.1.3", "10.8.0.8"])
LINK_LOCALS = [link_local(mac) for mac in (OWN, PAIR, OTHER)]
IPV6 = st.sampled_from(["::", "2001:db8::1", "2001:db8::2", "2001:db8:9::5", *LINK_LOCALS])
UDP_PORT = st.sampled_from([53, 67, 68, 546, 547])
ICMPV6 = st.sampled_from([128, 131, 132, 133, 134, 135, 136, 137, 143])


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    """Everything a port may try, right and wrong."""
    kind = draw(st.sampled_from(["arp", "rarp", "udp4", "tcp4", "udp6", "icmpv6", "other"]))
    values: dict[str, int | str] = {"eth_src": draw(MACS), "eth_dst": "ff:ff:ff:ff:ff:ff"}
    if kind == "arp":
        values |= {"eth_type": fields.ETH_ARP, "arp_op": draw(st.sampled_from([1, 2])), "arp_sha": draw(MACS),
                   "arp_spa": draw(IPV4), "arp_tpa": draw(IPV4), "arp_tha": 0}  # fmt: skip
    elif kind in ("rarp", "other"):
        values["eth_type"] = 0x8035 if kind == "rarp" else 0x88B5
    else:
        values |= _ip(draw, kind)
    tags = draw(st.sampled_from([(), (), (), (Vlan(0),), (Vlan(100),)]))
    return Packet.of(vlans=tags, **values)


def _ip(draw: st.DrawFn, kind: str) -> dict[str, int | str]:
    version = 4 if kind.endswith("4") else 6
    addresses = IPV4 if version == 4 else IPV6
    values: dict[str, int | str] = {
        "eth_type": fields.ETH_IPV4 if version == 4 else fields.ETH_IPV6,
        f"ipv{version}_src": draw(addresses),
        f"ipv{version}_dst": draw(addresses),
    }
    if kind == "icmpv6":
        number = draw(ICMPV6)
        values |= {"ip_proto": fields.IP_ICMPV6, "icmpv6_type": number, "icmpv6_code": 0}
        return values | ({"ipv6_nd_target": draw(IPV6)} if number in (135, 136) else {})
    if kind == "tcp4":
        return values | {"ip_proto": 6}
    return values | {"ip_proto": fields.IP_UDP, "udp_src": draw(UDP_PORT), "udp_dst": draw(UDP_PORT)}


ADDRESSES = st.sampled_from(["10.0.0.1", "2001:db8::1"])
PAIRS = st.sampled_from([
    AddressPair("10.9.0.0/24", OWN), AddressPair("10.8.0.8", PAIR), AddressPair("0.0.0.0/0", PAIR),
    AddressPair("::/0", OWN), AddressPair("2001:db8:9::/64", PAIR), AddressPair("2001:db8::2", PAIR),
])  # fmt: skip
OWNERS = st.sampled_from(["compute:nova", "network:dhcp"])


@st.composite
def ports(draw: st.DrawFn) -> Port:
    return Port(
        id="11111111-0000-4000-8000-000000000000",
        network_id="n",
        mac_address=OWN,
        fixed_ips=tuple(draw(st.lists(ADDRESSES, unique=True))),
        allowed_address_pairs=tuple(draw(st.lists(PAIRS, unique=True, max_size=3))),
        port_security_enabled=draw(st.integers(0, 4)) > 0,
        device_owner=draw(OWNERS),
    )


@settings(deadline=None, max_examples=200)
@given(ports(), st.lists(packets(), min_size=1, max_size=8))
@example(
    Port("1", "n", OWN, ("2001:db8::1",), allowed_address_pairs=(AddressPair("2001:db8::2", PAIR),)),
    [Packet.of(eth_src=OWN, eth_dst=OTHER, eth_type=fields.ETH_IPV6, ipv6_src="2001:db8::1", ipv6_dst="::",
               ip_proto=fields.IP_ICMPV6, icmpv6_type=136, icmpv6_code=0, ipv6_nd_target="2001:db8::2")],
)  # fmt: skip
def test_same_as_openflow(port: Port, tried: list[Packet]) -> None:
    switch = Switch(openflow(port), [1])
    rules = guard.rules(host_port(port))
    for packet in tried:
        walked = switch.trace(packet, 1).steps
        through = any(table == ARP_RESPONDER.id for table, _ in walked)
        assert (verdict(rules, packet) == ACCEPT) == through, f"{packet}: OpenFlow says {through}"


def openflow(port: Port) -> list:
    segment = Segment("s", "flat", "physnet1")
    flows = [classify.local_port(port, 1, Network("n", 1, (segment,)), segment)]
    flows.append(flow(PUNT, 0).because("everything else").goto(CLASSIFY))
    return [*flows, *port_security.flows_for_all(), *port_security.flows_of(port, 1)]


def host_port(port: Port) -> HostPort:
    """What the mechanism driver puts into the host plan for it."""
    secure = port.port_security_enabled
    macs, allowed = (allowed_macs(port), allowed_sources(port)) if secure else ((), ())
    return HostPort(port.id, port.mac_address, True, secure, port.may_serve_dhcp, macs, allowed)


def verdict(rules: tuple[Rule, ...], packet: Packet) -> int:
    """What nftables decides: the first rule whose tests all hold."""
    return next(rule.verdict for rule in rules if all(holds(test, packet) for test in rule.tests))


def holds(test: nft.Test, packet: Packet) -> bool:
    """A field that the packet has not, or whose protocol it is not, fits no test."""
    value = packet.get(NAMES[test.field])
    if test.field == guard.ETH_TYPE and packet.vlans:
        value = packet.vlans[0].ethertype
    if value is None:
        return False
    raw = value.to_bytes(len(test.value), "big")
    masked = raw if test.mask is None else bytes(a & b for a, b in zip(raw, test.mask, strict=True))
    return (masked == test.value) is test.equal


def test_control_frames_never_pass() -> None:
    for secured in (True, False):
        rules = guard.rules(HostPort("p", OWN, port_security=secured))
        for last in range(16):
            packet = Packet.of(eth_src=OWN, eth_dst=0x0180C2000000 + last, eth_type=0x88CC)
            assert verdict(rules, packet) == DROP


def test_link_local_of_a_mac() -> None:
    assert link_local("fa:16:3e:00:00:01") == "fe80::f816:3eff:fe00:1"
    assert link_local("00:00:5e:00:01:07") == "fe80::200:5eff:fe00:107"


def test_markers_tell_rules_apart() -> None:
    ports = [HostPort("p", OWN), HostPort("p", OTHER), HostPort("p", OWN, port_security=False)]
    texts = [tuple(map(guard.marker, guard.rules(port))) for port in ports]
    assert len(set(texts)) == 3
    assert texts[0] == tuple(map(guard.marker, guard.rules(HostPort("p", OWN))))
