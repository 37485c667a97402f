"""Networks that links between switches carry: flat and VLAN networks on the physical networks of the fabric.

A link carries a VLAN network with the segment's own tag and the flat network untagged, as an uplink does. Every switch
that links reach carries every such network, because shortest paths may lead through it. Broadcast goes along the tree
only, and only where somebody listens; unicast goes by the next hop's group, whatever the tree.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping

from controller.dataplane.values import Action, Flow, Fragment, Group
from controller.intent import Intent
from controller.model import PHYSICAL_TYPES, Fabric, FabricTree, Segment
from mechanisms.openflow import classify, deliver, flood, groups, hop, punt
from mechanisms.openflow.here import Here
from mechanisms.openflow.registers import Source
from mechanisms.view import SegmentView

PUNTED = Fragment(("lldp",), (punt.lldp(),))
"""What every switch carries whose links are looked for."""


def carries(here: Here, segment: Segment) -> bool:
    """Whether the switch has links and they carry the segment."""
    return _tree(here, segment) is not None


def inputs(here: Here, segment: Segment) -> Hashable:
    """What the switch's part of a network depends on, besides what it depends on anyway."""
    tree = _tree(here, segment)
    if tree is None or here.fabric is None:
        return None
    return (here.fabric.links, tuple(sorted(tree.links.items())), tree.clouds, tree.uplink, tree.exits, tree.exit)


def networks(intent: Intent, here: Here) -> Iterator[str]:
    """Ids of networks that may have to pass through this switch."""
    if here.fabric is not None and here.fabric.links:
        for member in here.fabric.members:
            yield from intent.networks_of(member)


def passing(views: Mapping[str, SegmentView], here: Here) -> SegmentView | None:
    """The network as this switch, which has no ports of it, must carry it for others; None if it need not."""
    members = here.fabric.members if here.fabric is not None else frozenset()
    carried = {view.segment.id: view for node_id, view in views.items()
               if node_id in members and carries(here, view.segment)}  # fmt: skip
    if not carried:
        return None
    network = next(iter(carried.values())).network
    return next(carried[segment.id] for segment in network.segments if segment.id in carried)


def fragments(intent: Intent, here: Here) -> Iterator[Fragment]:
    """What the fabric needs on this switch whatever the networks."""
    if here.fabric is None:
        return
    yield PUNTED
    if here.fabric.links:
        yield Fragment(("fabric",), tuple(_hops(intent, here.fabric)), tuple(_next_hops(intent, here)))


def surroundings(
    view: SegmentView, here: Here, ofports: tuple[int, ...]
) -> tuple[tuple[Flow, ...], tuple[Group, ...]]:
    """How a network leaves and enters this switch by links, and by its uplink if that is in use."""
    tree = _tree(here, view.segment)
    if tree is None or here.fabric is None:
        return (), ()
    flows = (*_entrances(view, here, here.fabric, tree), *_ways(view, here, tree))
    return flows, tuple(_broadcast(view, here, tree, ofports))


def _tree(here: Here, segment: Segment) -> FabricTree | None:
    if here.fabric is None or not here.fabric.links or segment.network_type not in PHYSICAL_TYPES:
        return None
    tree = here.fabric.trees.get(segment.physical_network or "")
    return tree if tree is not None and tree.carries(segment) else None


def _hops(intent: Intent, fabric: Fabric) -> Iterator[Flow]:
    for node_id in fabric.next_hops:
        if node_id in intent.nodes:
            yield hop.to_switch(intent.nodes[node_id])


def _next_hops(intent: Intent, here: Here) -> Iterator[Group]:
    fabric = here.fabric or Fabric()
    for node_id, ofports in fabric.next_hops.items():
        node = intent.nodes.get(node_id)
        usable = [ofport for ofport in ofports if ofport in fabric.links]
        if node is not None:
            yield groups.by_ports(groups.link_hop_id(node.key), usable, f"node {node_id}")
    ids = groups.uplink_ids(fabric.trees)
    for name, tree in fabric.trees.items():
        if tree.exit:
            yield groups.by_ports(groups.exit_id(ids[name]), tree.exit, f"uplink into {name}")


def _entrances(view: SegmentView, here: Here, fabric: Fabric, tree: FabricTree) -> Iterator[Flow]:
    network, segment = view.network, view.segment
    for ofport in fabric.links:
        yield classify.link(ofport, network, segment, on_tree=ofport in tree.links)
    uplink = _uplink(here, tree, segment)
    if uplink is not None:
        yield classify.uplink(uplink, network, segment)


def _ways(view: SegmentView, here: Here, tree: FabricTree) -> Iterator[Flow]:
    network, segment, name = view.network, view.segment, view.segment.physical_network or ""
    yield deliver.to_links(network, segment)
    yield flood.to_group(network, Source.LOCAL)
    yield flood.to_group(network, Source.LINK, Source.LOCAL)
    uplink = _uplink(here, tree, segment)
    if uplink is not None:
        yield flood.to_group(network, Source.UPLINK)
    if tree.exits > 1:
        yield hop.to_all(network, segment, Source.LOCAL, Source.LOCAL)
        yield hop.to_all(network, segment, Source.LINK, Source.LOCAL)
        if uplink is not None:
            yield hop.to_all(network, segment, Source.UPLINK, Source.UPLINK)
    elif tree.exit:
        yield hop.to_exit(network, segment, groups.exit_id(groups.uplink_ids(_names(here))[name]))
    elif uplink is not None:
        yield hop.to_exit(network, segment, groups.uplink_ids(here.uplinks)[name])


def _names(here: Here) -> Mapping[str, FabricTree]:
    return here.fabric.trees if here.fabric is not None else {}


def _broadcast(view: SegmentView, here: Here, tree: FabricTree, ofports: tuple[int, ...]) -> Iterator[Group]:
    listeners = {node.id for node in view.carriers}
    inside = list(flood.to_ports(ofports))
    for ofport, behind in sorted(tree.links.items()):
        if ofport in tree.clouds or behind & listeners:
            inside.append(flood.to_uplink(ofport, view.segment))
    uplink = _uplink(here, tree, view.segment)
    outside: list[tuple[Action, ...]] = [] if uplink is None else [flood.to_uplink(uplink, view.segment)]
    yield flood.group(view.network, Source.LOCAL, [*inside, *outside])
    if uplink is not None:
        yield flood.group(view.network, Source.UPLINK, inside)


def _uplink(here: Here, tree: FabricTree, segment: Segment) -> int | None:
    return here.uplinks.get(segment.physical_network or "") if tree.uplink else None
