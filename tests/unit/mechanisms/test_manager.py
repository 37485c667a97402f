"""The mechanism manager: loading, order of segments and drivers, reasons, joined plans."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.dataplane.values import Program
from controller.errors import CompileError, DriverLoadError
from controller.model import Binding, NodeKind, Observation
from legacy_agent.host_plan import HostPlan
from mechanisms.fake import FakeMechanismDriver
from mechanisms.manager import MechanismManager
from tests.support.scenarios import State, host_node, intent_of, make_network, make_port, switch_node

VLAN_THEN_GRE = make_network(1, ("vlan", "physnet9", 100), ("gre", None, 77), name="blue")
PORT = make_port(VLAN_THEN_GRE, 1)


@pytest.fixture
def manager() -> MechanismManager:
    return MechanismManager.load(["openflow", "linuxbridge"])


def test_drivers_are_loaded_in_the_configured_order() -> None:
    names = ["linuxbridge", "fake", "openflow"]
    assert [driver.name for driver in MechanismManager.load(names).drivers] == names


def test_a_missing_driver_is_named_with_those_available() -> None:
    with pytest.raises(DriverLoadError, match=r"'valve'.*available are: fake, linuxbridge, openflow"):
        MechanismManager.load(["openflow", "valve"])


def test_a_driver_named_twice_is_an_error() -> None:
    with pytest.raises(DriverLoadError, match="twice"):
        MechanismManager.load(["openflow", "openflow"])


@pytest.mark.parametrize(("node", "mechanism", "vif_type"), [
    (switch_node(1), "openflow", "ovs"),
    (host_node(2), "linuxbridge", "bridge"),
])  # fmt: skip
def test_the_first_segment_that_can_be_realised_wins(manager, node, mechanism, vif_type) -> None:  # type: ignore[no-untyped-def]
    decision = manager.bind(PORT, VLAN_THEN_GRE, node)
    assert decision.mechanism == mechanism
    assert decision.bound is not None
    assert (decision.bound.segment_id, decision.bound.vif_type) == (VLAN_THEN_GRE.segments[1].id, vif_type)
    assert not decision.refusal


def test_all_reasons_are_joined(manager: MechanismManager) -> None:
    decision = manager.bind(PORT, VLAN_THEN_GRE, host_node(2, tunnel_ip=None))
    assert decision.bound is None
    assert decision.refusal == (
        "physical network 'physnet9' is not mapped on node 'lb2'; mapped there: physnet1, physnet2; "
        "node 'lb2' has no tunnel address, which gre networks need"
    )


def test_a_kernel_without_the_type_is_refused_with_the_agents_reason(manager: MechanismManager) -> None:
    node = host_node(2, limits={"gre": "the kernel has no gretap"})
    assert (
        "node 'lb2' cannot carry gre networks: the kernel has no gretap"
        in manager.bind(PORT, VLAN_THEN_GRE, node).refusal
    )


def test_a_switch_without_tunnel_fields_is_refused(manager: MechanismManager) -> None:
    refusal = manager.bind(PORT, VLAN_THEN_GRE, switch_node(1, capabilities=frozenset())).refusal
    assert "lacks Open vSwitch's fields" in refusal


def test_nobody_serves_the_node(manager: MechanismManager) -> None:
    refusal = manager.bind(PORT, VLAN_THEN_GRE, host_node(2, mechanisms=("openvswitch",))).refusal
    assert "no mechanism driver for node 'lb2'" in refusal
    assert "it takes openvswitch; configured are openflow, linuxbridge" in refusal


def test_nothing_fits_names_both_sides() -> None:
    manager = MechanismManager([FakeMechanismDriver(ignores=frozenset({"vlan", "gre"}))])
    refusal = manager.bind(PORT, VLAN_THEN_GRE, host_node(2, mechanisms=("fake",))).refusal
    assert refusal == (
        "network 'blue' has segments: vlan 100 on physnet9, gre 77; "
        "node 'lb2' realises: physical networks physnet1, physnet2, tunnels gre, vxlan"
    )


def test_a_driver_that_fails_refuses_and_the_next_is_asked() -> None:
    failing, able = FakeMechanismDriver(fail_bind="no power", name="first"), FakeMechanismDriver()
    node = host_node(2, mechanisms=("first", "fake"))
    assert MechanismManager([failing, able]).bind(PORT, VLAN_THEN_GRE, node).mechanism == "fake"
    assert (
        "'first' failed on vlan 100 on physnet9: no power"
        in MechanismManager([failing]).bind(PORT, VLAN_THEN_GRE, node).refusal
    )


def test_a_node_that_is_down_keeps_its_ports_and_takes_no_new_ones(manager: MechanismManager) -> None:
    node = switch_node(1, admin_state_up=False)
    assert "administratively down" in manager.bind(PORT, VLAN_THEN_GRE, node).refusal
    bound = replace(PORT, binding=Binding(node.id, VLAN_THEN_GRE.segments[1].id, "openflow", 1))
    assert manager.bind(bound, VLAN_THEN_GRE, node).mechanism == "openflow"


def test_a_slow_driver_sleeps_by_the_clock_it_is_given() -> None:
    naps: list[float] = []
    slow = FakeMechanismDriver(delay=3.0, sleep=naps.append)
    MechanismManager([slow]).bind(PORT, make_network(1, ("gre", None, 1)), host_node(2, mechanisms=("fake",)))
    assert naps == [3.0]


def test_plans_of_several_drivers_on_one_host_are_joined() -> None:
    node = host_node(1, mechanisms=("linuxbridge", "fake"))
    nets = [make_network(key, ("gre", None, key)) for key in (1, 2, 3)]
    ports = [
        make_port(net, net.key, node, binding=Binding(node.id, net.segments[0].id, mechanism, net.key))
        for net, mechanism in zip(nets, ("fake", "linuxbridge", "fake"), strict=True)
    ]
    intent = intent_of(State({net.id: net for net in nets}, {node.id: node}, {port.id: port for port in ports}), 5)
    manager = MechanismManager.load(["linuxbridge", "fake"])
    plan = manager.compile(intent, node, Observation(node.id))
    assert isinstance(plan, HostPlan)
    assert (plan.host, plan.revision) == ("lb1", 5)
    assert [(network.network_id, network.driver) for network in plan.networks] == [
        (nets[0].id, "fake"), (nets[1].id, "linuxbridge"), (nets[2].id, "fake"),
    ]  # fmt: skip


def test_a_host_that_nobody_serves_gets_an_empty_plan(manager: MechanismManager) -> None:
    node = host_node(1, mechanisms=())
    plan = manager.compile(intent_of(State(nodes={node.id: node}), 3), node, Observation(node.id))
    assert plan == HostPlan("lb1", 3)


def test_a_switch_that_nobody_serves_is_an_error() -> None:
    node = switch_node(1)
    with pytest.raises(CompileError, match=r"switch 'sw1'.*takes openflow; configured are linuxbridge"):
        MechanismManager.load(["linuxbridge"]).compile(intent_of(State()), node, Observation(node.id))


def test_a_switch_gets_the_program_of_its_driver(manager: MechanismManager) -> None:
    node = switch_node(1)
    assert isinstance(manager.compile(intent_of(State(), 9), node, Observation(node.id)), Program)


def test_partial_and_failing_compiles_on_demand() -> None:
    node = host_node(1, mechanisms=("fake",))
    nets = [make_network(key, ("gre", None, key)) for key in (1, 2)]
    ports = [make_port(net, net.key, node) for net in nets]
    intent = intent_of(State({net.id: net for net in nets}, {node.id: node}, {port.id: port for port in ports}))
    plan = FakeMechanismDriver(partial=1).compile(intent, node, Observation(node.id))
    assert isinstance(plan, HostPlan)
    assert [network.network_id for network in plan.networks] == [nets[0].id]
    with pytest.raises(Exception, match="out of paper"):
        FakeMechanismDriver(fail_compile="out of paper").compile(intent, node, Observation(node.id))
    assert isinstance(FakeMechanismDriver(NodeKind.SWITCH).compile(intent, node, Observation(node.id)), HostPlan)
