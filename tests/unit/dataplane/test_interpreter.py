"""The in-memory switch follows OpenFlow's rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.dataplane import fields, packet
from controller.dataplane.interpreter import ALL_PORTS, Emission, Switch
from controller.dataplane.packet import Packet, Vlan
from controller.dataplane.values import (
    Action,
    Bucket,
    Flow,
    Fragment,
    Group,
    GroupType,
    MatchField,
    Meter,
    Move,
    Output,
    PopVlan,
    Program,
    PushVlan,
    SetField,
    ToGroup,
)
from controller.errors import CompileError

A, B = 0x020000000001, 0x020000000002
PORTS = (1, 2, 3)
FRAME = packet.ethernet(A, B, "hello")


def out(*flows: Flow, groups: tuple[Group, ...] = (), given: Packet = FRAME, in_port: int = 1) -> list[Emission]:
    return Switch(flows, PORTS, groups, tunnel_ports=(3,)).inject(given, in_port)


def ports(emissions: list[Emission]) -> list[int]:
    return [emission.port for emission in emissions]


def simple(*actions: Action) -> Flow:
    return Flow(0, 0, (), actions)


def group(kind: GroupType, *buckets: Bucket) -> Group:
    return Group(7, kind, buckets)


def test_the_highest_priority_that_matches_wins() -> None:
    flows = (
        Flow(0, 1, (MatchField("eth_dst", B),), (Output(2),)),
        Flow(0, 5, (MatchField("eth_src", A),), (Output(3),)),
        Flow(0, 9, (MatchField("eth_dst", A),), (Output(9),)),
    )
    assert ports(out(*flows)) == [3]


def test_a_table_miss_drops() -> None:
    assert out(Flow(0, 1, (MatchField("eth_dst", A),), (Output(2),))) == []
    assert out() == []
    assert out(Flow(0, 0, goto=4)) == []


@given(value=st.integers(0, 2**48 - 1), mask=st.integers(1, 2**48 - 1))
def test_masks_look_at_their_bits_only(value: int, mask: int) -> None:
    flow = Flow(0, 1, (MatchField("eth_dst", value & mask, mask),), (Output(2),))
    assert bool(out(flow)) == (B & mask == value & mask)


def test_actions_apply_in_order_and_metadata_reaches_the_next_table() -> None:
    flows = (
        Flow(0, 0, (), (Output(2), SetField("eth_src", B), Output(3)), (0x1200, 0xFF00), 2),
        Flow(2, 1, (MatchField("metadata", 0x12 << 8, 0xFF00),), (Output(2),)),
    )
    sent = out(*flows)
    assert [(e.port, e.packet["eth_src"]) for e in sent] == [(2, A), (3, B), (2, B)]


def test_metadata_starts_at_zero_and_keeps_unmasked_bits() -> None:
    flows = (
        Flow(0, 0, (MatchField("metadata", 0),), (), (0xF0, 0xF0), 1),
        Flow(1, 0, (), (), (0x0F, 0x0F), 2),
        Flow(2, 0, (MatchField("metadata", 0xFF),), (Output(2),)),
    )
    assert ports(out(*flows)) == [2]


def test_nothing_goes_back_unless_by_in_port() -> None:
    assert ports(out(simple(Output(1), Output(2)))) == [2]
    assert ports(out(simple(Output(fields.IN_PORT)))) == [1]
    assert ports(out(simple(Output(ALL_PORTS)))) == [2, 3]
    assert ports(out(simple(Output(fields.CONTROLLER, 128)))) == [fields.CONTROLLER]
    assert ports(out(simple(Output(99)))) == []


def test_every_bucket_has_its_own_copy_and_the_packet_goes_on_as_it_was() -> None:
    buckets = (
        Bucket((SetField("eth_src", B), Output(2))),
        Bucket((Output(3), Output(1))),
    )
    sent = out(simple(ToGroup(7), Output(2)), groups=(group(GroupType.ALL, *buckets),))
    assert [(e.port, e.packet["eth_src"]) for e in sent] == [(2, B), (3, A), (2, A)]


def test_indirect_and_fast_failover_groups() -> None:
    one, two = Bucket((Output(2),), watch_port=2), Bucket((Output(3),), watch_port=3)
    assert ports(out(simple(ToGroup(7)), groups=(group(GroupType.INDIRECT, one),))) == [2]
    switch = Switch([simple(ToGroup(7))], PORTS, [group(GroupType.FAST_FAILOVER, one, two)])
    assert ports(switch.inject(FRAME, 1)) == [2]
    switch.set_live(2, False)
    assert ports(switch.inject(FRAME, 1)) == [3]
    switch.set_live(3, False)
    assert switch.inject(FRAME, 1) == []


def test_select_keeps_a_flow_on_one_bucket() -> None:
    chosen = group(GroupType.SELECT, Bucket((Output(2),), weight=1), Bucket((Output(3),), weight=0))
    assert ports(out(simple(ToGroup(7)), groups=(chosen,))) == [2]


def test_a_loop_of_groups_is_found() -> None:
    with pytest.raises(CompileError, match="loop"):
        out(simple(ToGroup(7)), groups=(group(GroupType.ALL, Bucket((ToGroup(7),))),))


def test_vlan_tags_are_pushed_set_matched_and_popped() -> None:
    (tagged,) = out(simple(PushVlan(), SetField("vlan_vid", 0x1000 | 100), Output(2)))
    assert tagged.packet == Packet(FRAME.headers, (Vlan(100),), "hello")
    by_tag = Flow(0, 1, (MatchField("vlan_vid", 0x1000 | 100),), (PopVlan(), Output(2)))
    untagged = Flow(0, 1, (MatchField("vlan_vid", 0),), (Output(3),))
    assert out(by_tag, untagged, given=tagged.packet) == [Emission(2, FRAME)]
    assert ports(out(by_tag, untagged)) == [3]
    any_tag = Flow(0, 1, (MatchField("vlan_vid", 0x1000, 0x1000),), (PushVlan(0x88A8), Output(2)))
    (double,) = out(any_tag, given=tagged.packet)
    assert double.packet.vlans == (Vlan(100, 0, 0x88A8), Vlan(100))


def test_popping_nothing_is_a_mistake_of_the_program() -> None:
    with pytest.raises(CompileError, match="no tag"):
        out(simple(PopVlan()))
    with pytest.raises(CompileError, match="without vlan_vid"):
        out(simple(SetField("vlan_vid", 0x1001)))
    with pytest.raises(CompileError, match="without arp_op"):
        out(simple(SetField("arp_op", 2)))


def test_an_arp_responder_answers_in_place() -> None:
    request = packet.arp_request(A, "10.0.0.1", "10.0.0.2")
    match = (
        MatchField("arp_op", 1),
        MatchField("arp_tpa", fields.ipv4("10.0.0.2")),
        MatchField("eth_type", fields.ETH_ARP),
    )
    actions: tuple[Action, ...] = (
        Move("eth_src", "eth_dst"),
        SetField("eth_src", B),
        SetField("arp_op", 2),
        Move("arp_sha", "arp_tha"),
        SetField("arp_sha", B),
        Move("arp_spa", "arp_tpa"),
        SetField("arp_spa", fields.ipv4("10.0.0.2")),
        Output(fields.IN_PORT),
    )
    flow = Flow(0, 1, match, actions)
    assert out(flow, given=request) == [Emission(1, packet.arp_reply(B, "10.0.0.2", A, "10.0.0.1"))]
    assert out(flow, given=packet.arp_request(A, "10.0.0.1", "10.0.0.3")) == []
    assert out(flow) == []


def test_tunnel_fields_belong_to_tunnel_ports() -> None:
    to_tunnel = simple(SetField("tunnel_id", 77), SetField("tun_ipv4_dst", 9), Output(3), Output(2))
    by_tunnel, by_port = out(to_tunnel)
    assert by_tunnel.packet.get("tunnel_id") == 77
    assert by_tunnel.packet.get("tun_ipv4_dst") == 9
    assert by_port.packet == FRAME
    from_77 = Flow(0, 1, (MatchField("tunnel_id", 77),), (Output(2),))
    assert out(from_77, given=by_tunnel.packet, in_port=3) == [Emission(2, FRAME)]
    assert out(from_77, given=by_tunnel.packet, in_port=1) == []


def test_ip_packets_are_matched_by_their_fields() -> None:
    dhcp = packet.udp(A, B, "10.0.0.1", "10.0.0.2", (67, 68))
    match = (MatchField("eth_type", 0x0800), MatchField("ip_proto", 17), MatchField("udp_src", 67))
    assert ports(out(Flow(0, 1, match, (Output(2),)), given=dhcp)) == [2]
    solicit = packet.icmpv6(A, B, "fe80::1", "ff02::1", 135, "fe80::2")
    nd = (MatchField("eth_type", 0x86DD), MatchField("icmpv6_type", 135), MatchField("ip_proto", 58))
    assert ports(out(Flow(0, 1, nd, (Output(2),)), given=solicit)) == [2]
    assert solicit.get("ipv6_nd_sll") == A
    assert "fe80::1" in str(solicit)


def test_what_a_switch_refuses_is_refused() -> None:
    with pytest.raises(CompileError, match="udp_src needs ip_proto"):
        Switch([Flow(0, 1, (MatchField("udp_src", 67),))], PORTS)
    with pytest.raises(CompileError, match="meter 5"):
        Switch([Flow(0, 1, meter=5)], PORTS)
    assert Switch([Flow(0, 1, meter=5)], PORTS, meters=[Meter(5, 1, 1)])
    with pytest.raises(CompileError, match="back to 0"):
        Switch([Flow(1, 1, goto=0)], PORTS)
    with pytest.raises(CompileError, match="group 5"):
        Switch([simple(ToGroup(5))], PORTS)
    with pytest.raises(CompileError, match="twice"):
        Switch([simple(Output(1)), simple(Output(2))], PORTS)
    with pytest.raises(CompileError, match="twice"):
        Switch([], PORTS, [group(GroupType.ALL), group(GroupType.ALL)])


def test_two_flows_of_one_priority_may_not_disagree() -> None:
    by_dst = Flow(0, 1, (MatchField("eth_dst", B),), (Output(2),))
    by_src = Flow(0, 1, (MatchField("eth_src", A),), (Output(3),))
    with pytest.raises(CompileError, match="priority 1"):
        out(by_dst, by_src)
    assert ports(out(by_dst, Flow(0, 1, (MatchField("eth_src", A),), (Output(2),)))) == [2]


def test_a_trace_tells_the_tables_and_flows() -> None:
    first, last = Flow(0, 0, goto=3), Flow(3, 0, (), (Output(2),))
    program = Program.of(1, [Fragment("f", (first, last))])
    trace = Switch(program, PORTS).trace(FRAME, 1)
    assert trace.steps == ((0, first), (3, last))
    assert trace.emissions == (Emission(2, FRAME),)
    assert Switch([first], PORTS).trace(FRAME, 1).steps == ((0, first), (3, None))


def test_packets_have_the_fields_of_their_type() -> None:
    with pytest.raises(CompileError, match="eth_type=0x806"):
        Packet.of(eth_src=A, eth_dst=B, eth_type=0x0800, arp_op=1)
    with pytest.raises(CompileError, match="needs eth_type"):
        Packet.of(eth_src=A, eth_dst=B)
    with pytest.raises(CompileError, match="not a header field"):
        Packet.of(eth_src=A, eth_dst=B, eth_type=1, in_port=1)
    assert FRAME.changed(eth_src=B)["eth_src"] == B


@given(st.data())
def test_lookup_is_what_a_linear_search_finds(data: st.DataObject) -> None:
    """Tuple space against the definition: highest priority first, every field compared through its mask."""
    small = st.integers(0, 3)
    matches = st.tuples(st.sampled_from(["eth_src", "eth_dst"]), small, st.none() | st.integers(1, 3))
    drawn = data.draw(st.lists(st.lists(matches, max_size=2, unique_by=lambda m: m[0]), max_size=8))
    flows = [
        Flow(
            0, priority, tuple(sorted(MatchField(n, v if m is None else v & m, m) for n, v, m in match)), (Output(2),)
        )
        for priority, match in enumerate(drawn)
    ]
    frame = packet.ethernet(data.draw(small), data.draw(small))

    def admits(flow: Flow) -> bool:
        full = 2**48 - 1
        return all(frame[f.name] & (full if f.mask is None else f.mask) == f.value for f in flow.match)

    expected = next((flow for flow in reversed(flows) if admits(flow)), None)
    assert Switch(flows, PORTS).trace(frame, 1).steps == ((0, expected),)
