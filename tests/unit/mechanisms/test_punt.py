"""Who is heard by the controller, and how much of it: what switches with meters make of LLDP."""

from __future__ import annotations

import pytest

from controller.dataplane import fields
from controller.dataplane.interpreter import Switch
from controller.dataplane.packet import Packet
from controller.dataplane.values import Flow, Program
from controller.model import Attachment, Fabric, FabricTree, Network, Observation, Segment, switch_node_id
from mechanisms.openflow import meters
from mechanisms.openflow.driver import OpenFlowMechanismDriver
from mechanisms.openflow.pipeline import PUNT
from mechanisms.openflow.punt import NEAREST_BRIDGE
from mechanisms.openflow.registers import NICIRA
from mechanisms.openflow.text import flow_text, meter_text
from tests.support.scenarios import State, intent_of, make_port, switch_node

NET = Network("net", 1, (Segment("seg", "vlan", "physnet1", 100),))
LINK, TENANT, UNBOUND, FREE = 3, 7, 8, 9
LLDP = Packet.of(eth_src=1, eth_dst=NEAREST_BRIDGE, eth_type=fields.ETH_LLDP)


def compiled(*capabilities: str, links: tuple[int, ...] = (LINK,), fabric: bool = True) -> Program:
    node = switch_node(1, capabilities=frozenset({NICIRA, *capabilities}))
    port, other = make_port(NET, 5, node), switch_node_id(2)
    intent = intent_of(State({"net": NET}, {node.id: node}, {port.id: port}))
    tree = {"physnet1": FabricTree(links={LINK: frozenset({other})})}
    around = Fabric(links, frozenset({node.id, other}), {other: (LINK,)}, {}, tree)
    plugged = {port.id: Attachment(port.id, "v", TENANT), "unknown": Attachment("unknown", "w", UNBOUND)}
    seen = Observation(node.id, plugged, fabric=around if fabric else None)
    return OpenFlowMechanismDriver().compile(intent, node, seen)


def heard(program: Program, ofport: int) -> Flow:
    """The flow that a frame of LLDP meets at a port."""
    trace = Switch(program, (LINK, TENANT, UNBOUND, FREE)).trace(LLDP, ofport)
    assert [emission.port for emission in trace.emissions] == [fields.CONTROLLER]
    (_, flow), *rest = trace.steps
    assert rest == []
    assert flow is not None
    return flow


def test_tenants_strangers_and_links_do_not_take_from_each_other() -> None:
    program = compiled(meters.METERS)
    limits = {ofport: heard(program, ofport).meter for ofport in (LINK, TENANT, UNBOUND, FREE)}
    assert limits == {
        LINK: None, TENANT: meters.TENANTS.id, UNBOUND: meters.TENANTS.id, FREE: meters.OTHERS.id,
    }  # fmt: skip
    assert sorted(map(meter_text, program.meters())) == [
        "meter 241: 100 packets a second, 100 at once", "meter 242: 500 packets a second, 1000 at once",
    ]  # fmt: skip
    assert "-> meter:241, output:controller" in flow_text(heard(program, TENANT))


@pytest.mark.parametrize("capabilities", [(), ("bundles",)])
def test_without_meters_lldp_is_one_flow(capabilities: tuple[str, ...]) -> None:
    program = compiled(*capabilities)
    assert {heard(program, ofport).meter for ofport in (LINK, TENANT, FREE)} == {None}
    assert sum(flow.table == PUNT.id for flow in program.flows()) == 3
    assert list(program.meters()) == []


def test_what_is_metered_counts_in_the_stamp() -> None:
    programs = [compiled(), compiled(meters.METERS), compiled(meters.METERS, links=())]
    assert len({program.stamp for program in programs}) == len({program.digest for program in programs}) == 3
    assert compiled(meters.METERS).stamp == programs[1].stamp


def test_where_no_links_are_looked_for_there_is_nothing_to_limit() -> None:
    program = compiled(meters.METERS, fabric=False)
    assert list(program.meters()) == []
    assert program.stamp == compiled(fabric=False).stamp


def test_our_meters_are_apart_and_known_as_ours() -> None:
    ids = {meter.id for meter in (meters.TENANTS, meters.OTHERS, meters.SAMPLE)}
    assert len(ids) == 3
    assert all(meters.owns(number) for number in ids)
    assert not meters.owns(1)
    assert max(ids) == meters.HIGHEST < 256
