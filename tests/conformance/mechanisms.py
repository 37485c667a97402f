"""The suite that every mechanism driver must pass. A third party runs it on its own driver:

class TestPatchbay(MechanismConformance):
    network_types = ("nvgre",)

    def make_driver(self) -> MechanismDriver:
        return PatchbayMechanismDriver()
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from hypothesis import HealthCheck, given, settings

from controller.dataplane.values import Bucket, Flow, Program, ToGroup
from controller.intent import Intent
from controller.model import Binding, Network, Node, NodeKind, Observation
from legacy_agent.host_plan import HostPlan
from mechanisms.api import Bound, Continue, MechanismDriver, Plan, Refused
from tests.support.scenarios import (
    State,
    change_between,
    histories,
    host_node,
    intent_of,
    make_network,
    make_port,
    observe,
    states,
    switch_node,
)

EXAMPLES: Mapping[str, tuple[str, str | None, int | None]] = {
    "local": ("local", None, None),
    "flat": ("flat", "physnet1", None),
    "vlan": ("vlan", "physnet1", 100),
}

relaxed = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.differing_executors])


class MechanismConformance:
    """Subclass it, say which driver, and which network types it binds on a node that lacks nothing."""

    network_types: tuple[str, ...] = ()
    binds_anything = False
    """Whether the driver binds whatever it is asked for (the fake one does)."""

    def make_driver(self) -> MechanismDriver:
        """A fresh driver."""
        raise NotImplementedError

    def make_node(self, number: int) -> Node:
        """A node of the driver's kind that can do everything."""
        driver = self.make_driver()
        make = switch_node if driver.node_kind is NodeKind.SWITCH else host_node
        node = make(number, mechanisms=(driver.name,))
        return replace(node, tunnel_types=node.tunnel_types | set(self.network_types) - set(EXAMPLES))

    def network_of(self, network_type: str, key: int = 1) -> Network:
        """A network of that type."""
        return make_network(key, EXAMPLES.get(network_type, (network_type, None, 77)), name="blue")

    def state(self) -> State:
        """One network of each type, each with a port on each of three nodes."""
        all_nodes = [self.make_node(number) for number in (1, 2, 3)]
        networks = [self.network_of(kind, key) for key, kind in enumerate(self.network_types, start=1)]
        ports = [make_port(network, 10 * network.key + node.key, node) for network in networks for node in all_nodes]
        return State(*({item.id: item for item in items} for items in (networks, all_nodes, ports)))  # type: ignore[arg-type]

    # What it says of itself

    def test_it_has_a_name_a_kind_of_node_and_a_vif_type(self) -> None:
        driver = self.make_driver()
        assert driver.name
        assert isinstance(driver.node_kind, NodeKind)
        assert driver.vif_type

    # Binding

    def test_it_binds_its_network_types(self) -> None:
        driver, node = self.make_driver(), self.make_node(1)
        for network_type in self.network_types:
            network = self.network_of(network_type)
            answer = driver.bind(make_port(network, 1), network, network.segments[0], node)
            assert isinstance(answer, Bound), f"{network_type}: {answer}"
            assert answer.segment_id == network.segments[0].id
            assert answer.vif_type == driver.vif_type
            assert json.loads(json.dumps(dict(answer.vif_details))) == dict(answer.vif_details)

    def test_it_leaves_nodes_of_other_mechanisms_alone(self) -> None:
        driver, node = self.make_driver(), replace(self.make_node(1), mechanisms=("another",))
        for network_type in self.network_types:
            network = self.network_of(network_type)
            assert driver.bind(make_port(network, 1), network, network.segments[0], node) == Continue()

    def test_a_node_that_lacks_everything_is_refused_with_a_reason(self) -> None:
        driver, node = self.make_driver(), self.make_node(1)
        bare = replace(node, tunnel_ip=None, tunnel_types=frozenset(), physical_networks={}, capabilities=frozenset())
        for network_type in {*self.network_types, "flat", "vlan", "gre", "vxlan", "geneve"} - {"local"}:
            network = self.network_of(network_type)
            answer = driver.bind(make_port(network, 1), network, network.segments[0], bare)
            assert self.binds_anything or not isinstance(answer, Bound)
            assert self.binds_anything or network_type not in self.network_types or isinstance(answer, Refused)
            if isinstance(answer, Refused):
                assert network_type in answer.reason or str(network.segments[0].physical_network) in answer.reason
                assert node.host in answer.reason or "networks" in answer.reason

    def test_an_unknown_network_type_is_not_bound(self) -> None:
        driver = self.make_driver()
        network = make_network(1, ("carrier-pigeon", None, 1149))
        answer = driver.bind(make_port(network, 1), network, network.segments[0], self.make_node(1))
        assert isinstance(answer, Continue | Refused) or self.binds_anything
        assert not isinstance(answer, Refused) or answer.reason

    def test_binding_is_pure(self) -> None:
        driver, node = self.make_driver(), self.make_node(1)
        for network_type in self.network_types:
            network = self.network_of(network_type)
            arguments = (make_port(network, 1), network, network.segments[0], node)
            before = copy.deepcopy(arguments)
            assert driver.bind(*arguments) == driver.bind(*arguments) == self.make_driver().bind(*arguments)
            assert arguments == before

    # Compiling

    def test_the_plan_of_an_empty_intent_is_empty(self) -> None:
        node = self.make_node(1)
        plan = self.make_driver().compile(intent_of(State(nodes={node.id: node}), 7), node, Observation(node.id))
        self.check(plan, node, 7)
        if isinstance(plan, HostPlan):
            assert plan.networks == ()

    def test_the_plan_of_a_node_that_the_intent_does_not_know_yet(self) -> None:
        node = self.make_node(1)
        self.check(self.make_driver().compile(Intent(), node, Observation(node.id)), node, 0)

    def test_ports_of_unknown_networks_and_unbound_ports_are_not_carried(self) -> None:
        state = self.state()
        node = self.make_node(1)
        lost = intent_of(replace(state, networks={}))
        empty = intent_of(State(nodes=state.nodes))
        unbound = {key: replace(port, binding=None) for key, port in state.ports.items()}
        idle = intent_of(replace(state, ports=unbound))
        seen = observe(node, state.ports)
        plans = [self.make_driver().compile(intent, node, seen) for intent in (lost, empty, idle)]
        assert plans[0] == plans[1] == plans[2]

    def test_the_networks_of_a_node_are_in_its_plan(self) -> None:
        state, node = self.state(), self.make_node(1)
        plan = self.make_driver().compile(intent_of(state), node, observe(node, state.ports))
        self.check(plan, node, 1)
        if isinstance(plan, HostPlan):
            assert [network.network_id for network in plan.networks] == sorted(state.networks)

    def test_a_segment_that_is_gone_does_not_break_the_plan(self) -> None:
        state, node = self.state(), self.make_node(1)
        bare = {key: replace(network, segments=()) for key, network in state.networks.items()}
        plan = self.make_driver().compile(intent_of(replace(state, networks=bare)), node, observe(node, state.ports))
        self.check(plan, node, 1)

    @relaxed
    @given(state=states())
    def test_the_same_intent_gives_the_same_plan(self, state: State) -> None:
        mine = self.mine(state)
        backwards = State(*(dict(reversed(part.items())) for part in (mine.networks, mine.nodes, mine.ports)))
        intent, other = intent_of(mine), intent_of(backwards)
        driver = self.make_driver()
        for node in self.served(mine):
            seen = observe(node, mine.ports)
            plan = driver.compile(intent, node, seen)
            self.check(plan, node, 1)
            assert driver.compile(intent, node, seen) == plan
            assert driver.compile(other, node, seen) == plan
            assert self.make_driver().compile(intent, node, seen) == plan

    @relaxed
    @given(history=histories())
    def test_step_by_step_equals_from_nothing(self, history: Sequence[State]) -> None:
        driver, intent, last = self.make_driver(), Intent(), State()
        for revision, state in enumerate(map(self.mine, history), start=1):
            touched = intent.apply(change_between(last, state, revision)).nodes
            for node in self.served(state):
                seen = observe(node, state.ports)
                plan = driver.compile(intent, node, seen, touched.get(node.id, frozenset()))
                assert plan == self.make_driver().compile(intent_of(state, revision), node, seen)
            last = state

    @relaxed
    @given(state=states())
    def test_what_is_plugged_changes_that_node_only_and_back(self, state: State) -> None:
        mine = self.mine(state)
        intent, driver = intent_of(mine), self.make_driver()
        for node in self.served(mine):
            full, none = observe(node, mine.ports), Observation(node.id)
            before, without = driver.compile(intent, node, full), driver.compile(intent, node, none)
            assert driver.compile(intent, node, full) == before
            assert driver.compile(intent, node, none) == without
            assert self.make_driver().compile(intent, node, none) == without

    @relaxed
    @given(state=states())
    def test_compiling_changes_nothing(self, state: State) -> None:
        mine = self.mine(state)
        intent, driver = intent_of(mine), self.make_driver()
        before = copy.deepcopy((intent.networks, intent.nodes, intent.ports, intent.revision))
        for node in self.served(mine):
            driver.compile(intent, node, observe(node, mine.ports))
        assert (intent.networks, intent.nodes, intent.ports, intent.revision) == before

    # Helpers

    def mine(self, state: State) -> State:
        """The state with all nodes of this driver's kind and mechanism."""
        driver = self.make_driver()
        all_nodes = {key: self.make_node(node.key) for key, node in state.nodes.items()}
        renamed = {key: replace(node, tunnel_ip=state.nodes[key].tunnel_ip) for key, node in all_nodes.items()}
        ports = {
            key: port if port.binding is None else replace(port, binding=_rebound(port.binding, renamed, driver.name))
            for key, port in state.ports.items()
        }
        return State(state.networks, {node.id: node for node in renamed.values()}, ports)

    def served(self, state: State) -> Iterator[Node]:
        """The nodes of the state in order."""
        yield from (state.nodes[key] for key in sorted(state.nodes))

    def check(self, plan: Plan, node: Node, revision: int) -> None:
        """What every plan must be."""
        assert plan.revision == revision
        if node.kind is NodeKind.SWITCH:
            assert isinstance(plan, Program)
            check_program(plan)
        else:
            assert isinstance(plan, HostPlan)
            check_host_plan(plan, node)


