"""Networks that links between switches carry: flat and VLAN networks on the physical networks of the fabric.

A link carries a VLAN network with the segment's own tag and the flat network untagged, as an uplink does. Every switch
that links reach carries every such network, because shortest paths may lead through it. Broadcast goes along the tree
only, and only where somebody listens; unicast goes by the next hop's group, whatever the tree.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping

from controller.dataplane.lazy import Content, LazyFragment, digest_of, mark_of
from controller.dataplane.values import Flow, Fragment, Group
from controller.intent import Intent
from controller.model import PHYSICAL_TYPES, Fabric, FabricTree, Network, Node, Segment
from mechanisms.openflow import classify, deliver, flood, groups, hop, l2_lookup, learn, meters, punt, strangers
from mechanisms.openflow import inputs as inputs_of
from mechanisms.openflow.here import Here
from mechanisms.openflow.registers import Source
from mechanisms.view import SegmentView

Way = tuple[Node, tuple[int, ...]]
"""A node and the OpenFlow ports towards it, the best first."""

PUNTED = Fragment(("lldp",), (punt.lldp(), l2_lookup.several()))
"""What every switch carries whose links are looked for, if it has no meters."""

NO_TREES: Mapping[str, int] = {}


def carries(here: Here, segment: Segment) -> bool:
    """Whether the switch has links and they carry the segment."""
    return _tree(here, segment) is not None


def inputs(here: Here, segment: Segment) -> Hashable:
    """What the switch's part of a network depends on, besides what it depends on anyway."""
    tree = _tree(here, segment)
    if tree is None or here.fabric is None:
        return None
    return (here.fabric.links, tuple(sorted(tree.links.items())), tree.clouds, tree.uplinks, tree.wild_exits,
            tuple(sorted(here.fabric.trees)))  # fmt: skip


def tree_inputs(here: Here) -> Mapping[str, int]:
    """Of each physical network that links carry, a hash of what the networks on it depend on."""
    if here.fabric is None:
        return NO_TREES
    links = inputs_of.links(here.fabric)
    return {name: mark_of((links, inputs_of.tree(tree))) for name, tree in here.fabric.trees.items()}


def networks(intent: Intent, here: Here) -> Iterator[str]:
    """Ids of networks that may have to pass through this switch."""
    if here.fabric is None:
        return
    if here.fabric.links:
        for member in here.fabric.members:
            yield from intent.networks_of(member)
    joined = {name for name, tree in here.fabric.trees.items() if tree.exits > 1}
    if joined:
        yield from (key for key, network in intent.networks.items()
                    if any(segment.physical_network in joined for segment in network.segments))  # fmt: skip


def passing(network: Network | None, views: Mapping[str, SegmentView], here: Here) -> SegmentView | None:
    """The network as this switch, which has no ports of it, must carry it for others; None if it need not."""
    if not views and network is not None and network.admin_state_up:
        return next((SegmentView(network, segment, (), {}) for segment in network.segments
                     if _passes("", segment, here)), None)  # fmt: skip
    carried = {view.segment.id: view for node_id, view in views.items() if _passes(node_id, view.segment, here)}
    if not carried:
        return None
    network = next(iter(carried.values())).network
    return next(carried[segment.id] for segment in network.segments if segment.id in carried)


def _passes(node_id: str, segment: Segment, here: Here) -> bool:
    """Whether frames of a node may come by: it is a member, or it is outside and there are several ways out."""
    tree = _tree(here, segment)
    return tree is not None and here.fabric is not None and (tree.exits > 1 or node_id in here.fabric.members)


def fragments(intent: Intent, here: Here) -> Iterator[Fragment]:
    """What the fabric needs on this switch whatever the networks."""
    if here.fabric is None:
        return
    yield _punted(here, here.fabric)
    carrying = [tree for name, tree in here.fabric.trees.items() if _carrying(here, name, tree)]
    if carrying:
        ways = tuple(_ways_to_nodes(intent, here.fabric))
        exits = tuple((name, tree.exit or tree.wild_uplinks if tree.wild_exits == 1 else None)
                      for name, tree in sorted(here.fabric.trees.items()))  # fmt: skip
        shown = tuple(sorted({ofport for tree in carrying for ofport in tree.uplinks} - here.fabric.muted))
        depends_on = (
            tuple([(node.id, node.key) for node, _ in ways]),
            digest_of(inputs_of.ways(here.fabric)),
            shown,
        )
        yield LazyFragment(("fabric",), depends_on, lambda _: Content(
            (*_hops(ways), *map(learn.shown, shown)), _next_hops(ways, exits)))  # fmt: skip


