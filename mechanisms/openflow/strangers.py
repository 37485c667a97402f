"""Addresses that nobody manages, on networks that links carry: found where they were heard, never searched everywhere.

Frames to an address that no port of ours has go straight to where it was learned. One that was not learned yet goes
along the broadcast tree to where unmanaged addresses can be: ways out that are *wild* (see
:class:`controller.model.FabricTree`) and ports without port security; where there are none it is dropped. MACs of
address pairs, and those that several ports have, may be at any of these ports: they go wherever broadcast goes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from controller.dataplane import fields
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

Places = Mapping[str, tuple[str, int]]
"""MAC address -> switch and port where it was heard."""

PARTS = 32
"""Fragments that the learned addresses of a network are spread over: a new one costs its part, not all."""


def fragments(intent: Intent, view: SegmentView, here: Here, fabric: Fabric, tree: FabricTree) -> Iterator[Fragment]:
    """What a switch carries of a network because of them."""
    network = view.network
    learned = fabric.learned.get(network.id, {})
    if view.roaming_macs:
        roaming = tuple(sorted(view.roaming_macs))
        yield LazyFragment(("roaming", network.id), (network.key, roaming), lambda _: Content(
            tuple([l2_lookup.roaming(network, mac) for mac in roaming])))  # fmt: skip
    parts = _learned(network.key, network.id, _Same(learned), _homes(intent, learned)) if learned else ()
    yield from parts
    yield from _known(network.key, network.id, fabric.known.get(network.id, frozenset()))
    around = _around(view, here, fabric, tree, bool(parts))
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
    several: bool
    """Whether there are several wild exits, so that what is outside may be behind any."""
    learned: bool

    def inputs(self) -> tuple[Any, ...]:
        """Everything that the flows depend on."""
        of = (self.view.network.key, inputs.segment(self.view.segment))
        return (*of, self.node_key, self.links, self.exits, self.wild, self.open, self.shown, self.several,
                self.learned)  # fmt: skip


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
        several=tree.wild_exits > 1,
        learned=learned,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Same:
    """One and the same object: all switches of a fabric get what was learned as one."""

    places: Places

    def __hash__(self) -> int:
        return id(self.places)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.places is self.places


def _homes(intent: Intent, learned: Places) -> tuple[tuple[str, int], ...]:
    """The switches where addresses were heard, with their keys."""
    nodes = (intent.nodes.get(node_id) for node_id in sorted({node_id for node_id, _ in learned.values()}))
    return tuple([(node.id, node.key) for node in nodes if node is not None])


@lru_cache(maxsize=16)
def _learned(key: int, network_id: str, learned: _Same, homes: tuple[tuple[str, int], ...]) -> tuple[Fragment, ...]:
    """The flows of learned addresses, worked out once for all switches; they are the same on each."""
    keys, parts = dict(homes), dict[int, list[tuple[str, int]]]()
    for mac, (node_id, ofport) in sorted(learned.places.items()):
        if node_id in keys:
            parts.setdefault(_part_of(mac), []).append((mac, place(keys[node_id], ofport)))
    return tuple([_part(key, network_id, part, tuple(found)) for part, found in sorted(parts.items())])


def _part(key: int, network_id: str, part: int, found: Destinations) -> Fragment:
    return LazyFragment(("learned", network_id, part), (key, found), lambda _: Content(
        tuple([l2_lookup.learned(key, fields.mac(mac), towards, network_id) for mac, towards in found])))  # fmt: skip


def _known(key: int, network_id: str, known: Collection[tuple[int, str]]) -> Iterator[Fragment]:
    """What need not be shown at this switch's ports."""
    parts: dict[int, list[tuple[int, str]]] = {}
    for ofport, mac in sorted(known):
        parts.setdefault(_part_of(mac), []).append((ofport, mac))
    for part, found in sorted(parts.items()):
        make = partial(_known_content, key, network_id, tuple(found))
        yield LazyFragment(("known", network_id, part), (key, tuple(found)), make)


def _known_content(key: int, network_id: str, found: Iterable[tuple[int, str]], _: object) -> Content:
    return Content(tuple([learn.known(key, ofport, fields.mac(mac), network_id) for ofport, mac in found]))


def _part_of(mac: str) -> int:
    return int(mac[-2:], 16) % PARTS


def _content(around: _Around, _: object) -> Content:
    network, segment = around.view.network, around.view.segment
    flows = [learn.shown(ofport) for ofport in around.shown]
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