def check_program(program: Program) -> None:
    """No two flows in one place, no two groups with one id, no group that does not exist, only later tables."""
    flows, groups = list(program.flows()), list(program.groups())
    assert len({flow.key for flow in flows}) == len(flows)
    assert len({group.id for group in groups}) == len(groups)
    used = {action.group_id for holder in (*flows, *(bucket for group in groups for bucket in group.buckets))
            for action in _actions(holder) if isinstance(action, ToGroup)}  # fmt: skip
    assert used <= {group.id for group in groups}
    assert all(flow.goto is None or flow.goto > flow.table for flow in flows)
    assert all(flow.why for flow in flows)


def check_host_plan(plan: HostPlan, node: Node) -> None:
    """It is the node's, survives the wire, is ordered, and its digest is that of its content."""
    assert plan.host == node.host
    assert HostPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    assert replace(plan, revision=plan.revision + 1).digest == plan.digest
    ids = [network.network_id for network in plan.networks]
    assert ids == sorted(set(ids))
    for network in plan.networks:
        assert list(network.ports) == sorted(network.ports)
        assert list(network.peers) == sorted(set(network.peers))
        assert list(network.remotes) == sorted(set(network.remotes))
        assert node.tunnel_ip not in network.peers


def _rebound(binding: Binding, nodes: Mapping[str, Node], mechanism: str) -> Binding:
    return replace(binding, node_id=nodes[binding.node_id].id, mechanism=mechanism)


def _actions(holder: Flow | Bucket) -> tuple[object, ...]:
    return holder.actions
