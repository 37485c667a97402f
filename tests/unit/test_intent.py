"""The intent: its indexes, what a change touches, and that only the state counts, never the way to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.intent import Change, Intent
from controller.local_links import link_on
from controller.model import Binding, Port
from tests.support.scenarios import (
    State,
    change_between,
    histories,
    host_node,
    intent_of,
    make_network,
    make_port,
    switch_node,
)

NET = make_network(1, ("vlan", "physnet1", 100), ("gre", None, 77))
OTHER = make_network(2, ("vxlan", None, 77))
ONE, TWO = switch_node(1), host_node(2)


def view(intent: Intent) -> object:
    """All that the compilers can ask of an intent, in a comparable form."""
    return (
        intent.networks,
        intent.nodes,
        intent.ports,
        {key: dict(intent.bound_ports(key)) for key in intent.networks},
        {key: sorted(intent.nodes_of(key)) for key in intent.networks},
        {key: sorted(intent.networks_of(key)) for key in intent.nodes},
        {(node, key): dict(intent.ports_on(node, key)) for node in intent.nodes for key in intent.networks},
        {key: intent.ports_of(key) for key in intent.nodes},
        {(node, key): intent.segment_on(node, key) for node in intent.nodes for key in intent.networks},
        {(node, key): intent.peers_of(node, key) for node in intent.nodes for key in intent.networks},
    )


def built(*ports, nodes=(ONE, TWO), networks=(NET, OTHER)) -> Intent:  # type: ignore[no-untyped-def]
    state = State({net.id: net for net in networks}, {node.id: node for node in nodes}, {p.id: p for p in ports})
    return intent_of(state)


def test_an_unbound_port_is_known_but_indexed_nowhere() -> None:
    port = make_port(NET, 1)
    intent = built(port)
    assert intent.ports == {port.id: port}
    assert not intent.bound_ports(NET.id)
    assert not list(intent.nodes_of(NET.id))


def test_a_bound_port_is_found_by_network_and_node() -> None:
    port = make_port(NET, 1, ONE)
    intent = built(port)
    assert dict(intent.bound_ports(NET.id)) == {port.id: port}
    assert dict(intent.ports_on(ONE.id, NET.id)) == {port.id: port}
    assert list(intent.nodes_of(NET.id)) == [ONE.id]
    assert list(intent.networks_of(ONE.id)) == [NET.id]
    assert intent.segment_on(ONE.id, NET.id) == NET.segments[0]
    assert intent.segment_on(TWO.id, NET.id) is None


def test_peers_share_the_segment_and_are_ordered_by_key() -> None:
    three, four = switch_node(3), switch_node(4)
    ports = [make_port(NET, number, node) for number, node in enumerate((four, TWO, ONE), start=1)]
    elsewhere = make_port(NET, 9, three, binding=Binding(three.id, NET.segments[1].id, "openflow", 9))
    intent = built(*ports, elsewhere, nodes=(four, three, TWO, ONE))
    assert intent.peers_of(ONE.id, NET.id) == [TWO, four]
    assert intent.peers_of(three.id, NET.id) == []
    assert intent.peers_of(ONE.id, OTHER.id) == []


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_segment_of_a_node_does_not_depend_on_the_order_of_its_ports(order: tuple[int, int]) -> None:
    ports = [
        make_port(NET, number + 1, ONE, binding=Binding(ONE.id, NET.segments[number].id, "openflow", number + 1))
        for number in order
    ]
    assert built(*ports).segment_on(ONE.id, NET.id) == NET.segments[0]


def test_a_moved_port_touches_both_nodes_and_all_that_carry_its_network() -> None:
    three = switch_node(3)
    port, fixed, stranger = make_port(NET, 1, ONE), make_port(NET, 2, three), make_port(OTHER, 3, ONE)
    intent = built(port, fixed, stranger, nodes=(ONE, TWO, three))
    moved = replace(port, binding=Binding(TWO.id, NET.segments[0].id, "linuxbridge", 1))
    touched = intent.apply(Change.of(2, ports={port.id: moved}))
    assert touched.revision == 2
    assert touched.nodes == {node.id: frozenset({NET.id}) for node in (ONE, TWO, three)}
    assert list(intent.networks_of(ONE.id)) == [OTHER.id]


def test_a_changed_node_touches_itself_and_its_peers() -> None:
    intent = built(make_port(NET, 1, ONE), make_port(NET, 2, TWO))
    touched = intent.apply(Change.of(2, nodes={TWO.id: replace(TWO, tunnel_ip="192.0.2.99")}))
    assert touched.nodes == {ONE.id: frozenset({NET.id}), TWO.id: frozenset({NET.id})}


def test_a_new_node_without_ports_touches_only_itself() -> None:
    intent = built()
    assert intent.apply(Change.of(2, nodes={"switch:09": switch_node(9)})).nodes == {"switch:09": frozenset()}


def test_what_is_the_same_touches_nothing() -> None:
    port = make_port(NET, 1, ONE)
    intent = built(port)
    version = intent.version_of(NET.id)
    touched = intent.apply(Change.of(5, networks={NET.id: NET}, ports={port.id: port, "x": None}, nodes={ONE.id: ONE}))
    assert not touched.nodes
    assert intent.revision == 5
    assert intent.version_of(NET.id) is version


def test_a_port_that_changes_its_network_touches_both() -> None:
    port = make_port(NET, 1, ONE)
    intent = built(port)
    elsewhere = replace(port, network_id=OTHER.id, binding=Binding(ONE.id, OTHER.segments[0].id, "openflow", 1))
    assert intent.apply(Change.of(2, ports={port.id: elsewhere})).nodes == {ONE.id: frozenset({NET.id, OTHER.id})}
    assert list(intent.networks_of(ONE.id)) == [OTHER.id]


def test_an_older_revision_does_not_turn_the_clock_back() -> None:
    intent = built()
    intent.apply(Change.of(7))
    assert intent.apply(Change.of(3)).revision == 7


def changes_of_versions() -> list[tuple[str, Change]]:
    port = make_port(NET, 1, ONE)
    return [
        ("the network", Change.of(2, networks={NET.id: replace(NET, mtu=1400)})),
        ("a port", Change.of(2, ports={port.id: replace(port, admin_state_up=False)})),
        ("an unbound port", Change.of(2, ports={"new": replace(make_port(NET, 8), id="new")})),
        ("a carrier", Change.of(2, nodes={ONE.id: replace(ONE, tunnel_ip="192.0.2.50")})),
    ]


@pytest.mark.parametrize(("what", "change"), changes_of_versions())
def test_the_version_of_a_network_changes_with(what: str, change: Change) -> None:
    intent = built(make_port(NET, 1, ONE), make_port(OTHER, 2, TWO))
    before, other = intent.version_of(NET.id), intent.version_of(OTHER.id)
    intent.apply(change)
    assert intent.version_of(NET.id) is not before, what
    assert intent.version_of(OTHER.id) is other


def run(states: Sequence[State]) -> Intent:
    intent, last = Intent(), State()
    for revision, state in enumerate(states, start=1):
        intent.apply(change_between(last, state, revision))
        last = state
    return intent


EXPANSIONS: dict[str, Callable[[list[State]], list[State]]] = {
    "reversed first": lambda states: states[::-1] + states,
    "squashed": lambda states: states[-1:],
    "duplicated": lambda states: [state for state in states for _ in range(2)],
    "with empty states": lambda states: [item for state in states for item in (State(), state)],
    "nodes last": lambda states: [replace(states[-1], nodes={}), states[-1]],
    "networks last": lambda states: [replace(states[-1], networks={}), states[-1]],
}


@pytest.mark.parametrize("name", EXPANSIONS)
@settings(max_examples=25, deadline=None)
@given(states=histories())
def test_only_the_last_state_counts(name: str, states: list[State]) -> None:
    assert view(run(EXPANSIONS[name](list(states)))) == view(intent_of(states[-1]))


@settings(max_examples=60, deadline=None)
@given(states=histories())
def test_touched_names_every_node_and_network_whose_view_changed(states: list[State]) -> None:
    intent, last = Intent(), State()
    for revision, state in enumerate(states, start=1):
        before = {node: _what_concerns(intent, node) for node in {*intent.nodes, *state.nodes}}
        touched = intent.apply(change_between(last, state, revision))
        for node, networks in before.items():
            after = _what_concerns(intent, node)
            changed = {key for key in {*networks, *after} if networks.get(key) != after.get(key)}
            assert changed <= touched.nodes.get(node, frozenset())
        last = state


def _what_concerns(intent: Intent, node_id: str) -> dict[str, object]:
    return {
        key: (intent.networks.get(key), dict(intent.bound_ports(key)), intent.peers_of(node_id, key))
        for key in intent.networks_of(node_id)
    }


@settings(max_examples=50, deadline=None)
@given(states=histories(), splits=st.randoms(use_true_random=False))
def test_a_change_split_into_single_objects_ends_the_same(states: list[State], splits) -> None:  # type: ignore[no-untyped-def]
    intent = run(states[:-1])
    change = change_between(states[-2] if len(states) > 1 else State(), states[-1], len(states))
    parts = [Change.of(change.revision, networks={key: item}) for key, item in change.networks.items()]
    parts += [Change.of(change.revision, nodes={key: item}) for key, item in change.nodes.items()]
    parts += [Change.of(change.revision, ports={key: item}) for key, item in change.ports.items()]
    splits.shuffle(parts)
    for part in parts:
        intent.apply(part)
    assert view(intent) == view(intent_of(states[-1]))


TWO_WAYS = make_network(3, ("vlan", "physnet1", 7), ("gre", None, 7), ("vxlan", None, 7))
STAYS = make_network(4, ("gre", None, 8))
PLACES = (ONE, TWO, switch_node(3))

steps = st.lists(
    st.one_of(
        st.tuples(st.just("port"), st.integers(1, 5), st.sampled_from(PLACES), st.integers(0, 2)),
        st.tuples(st.just("unbound"), st.integers(1, 5)),
        st.tuples(st.just("no port"), st.integers(1, 5)),
        st.tuples(st.just("node"), st.sampled_from(PLACES), st.sampled_from(("192.0.2.1", "192.0.2.9"))),
        st.tuples(st.just("no node"), st.sampled_from(PLACES)),
        st.tuples(st.just("network"), st.sampled_from((TWO_WAYS, replace(TWO_WAYS, segments=TWO_WAYS.segments[1:])))),
        st.tuples(st.just("no network")),
    ),
    max_size=12,
)


def changed_by(step: Sequence[Any], revision: int) -> Change:
    """One step as the change that it is."""
    match step:
        case ("port", number, node, segment):
            network = TWO_WAYS if number < 5 else STAYS
            chosen = network.segments[segment % len(network.segments)]
            binding = Binding(node.id, chosen.id, node.mechanisms[0], number)
            links = (("1", "eth1"), ("3", f"eth{number}"))[:segment]
            port = make_port(network, number, id=str(number), binding=binding, local_links=links)
            return Change.of(revision, ports={port.id: port})
        case ("unbound", number):
            return Change.of(revision, ports={str(number): make_port(TWO_WAYS, number, id=str(number))})
        case ("no port", number):
            return Change.of(revision, ports={str(number): None})
        case ("node", node, address):
            return Change.of(revision, nodes={node.id: replace(node, tunnel_ip=address)})
        case ("no node", node):
            return Change.of(revision, nodes={node.id: None})
        case ("network", network):
            return Change.of(revision, networks={network.id: network})
        case _:
            return Change.of(revision, networks={TWO_WAYS.id: None})


def carriers(intent: Intent) -> dict[str, Any]:
    """Who carries what, by whatever question."""
    networks = {key: intent.networks[key].segments for key in intent.networks}
    return {
        "segments": {(node.id, key): intent.segment_on(node.id, key) for node in PLACES for key in networks},
        "peers": {(node.id, key): intent.peers_of(node.id, key) for node in PLACES for key in networks},
        "by": {
            (key, item.id): list(intent.carriers_by(key, item.id).items())
            for key in networks
            for item in networks[key]
        },
        "ports": {node.id: intent.ports_of(node.id) for node in PLACES},
        "links": {node.id: intent.links_on(node.id) for node in PLACES},
    }


def links(intent: Intent) -> dict[str, dict[str, str]]:
    """By node what its ports say of where they are plugged in there, of all ports one by one."""
    said = {node.id: {key: link_on(port, node.id) for key, port in intent.ports.items()} for node in PLACES}
    return {node_id: {key: link for key, link in found.items() if link is not None} for node_id, found in said.items()}


def place_of(port: Port) -> tuple[str, str]:
    """Node and network of a bound port."""
    assert port.binding is not None
    return port.binding.node_id, port.network_id


def places(intent: Intent) -> set[tuple[str, str, str]]:
    """Node, network and id of every bound port; by node and network as by node."""
    found = {(node.id, key, port_id) for node in PLACES for key in intent.networks_of(node.id)
             for port_id in intent.ports_on(node.id, key)}  # fmt: skip
    assert found == {
        (node.id, network_id, key)
        for node in PLACES
        for network_id, ports in intent.ports_of(node.id).items()
        for key in ports
    }
    return found


@settings(max_examples=300, deadline=None)
@given(steps=steps)
def test_who_carries_a_network_follows_every_change(steps: list[Sequence[Any]]) -> None:
    intent = Intent()
    intent.apply(Change.of(1, {net.id: net for net in (TWO_WAYS, STAYS)}, nodes={node.id: node for node in PLACES}))
    for revision, step in enumerate(steps, start=2):
        before = carriers(intent)["segments"]
        touched = intent.apply(changed_by(step, revision))
        anew = Intent()
        anew.apply(Change.of(revision, dict(intent.networks), dict(intent.ports), dict(intent.nodes)))
        assert carriers(intent) == carriers(anew), step
        assert carriers(intent)["links"] == links(intent), step
        assert places(intent) == {(*place_of(item), key) for key, item in intent.ports.items() if item.binding}, step
        for (network_id, segment_id), by in carriers(intent)["by"].items():
            on = {key: intent.segment_on(key, network_id) for key in intent.nodes}
            assert dict(by).keys() == {key for key, segment in on.items() if segment and segment.id == segment_id}
        for node_id, networks in carriers(intent)["ports"].items():
            assert networks == {key: intent.ports_on(node_id, key) for key in intent.networks_of(node_id)}
        if "port" in step[0] or step[0] == "unbound":
            others = {key for place, segment in carriers(intent)["segments"].items() if before[place] != segment
                      for key in intent.ports_on(*place)}  # fmt: skip
            assert touched.displaced == others


def test_ports_whose_node_carries_the_network_by_another_segment_now_are_named() -> None:
    second = make_port(NET, 2, ONE, binding=Binding(ONE.id, NET.segments[1].id, "openflow", 2))
    first = make_port(NET, 1, ONE)
    intent = built(second)
    assert intent.apply(Change.of(2, ports={first.id: first})).displaced == {first.id, second.id}
    assert intent.apply(Change.of(3, ports={first.id: replace(first, fixed_ips=())})).displaced == frozenset()
    assert intent.apply(Change.of(4, ports={first.id: None})).displaced == {second.id}


def test_a_port_that_joins_others_on_its_node_costs_no_look_at_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    intent = built(make_port(NET, 1, ONE), make_port(NET, 2, TWO))
    assert intent.peers_of(ONE.id, NET.id) == [TWO]
    looks: list[object] = []
    found = Intent._find_carriers
    monkeypatch.setattr(Intent, "_find_carriers", lambda *args: looks.append(args) or found(*args))
    joined = make_port(NET, 3, ONE)
    for port in (joined, replace(joined, fixed_ips=("10.0.0.9",)), None):
        intent.apply(Change.of(2, ports={joined.id: port}))
        assert intent.peers_of(ONE.id, NET.id) == [TWO]
    assert not looks
    intent.apply(Change.of(3, ports={make_port(NET, 2).id: None}))
    assert intent.peers_of(ONE.id, NET.id) == []
    assert len(looks) == 1


def test_what_concerns_a_node_alone_touches_no_other() -> None:
    intent = built(make_port(NET, 1, ONE), make_port(NET, 2, TWO))
    version = intent.version_of(NET.id)
    node = replace(ONE, capabilities=frozenset({"meters"}), limits={"gre": "no"})
    assert intent.apply(Change.of(9, nodes={ONE.id: node})).nodes == {ONE.id: frozenset({NET.id})}
    assert intent.version_of(NET.id) is version
    assert intent.peers_of(TWO.id, NET.id) == [node]
    moved = replace(node, tunnel_ip="192.0.2.77")
    assert intent.apply(Change.of(10, nodes={ONE.id: moved})).nodes.keys() == {ONE.id, TWO.id}
    assert intent.version_of(NET.id) is not version
    assert intent.peers_of(TWO.id, NET.id) == [moved]