def _punted(here: Here, fabric: Fabric) -> Fragment:
    """The same as :data:`PUNTED`, with a limit on what reaches the controller where there are meters."""
    if meters.METERS not in here.node.capabilities:
        return PUNTED
    links, tenants = tuple(sorted(fabric.links)), tuple(sorted(here.ports.values()))

    def make(_: object) -> Content:
        of_ports = (*map(punt.lldp_of_link, links), *map(punt.lldp_of_tenant, tenants))
        flows = (punt.lldp(meters.OTHERS.id), l2_lookup.several(), *of_ports)
        return Content(flows, meters=(meters.TENANTS, meters.OTHERS))

    return LazyFragment(PUNTED.key, (links, tenants), make)


def of_network(intent: Intent, view: SegmentView, here: Here) -> Iterator[Fragment]:
    """What a network that links carry needs besides its ports and surroundings."""
    tree = _tree(here, view.segment)
    if tree is not None and here.fabric is not None:
        yield from strangers.fragments(intent, view, here, here.fabric, tree)


def surroundings(
    view: SegmentView, here: Here, ofports: tuple[int, ...]
) -> tuple[tuple[Flow, ...], tuple[Group, ...]]:
    """How a network leaves and enters this switch by links, and by its uplink if that is in use."""
    tree = _tree(here, view.segment)
    if tree is None or here.fabric is None:
        return (), ()
    flows = (*_entrances(view, here.fabric, tree), *_ways(view, here, tree))
    return flows, tuple(_broadcast(view, tree, ofports))


def _tree(here: Here, segment: Segment) -> FabricTree | None:
    name = segment.physical_network or ""
    if here.fabric is None or segment.network_type not in PHYSICAL_TYPES:
        return None
    tree = here.fabric.trees.get(name)
    if tree is None or not tree.carries(segment):
        return None
    return tree if _carrying(here, name, tree) else None


def _carrying(here: Here, name: str, tree: FabricTree) -> bool:
    """Whether there is more than the one uplink that a switch without links has."""
    beyond_uplink = set(tree.uplinks) - {here.uplinks.get(name)}
    return here.fabric is not None and bool(here.fabric.links or beyond_uplink)


def _ways_to_nodes(intent: Intent, fabric: Fabric) -> Iterator[Way]:
    for node_id, ofports in sorted({**fabric.hosts, **fabric.next_hops}.items()):
        if node_id in intent.nodes:
            yield intent.nodes[node_id], ofports


def _hops(ways: Iterable[Way]) -> tuple[Flow, ...]:
    return tuple([hop.to_switch(node) for node, _ in ways])


def _next_hops(ways: Iterable[Way], exits: tuple[tuple[str, tuple[int, ...] | None], ...]) -> tuple[Group, ...]:
    known = [groups.by_ports(groups.link_hop_id(node.key), ofports, f"node {node.id}") for node, ofports in ways]
    ids = groups.uplink_ids(name for name, _ in exits)
    outside = [groups.by_ports(groups.exit_id(ids[name]), ofports, f"way out into {name}")
               for name, ofports in exits if ofports is not None]  # fmt: skip
    return (*known, *outside)


def _entrances(view: SegmentView, fabric: Fabric, tree: FabricTree) -> Iterator[Flow]:
    network, segment = view.network, view.segment
    for ofport in fabric.links:
        yield classify.link(ofport, network, segment, on_tree=ofport in tree.links)
    for ofport in tree.uplinks:
        yield classify.uplink(ofport, network, segment, learns=True)


def _ways(view: SegmentView, here: Here, tree: FabricTree) -> Iterator[Flow]:
    network, segment, name = view.network, view.segment, view.segment.physical_network or ""
    yield deliver.to_links(network, segment)
    for source in (Source.LOCAL, Source.LINK, Source.UPLINK)[: 3 if tree.uplinks else 2]:
        yield flood.to_everybody(network, source)
    if tree.wild_exits == 1:
        yield hop.to_exit(network, segment, groups.exit_id(groups.uplink_ids(_names(here))[name]))


def _names(here: Here) -> Mapping[str, FabricTree]:
    return here.fabric.trees if here.fabric is not None else {}


def _broadcast(view: SegmentView, tree: FabricTree, ofports: tuple[int, ...]) -> Iterator[Group]:
    listeners = {node.id for node in view.carriers}
    inside = list(flood.to_ports(ofports))
    for ofport, behind in sorted(tree.links.items()):
        if ofport in tree.clouds or behind & listeners:
            inside.append(flood.to_uplink(ofport, view.segment))
    outside = [flood.to_uplink(ofport, view.segment) for ofport in tree.uplinks]
    yield flood.group(view.network, Source.LOCAL, [*inside, *outside])
