"""The openflow mechanism where traffic tests do not look: keys, ids, shapes, capabilities, odd observations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.dataplane import fields
from controller.dataplane.values import Fragment, GroupType, Program
from controller.errors import CompileError
from controller.intent import Change
from controller.model import AddressPair, Attachment, Binding, Network, Node, Observation, Port
from mechanisms.api import Bound, Refused
from mechanisms.openflow import groups, stamp
from mechanisms.openflow.driver import OpenFlowMechanismDriver
from mechanisms.openflow.here import locate
from mechanisms.openflow.pipeline import ARP_RESPONDER, CLASSIFY, DELIVER, L2_LOOKUP, PIPELINE, PORT_SECURITY
from mechanisms.openflow.registers import METADATA, Source, Transport, destination
from mechanisms.openflow.text import flow_text, group_text
from tests.support.scenarios import State, host_node, intent_of, make_network, make_port, observe, switch_node

ME, PEER, HOST = switch_node(1), switch_node(2), host_node(3)
VXLAN = make_network(7, ("vxlan", None, 77))
VLAN = make_network(8, ("vlan", "physnet1", 100))
FLAT = make_network(9, ("flat", "physnet1", None))


def program(*ports: Port, networks=(VXLAN, VLAN, FLAT), node: Node = ME, seen: Observation | None = None,
            nodes: tuple[Node, ...] = (ME, PEER, HOST)) -> Program:  # type: ignore[no-untyped-def]  # fmt: skip
    known = {item.id: item for item in nodes} | {node.id: node}
    state = State({net.id: net for net in networks}, known, {port.id: port for port in ports})
    return OpenFlowMechanismDriver().compile(intent_of(state), node, seen or observe(node, state.ports))


def lines(plan: Program, table: object = None) -> list[str]:
    return sorted(flow_text(flow) for flow in plan.flows() if table is None or flow.table == table.id)  # type: ignore[attr-defined]


def group_lines(plan: Program) -> list[str]:
    return sorted(group_text(group) for group in plan.groups())


def test_the_layout_fills_the_metadata_and_fits_the_keys_of_the_model() -> None:
    assert sum(field.width for field in METADATA if field.part_of is None) == 64
    assert (METADATA["network"].maximum, METADATA["port_key"].maximum) == ((1 << 20) - 1, (1 << 20) - 1)
    assert METADATA["node_key"].maximum == (1 << 16) - 1
    assert max(Transport) <= METADATA["transport"].maximum
    assert max(Source) <= METADATA["source"].maximum
    assert destination((1 << 16) - 1, (1 << 20) - 1) == METADATA["destination"].maximum


def test_a_key_that_does_not_fit_is_an_error() -> None:
    huge = replace(VLAN, key=1 << 20)
    with pytest.raises(CompileError, match="network has 20 bits"):
        list(program(make_port(huge, 1, ME), networks=(huge,)).flows())


def test_an_empty_switch_has_misses_and_common_rules_only() -> None:
    plan = program()
    assert set(plan.fragments) == {("static",), ("switch",)}
    reachable = {table.id for table in PIPELINE.reachable()}
    assert {flow.table for flow in plan.flows() if flow.priority == 0} == reachable
    assert stamp.TABLE not in reachable


def test_the_stamp_is_a_flow_of_its_own_table() -> None:
    flow = stamp.stamp_flow()
    assert (flow.table, flow.match, flow.actions, flow.goto) == (stamp.TABLE, stamp.MATCH, (), None)
    assert flow not in set(program(make_port(VLAN, 1, ME)).flows())


def test_tunnels_set_their_key_at_the_entrance_and_share_a_next_hop_per_peer() -> None:
    other = make_network(10, ("vxlan", None, 78))
    ports = [make_port(net, 10 * net.key + node.key, node) for net in (VXLAN, other) for node in (ME, PEER)]
    plan = program(*ports, networks=(VXLAN, other))
    keys = sorted(line.split("tunnel_id=")[1].split(",")[0] for line in lines(plan, CLASSIFY) if "tunnel_id=7" in line
                  and "port_security" in line)  # fmt: skip
    assert keys == ["77", "78"]
    assert [line for line in lines(plan, DELIVER) if "node_key=2" in line] == [
        "deliver 200 source=1 transport=5 node_key=2 -> group:0x20050002"
    ]
    assert "group 0x20050002 indirect [tun_ipv4_dst=192.0.2.2, output:22]" in group_lines(plan)
    assert set(plan.fragments) >= {("peer", "vxlan", PEER.id)}


def test_the_same_peer_by_two_tunnel_types_has_two_next_hops() -> None:
    gre = make_network(10, ("gre", None, 77))
    ports = [make_port(net, 10 * net.key + node.key, node) for net in (VXLAN, gre) for node in (ME, HOST)]
    plan = program(*ports, networks=(VXLAN, gre))
    assert {key for key in plan.fragments if key[0] == "peer"} == {  # type: ignore[index]
        ("peer", "gre", HOST.id), ("peer", "vxlan", HOST.id),
    }  # fmt: skip


def test_a_peer_that_claims_our_own_endpoint_gets_no_broadcast() -> None:
    twin = replace(PEER, tunnel_ip=ME.tunnel_ip)
    plan = program(make_port(VXLAN, 1, ME), make_port(VXLAN, 2, twin), make_port(VXLAN, 3, HOST), node=twin)
    (mine,) = (line for line in group_lines(plan) if f"0x{groups.flood_id(7, Source.LOCAL):x}" in line)
    assert mine.count("tun_ipv4_dst") == 1
    assert "192.0.2.3" in mine


def test_an_ipv6_endpoint_is_reached_by_the_field_for_it() -> None:
    here, there = replace(ME, tunnel_ip="2001:db8::1"), replace(PEER, tunnel_ip="2001:db8::2")
    plan = program(make_port(VXLAN, 1, here), make_port(VXLAN, 2, there), node=here, nodes=(here, there))
    assert "group 0x20050002 indirect [tun_ipv6_dst=2001:db8::2, output:22]" in group_lines(plan)
    assert not any("tun_ipv4" in line for line in group_lines(plan))


@pytest.mark.parametrize("mine", ["192.0.2.1", "2001:db8::1"])
def test_an_endpoint_of_the_other_ip_version_is_not_sent_to(mine: str) -> None:
    here, there = replace(ME, tunnel_ip=mine), replace(PEER, tunnel_ip="2001:db8::2" if "." in mine else "192.0.2.2")
    plan = program(make_port(VXLAN, 1, here), make_port(VXLAN, 2, there), node=here, nodes=(here, there))
    assert not any("tun_ip" in line for line in group_lines(plan))
    assert ("peer", "vxlan", PEER.id) not in plan.fragments


def test_peers_go_away_with_the_last_network_they_share() -> None:
    ports = [make_port(VXLAN, node.key, node) for node in (ME, PEER)]
    state = State({VXLAN.id: VXLAN}, {ME.id: ME, PEER.id: PEER}, {port.id: port for port in ports})
    intent, driver, seen = intent_of(state), OpenFlowMechanismDriver(), observe(ME, state.ports)
    assert ("peer", "vxlan", PEER.id) in driver.compile(intent, ME, seen).fragments
    intent.apply(Change.of(2, ports={ports[1].id: None}))
    assert ("peer", "vxlan", PEER.id) not in driver.compile(intent, ME, seen).fragments


def test_broadcast_of_local_ports_goes_everywhere_and_of_uplinks_inside_only() -> None:
    plan = program(make_port(VLAN, 1, ME), make_port(VLAN, 2, ME), make_port(VLAN, 3, PEER))
    floods = [line for line in group_lines(plan) if " all " in line]
    assert floods == [
        f"group 0x{groups.flood_id(8, Source.LOCAL):x} all "
        "[output:100] [output:101] [push_vlan, vlan_vid=100, output:10]",
        f"group 0x{groups.flood_id(8, Source.UPLINK):x} all [output:100] [output:101]",
    ]


def test_uplinks_have_one_group_each_that_flat_and_vlan_share() -> None:
    plan = program(make_port(VLAN, 1, ME), make_port(FLAT, 2, ME))
    uplink = groups.uplink_ids(ME.physical_networks)["physnet1"]
    assert [line for line in lines(plan, DELIVER) if f"0x{uplink:x}" in line] == [
        f"deliver 100 network=8 source=1 -> push_vlan, vlan_vid=100, group:0x{uplink:x}",
        f"deliver 100 network=9 source=1 -> group:0x{uplink:x}",
    ]
    assert f"group 0x{uplink:x} indirect [output:10]" in group_lines(plan)


def test_a_local_network_stays_inside() -> None:
    local = make_network(5, ("local", None, None))
    plan = program(make_port(local, 1, ME), make_port(local, 2, ME), networks=(local,))
    floods = [group for group in plan.groups() if group.type is GroupType.ALL]
    assert [group_text(group) for group in floods] == [
        f"group 0x{groups.flood_id(5, Source.LOCAL):x} all [output:100] [output:101]"
    ]
    assert len([line for line in lines(plan, CLASSIFY) if "network=5" in line]) == 2


def test_without_its_uplink_or_tunnel_port_a_network_works_inside() -> None:
    plan = program(make_port(VLAN, 1, ME), make_port(VXLAN, 2, ME), make_port(VXLAN, 3, PEER), seen=Observation(
        ME.id, {port.id: Attachment(port.id, "x", 50 + number) for number, port in
                enumerate((make_port(VLAN, 1), make_port(VXLAN, 2)))},
    ))  # fmt: skip
    assert [line for line in group_lines(plan) if "output:5" not in line] == []
    assert not [key for key in plan.fragments if key[0] == "peer"]  # type: ignore[index]


def test_a_port_that_is_not_plugged_has_a_destination_but_no_way_in_or_out() -> None:
    port = make_port(VLAN, 1, ME)
    other = make_port(VLAN, 2, ME)
    seen = Observation(ME.id, {other.id: Attachment(other.id, "x", 50)}, {"physnet1": 10})
    plan = program(port, other, seen=seen)
    assert len([line for line in lines(plan, L2_LOOKUP) if "destination=" in line]) == 2
    assert [line for line in lines(plan, DELIVER) if "destination=" in line] == [
        "deliver 400 destination=0x100002 -> output:50"
    ]


def test_nothing_of_a_network_is_there_unless_a_port_is_plugged() -> None:
    assert set(program(make_port(VLAN, 1, ME), seen=Observation(ME.id)).fragments) == {("static",), ("switch",)}


@pytest.mark.parametrize("what", [
    {"admin_state_up": False},
    {"binding": Binding(ME.id, "no such segment", "openflow", 1)},
    {"binding": None},
])  # fmt: skip
def test_a_port_that_may_not_carry_leaves_no_trace(what: dict[str, object]) -> None:
    port = make_port(VLAN, 1, ME, **what)
    seen = Observation(ME.id, {port.id: Attachment(port.id, "x", 50)}, {"physnet1": 10})
    assert not [flow for flow in program(port, seen=seen).flows() if port.id in flow.why]


def test_a_port_bound_by_another_segment_than_its_node_carries_nothing() -> None:
    both = make_network(6, ("vlan", "physnet1", 100), ("vxlan", None, 77))
    first = make_port(both, 1, ME)
    second = make_port(both, 2, ME, binding=Binding(ME.id, both.segments[1].id, "openflow", 2))
    plan = program(second, first, networks=(both,))
    assert {flow.why for flow in plan.flows() if flow.why.startswith("port ")} >= {f"port {first.id}"}
    assert f"port {second.id}" not in {flow.why for flow in plan.flows()}


def test_a_switch_that_cannot_rewrite_arp_forwards_it() -> None:
    simple = replace(ME, capabilities=frozenset())
    plan = program(make_port(VLAN, 1, simple), make_port(VLAN, 2, PEER), node=simple)
    assert [line for line in lines(plan, ARP_RESPONDER) if "everything" not in line] == []
    assert len([line for line in lines(plan, L2_LOOKUP) if "everything" not in line]) == 2


def test_an_address_or_mac_that_two_ports_have_is_left_to_broadcast() -> None:
    one, other = make_port(VLAN, 1, ME), make_port(VLAN, 2, PEER)
    twin = replace(other, mac_address=one.mac_address, fixed_ips=one.fixed_ips)
    plan = program(one, twin, make_port(VLAN, 3, PEER))
    assert len([line for line in lines(plan, L2_LOOKUP) if "everything" not in line]) == 1
    assert {line.split("arp_tpa=")[1].split()[0] for line in lines(plan, ARP_RESPONDER) if "arp_tpa" in line} == {
        "10.0.0.3"
    }


@pytest.mark.parametrize("named", ["10.0.0.2", "10.0.0.2/32"])
def test_an_address_that_a_pair_names_is_left_to_its_owners(named: str) -> None:
    """Two machines that take an address over from each other announce it and answer for it themselves."""
    standby = make_port(VLAN, 1, ME, allowed_address_pairs=(AddressPair(named, "fa:16:3e:00:00:01"),))
    plan = program(standby, make_port(VLAN, 2, PEER), make_port(VLAN, 3, PEER))
    assert {line.split("arp_tpa=")[1].split()[0] for line in lines(plan, ARP_RESPONDER) if "arp_tpa" in line} == {
        "10.0.0.1", "10.0.0.3",
    }  # fmt: skip


def test_ports_without_security_send_anything_untagged() -> None:
    plan = program(make_port(VLAN, 1, ME, port_security_enabled=False))
    assert [line for line in lines(plan, PORT_SECURITY) if "in_port" in line] == [
        "port_security 100 in_port=100 -> goto arp_responder"
    ]
    assert not [line for line in lines(plan, CLASSIFY) if "secured" in line]


def test_network_services_may_answer_dhcp_and_advertise_routers() -> None:
    plan = program(make_port(VLAN, 1, ME, device_owner="network:dhcp"))
    (entrance,) = (line for line in lines(plan, CLASSIFY) if "in_port=100" in line)
    assert "client=0 secured=1" in entrance


def test_a_pair_for_any_address_and_a_pair_with_a_prefix() -> None:
    pairs = (AddressPair("0.0.0.0/0", "02:00:00:00:00:01"), AddressPair("2001:db8:5::/48", "02:00:00:00:00:01"))
    plan = program(make_port(VLAN, 1, ME, allowed_address_pairs=pairs))
    allowed = [line for line in lines(plan, PORT_SECURITY) if "eth_src=02:00:00:00:00:01" in line]
    assert "port_security 100 eth_src=02:00:00:00:00:01 eth_type=0x0800 in_port=100 -> goto arp_responder" in allowed
    assert any("ipv6_nd_target=2001:db8:5::/ffff:ffff:ffff::" in line for line in allowed)


@pytest.mark.parametrize(("seen", "expected"), [
    (Observation("n", {"b": Attachment("b", "", 5), "a": Attachment("a", "", 5)}), {"a": 5}),
    (Observation("n", {"a": Attachment("a", "", 1), "b": Attachment("b", "", 6)}, {"physnet1": 1}), {"b": 6}),
    (Observation("n", {"a": Attachment("a", "", 2)}, {}, {"gre": 2}), {}),
    (Observation("n", {"a": Attachment("a", "", None)}), {}),
])  # fmt: skip
def test_an_openflow_port_means_one_thing(seen: Observation, expected: dict[str, int]) -> None:
    assert locate(ME, seen).ports == expected


def test_two_physical_networks_on_one_uplink_belong_to_the_first() -> None:
    assert locate(ME, Observation("n", {}, {"b": 1, "a": 1})).uplinks == {"a": 1}


def test_group_ids_are_apart_and_known_as_ours() -> None:
    ids = [groups.flood_id(network, source) for network in (1, 2, (1 << 20) - 1) for source in Source]
    ids += [groups.next_hop_id(transport, node) for transport in Transport for node in (1, 2, (1 << 16) - 1)]
    ids += groups.uplink_ids(f"physnet{number}" for number in range(200)).values()
    assert len(set(ids)) == len(ids)
    assert all(groups.owns(number) and number < 0xFFFFFF00 for number in ids)
    assert not groups.owns(1)
    assert not groups.owns(0x60000000)


def test_uplink_ids_do_not_depend_on_order(monkeypatch: pytest.MonkeyPatch) -> None:
    class Constant:
        def digest(self) -> bytes:
            return b"\x0f\xff\xff\xff"

    monkeypatch.setattr(groups, "blake2b", lambda *_args, **_kwargs: Constant())
    clash = groups.uplink_ids(["b", "a", "c"])
    assert clash == groups.uplink_ids(["c", "b", "a"]) == {"a": 0x3FFFFFFF, "b": 0x30000000, "c": 0x30000001}


@pytest.mark.parametrize(("network", "node", "reason"), [
    (make_network(1, ("vlan", "physnet9", 1)), ME,
     "physical network 'physnet9' is not mapped on node 'sw1'; mapped there: physnet1, physnet2"),
    (make_network(1, ("flat", "physnet1", None)), replace(ME, physical_networks={}),
     "physical network 'physnet1' is not mapped on node 'sw1'; mapped there: none"),
    (make_network(1, ("gre", None, 1)), replace(ME, tunnel_ip=None),
     "node 'sw1' has no tunnel address, which gre networks need"),
    (make_network(1, ("gre", None, 1)), replace(ME, tunnel_types=frozenset({"vxlan"})),
     "node 'sw1' does not encapsulate gre; it can do vxlan"),
    (make_network(1, ("vxlan", None, 1)), replace(ME, limits={"vxlan": "no OVSDB"}),
     "node 'sw1' cannot carry vxlan networks: no OVSDB"),
    (make_network(1, ("pigeon", None, 1)), ME,
     "OpenFlow switches carry flat, geneve, gre, local, vlan, vxlan networks, not pigeon"),
])  # fmt: skip
def test_refusals_tell_the_operator_what_is_missing(network: Network, node: Node, reason: str) -> None:
    answer = OpenFlowMechanismDriver().bind(make_port(network, 1), network, network.segments[0], node)
    assert answer == Refused(reason)


def test_binding_says_what_nova_wants_to_know() -> None:
    answer = OpenFlowMechanismDriver().bind(make_port(VLAN, 1), VLAN, VLAN.segments[0], ME)
    assert answer == Bound(VLAN.segments[0].id, "ovs", {"port_filter": True, "connectivity": "l2"})


def test_every_flow_names_what_it_is_for_and_bears_our_tag() -> None:
    plan = program(make_port(VXLAN, 1, ME), make_port(VXLAN, 2, PEER), make_port(VLAN, 3, ME))
    assert all(flow.why for flow in plan.flows())
    assert all(group.why for group in plan.groups())
    cookies = [flow.cookie for flow in plan.flows()]
    assert len(set(cookies)) == len(cookies)


def test_an_unchanged_switch_gets_the_very_fragments_again() -> None:
    ports = [make_port(net, 10 * net.key + node.key, node) for net in (VXLAN, VLAN) for node in (ME, PEER)]
    state = State({net.id: net for net in (VXLAN, VLAN)}, {n.id: n for n in (ME, PEER)}, {p.id: p for p in ports})
    intent, driver = intent_of(state), OpenFlowMechanismDriver()
    first, second = (driver.compile(intent, ME, observe(ME, state.ports)) for _ in range(2))
    assert isinstance(next(iter(first.fragments.values())), Fragment)
    assert all(second.fragments[key] is fragment for key, fragment in first.fragments.items())


def test_the_link_local_block_of_bridges_is_dropped_first() -> None:
    assert lines(program())[-1].startswith("stamp") is False
    assert f"punt 100 eth_dst={fields.mac_text(0x0180C2000000)}/ff:ff:ff:ff:ff:f0 -> drop" in lines(program())


@pytest.mark.parametrize("changed", [ME, PEER], ids=["its own", "its peer's"])
def test_a_program_is_as_from_nothing_when_only_what_concerns_a_node_alone_changes(changed: Node) -> None:
    """``controller.intent.OWN``: views of networks are kept then."""
    ports = [make_port(net, 10 * net.key + node.key, node) for net in (VXLAN, VLAN) for node in (ME, PEER)]
    state = State({net.id: net for net in (VXLAN, VLAN, FLAT)}, {node.id: node for node in (ME, PEER)},
                  {port.id: port for port in ports})  # fmt: skip
    driver, intent, seen = OpenFlowMechanismDriver(), intent_of(state), observe(ME, state.ports)
    before = driver.compile(intent, ME, seen)
    less = replace(changed, capabilities=frozenset(), limits={"gre": "no"})
    intent.apply(Change.of(99, nodes={less.id: less}))
    after = driver.compile(intent, intent.nodes[ME.id], seen)
    expected = program(*ports, nodes=(ME, PEER), node=intent.nodes[ME.id], seen=seen)
    if changed is PEER:
        expected = program(*ports, nodes=(ME, less), seen=seen)
    assert (after.stamp, lines(after), group_lines(after)) == (expected.stamp, lines(expected), group_lines(expected))
    assert (after.stamp != before.stamp) == (changed is ME)
