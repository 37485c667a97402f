"""Programs for switches that lack something."""

from __future__ import annotations

from dataclasses import replace

from controller.dataplane.values import GroupType
from controller.model import Attachment, Fabric, FabricTree, Network, Observation, Segment, switch_node_id
from mechanisms.api import Bound, Refused
from mechanisms.openflow.driver import OpenFlowMechanismDriver
from mechanisms.openflow.features import FAST_FAILOVER, INDIRECT, PORT_SECURITY
from mechanisms.openflow.pipeline import PORT_SECURITY as TABLE
from tests.support.scenarios import State, intent_of, make_port, switch_node

NET = Network("net", 1, (Segment("seg", "vlan", "physnet1", 100),))


def compiled(driver: OpenFlowMechanismDriver, secured: bool, *lacks: str):  # type: ignore[no-untyped-def]
    node = replace(switch_node(1), limits=dict.fromkeys(lacks, "the switch refuses it"))
    port = replace(make_port(NET, 5, node), port_security_enabled=secured)
    far = make_port(NET, 6, switch_node(2))
    intent = intent_of(State({"net": NET}, {node.id: node, far.binding.node_id: switch_node(2)},
                             {port.id: port, far.id: far}))  # fmt: skip
    other = switch_node_id(2)
    fabric = Fabric((3, 4), frozenset({node.id, other}), {other: (3, 4)}, {},
                    {"physnet1": FabricTree(links={3: frozenset({other})})})  # fmt: skip
    seen = Observation(node.id, {port.id: Attachment(port.id, "v", 7)}, fabric=fabric)
    return driver.compile(intent, node, seen)


def types(program) -> set[GroupType]:  # type: ignore[no-untyped-def]
    return {group.type for group in program.groups()}


def test_groups_are_replaced_by_what_there_is() -> None:
    driver = OpenFlowMechanismDriver()
    assert types(compiled(driver, True)) == {GroupType.ALL, GroupType.FAST_FAILOVER}
    without = compiled(driver, True, FAST_FAILOVER)
    assert types(without) == {GroupType.ALL, GroupType.INDIRECT}
    (hop,) = (group for group in without.groups() if group.type is GroupType.INDIRECT)
    assert [(bucket.actions[0].port, bucket.watch_port) for bucket in hop.buckets] == [(3, None)]
    assert types(compiled(driver, True, FAST_FAILOVER, INDIRECT)) == {GroupType.ALL}


def test_without_port_security_only_ports_without_it_are_bound_and_nothing_is_checked() -> None:
    driver = OpenFlowMechanismDriver()
    program = compiled(driver, False, PORT_SECURITY)
    checks = [flow for flow in program.flows() if flow.table == TABLE.id]
    assert {match.name for flow in checks for match in flow.match} <= {"in_port", "metadata"}
    assert any(flow.match for flow in checks)
    node = replace(switch_node(1), limits={PORT_SECURITY: "the switch refuses arp_spa"},
                   physical_networks={"physnet1": "eth1"})  # fmt: skip
    port = make_port(NET, 5, node)
    refused = driver.bind(port, NET, NET.segments[0], node)
    assert isinstance(refused, Refused)
    assert "the switch refuses arp_spa" in refused.reason
    assert isinstance(driver.bind(replace(port, port_security_enabled=False), NET, NET.segments[0], node), Bound)


def test_fragments_that_did_not_change_are_the_same_objects() -> None:
    driver = OpenFlowMechanismDriver()
    one = compiled(driver, True, FAST_FAILOVER)
    assert one.digest == compiled(driver, True, FAST_FAILOVER).digest
    assert one.digest != compiled(driver, True).digest
