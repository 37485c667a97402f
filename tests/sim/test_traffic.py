"""Whole traffic matrices: every pair either talks or does not, exactly as the intent says."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.dataplane import fields
from controller.dataplane.packet import BROADCAST, Packet, Vlan, arp_reply, arp_request, ethernet, icmpv6, udp
from controller.model import Port
from tests.sim.fabric import Delivery, Fabric, Wire
from tests.sim.world import bound, carries, fabric_of, hearers, on_switch, talk
from tests.support.scenarios import SEGMENT_KINDS, State, states

many = settings(max_examples=300, deadline=None)
some = settings(max_examples=100, deadline=None)


def send(fabric: Fabric, port: Port, packet: Packet) -> list[Delivery]:
    assert port.binding is not None
    return fabric.send(port.binding.node_id, port.id, packet)


def reached(fabric: Fabric, port: Port, packet: Packet) -> list[str]:
    """Ids of the ports that got it unaltered, with repetitions, in order."""
    arrived = send(fabric, port, packet)
    assert all(delivery.packet == packet for delivery in arrived)
    return sorted(delivery.port_id for delivery in arrived)


def datagram(sender: Port, to: Port | None = None) -> Packet:
    """From a port's own address to another port's, or to everyone."""
    mac, address = (to.mac_address, to.fixed_ips[0]) if to else (BROADCAST, "255.255.255.255")
    return udp(sender.mac_address, mac, sender.fixed_ips[0], address, payload=f"from {sender.id}")


@many
@given(state=states())
def test_broadcast_reaches_all_of_the_segment_once_and_nobody_else(state: State) -> None:
    fabric = fabric_of(state)
    for port in bound(state):
        assert reached(fabric, port, datagram(port)) == hearers(state, port)


@many
@given(state=states())
def test_unicast_reaches_its_destination_once_if_the_intent_lets_it(state: State) -> None:
    fabric = fabric_of(state)
    for sender in bound(state):
        for target in bound(state):
            if sender.id == target.id:
                continue
            ids = reached(fabric, sender, datagram(sender, target))
            assert ids.count(target.id) == int(talk(state, sender, target))
            assert set(ids) <= set(hearers(state, sender))
            assert len(ids) == len(set(ids))
            if on_switch(state, sender) and talk(state, sender, target):
                others = [state.ports[key] for key in ids if key != target.id]
                assert not [port for port in others if on_switch(state, port)]


@many
@given(state=states())
def test_arp_is_answered_by_the_switch_or_heard_by_all(state: State) -> None:
    fabric = fabric_of(state)
    for asker in bound(state):
        for target in bound(state):
            if asker.id == target.id:
                continue
            request = arp_request(asker.mac_address, asker.fixed_ips[0], target.fixed_ips[0])
            arrived = send(fabric, asker, request)
            responder = on_switch(state, asker) and state.networks[asker.network_id].arp_responder
            if responder and talk(state, asker, target):
                answer = arp_reply(target.mac_address, target.fixed_ips[0], asker.mac_address, asker.fixed_ips[0])
                assert arrived == [Delivery(asker.id, answer)]
            else:
                assert sorted(delivery.port_id for delivery in arrived) == hearers(state, asker)


@some
@given(state=states())
def test_announcements_and_conflict_detection_are_never_answered_by_a_switch(state: State) -> None:
    fabric = fabric_of(state)
    for port in bound(state):
        gratuitous = arp_request(port.mac_address, port.fixed_ips[0], port.fixed_ips[0])
        assert reached(fabric, port, gratuitous) == hearers(state, port)
        if on_switch(state, port):
            probe = arp_request(port.mac_address, "0.0.0.0", port.fixed_ips[0])
            assert reached(fabric, port, probe) == hearers(state, port)


def forgeries(port: Port) -> list[Packet]:
    """What a secured port may not send."""
    mac, address, other = port.mac_address, port.fixed_ips[0], "fa:16:3e:99:99:99"
    return [
        udp(other, BROADCAST, address, "255.255.255.255"),
        udp(mac, BROADCAST, "10.9.9.9", "255.255.255.255"),
        udp(mac, BROADCAST, "0.0.0.0", "255.255.255.255"),
        udp(mac, BROADCAST, address, "255.255.255.255", ports=(67, 68)),
        arp_request(mac, "10.9.9.9", "10.0.0.1"),
        arp_request(other, address, "10.0.0.1"),
        arp_request(mac, address, "10.0.0.1", sha=other),
        arp_request(other, address, "10.0.0.1", sha=mac),
        arp_reply(mac, "10.9.9.9", "ff:ff:ff:ff:ff:ff", "10.0.0.1"),
        ethernet(mac),
    ]


@some
@given(state=states())
def test_forgeries_are_dropped_at_secured_ports(state: State) -> None:
    fabric = fabric_of(state)
    for port in bound(state):
        for packet in forgeries(port):
            if port.port_security_enabled:
                assert send(fabric, port, packet) == []
            elif packet.get("arp_op") != 1:
                assert reached(fabric, port, packet) == hearers(state, port)


@some
@given(state=states())
def test_an_allowed_address_pair_passes(state: State) -> None:
    fabric = fabric_of(state)
    for port in bound(state):
        for pair in port.allowed_address_pairs:
            assert pair.ip_address == "172.16.0.0/24"
            virtual = udp(pair.mac_address, BROADCAST, "172.16.0.9", "255.255.255.255")
            assert reached(fabric, port, virtual) == hearers(state, port)
            announced = arp_request(pair.mac_address, "172.16.0.9", "172.16.0.9")
            assert reached(fabric, port, announced) == hearers(state, port)


@some
@given(state=states(), vid=st.sampled_from((0, 100, 101, 4094)))
def test_tagged_frames_of_tenants_are_dropped(state: State, vid: int) -> None:
    fabric = fabric_of(state)
    for port in bound(state):
        assert send(fabric, port, replace(datagram(port), vlans=(Vlan(vid),))) == []


@some
@given(state=states(), kind=st.sampled_from(SEGMENT_KINDS))
def test_what_comes_from_outside_reaches_its_own_segment_only(state: State, kind: tuple[str, str | None, int]) -> None:
    fabric = fabric_of(state)
    network_type, physical_network, number = kind
    stranger = udp("02:00:00:00:00:99", BROADCAST, "10.0.0.99", "255.255.255.255", payload="from outside")
    if physical_network is not None:
        tags = (Vlan(number),) if network_type == "vlan" else ()
        wires = [Wire("outside", replace(stranger, vlans=tags), physical_network)]
    else:
        ends = sorted({node.tunnel_ip for node in state.nodes.values() if node.tunnel_ip})
        wires = [Wire("outside", stranger, tunnel=(network_type, number), endpoint=end) for end in ends]
    arrived = [delivery for wire in wires for delivery in fabric.put(wire)]
    expected = sorted(port.id for port in bound(state) if carries(state, port) and _segment(state, port) == kind)
    known_peers_only = network_type == "gre"
    got = sorted(delivery.port_id for delivery in arrived)
    if known_peers_only:
        expected = [key for key in expected if on_switch(state, state.ports[key])]
    assert got == expected
    assert all(delivery.packet == stranger for delivery in arrived)


def _segment(state: State, port: Port) -> tuple[str, str | None, int | None]:
    assert port.binding is not None
    segment = state.networks[port.network_id].segment(port.binding.segment_id)
    assert segment is not None
    return segment.isolation_key


@some
@given(state=states())
def test_neighbour_discovery_of_a_secured_port_is_its_own(state: State) -> None:
    fabric = fabric_of(state)
    for port in bound(state):
        if not (port.port_security_enabled and on_switch(state, port)):
            continue
        mac, everyone, address = port.mac_address, "33:33:00:00:00:01", port.fixed_ips[1]
        local = fields.named("ipv6_src").format(fields.link_local(fields.mac(mac)))
        heard = hearers(state, port)
        for source, target in ((address, address), (local, local), (local, address), (address, local)):
            own = icmpv6(mac, everyone, source, "ff02::1", fields.ND_ADVERT, target)
            assert reached(fabric, port, own) == heard
        assert reached(fabric, port, icmpv6(mac, everyone, "::", "ff02::1", fields.ND_SOLICIT, address)) == heard
        assert reached(fabric, port, icmpv6(mac, everyone, "::", "ff02::16", 143)) == heard
        assert reached(fabric, port, icmpv6(mac, everyone, local, "ff02::2", 133)) == heard
        for forged in (
            icmpv6(mac, everyone, address, "ff02::1", fields.ND_ADVERT, "2001:db8::9999"),
            icmpv6(mac, everyone, "2001:db8::9999", "ff02::1", fields.ND_ADVERT, address),
            icmpv6(mac, everyone, "::", "ff02::1", fields.ND_SOLICIT, "2001:db8::9999"),
            icmpv6(mac, everyone, "2001:db8::9999", "ff02::1", fields.ND_SOLICIT, address),
            icmpv6(mac, everyone, local, "ff02::1", 134),
            icmpv6(mac, everyone, local, "ff02::1", 137),
            icmpv6(mac, everyone, "2001:db8::9999", "ff02::1", 128),
            udp(mac, everyone, local, "ff02::1", ports=(547, 546)),
        ):
            assert send(fabric, port, forged) == []


@some
@given(state=states())
def test_control_frames_of_bridges_stay_where_they_are(state: State) -> None:
    fabric = fabric_of(state)
    for port in bound(state):
        if on_switch(state, port):
            assert send(fabric, port, ethernet(port.mac_address, "01:80:c2:00:00:0e")) == []


@some
@given(state=states(), choice=st.integers(0, 7))
def test_a_port_that_is_not_plugged_neither_hears_nor_attracts(state: State, choice: int) -> None:
    out = {key for number, key in enumerate(sorted(state.ports)) if number % 3 == choice % 3}
    fabric = fabric_of(state, without={key for key in out if on_switch(state, state.ports[key])})
    plugged = [port for port in bound(state) if not (port.id in out and on_switch(state, port))]
    there = {port.id for port in plugged}
    for port in plugged:
        assert reached(fabric, port, datagram(port)) == [key for key in hearers(state, port) if key in there]
        for target in bound(state):
            if target.id not in there and talk(state, port, target) and on_switch(state, port):
                stray = [state.ports[key] for key in reached(fabric, port, datagram(port, target))]
                assert not [other for other in stray if on_switch(state, other)]
                if target.host == port.host:
                    sent = fabric.machines[state.ports[port.id].binding.node_id]  # type: ignore[union-attr]
                    assert list(sent.from_port(port.id, datagram(port, target))) == []
