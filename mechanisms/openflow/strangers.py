"""Addresses that nobody manages, on networks that links carry: found where they were heard, never searched everywhere.

Frames to an address that no port of ours has go straight to where it was learned. One that was not learned yet goes
along the broadcast tree to where unmanaged addresses can be: ways out that are *wild* (see
:class:`controller.model.FabricTree`) and ports without port security; where there are none it is dropped. MACs of
address pairs, and those that several ports have, may be at any of these ports: they go wherever broadcast goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from controller.dataplane.lazy import Content, LazyFragment
from controller.dataplane.values import Action, Fragment
from controller.intent import Intent
from controller.model import Fabric, FabricTree
from mechanisms.openflow import deliver, flood, groups, hop, inputs, l2_lookup, learn
from mechanisms.openflow.here import Here
from mechanisms.openflow.registers import Source, place
from mechanisms.view import SegmentView

Destinations = tuple[tuple[str, int], ...]
"""MAC addresses with their destination keys, ordered."""


def fragments(intent: Intent, view: SegmentView, here: Here, fabric: Fabric, tree: FabricTree) -> Iterator[Fragment]:
    """What a switch carries of a network because of them."""
    network = view.network
    found = _found(intent, fabric.learned.get(network.id, {}))
    if view.roaming_macs:
        roaming = tuple(sorted(view.roaming_macs))
        yield LazyFragment(("roaming", network.id), (network.key, roaming), lambda _: Content(
            tuple([l2_lookup.roaming(network, mac) for mac in roaming])))  # fmt: skip
    if found:
        yield LazyFragment(("learned", network.id), (network.key, found), lambda _: Content(
            tuple([l2_lookup.learned(network, mac, key) for mac, key in found])))  # fmt: skip
    around = _around(view, here, fabric, tree, bool(found))
    yield LazyFragment(("strangers", network.id), around.inputs(), partial(_content, around))


@dataclass(frozen=True)
class _Around:
    """What is the switch's own: ports towards unmanaged addresses and what is known there."""

    view: SegmentView
    node_key: int
    links: tuple[int, ...]
    """Ports of the tree towards others' unmanaged addresses."""
    exits: tuple[int, ...]
    """Own ports that lead out, and of these the wild ones (all, if a legacy host has a port without security)."""
    wild: tuple[int, ...]
    open: tuple[int, ...]
    """Own tenant ports without port security; ``shown`` are those not muted."""
    shown: tuple[int, ...]
    known: tuple[tuple[int, str], ...]
    several: bool
    """Whether there are several wild exits, so that what is outside may be behind any."""
    learned: bool

    def inputs(self) -> tuple[Any, ...]:
        """Everything that the flows depend on."""
        of = (self.view.network.key, inputs.segment(self.view.segment))
        return (*of, self.node_key, self.links, self.exits, self.wild, self.open, self.shown, self.known,
                self.several, self.learned)  # fmt: skip


def _around(view: SegmentView, here: Here, fabric: Fabric, tree: FabricTree, learned: bool) -> _Around:
    live = view.live.get(here.node.id, ())
    open_ports = sorted(here.ports[port.id] for port in live
                        if not port.port_security_enabled and port.id in here.ports)  # fmt: skip
    open_hosts = not view.open_nodes.isdisjoint(fabric.hosts)
    towards = tree.clouds if open_hosts else tree.wild
    return _Around(
        view=view,
        node_key=here.node.key,
        links=tuple(sorted(ofport for ofport, behind in tree.links.items()
                           if ofport in towards or not behind.isdisjoint(view.open_nodes))),
        exits=tree.uplinks,
        wild=tree.uplinks if open_hosts else tree.wild_uplinks,
        open=tuple(open_ports),
        shown=tuple(ofport for ofport in open_ports if ofport not in fabric.muted),
        known=tuple(sorted(fabric.known.get(view.network.id, ()))),
        several=tree.wild_exits > 1,
        learned=learned,
    )  # fmt: skip


def _found(intent: Intent, learned: Mapping[str, tuple[str, int]]) -> Destinations:
    places = ((mac, intent.nodes.get(node_id), ofport) for mac, (node_id, ofport) in learned.items())
    return tuple(sorted((mac, place(node.key, ofport)) for mac, node, ofport in places if node is not None))


def _content(around: _Around, _: object) -> Content:
    network, segment = around.view.network, around.view.segment
    flows = [learn.shown(ofport) for ofport in around.shown]
    flows += [learn.known(network, ofport, mac) for ofport, mac in around.known]
    if around.learned:
        flows += [deliver.to_place(network, segment, around.node_key, ofport) for ofport in around.exits]
        flows += [deliver.to_place(network, None, around.node_key, ofport) for ofport in around.open]
    buckets = list(_buckets(around))
    if not buckets:
        return Content(tuple(flows))
    unknown = groups.unknown_id(network.key)
    for source in (Source.LOCAL, Source.LINK, Source.UPLINK):
        flows.append(flood.unknown(network, source, unknown))
        if around.several:
            flows.append(hop.to_any(network, segment, source, unknown))
    return Content(tuple(flows), (groups.all_of(unknown, buckets, f"network {network.id}: unknown addresses"),))


def _buckets(around: _Around) -> Iterator[tuple[Action, ...]]:
    yield from flood.to_ports(around.open)
    for ofport in (*around.links, *around.wild):
        yield flood.to_uplink(ofport, around.view.segment)
