"""A switch's program, made of fragments that change as one.

One fragment is the same everywhere, one is the switch's own; every network has up to two that are location-free and
one of the switch's own; every peer has one per tunnel type. What each depends on is found out here; its flows are made
when they are needed.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from weakref import WeakValueDictionary

from controller.dataplane.builder import misses
from controller.dataplane.lazy import Content, LazyFragment
from controller.dataplane.values import Flow, Fragment, Group, Program
from controller.intent import Intent
from controller.model import TUNNEL_TYPES, Node
from controller.turns import in_turns
from mechanisms.openflow import deliver, fabric, groups, inputs, local, port_security, punt
from mechanisms.openflow.endpoints import endpoint_of
from mechanisms.openflow.here import Here
from mechanisms.openflow.logical import LogicalNetworks
from mechanisms.openflow.pipeline import PIPELINE
from mechanisms.openflow.registers import Transport
from mechanisms.openflow.version import VERSION
from mechanisms.view import PerNetwork, SegmentView

STATIC = LazyFragment(
    ("static",), VERSION, lambda _: Content((*misses(PIPELINE), *punt.flows(), *port_security.flows_for_all()))
)
"""What every switch carries. As it depends on the compiler's version, so does every program's stamp."""

Fragments = Mapping[Hashable, Fragment]


class ProgramCompiler:
    """Compiles programs from network views and location-free fragments that all switches share."""

    def __init__(self, views: PerNetwork[dict[str, SegmentView]], logical: LogicalNetworks) -> None:
        self._views, self._logical = views, logical
        self._peers: WeakValueDictionary[Hashable, LazyFragment] = WeakValueDictionary()

    def compile(self, intent: Intent, here: Here, last: Fragments) -> Program:
        """The program of one switch; fragments that depend on the same as in its ``last`` program are its very
        objects."""
        return Program.of(intent.revision, self._fragments(intent, here, last))

    def _fragments(self, intent: Intent, here: Here, last: Fragments) -> Iterator[Fragment]:
        yield STATIC
        yield _kept(_own(here), last)
        for fragment in fabric.fragments(intent, here):
            yield _kept(fragment, last)
        switch, reached = local.Switch(here), dict[tuple[str, str], Node]()
        for network_id in in_turns(sorted({*intent.networks_of(here.node.id), *fabric.networks(intent, here)})):
            views = self._views(intent, network_id)
            view = views.get(here.node.id) or fabric.passing(intent.networks.get(network_id), views, here)
            if view is None:
                continue
            plugged, linked = local.plugged_in(view, here), switch.carries(view.segment)
            if plugged or linked:
                logical = self._logical.of(intent, view)
                yield from logical.fragments(here.node.id in views and inputs.rewrites_arp(here.node))
                yield local.own_fragment(logical, switch, plugged, last.get(("network", network_id)))
                for fragment in fabric.of_network(intent, view, here):
                    yield _kept(fragment, last)
                if view.segment.network_type in TUNNEL_TYPES:
                    reached |= logical.endpoints
        yield from self._of_peers(reached, here)

    def _of_peers(self, reached: Mapping[tuple[str, str], Node], here: Here) -> Iterator[Fragment]:
        for network_type, peer_id in sorted(reached):
            tunnel = here.tunnels.get(network_type)
            peer = reached[network_type, peer_id]
            if peer_id != here.node.id and tunnel is not None and here.node.reaches(peer):
                yield self._of_peer(peer, network_type, tunnel)

    def _of_peer(self, peer: Node, network_type: str, tunnel: int) -> Fragment:
        """The same object on every switch whose tunnels have the same OpenFlow port."""
        known = (network_type, inputs.node(peer), tunnel)
        fragment = self._peers.get(known)
        if fragment is None:
            fragment = LazyFragment(
                ("peer", network_type, peer.id), known, lambda _: _towards(peer, network_type, tunnel)
            )
            self._peers[known] = fragment
        return fragment


def _kept(fragment: Fragment, last: Fragments) -> Fragment:
    """The fragment of the last program if it depends on the same."""
    before = last.get(fragment.key)
    same = isinstance(before, LazyFragment) and isinstance(fragment, LazyFragment) and before.inputs == fragment.inputs
    return before if same and before is not None else fragment


def _own(here: Here) -> Fragment:
    node, uplinks = here.node, tuple(sorted(here.uplinks.items()))

    def make(_: object) -> Content:
        ids = groups.uplink_ids(here.uplinks)
        next_hops = [groups.uplink_next_hop(ids[name], ofport, f"physical network {name}") for name, ofport in uplinks]
        return Content((deliver.absent(node),), tuple(next_hops))

    return LazyFragment(("switch",), (node.key, uplinks), make)


def _towards(peer: Node, network_type: str, tunnel: int) -> Content:
    endpoint, transport = endpoint_of(peer), Transport.of(network_type)
    flows: tuple[Flow, ...] = ()
    next_hops: tuple[Group, ...] = ()
    if endpoint is not None:
        group_id = groups.next_hop_id(transport, peer.key)
        flows = (deliver.to_peer(peer, transport),)
        next_hops = (groups.tunnel_next_hop(group_id, tunnel, endpoint, f"node {peer.id}"),)
    return Content(flows, next_hops)
