"""A program's stamp says what the program is before it is compiled: no input may change the one and not the other.

Every field of every value of the model that the compiler is given is changed, one at a time; of all programs that
come of it those with the same stamp must be the same.
"""

from __future__ import annotations

import ast
import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.dataplane.lazy import LazyFragment
from controller.dataplane.values import Program
from controller.model import AddressPair, Fabric, FabricTree, Node, NodeKind, Observation
from mechanisms.openflow import version
from mechanisms.openflow.driver import OpenFlowMechanismDriver
from tests.support.scenarios import (
    State,
    host_node,
    intent_of,
    make_network,
    make_port,
    observe,
    states,
    switch_node,
)

OTHERS: Mapping[str, tuple[Any, ...]] = {
    "mac_address": ("fa:16:3e:99:99:99",),
    "fixed_ips": ("10.9.9.9", "2001:db8::99"),
    "ip_address": ("172.30.0.0/24",),
    "device_owner": ("network:dhcp",),
    "tunnel_ip": ("203.0.113.9", "2001:db8::9", None),
    "network_type": ("flat", "vlan", "gre", "vxlan", "local"),
    "physical_network": ("physnet2", None),
    "segmentation_id": (99,),
    "capabilities": ("nicira", "meters"),
    "physnet1": ("physnet3",),
}
"""Sensible other values, by the name of the field or by the value; everything else gets something made up."""


@dataclasses.dataclass(frozen=True)
class Case:
    """What one program is compiled from; the fabric is part of the observation."""

    state: State
    node_id: str
    seen: Observation

    def program(self) -> Program:
        """Compiled by a compiler that knows nothing."""
        return OpenFlowMechanismDriver().compile(intent_of(self.state), self.state.nodes[self.node_id], self.seen)


def field_names(value: Any) -> tuple[str, ...]:
    """The fields of a value that is a dataclass or a named tuple; none of any other."""
    if is_dataclass(value):
        return tuple(field.name for field in fields(value))
    return getattr(value, "_fields", ())


def with_field(value: Any, name: str, other: Any) -> Any:
    """The value with another field."""
    return replace(value, **{name: other}) if is_dataclass(value) else value._replace(**{name: other})


