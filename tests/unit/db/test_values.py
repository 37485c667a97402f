"""Rows and values: what a node says of itself survives the store."""

from __future__ import annotations

import json
from dataclasses import asdict

from controller.db.models import NodeRow
from controller.db.values import facts_json, node_value
from controller.model import Node, NodeFacts, NodeKind

FACTS = NodeFacts(
    id="host:rack7",
    kind=NodeKind.HOST,
    host="rack7",
    mechanisms=("linuxbridge", "openvswitch"),
    tunnel_ip="192.0.2.7",
    tunnel_types=frozenset({"gre", "vxlan"}),
    physical_networks={"physnet1": "eth0"},
    limits={"vlan": "the kernel has no 802.1q"},
    served={"linuxbridge": ("flat", "vxlan"), "openvswitch": ("gre",)},
    vif_details={"openvswitch": {"bridge_name": "isthmus-int"}},
)


def row(content: object) -> NodeRow:
    facts = json.loads(json.dumps(content))
    return NodeRow(id=FACTS.id, key=7, kind=FACTS.kind, host=FACTS.host, admin_state_up=True, facts=facts)


def test_facts_survive_and_compare_equal_as_json() -> None:
    content = facts_json(FACTS)
    assert node_value(row(content)) == Node(key=7, admin_state_up=True, **asdict(FACTS))
    assert row(content).facts == content, "else a node would seem to change with every report"


def test_rows_of_another_version_are_read() -> None:
    content = {**facts_json(FACTS), "what only a later version knows": 1}
    del content["served"], content["vif_details"]
    assert node_value(row(content)).served == {}
