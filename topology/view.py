"""The fabric as each switch sees it: :class:`controller.model.Fabric` made from paths and trees. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from controller.model import Fabric, FabricTree
from topology.graph import Paths
from topology.links import End, Link


@dataclass(frozen=True, slots=True)
class Tree:
    """What broadcast of one physical network takes: links, and uplinks in use."""

    links: frozenset[Link] = frozenset()
    uplinks: frozenset[End] = frozenset()

    def without(self, other: Tree) -> Tree:
        """What is here and not in ``other``."""
        return Tree(self.links - other.links, self.uplinks - other.uplinks)

    def common(self, other: Tree) -> Tree:
        """What is in both."""
        return Tree(self.links & other.links, self.uplinks & other.uplinks)

    def __bool__(self) -> bool:
        return bool(self.links or self.uplinks)


@dataclass(frozen=True, slots=True)
class Places:
    """The ports that legacy hosts are cabled to, by node id; ``alone`` are those behind which there is one host of
    ours and nothing else."""

    hosts: Mapping[str, End] = field(default_factory=dict)
    alone: frozenset[End] = frozenset()


def next_hops_of(
    node: str, paths: Paths, old: Mapping[str, tuple[int, ...]], measured: Collection[str] | None
) -> Mapping[str, tuple[int, ...]]:
    """Other member -> ports towards it; ``old`` itself if nothing changed. With ``measured``, only those destinations
    may differ from ``old``."""
    members = paths.component(node)
    if measured is None:
        new = {target: paths.next_hops(node, target) for target in members if target != node}
        return old if new == old else new
    found = {target: paths.next_hops(node, target) for target in measured if target in members and target != node}
    gone = [target for target in measured if target not in members and target in old]
    if not gone and all(old.get(target) == ports for target, ports in found.items()):
        return old
    new = {**old, **found}
    for target in gone:
        del new[target]
    return new


def tree_of(
    node: str, tree: Tree, paths: Paths, tags: tuple[int, int], found: Mapping[int, frozenset[str]],
    hosted: Collection[End],
) -> FabricTree:  # fmt: skip
    """One physical network's tree as a switch sees it; ``found`` is what is behind its ports, ``hosted`` are the ports
    behind which there is one legacy host and nothing else."""
    members = paths.component(node)
    entrances = sorted(end for end in tree.uplinks if end.node_id in members)
    wild = [end for end in entrances if end not in hosted]
    exit_ports: tuple[int, ...] = ()
    if len(wild) == 1 and wild[0].node_id != node:
        exit_ports = paths.next_hops(node, wild[0].node_id)
    return FabricTree(
        links=found,
        clouds=_towards(entrances, found),
        uplinks=tuple(end.port for end in entrances if end.node_id == node),
        exits=len(entrances),
        wild=_towards(wild, found),
        wild_uplinks=tuple(end.port for end in wild if end.node_id == node),
        wild_exits=len(wild),
        exit=exit_ports,
        tags=tags,
    )


def _towards(ends: Iterable[End], found: Mapping[int, frozenset[str]]) -> frozenset[int]:
    """The tree ports behind which there is one of these ports."""
    switches = {end.node_id for end in ends}
    return frozenset(port for port, nodes in found.items() if nodes & switches)


def fabric_of(
    node: str,
    paths: Paths,
    trees: Mapping[str, Tree],
    old: Fabric,
    measured: Collection[str] | None,
    tags: Mapping[str, tuple[int, int]],
    places: Places,
    found: Mapping[str, Mapping[str, Mapping[int, frozenset[str]]]],
    links: tuple[int, ...],
) -> Fabric:
    """The view of one switch, whose ports ``links`` have a link; ``old`` itself if nothing changed.

    ``tags`` are VLAN ids by physical network, ``measured`` is as in :func:`next_hops_of`; ``found`` is what is
    behind the ports of each tree, as of :func:`topology.graph.behind`.
    """
    hops = next_hops_of(node, paths, old.next_hops, measured)
    seen = {name: tree_of(node, tree, paths, tags[name], found[name].get(node, {}), places.alone)
            for name, tree in sorted(trees.items())}  # fmt: skip
    members = paths.component(node)
    hosts = {host: (end.port,) if end.node_id == node else hops[end.node_id]
             for host, end in sorted(places.hosts.items()) if end.node_id in members}  # fmt: skip
    new = replace(old, links=links, members=members, next_hops=hops, hosts=hosts, trees=seen)
    return old if new == old else new
