"""Port status as a function of the intent and of what nodes have acknowledged."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.intent import Intent
from controller.model import Attachment, Binding, Observation, Port
from controller.node_state import NodeState
from controller.status import Asked, Look
from tests.support.scenarios import State, intent_of, make_network, make_port, observe, states, switch_node

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


def moment(intent: Intent, dice: Random) -> tuple[dict[str, NodeState], Asked]:
    """Nodes of which some are away, behind or failing, with most endpoints, and ports that changed at some time."""
    found, asked = {}, Asked()
    for node in intent.nodes.values():
        state = found[node.id] = NodeState(node.id, connected=dice.random() < 0.9, asked=dice.randrange(1, 4))
        state.acknowledged = dice.choice((state.asked, state.asked, dice.randrange(4)))
        told = observe(node, intent.ports)
        attachments = {key: item._replace(link_up=dice.random() < 0.9) for key, item in told.attachments.items()
                       if dice.random() < 0.9}  # fmt: skip
        state.observation = replace(told, attachments=attachments) if dice.random() < 0.9 else None
        if dice.random() < 0.1:
            state.network_errors = {dice.choice(list(intent.networks)): "the kernel refused"}
    for ticks, keys in ((asked.everywhere, intent.ports), (asked.here, intent.ports), (asked.nodes, intent.nodes)):
        ticks.update({key: dice.randrange(1, 4) for key in keys if dice.random() < 0.5})
    return found, asked


def covered(state: NodeState | None, network_id: str, tick: int) -> bool:
    """Whether a node does not hold a port back that was asked for at ``tick``."""
    if state is None or not state.connected:
        return True
    return network_id not in state.network_errors and (state.acknowledged >= min(tick, state.asked))


def is_active(port: Port, intent: Intent, of: dict[str, NodeState], asked: Asked) -> bool:
    """What ACTIVE means, port by port and node by node."""
    binding = port.binding
    if binding is None or not port.admin_state_up or not intent.networks[port.network_id].admin_state_up:
        return False
    segments = {node_id: intent.segment_on(node_id, port.network_id) for node_id in intent.nodes}
    if not of[binding.node_id].connected or segments[binding.node_id] not in (None, asked_by(port, intent)):
        return False
    observation = of[binding.node_id].observation
    seen = observation.attachments.get(port.id) if observation is not None else None
    if seen is None or not seen.link_up:
        return False
    here = max(asked.here.get(port.id, 1), asked.nodes.get(binding.node_id, 1))
    carriers = [key for key, segment in segments.items() if segment and segment.id == binding.segment_id]
    return covered(of[binding.node_id], port.network_id, here) and all(
        covered(of[key], port.network_id, asked.everywhere.get(port.id, 1)) for key in carriers
    )


def asked_by(port: Port, intent: Intent) -> object:
    """The segment by which a port is bound."""
    assert port.binding is not None
    return intent.networks[port.network_id].segment(port.binding.segment_id)


@settings(max_examples=200, deadline=None)
@given(state=states(), seed=st.integers(0, 1 << 32))
def test_what_ports_have_in_common_is_found_out_once_and_changes_no_status(state: State, seed: int) -> None:
    intent = intent_of(state)
    of, asked = moment(intent, Random(seed))
    together = Look(intent, of.get, asked)
    for port in intent.ports.values():
        said = together.status(port)
        assert said == Look(intent, of.get, asked).status(port)
        assert (said.status == "ACTIVE") == is_active(port, intent, of, asked), said
