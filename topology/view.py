"""The fabric as each switch sees it: :class:`controller.model.Fabric` made from paths and trees. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from controller.model import Fabric, FabricTree
from topology.graph import Paths, behind
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
    """Other member -> ports towards it. With ``measured``, only those destinations may differ from ``old``."""
    members = paths.component(node) - {node}
    if measured is None:
        return {target: paths.next_hops(node, target) for target in sorted(members)}
    if not (members ^ old.keys()) and not members & set(measured):
        return old
    return {target: old[target] if target in old and target not in measured else paths.next_hops(node, target)
            for target in sorted(members)}  # fmt: skip


def tree_of(
    node: str, tree: Tree, paths: Paths, tags: tuple[int, int], known: Mapping[int, frozenset[str]] | None,
    hosted: Collection[End],
) -> FabricTree:  # fmt: skip
    """One physical network's tree as a switch sees it; ``known``: what is behind its ports, if the links of the tree
    are what they were; ``hosted`` are the ports behind which there is one legacy host and nothing else."""
    members = paths.component(node)
    found = behind(tree.links, node) if known is None else known
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
    replanted: Collection[str],
    links: tuple[int, ...],
) -> Fabric:
    """The view of one switch, whose ports ``links`` have a link; ``old`` itself if nothing changed.

    ``tags`` are VLAN ids by physical network, ``measured`` is as in :func:`next_hops_of`; ``replanted`` are the
    physical networks whose tree links changed.
    """
    hops = next_hops_of(node, paths, old.next_hops, measured)
    known = {name: tree.links for name, tree in old.trees.items() if name not in replanted}
    seen = {name: tree_of(node, tree, paths, tags[name], known.get(name), places.alone)
            for name, tree in sorted(trees.items())}  # fmt: skip
    members = paths.component(node)
    hosts = {host: (end.port,) if end.node_id == node else hops[end.node_id]
             for host, end in sorted(places.hosts.items()) if end.node_id in members}  # fmt: skip
    new = replace(old, links=links, members=members, next_hops=hops, hosts=hosts, trees=seen)
    return old if new == old else new
