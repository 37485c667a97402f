"""Plans depend on the state, never on the way to it; and step by step costs only what changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.dataplane.program_delta import between
from controller.dataplane.values import Flow, Group, Program
from controller.intent import Intent
from controller.model import AddressPair, Binding
from mechanisms.api import Plan
from mechanisms.manager import MechanismManager
from mechanisms.openflow.program import ProgramCompiler
from tests.sim.test_traffic import datagram, reached
from tests.sim.world import bound, fabric_of, hearers
from tests.support.scenarios import (
    State,
    change_between,
    histories,
    intent_of,
    make_network,
    make_port,
    observe,
    switch_node,
)

DRIVERS = ["openflow", "linuxbridge"]


def plans_of(state: State) -> dict[str, Plan]:
    """All plans computed from nothing."""
    manager, intent = MechanismManager.load(DRIVERS), intent_of(state, 0)
    return {key: manager.compile(intent, node, observe(node, state.ports)) for key, node in state.nodes.items()}


def follow(states: Sequence[State]) -> dict[str, Plan]:
    """All plans after following the states one by one, compiling only what each change touched."""
    manager, intent, last = MechanismManager.load(DRIVERS), Intent(), State()
    plans: dict[str, Plan] = {}
    for state in states:
        touched = intent.apply(change_between(last, state, 0)).nodes
        for key in [key for key in plans if key not in state.nodes]:
            del plans[key]
        for key, node in state.nodes.items():
            seen = observe(node, state.ports)
            if key in touched or key not in plans or observe(node, last.ports) != seen:
                plans[key] = manager.compile(intent, node, seen, touched.get(key, frozenset()))
        last = state
    return plans


EXPANSIONS: dict[str, Callable[[list[State]], list[State]]] = {
    "as it was": lambda states: states,
    "reversed first": lambda states: states[::-1] + states,
    "squashed": lambda states: states[-1:],
    "duplicated": lambda states: [state for state in states for _ in range(2)],
    "with empty states": lambda states: [item for state in states for item in (State(), state)],
    "split: ports last": lambda states: [item for state in states for item in (replace(state, ports={}), state)],
}


@pytest.mark.parametrize("name", EXPANSIONS)
@settings(max_examples=15, deadline=None)
@given(states=histories())
def test_only_the_last_state_counts(name: str, states: list[State]) -> None:
    assert follow(EXPANSIONS[name](list(states))) == plans_of(states[-1])


@settings(max_examples=40, deadline=None)
@given(states=histories())
def test_traffic_is_right_after_every_step(states: list[State]) -> None:
    manager, intent, last = MechanismManager.load(DRIVERS), Intent(), State()
    for revision, state in enumerate(states, start=1):
        intent.apply(change_between(last, state, revision))
        fabric = fabric_of(state, manager, intent)
        for port in bound(state):
            assert reached(fabric, port, datagram(port)) == hearers(state, port)
        last = state


@settings(max_examples=40, deadline=None)
@given(states=histories())
def test_applying_the_differences_ends_with_the_program(states: list[State]) -> None:
    manager, intent, last = MechanismManager.load(DRIVERS), Intent(), State()
    installed: dict[str, Installed] = {}
    for revision, state in enumerate(states, start=1):
        intent.apply(change_between(last, state, revision))
        for key, node in state.nodes.items():
            plan = manager.compile(intent, node, observe(node, state.ports))
            if isinstance(plan, Program):
                installed.setdefault(key, Installed()).become(plan)
        last = state


class Installed:
    """What is on a switch that only ever gets differences."""

    def __init__(self) -> None:
        self.program = Program(0, {})
        self.flows: dict[object, Flow] = {}
        self.groups: dict[int, Group] = {}

    def become(self, program: Program) -> None:
        """Apply the difference in the order of the southbound, and be the program."""
        delta = between(self.program, program)
        for group in (*delta.groups_add, *delta.groups_modify):
            self.groups[group.id] = group
        for flow in delta.flows_add:
            self.flows[flow.key] = flow
        for gone in delta.flows_remove:
            assert isinstance(gone, Flow)
            del self.flows[gone.key]
        for group_id in delta.groups_remove:
            del self.groups[group_id]
        assert self.flows == {flow.key: flow for flow in program.flows()}
        assert self.groups == {group.id: group for group in program.groups()}
        self.program = program


def scattered(port_count: int) -> State:
    """Three switches, four networks, ports on all."""
    nodes = [switch_node(number) for number in (1, 2, 3)]
    nets = [make_network(key, kind) for key, kind in enumerate(
        (("flat", "physnet1", None), ("vlan", "physnet1", 100), ("gre", None, 77), ("vxlan", None, 77)), start=1,
    )]  # fmt: skip
    ports = [make_port(nets[number % 4], number, nodes[number % 3]) for number in range(1, port_count + 1)]
    return State(*({item.id: item for item in items} for items in (nets, nodes, ports)))  # type: ignore[arg-type]


def test_a_change_keeps_the_fragments_of_all_other_networks() -> None:
    state = scattered(48)
    intent, manager = intent_of(state), MechanismManager.load(DRIVERS)
    node = state.nodes[switch_node(1).id]
    before = manager.compile(intent, node, observe(node, state.ports))
    port = next(p for p in state.ports.values() if p.binding and p.binding.node_id != node.id)
    moved = replace(port, fixed_ips=("10.7.7.7",))
    later = replace(state, ports={**state.ports, port.id: moved})
    touched = intent.apply(change_between(state, later, 2)).nodes
    after = manager.compile(intent, node, observe(node, later.ports), touched[node.id])
    assert isinstance(before, Program)
    assert isinstance(after, Program)
    new = {key for key, fragment in after.fragments.items() if before.fragments.get(key) is not fragment}
    assert new == {("lookup", port.network_id), ("answers", port.network_id)}
    old = set(map(id, before.flows()))  # made first, as a comparison of both does
    assert len([flow for flow in after.flows() if id(flow) not in old]) == 4


def test_logical_fragments_are_the_same_object_on_every_switch() -> None:
    state = scattered(48)
    intent, manager = intent_of(state), MechanismManager.load(DRIVERS)
    programs = [manager.compile(intent, node, observe(node, state.ports)) for node in state.nodes.values()]
    for key in state.networks:
        shared = {id(program.fragments["lookup", key]) for program in programs if isinstance(program, Program)}
        assert len(shared) == 1


def test_a_port_that_moves_changes_one_logical_flow() -> None:
    state = scattered(24)
    intent, manager = intent_of(state), MechanismManager.load(DRIVERS)
    bystander = state.nodes[switch_node(3).id]
    port = next(p for p in state.ports.values() if p.binding and p.binding.node_id == switch_node(1).id)
    before = manager.compile(intent, bystander, observe(bystander, state.ports))
    binding = Binding(switch_node(2).id, port.binding.segment_id if port.binding else "", "openflow", 99)
    later = replace(state, ports={**state.ports, port.id: replace(port, binding=binding)})
    intent.apply(change_between(state, later, 2))
    after = manager.compile(intent, bystander, observe(bystander, later.ports))
    assert isinstance(before, Program)
    assert isinstance(after, Program)
    delta = between(before, after)
    assert (len(delta.flows_add), len(delta.flows_remove)) == (1, 0)
    assert (delta.groups_add, delta.groups_modify, delta.groups_remove) == ((), (), ())


def test_an_endpoint_that_moves_changes_groups_only() -> None:
    state = scattered(24)
    intent, manager = intent_of(state), MechanismManager.load(DRIVERS)
    node = state.nodes[switch_node(1).id]
    before = manager.compile(intent, node, observe(node, state.ports))
    moved = replace(state.nodes[switch_node(2).id], tunnel_ip="198.51.100.2")
    intent.apply(change_between(state, replace(state, nodes={**state.nodes, moved.id: moved}), 2))
    after = manager.compile(intent, node, observe(node, state.ports))
    assert isinstance(before, Program)
    assert isinstance(after, Program)
    delta = between(before, after)
    assert (delta.flows_add, delta.flows_remove, delta.groups_add, delta.groups_remove) == ((), (), (), ())
    assert len(delta.groups_modify) == 4


def test_a_change_looks_into_its_own_network_only_and_into_no_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    state = scattered(48)
    intent, manager = intent_of(state), MechanismManager.load(DRIVERS)
    node = state.nodes[switch_node(1).id]
    manager.compile(intent, node, observe(node, state.ports))
    looks: list[str] = []

    def noting(owner: Any, name: str) -> None:
        known = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *args, **more: looks.append(name) or known(*args, **more))

    noting(ProgramCompiler, "_network")
    noting(ProgramCompiler, "_of_peers")
    port = next(p for p in state.ports.values() if p.network_id.startswith("00000004"))
    later = replace(state, ports={**state.ports, port.id: replace(port, fixed_ips=("10.7.7.7",))})
    intent.apply(change_between(state, later, 2))
    after = manager.compile(intent, node, observe(node, later.ports))
    assert looks == ["_network"]
    assert after == MechanismManager.load(DRIVERS).compile(intent_of(later, 2), node, observe(node, later.ports))


def test_a_program_that_is_looked_into_late_is_of_the_values_as_they_were() -> None:
    """As of a switch that was adopted: what the first change alters was never looked into."""
    state = scattered(48)
    intent, manager = intent_of(state), MechanismManager.load(DRIVERS)
    node, seen = state.nodes[switch_node(1).id], observe(switch_node(1), state.ports)
    before = manager.compile(intent, node, seen)
    mine = [port for port in state.ports.values() if port.binding is not None and port.binding.node_id == node.id]
    gone, changed = mine[0], replace(mine[1], mac_address="fa:16:3e:99:99:99")
    ports = {key: port for key, port in {**state.ports, changed.id: changed}.items() if key != gone.id}
    moved = replace(state.nodes[switch_node(2).id], tunnel_ip="198.51.100.2")
    later = replace(state, ports=ports, nodes={**state.nodes, moved.id: moved})
    intent.apply(change_between(state, later, 2))
    after = manager.compile(intent, node, observe(node, ports))
    assert before == MechanismManager.load(DRIVERS).compile(intent_of(state), node, seen)
    assert after == MechanismManager.load(DRIVERS).compile(intent_of(later, 2), node, observe(node, ports))
    assert before != after


SHARED_NET = make_network(4, ("vxlan", None, 77))
PLACES = switch_node(1), switch_node(2)

shared_steps = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.one_of(
            st.none(),
            st.fixed_dictionaries({
                "node": st.sampled_from(PLACES),
                "mac_address": st.sampled_from(("fa:16:3e:00:00:01", "fa:16:3e:00:00:02")),
                "fixed_ips": st.sampled_from(((), ("10.0.0.1",), ("10.0.0.2", "10.0.0.1"))),
                "allowed_address_pairs": st.sampled_from(((), (AddressPair("10.0.0.2", "fa:16:3e:00:00:09"),))),
            }),
        ),
    ),
    max_size=10,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(steps=shared_steps)
def test_addresses_that_ports_begin_and_cease_to_share(steps: list[tuple[int, dict[str, Any] | None]]) -> None:
    """Flows of ports that stay as they are come and go with what others have."""
    manager, last = MechanismManager.load(DRIVERS), State()
    state = State({SHARED_NET.id: SHARED_NET}, {node.id: node for node in PLACES})
    intent = Intent()
    for number, said in [(0, None), *steps]:
        ports = {key: port for key, port in state.ports.items() if key != f"{number}"}
        if said is not None:
            port = make_port(SHARED_NET, number, said["node"], id=f"{number}")
            ports[port.id] = replace(port, **{name: value for name, value in said.items() if name != "node"})
        state = replace(state, ports=ports)
        intent.apply(change_between(last, state, 0))
        for node in PLACES:
            seen = observe(node, state.ports)
            anew = MechanismManager.load(DRIVERS).compile(intent_of(state, 0), node, seen)
            assert manager.compile(intent, node, seen) == anew
        last = state
