"""The linuxbridge mechanism: what a host's plan says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.intent import Change
from controller.model import AddressPair, Binding, Network, Node, Observation, Port
from legacy_agent.host_plan import AllowedAddress, HostNetwork, HostPlan, RemoteAddress
from mechanisms.api import Bound, Refused
from mechanisms.linuxbridge import LinuxBridgeMechanismDriver
from tests.support.scenarios import State, host_node, intent_of, make_network, make_port, switch_node

ME, PEER, SWITCH = host_node(1), host_node(2), switch_node(3)
VXLAN = make_network(1, ("vxlan", None, 77), mtu=1450)
VLAN = make_network(2, ("vlan", "physnet1", 100))


def plan(*ports: Port, networks: tuple[Network, ...] = (VXLAN, VLAN), nodes=(ME, PEER, SWITCH)) -> HostPlan:  # type: ignore[no-untyped-def]
    state = State({net.id: net for net in networks}, {node.id: node for node in nodes}, {p.id: p for p in ports})
    return LinuxBridgeMechanismDriver().compile(intent_of(state), ME, Observation(ME.id))


def only(*ports: Port, **changes: object) -> HostNetwork:
    networks = plan(*ports, **changes).networks  # type: ignore[arg-type]
    assert len(networks) == 1
    return networks[0]


def test_binding_names_the_bridge() -> None:
    answer = LinuxBridgeMechanismDriver().bind(make_port(VLAN, 1), VLAN, VLAN.segments[0], ME)
    assert answer == Bound(VLAN.segments[0].id, "bridge", {
        "port_filter": True, "connectivity": "l2", "bridge_name": "brq" + VLAN.id[:11],
    })  # fmt: skip


def test_geneve_is_refused_with_what_bridges_carry() -> None:
    network = make_network(1, ("geneve", None, 1))
    answer = LinuxBridgeMechanismDriver().bind(make_port(network, 1), network, network.segments[0], ME)
    assert answer == Refused("Linux bridges carry flat, gre, local, vlan, vxlan networks, not geneve")


def test_a_physical_network_needs_no_peers() -> None:
    network = only(make_port(VLAN, 1, ME), make_port(VLAN, 2, PEER), make_port(VLAN, 3, SWITCH))
    assert (network.network_type, network.physical_network, network.segmentation_id) == ("vlan", "physnet1", 100)
    assert (network.peers, network.remotes, network.driver, network.mtu) == ((), (), "linuxbridge", 1500)
    assert [port.mac for port in network.ports] == ["fa:16:3e:00:00:01"]


def test_tunnels_name_peers_of_both_kinds_and_the_addresses_behind_them() -> None:
    network = only(make_port(VXLAN, 1, ME), make_port(VXLAN, 2, PEER), make_port(VXLAN, 3, SWITCH))
    assert network.peers == ("192.0.2.2", "192.0.2.3")
    assert network.remotes == (
        RemoteAddress("fa:16:3e:00:00:02", "192.0.2.2"),
        RemoteAddress("fa:16:3e:00:00:03", "192.0.2.3"),
    )
    assert network.mtu == 1450


def test_peers_on_another_segment_or_without_an_endpoint_are_none() -> None:
    two = make_network(1, ("vxlan", None, 77), ("gre", None, 77))
    elsewhere = make_port(two, 3, SWITCH, binding=Binding(SWITCH.id, two.segments[1].id, "openflow", 3))
    mute = replace(PEER, tunnel_ip=None)
    ports = (make_port(two, 1, ME), make_port(two, 2, mute), elsewhere)
    network = only(*ports, networks=(two,), nodes=(ME, mute, SWITCH))
    assert (network.peers, network.remotes) == ((), ())


def test_a_peer_with_an_endpoint_of_the_other_ip_version_is_none() -> None:
    six = replace(PEER, tunnel_ip="2001:db8::2")
    ports = (make_port(VXLAN, 1, ME), make_port(VXLAN, 2, six), make_port(VXLAN, 3, SWITCH))
    network = only(*ports, nodes=(ME, six, SWITCH))
    assert (network.peers, network.remotes) == (("192.0.2.3",), (RemoteAddress("fa:16:3e:00:00:03", "192.0.2.3"),))


def test_a_port_that_is_down_is_planned_but_not_reached() -> None:
    down = make_port(VXLAN, 1, ME, admin_state_up=False)
    far = make_port(VXLAN, 2, PEER, admin_state_up=False)
    network = only(down, far)
    assert [port.admin_state_up for port in network.ports] == [False]
    assert (network.peers, network.remotes) == (("192.0.2.2",), ())


def test_an_address_that_two_ports_have_is_behind_no_endpoint() -> None:
    twins = [make_port(VXLAN, number, node, mac_address="fa:16:3e:00:00:99")
             for number, node in ((2, PEER), (3, SWITCH))]  # fmt: skip
    network = only(make_port(VXLAN, 1, ME), *twins)
    assert (network.peers, network.remotes) == (("192.0.2.2", "192.0.2.3"), ())


def test_a_network_that_is_down_carries_nothing() -> None:
    asleep = replace(VXLAN, admin_state_up=False)
    network = only(make_port(asleep, 1, ME), make_port(asleep, 2, PEER), networks=(asleep,))
    assert not any(port.admin_state_up for port in network.ports)
    assert (network.peers, network.remotes) == ((), ())


def test_what_a_port_may_send_as() -> None:
    pairs = (AddressPair("10.9.0.7/16", "00:00:5E:00:01:01"), AddressPair("2001:db8:1::/64", "fa:16:3e:00:00:01"))
    port = make_port(VLAN, 1, ME, allowed_address_pairs=pairs, device_owner="network:dhcp")
    (planned,) = only(port).ports
    assert planned.macs == ("00:00:5e:00:01:01", "fa:16:3e:00:00:01")
    assert planned.allowed == (
        AllowedAddress("00:00:5e:00:01:01", "10.9.0.0/16"),
        AllowedAddress("fa:16:3e:00:00:01", "10.0.0.1"),
        AllowedAddress("fa:16:3e:00:00:01", "2001:db8:1::/64"),
        AllowedAddress("fa:16:3e:00:00:01", "2001:db8::1"),
    )
    assert planned.may_serve_dhcp


def test_without_port_security_there_is_nothing_to_allow() -> None:
    (planned,) = only(make_port(VLAN, 1, ME, port_security_enabled=False)).ports
    assert (planned.port_security, planned.macs, planned.allowed) == (False, (), ())


def test_ports_of_other_mechanisms_are_not_ours() -> None:
    port = make_port(VLAN, 1, ME, binding=Binding(ME.id, VLAN.segments[0].id, "openvswitch", 1))
    assert plan(port).networks == ()


@pytest.mark.parametrize("node", [PEER, SWITCH], ids=lambda node: node.host)
def test_a_moved_endpoint_is_followed(node: Node) -> None:
    moved = replace(node, tunnel_ip="198.51.100.9")
    nodes = tuple(moved if item is node else item for item in (ME, PEER, SWITCH))
    assert only(make_port(VXLAN, 1, ME), make_port(VXLAN, 2, node), nodes=nodes).peers == ("198.51.100.9",)


def test_what_did_not_change_is_the_same_object_on_all_hosts() -> None:
    """So that thousands of addresses are compared by a look at each, whenever one of them changes."""
    third, other = host_node(4), make_network(3, ("gre", None, 5))
    ports = [make_port(VXLAN, node.key, node) for node in (ME, PEER, third)] + [make_port(other, 9, ME)]
    state = State({net.id: net for net in (VXLAN, other)}, {node.id: node for node in (ME, PEER, third)},
                  {port.id: port for port in ports})  # fmt: skip
    intent, driver = intent_of(state), LinuxBridgeMechanismDriver()

    def plans() -> list[dict[str, HostNetwork]]:
        compiled = [driver.compile(intent, node, Observation(node.id)) for node in (ME, PEER)]
        return [{network.network_id: network for network in plan.networks} for plan in compiled]

    mine, theirs = plans()
    far = mine[VXLAN.id].remotes[1]
    assert far == RemoteAddress(ports[2].mac_address, "192.0.2.4")
    assert far is theirs[VXLAN.id].remotes[1]
    intent.apply(Change.of(2, ports={ports[1].id: replace(ports[1], mac_address="fa:16:3e:00:00:99")}))
    later, _ = plans()
    assert later[other.id] is mine[other.id]
    assert [remote.mac for remote in later[VXLAN.id].remotes] == [ports[2].mac_address, "fa:16:3e:00:00:99"]
    assert later[VXLAN.id].remotes[0] is far