def variants(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The value with one thing changed, and what that is: ``Class.field`` of the innermost such value."""
    if names := field_names(value):
        for field in names:
            for label, other in variants(getattr(value, field), field):
                where = label if "." in label else f"{type(value).__name__}.{field}"
                yield where, with_field(value, field, other)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            rest = {other: kept for other, kept in value.items() if other != key}
            yield name, rest
            for label, other in variants(item, name):
                yield label, {**rest, key: other}
            for _, other in variants(key, str(key)):
                yield name, {**rest, other: item}
    elif isinstance(value, tuple | frozenset):
        items = sorted(value) if isinstance(value, frozenset) else list(value)
        for place, item in enumerate(items):
            yield name, type(value)(items[:place] + items[place + 1 :])
            for label, other in variants(item, name):
                yield label, type(value)([*items[:place], other, *items[place + 1 :]])
        if isinstance(value, tuple) and len(value) > 1:
            yield name, value[::-1]
    else:
        yield from ((name, other) for other in _others(value, name) if other != value)


def _others(value: Any, name: str) -> tuple[Any, ...]:
    if name in OTHERS:
        return OTHERS[name]
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, NodeKind):
        return (NodeKind.HOST,)
    return (value + 1,) if isinstance(value, int) else (f"{value or ''}x",)


def neighbours(case: Case) -> Iterator[tuple[str, Case]]:
    """The case with one field of one value changed."""
    for what in ("networks", "nodes", "ports"):
        values: Mapping[str, Any] = getattr(case.state, what)
        for key, value in values.items():
            for label, other in variants(value, what):
                changed = {other.id if known == key else known: other if known == key else item
                           for known, item in values.items()}  # fmt: skip
                yield label, replace(case, state=replace(case.state, **{what: changed}))
    for label, seen in variants(case.seen, "seen"):
        yield label, replace(case, seen=seen)


def compiled(case: Case) -> tuple[int, int] | None:
    """Stamp and content of the case's program; None if it makes no sense to the compiler."""
    if case.node_id not in case.state.nodes:
        return None
    try:
        program = case.program()
        found = program.stamp, program.digest
    except Exception:  # of a combination that the plugin would refuse
        return None
    assert found[0] == Program.of(program.revision, program.fragments.values()).stamp  # which is known before these
    return found


def changing(case: Case, cases: Iterator[tuple[str, Case]]) -> set[str]:
    """The fields whose change alters the program; fails where one does and leaves the stamp."""
    own = compiled(case)
    assert own is not None
    by_stamp, found = dict([own]), set()
    for label, other in cases:
        result = compiled(other)
        if result is None:
            continue
        stamp, content = result
        assert by_stamp.setdefault(stamp, content) == content, f"{label} changes the program and not its stamp"
        if content != own[1]:
            found.add(label)
    return found


def rich() -> Case:
    """A switch with every kind of network, pairs, peers of both kinds, links, and ways out."""
    me, peer, third, host = switch_node(1), switch_node(2), switch_node(3), host_node(4)
    nets = [make_network(key, kind) for key, kind in enumerate(
        (("flat", "physnet1", None), ("vlan", "physnet1", 100), ("gre", None, 77), ("vxlan", None, 77),
         ("vlan", "physnet2", 100)), start=1)]  # fmt: skip
    pairs = (AddressPair("172.16.0.0/24", "00:00:5e:00:01:01"),)
    ports = [make_port(net, 10 * net.key + node.key, node, allowed_address_pairs=pairs if node is me else (),
                       port_security_enabled=net.key != 2 or node is not me)
             for net in nets for node in (me, peer, third, host)]  # fmt: skip
    state = State(*({item.id: item for item in items} for items in (nets, (me, peer, third, host), ports)))  # type: ignore[arg-type]
    return Case(state, me.id, replace(observe(me, state.ports), fabric=linked(me, peer, third, host)))


def linked(me: Node, peer: Node, third: Node, host: Node) -> Fabric:
    """Links of ``me`` to the others."""
    behind = {30: frozenset({peer.id}), 31: frozenset({third.id})}
    tree = FabricTree(behind, frozenset({30}), (10,), 2, frozenset({30}), (10,), 2, (), (0, 200))
    ways = {peer.id: (30, 31), third.id: (31,)}
    network, macs = make_network(2).id, ("02:00:00:00:00:01", "02:00:00:00:00:02")
    learned = {network: {macs[0]: (me.id, 10), macs[1]: (peer.id, 7)}}
    return Fabric((30, 31, 32), frozenset({me.id, peer.id, third.id}), ways, {host.id: (33,)}, {"physnet1": tree},
                  learned, {network: frozenset({(10, macs[0])})}, frozenset({10}))  # fmt: skip


MATTER = {
    "Network.id", "Network.key", "Network.segments", "Network.admin_state_up", "Network.arp_responder",
    "Segment.id", "Segment.network_type", "Segment.physical_network", "Segment.segmentation_id",
    "Node.id", "Node.key", "Node.tunnel_ip",
    "Port.network_id", "Port.mac_address", "Port.fixed_ips", "Port.admin_state_up", "Port.port_security_enabled",
    "Port.allowed_address_pairs", "Port.device_owner", "AddressPair.ip_address", "AddressPair.mac_address",
    "Binding.node_id", "Binding.segment_id", "Binding.port_key",
    "Observation.attachments", "Observation.uplinks", "Observation.tunnel_ports", "Attachment.ofport",
    "Fabric.links", "Fabric.next_hops", "Fabric.hosts", "Fabric.trees", "FabricTree.links", "FabricTree.uplinks",
    "FabricTree.tags", "FabricTree.wild", "FabricTree.wild_uplinks", "Fabric.learned",
    "Fabric.known", "Fabric.muted",
}  # fmt: skip
"""Fields that alter the program of :func:`rich`; where they did not, this test would not show anything."""

NEVER = {
    "Network.name", "Network.mtu", "Port.revision", "Port.host", "Port.binding_refusal", "Port.local_links",
    "Binding.mechanism", "Binding.vif_type", "Node.host", "Node.physical_networks", "Node.admin_state_up",
    "Attachment.device", "Attachment.link_up",
}  # fmt: skip


def test_every_field_that_alters_the_program_alters_its_stamp() -> None:
    case = rich()
    found = changing(case, neighbours(case))
    assert found >= MATTER, f"no longer tested: {sorted(MATTER - found)}"
    assert not found & NEVER


def test_what_does_not_matter_leaves_the_stamp() -> None:
    """A port that is renamed must not cost every switch a message."""
    case = rich()
    own = case.program().stamp
    tried = set()
    for label, other in neighbours(case):
        if label in NEVER:
            assert other.program().stamp == own, label
            tried.add(label)
    assert tried >= NEVER - {"Port.binding_refusal", "Port.local_links", "Node.physical_networks"}


@settings(max_examples=40, deadline=None)
@given(state=states(), seed=st.integers(0, 1 << 32), with_links=st.booleans())
def test_programs_with_the_same_stamp_are_the_same(state: State, seed: int, with_links: bool) -> None:
    switches = [node for node in state.nodes.values() if node.kind is NodeKind.SWITCH]
    if not switches:
        return
    dice = Random(seed)
    me = dice.choice(switches)
    seen = observe(me, state.ports)
    if with_links:
        everybody = list(state.nodes.values())
        seen = replace(seen, fabric=linked(me, *(dice.choice(everybody) for _ in range(3))))
    case = Case(state, me.id, seen)
    everything = list(neighbours(case))
    changing(case, iter(dice.sample(everything, min(30, len(everything)))))


def test_the_stamp_is_known_before_anything_is_compiled() -> None:
    program = rich().program()
    assert program.stamp
    lazy = [item for key, item in program.fragments.items()
            if isinstance(item, LazyFragment) and key != ("static",)]  # fmt: skip
    assert len(lazy) > 10
    assert not [item.key for item in lazy if item.is_made]


def test_the_stamp_is_known_before_anything_is_listed() -> None:
    case, driver = rich(), OpenFlowMechanismDriver()
    intent, node = intent_of(case.state), case.state.nodes[case.node_id]
    programs = [driver.compile(intent, node, case.seen) for _ in range(2)]
    assert programs[0].stamp == programs[1].stamp == case.program().stamp
    assert not [program for program in programs if "fragments" in vars(program)]


def test_another_version_of_the_compiler_has_other_stamps() -> None:
    case, changed = rich(), LazyFragment(("static",), "another version", lambda _: None)  # type: ignore[arg-type,return-value]
    program = case.program()
    other = Program(program.revision, {**program.fragments, ("static",): changed})
    assert other.stamp != program.stamp


def _imported(module: str, found: set[str]) -> None:
    """The modules of ours that a module imports, and so on."""
    root = Path(version.__file__).resolve().parents[2]
    path = next((path for path in (root / f"{module.replace('.', '/')}.py", root / module.replace(".", "/"))
                 if path.is_file()), None)  # fmt: skip
    if path is None or module in found:
        return
    found.add(module)
    for item in ast.walk(ast.parse(path.read_text())):
        if isinstance(item, ast.ImportFrom) and item.module:
            for name in (item.module, *(f"{item.module}.{alias.name}" for alias in item.names)):
                _imported(name, found)


def test_the_version_covers_everything_that_compiles() -> None:
    found: set[str] = set()
    _imported("mechanisms.openflow.driver", found)
    assert len(found) > 30
    covered = {f"{package} {module}".replace(" ", ".").removesuffix(".py")
               for package, modules in version.SOURCES.items() for module in modules}  # fmt: skip
    whole = tuple(f"{package}." for package, modules in version.SOURCES.items() if not modules)
    assert not [module for module in found if module not in covered and not module.startswith(whole)]


@pytest.mark.parametrize("seed", ["1", "2"])
def test_stamps_are_the_same_in_every_process(seed: str) -> None:
    code = "from tests.sim.test_inputs import rich; print(rich().program().stamp)"
    said = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed},
                          cwd=Path(__file__).resolve().parents[2], capture_output=True, text=True)  # fmt: skip
    assert said.stdout.strip() == str(rich().program().stamp), said.stderr
