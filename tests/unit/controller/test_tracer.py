"""Traces in a running controller: ports by any name, plans of connected nodes, what an operator must know of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from neutron_lib.exceptions import InvalidInput, PortNotFound

from controller.model import Attachment, Binding, Node, NodeFacts, NodeKind, Observation, Port, switch_node_id
from controller.pace import Pace
from controller.reconciler import Reconciler
from controller.tracing.frame import Wanted
from controller.tracing.live import Tracer
from mechanisms.manager import MechanismManager
from tests.unit.controller.world import NET, MemoryStore, World, eventually, port, thread

ONE, TWO = switch_node_id(1), switch_node_id(2)
A, B = "aaaa1111-0000-4000-8000-000000000001", "aaaa2222-0000-4000-8000-000000000002"
PLAIN = Wanted()


class Store(MemoryStore):
    """Keeps what nodes say of their uplinks."""

    def node_seen(self, facts: NodeFacts) -> Node:
        node = replace(super().node_seen(facts), physical_networks=facts.physical_networks)
        self.commit(nodes={node.id: node})
        return node


class Traced(World):
    """A reconciler with the real mechanisms, and two ports with names on two switches."""

    def __init__(self) -> None:
        super().__init__()
        manager, self.store = MechanismManager.load(["openflow", "linuxbridge"]), Store()
        self.store.commit(networks={NET.id: NET})
        pace = Pace(retry_max=0.05, audit_interval=0.0)
        self.reconciler = Reconciler(self.store, self.store, manager, self.switches, pace, thread)
        self.names = {"web": [A], "db": [B], "twin": [A, B]}
        self.tracer = Tracer(self.reconciler, manager, None, lambda name: self.names.get(name, []))

    def connect(self, node_id: str, port_id: str) -> None:
        """The switch is there with the port plugged in, and an uplink."""
        seen = NodeFacts(node_id, NodeKind.SWITCH, node_id[-4:], ("openflow",), physical_networks={"physnet1": "eth1"})
        plugged = {port_id: Attachment(port_id, "vif", 11)}
        self.reconciler.node_observed(seen, Observation(node_id, plugged, {"physnet1": 1}))


@pytest.fixture
def world() -> Iterator[Traced]:
    with Traced() as made:
        yield made


def add(world: Traced, port_id: str, node_id: str, mac: str, **changes: object) -> None:
    made: Port = replace(port(port_id, node_id, **changes), mac_address=mac, fixed_ips=(f"10.0.0.{int(mac[-2:])}",))
    made = replace(made, binding=Binding(node_id, NET.segments[0].id, "openflow", int(mac[-2:])))
    world.store.commit(ports={port_id: made})


def both(world: Traced) -> None:
    """Both switches connected, each with its port."""
    for node_id, port_id, mac in ((ONE, A, "fa:16:3e:00:00:01"), (TWO, B, "fa:16:3e:00:00:02")):
        world.connect(node_id, port_id)
        add(world, port_id, node_id, mac)
    eventually(lambda: {A, B} <= world.reconciler.board.intent.ports.keys())
    eventually(lambda: not any(state.pending for state in world.reconciler.board.states()))


def test_ports_by_id_name_and_beginning_of_the_id(world: Traced) -> None:
    both(world)
    for source, target in ((A, B), ("web", "db"), ("aaaa1", "aaaa2222"), (A, "db")):
        found = world.tracer.trace(source, target, PLAIN)
        assert (found["port"], found["to"], found["outcome"]) == (A, B, "delivered")
        assert [hop["node"] for hop in found["hops"]] == [ONE, TWO]
        assert [hop["notes"] for hop in found["hops"]] == [[], []]
    for word in ("aaaa", "twin"):
        with pytest.raises(InvalidInput, match=f"'{word}' stands for 2 ports: {A}, {B}"):
            world.tracer.trace(word, None, PLAIN)
    for word in ("", "aaa", "nobody", "aaaa3"):
        with pytest.raises(PortNotFound):
            world.tracer.trace(A, word, PLAIN)


def test_nothing_of_the_reconciler_is_touched(world: Traced) -> None:
    both(world)
    before = {node_id: list(given) for node_id, given in world.switches.programs.items()}
    ticks = world.reconciler.board.tick
    world.tracer.trace(A, B, PLAIN)
    world.tracer.trace(B, None, PLAIN)
    assert world.reconciler.board.tick == ticks
    assert world.switches.programs == before
    assert not any(state.pending or state.stale_networks for state in world.reconciler.board.states())


def test_a_switch_that_is_away_or_behind_is_noted(world: Traced) -> None:
    both(world)
    world.reconciler.node_lost(TWO)
    found = world.tracer.trace(A, B, PLAIN)
    assert found["hops"][1]["notes"] == ["it is not connected: it goes on by what it had last"]
    assert found["outcome"] == "delivered"
    world.switches.broken.add(ONE)
    world.store.commit(networks={NET.id: replace(NET, mtu=1400, name="other")})
    add(world, A, ONE, "fa:16:3e:00:00:01", port_security_enabled=False)
    eventually(lambda: world.reconciler.board.state(ONE).error)
    notes = world.tracer.trace(A, B, PLAIN)["hops"][0]["notes"]
    assert notes == ["its plan is not in force yet", "last error: table 4 is full"]


def test_a_switch_that_never_connected_is_where_it_ends(world: Traced) -> None:
    both(world)
    add(world, A, switch_node_id(3), "fa:16:3e:00:00:01")
    eventually(lambda: world.reconciler.board.intent.ports[A].binding.node_id == switch_node_id(3))  # type: ignore[union-attr]
    assert f"node {switch_node_id(3)} is not known" in world.tracer.trace(A, B, PLAIN)["result"]
    world.store.node_seen(NodeFacts(switch_node_id(3), NodeKind.SWITCH, "three", ("openflow",)))
    eventually(lambda: switch_node_id(3) in world.reconciler.board.intent.nodes)
    found = world.tracer.trace(A, B, PLAIN)
    assert found["outcome"] == "lost"
    assert "has not connected since the controller started" in found["result"]
