"""Flows and groups that stand for all that a program may contain, by what they are needed for.

A switch that nobody knows is asked by them what it can do: they are put in and taken out again. Their keys and their
port are ones that nothing real has, so that no packet meets them and no flow of a program is replaced by them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from controller.dataplane.values import Flow, Group, GroupType, Meter, Program
from controller.intent import Change, Intent
from controller.model import Attachment, Binding, Network, Node, NodeKind, Observation, Port, Segment, switch_node_id
from mechanisms.openflow import groups, meters, punt
from mechanisms.openflow.driver import OpenFlowMechanismDriver
from mechanisms.openflow.features import BASE, FAST_FAILOVER, INDIRECT, PORT_SECURITY
from mechanisms.openflow.program import STATIC

OFPORT, UPLINK = 0x7FFF_FFFE, 0x7FFF_FFFF
NETWORK_KEY, NODE_KEY, PORT_KEY = 2**20 - 1, 2**16 - 1, 2**20 - 1
PHYSICAL = "isthmus: does the switch have what it takes?"


@dataclass(frozen=True, slots=True)
class Sample:
    """What a feature adds to those before it."""

    feature: str
    flows: tuple[Flow, ...] = ()
    groups: tuple[Group, ...] = ()
    meters: tuple[Meter, ...] = ()


@cache
def samples() -> tuple[Sample, ...]:
    """In the order in which they are to be tried; each takes what those before it brought."""
    worlds = [(BASE, _program(0, "local", False)), ("flat", _program(1, "flat", False)),
              ("vlan", _program(2, "vlan", False)), (PORT_SECURITY, _program(3, "local", True))]  # fmt: skip
    return (*_group_types(), *_new(worlds))


@cache
def metered() -> Sample:
    """For switches that say that they have meters."""
    return Sample(meters.METERS, (replace(punt.lldp_of_tenant(OFPORT), meter=meters.SAMPLE.id),), (), (meters.SAMPLE,))


def _group_types() -> Iterator[Sample]:
    yield Sample(INDIRECT, groups=(groups.by_ports(groups.link_hop_id(NODE_KEY), (OFPORT,), "a next hop"),))
    both = groups.by_ports(groups.link_hop_id(NODE_KEY - 1), (OFPORT, UPLINK), "next hops with an alternative")
    assert both.type is GroupType.FAST_FAILOVER
    yield Sample(FAST_FAILOVER, groups=(both,))


def _new(worlds: list[tuple[str, Program]]) -> Iterator[Sample]:
    seen_flows, seen_groups = {flow.key for flow in STATIC.flows}, set[int]()
    for feature, program in worlds:
        flows = {flow.key: flow for flow in program.flows() if flow.key not in seen_flows}
        added = {group.id: group for group in program.groups() if group.id not in seen_groups}
        yield Sample(feature, tuple(flows.values()), tuple(added.values()))
        seen_flows |= flows.keys()
        seen_groups |= added.keys()


def _program(number: int, network_type: str, secured: bool) -> Program:
    """The program of a switch with one port on one network, both of which are only this program's."""
    tag: Mapping[str, int | None] = {"vlan": 1, "flat": None, "local": None}
    physical = None if network_type == "local" else PHYSICAL
    network = Network(
        "network", NETWORK_KEY - number, (Segment("segment", network_type, physical, tag[network_type]),)
    )
    node = Node(switch_node_id(0), NODE_KEY, NodeKind.SWITCH, "sample", ("openflow",),
                physical_networks={PHYSICAL: "uplink"})  # fmt: skip
    binding = Binding(node.id, "segment", "openflow", PORT_KEY - number)
    port = Port("port", "network", "0e:00:00:00:00:01", ("192.0.2.1", "2001:db8::1"), port_security_enabled=secured,
                binding=binding)  # fmt: skip
    intent = Intent()
    intent.apply(Change.of(1, {network.id: network}, {port.id: port}, {node.id: node}))
    plugged = {port.id: Attachment(port.id, "", OFPORT - number)}
    seen = Observation(node.id, plugged, {PHYSICAL: UPLINK} if physical else {})
    return OpenFlowMechanismDriver().compile(intent, node, seen)
