"""The openvswitch mechanism, and hosts with several mechanisms at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.model import Binding, Node, Observation
from legacy_agent.host_plan import HostPlan
from mechanisms.api import Bound, Refused
from mechanisms.manager import MechanismManager
from mechanisms.openvswitch import OpenVSwitchMechanismDriver
from tests.support.scenarios import State, host_node, intent_of, make_network, make_port, switch_node

ME = host_node(1, mechanisms=("openvswitch",))
BOTH = host_node(2, mechanisms=("linuxbridge", "openvswitch"),
                 served={"linuxbridge": ("flat", "vxlan"), "openvswitch": ("gre", "vlan")})  # fmt: skip
DETAILS = {
    "port_filter": True,
    "connectivity": "l2",
    "ovs_hybrid_plug": False,
    "datapath_type": "system",
    "bridge_name": "isthmus-int",
}
KINDS = {
    "flat": ("flat", "physnet1", None),
    "vlan": ("vlan", "physnet1", 100),
    "gre": ("gre", None, 77),
    "vxlan": ("vxlan", None, 77),
}


@pytest.fixture
def manager() -> MechanismManager:
    return MechanismManager.load(["openflow", "linuxbridge", "openvswitch"])


def bind(node: Node, kind: tuple[str, str | None, int | None]) -> object:
    network = make_network(1, kind)
    return OpenVSwitchMechanismDriver().bind(make_port(network, 1), network, network.segments[0], node)


def test_binding_says_where_to_plug() -> None:
    """As Nova's os-vif wants it; what the agent says of its host comes first."""
    said = {"openvswitch": {"bridge_name": "br-vm", "datapath_type": "netdev"}, "other": {"x": "y"}}
    answers = [bind(node, KINDS["vlan"]) for node in (ME, replace(ME, vif_details=said))]
    assert answers == [
        Bound(answers[0].segment_id, "ovs", DETAILS),  # type: ignore[attr-defined]
        Bound(answers[1].segment_id, "ovs", {**DETAILS, **said["openvswitch"]}),  # type: ignore[attr-defined]
    ]


def test_what_open_vswitch_does_not_carry_is_refused() -> None:
    assert bind(ME, ("carrier-pigeon", None, 1)) == Refused(
        "Open vSwitch carries flat, geneve, gre, local, vlan, vxlan networks, not carrier-pigeon"
    )
    limited = replace(ME, limits={"vlan": "Open vSwitch is not there"})
    assert bind(limited, KINDS["vlan"]) == Refused(
        f"node '{ME.host}' cannot carry vlan networks: Open vSwitch is not there"
    )


@pytest.mark.parametrize(("kind", "mechanism", "vif_type"), [
    ("flat", "linuxbridge", "bridge"),
    ("vxlan", "linuxbridge", "bridge"),
    ("vlan", "openvswitch", "ovs"),
    ("gre", "openvswitch", "ovs"),
])  # fmt: skip
def test_the_driver_that_serves_the_type_binds(
    manager: MechanismManager, kind: str, mechanism: str, vif_type: str
) -> None:
    network = make_network(1, KINDS[kind])
    decision = manager.bind(make_port(network, 1), network, BOTH)
    assert decision.bound is not None
    assert (decision.mechanism, decision.bound.vif_type) == (mechanism, vif_type)


def test_without_a_division_the_first_driver_binds(manager: MechanismManager) -> None:
    network = make_network(1, KINDS["vlan"])
    assert manager.bind(make_port(network, 1), network, replace(BOTH, served={})).mechanism == "linuxbridge"


def test_a_type_that_no_driver_of_the_host_serves_is_refused_with_the_division(manager: MechanismManager) -> None:
    network = make_network(1, ("geneve", None, 5), name="blue")
    refusal = manager.bind(make_port(network, 1), network, BOTH).refusal
    assert "network 'blue' has segments: geneve 5" in refusal
    assert "by linuxbridge: flat, vxlan, by openvswitch: gre, vlan" in refusal


def test_the_plan_of_a_host_with_both_names_the_driver_of_each_network(manager: MechanismManager) -> None:
    """And a network's peers are all that carry it, by whatever mechanism."""
    vlan, vxlan, gre = (make_network(key, KINDS[kind]) for key, kind in enumerate(("vlan", "vxlan", "gre"), start=1))
    switch = switch_node(3)

    def port(network, number, node, mechanism):  # type: ignore[no-untyped-def]
        binding = Binding(node.id, network.segments[0].id, mechanism, number)
        return replace(make_port(network, number), host=node.host, binding=binding)

    ports = [
        port(vlan, 1, BOTH, "openvswitch"),
        port(vxlan, 2, BOTH, "linuxbridge"),
        port(gre, 3, BOTH, "openvswitch"),
        port(gre, 4, switch, "openflow"),
        port(gre, 5, ME, "openvswitch"),
        port(vxlan, 6, ME, "openvswitch"),
    ]
    state = State({net.id: net for net in (vlan, vxlan, gre)}, {node.id: node for node in (ME, BOTH, switch)},
                  {item.id: item for item in ports})  # fmt: skip
    plan = manager.compile(intent_of(state), BOTH, Observation(BOTH.id))
    assert isinstance(plan, HostPlan)
    drivers = {network.network_id: network.driver for network in plan.networks}
    assert drivers == {vlan.id: "openvswitch", vxlan.id: "linuxbridge", gre.id: "openvswitch"}
    peers = {network.network_id: network.peers for network in plan.networks}
    assert peers == {vlan.id: (), vxlan.id: (ME.tunnel_ip,), gre.id: (ME.tunnel_ip, switch.tunnel_ip)}
