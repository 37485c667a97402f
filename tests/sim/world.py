"""What the intent says should happen, stated without looking at any plan; and a fabric compiled from a state."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from controller.intent import Intent
from controller.model import NodeKind, Port
from mechanisms.manager import MechanismManager
from tests.sim.fabric import Fabric
from tests.support.scenarios import State, intent_of, observe


def fabric_of(
    state: State,
    manager: MechanismManager | None = None,
    intent: Intent | None = None,
    without: Collection[str] = (),
) -> Fabric:
    """Every node with the plan compiled for it; the ports in ``without`` are not plugged in."""
    manager = manager or MechanismManager.load(["openflow", "linuxbridge", "openvswitch"])
    fabric = Fabric(state.nodes)
    plugged = {key: port for key, port in state.ports.items() if key not in without}
    for node in state.nodes.values():
        observation = observe(node, plugged)
        fabric.install(node, manager.compile(intent or intent_of(state), node, observation), observation)
    return fabric


def carries(state: State, port: Port) -> bool:
    """Whether the port may send and hear anything."""
    return port.binding is not None and port.admin_state_up and state.networks[port.network_id].admin_state_up


def talk(state: State, one: Port, other: Port) -> bool:
    """Whether two ports shall reach each other: same network, same segment, both up."""
    if one.id == other.id or not carries(state, one) or not carries(state, other):
        return False
    assert one.binding is not None
    assert other.binding is not None
    return one.network_id == other.network_id and one.binding.segment_id == other.binding.segment_id


def hearers(state: State, sender: Port) -> list[str]:
    """The ports that a broadcast of this one reaches, in order."""
    return sorted(port.id for port in state.ports.values() if talk(state, sender, port))


def bound(state: State) -> Iterator[Port]:
    """The ports with an endpoint somewhere."""
    yield from (port for port in state.ports.values() if port.binding is not None)


def on_switch(state: State, port: Port) -> bool:
    """Whether the port's node is an OpenFlow switch."""
    return port.binding is not None and state.nodes[port.binding.node_id].kind is NodeKind.SWITCH
