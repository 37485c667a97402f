"""Port status as a function of the intent and of what nodes have acknowledged."""

from __future__ import annotations

from dataclasses import replace

from controller.model import Attachment, Binding, Observation, Port
from controller.node_state import NodeState
from controller.status import Asked, Look
from tests.support.scenarios import State, intent_of, make_network, make_port, switch_node

NET = make_network(1, ("vlan", "physnet1", 100), ("vlan", "physnet2", 100))
NODE = switch_node(1)


def bound(number: int, segment: int) -> Port:
    binding = Binding(NODE.id, NET.segments[segment].id, "openflow", number)
    return replace(make_port(NET, number, NODE), binding=binding)


def status(port: Port, *others: Port) -> tuple[str, str]:
    ports = {item.id: item for item in (port, *others)}
    state = NodeState(NODE.id, connected=True, asked=1, acknowledged=1)
    state.observation = Observation(NODE.id, {key: Attachment(key, "vif") for key in ports})
    seen = Look(intent_of(State({NET.id: NET}, {NODE.id: NODE}, ports)), {NODE.id: state}.get, Asked()).status(port)
    return seen.status, seen.reason


def test_a_port_on_the_segment_by_which_its_node_carries_the_network_is_active() -> None:
    assert status(bound(1, 0), bound(2, 0)) == ("ACTIVE", "")
    assert status(bound(1, 1), bound(2, 1)) == ("ACTIVE", "")


def test_a_port_on_another_segment_carries_nothing_and_says_so() -> None:
    assert status(bound(1, 0), bound(2, 1)) == ("ACTIVE", "")
    assert status(bound(2, 1), bound(1, 0)) == (
        "DOWN",
        "node sw1 carries the network by segment vlan 100 on physnet1, for other ports there; this port is bound by "
        "vlan 100 on physnet2, and a node carries a network by one segment only",
    )
