"""A switch's program, made of fragments that change as one.

One fragment is the same everywhere, one is the switch's own; every network has up to two that are location-free and
one of the switch's own; every peer has one per tunnel type. What each depends on is found out here; its flows are made
when they are needed.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from weakref import WeakValueDictionary

from controller.dataplane.builder import misses
from controller.dataplane.lazy import Content, LazyFragment
from controller.dataplane.values import Flow, Fragment, Group, Program
from controller.intent import Intent
from controller.model import TUNNEL_TYPES, Node, NodeKind
from controller.turns import in_turns
from mechanisms.openflow import deliver, fabric, groups, inputs, local, port_security, punt
from mechanisms.openflow.endpoints import endpoint_of
from mechanisms.openflow.here import Here
from mechanisms.openflow.logical import LogicalNetworks, Reach
from mechanisms.openflow.pipeline import PIPELINE
from mechanisms.openflow.registers import Transport
from mechanisms.openflow.version import VERSION
from mechanisms.view import PerNetwork, SegmentView

STATIC = LazyFragment(
    ("static",), VERSION, lambda _: Content((*misses(PIPELINE), *punt.flows(), *port_security.flows_for_all()))
)
"""What every switch carries. As it depends on the compiler's version, so does every program's stamp."""

Fragments = Mapping[Hashable, Fragment]


class Carried(NamedTuple):
    """A switch's part of one network, and the nodes that its tunnels lead to (None: it has none). Good as long as the
    network's ``version`` is the same and nothing else on the switch changed; never, where that is None."""

    version: object | None
    fragments: tuple[Fragment, ...] = ()
    reach: Reach | None = None


@dataclass(frozen=True, slots=True)
class Compiled:
    """A switch's program, and what of it the next one may take over."""

    here: Here
    program: Program
    networks: Mapping[str, Carried]
    reached: tuple[Reach, ...]
    peers: tuple[Fragment, ...]


class ProgramCompiler:
    """Compiles programs from network views and location-free fragments that all switches share."""

    def __init__(self, views: PerNetwork[dict[str, SegmentView]], logical: LogicalNetworks) -> None:
        self._views, self._logical = views, logical
        self._peers: WeakValueDictionary[Hashable, LazyFragment] = WeakValueDictionary()

    def compile(self, intent: Intent, here: Here, last: Compiled | None) -> Compiled:
        """The program of one switch. Networks of which nothing changed are not looked into, and fragments that depend
        on the same as in its ``last`` program are its very objects."""
        before = last.program.fragments if last is not None else {}
        same_place = last if last is not None and last.here == here else None
        networks = self._networks(intent, here, same_place.networks if same_place is not None else {}, before)
        reached = tuple({id(each.reach): each.reach for each in networks.values() if each.reach is not None}.values())
        if same_place is not None and list(map(id, same_place.reached)) == list(map(id, reached)):
            peers = same_place.peers
        else:
            peers = tuple(self._of_peers(reached, here))
        of_switch = (_kept(fragment, before) for fragment in (_own(here), *fabric.fragments(intent, here)))
        of_networks = (fragment for each in networks.values() for fragment in each.fragments)
        program = Program.of(intent.revision, (STATIC, *of_switch, *of_networks, *peers))
        return Compiled(here, program, networks, reached, peers)

    def prepare(self, intent: Intent) -> None:
        """Work out what the networks' location-free fragments depend on."""
        for network_id in in_turns(list(intent.networks)):
            for view in {view.segment.id: view for view in self._views(intent, network_id).values()}.values():
                if any(node.kind is NodeKind.SWITCH for node in view.carriers):
                    self._logical.of(intent, view).prepare()

    def _networks(
        self, intent: Intent, here: Here, known: Mapping[str, Carried], before: Fragments
    ) -> dict[str, Carried]:
        switch, networks = local.Switch(here), {}
        for network_id in in_turns(sorted({*intent.networks_of(here.node.id), *fabric.networks(intent, here)})):
            carried, version = known.get(network_id), intent.version_of(network_id)
            if carried is None or carried.version is not version:
                carried = self._network(intent, network_id, switch, before)
            networks[network_id] = carried
        return networks

    def _network(self, intent: Intent, network_id: str, switch: local.Switch, before: Fragments) -> Carried:
        here, version, views = switch.here, intent.version_of(network_id), self._views(intent, network_id)
        view = views.get(here.node.id) or fabric.passing(intent.networks.get(network_id), views, here)
        if view is None:
            return Carried(version)
        plugged, linked = local.plugged_in(view, here), switch.carries(view.segment)
        if not plugged and not linked:
            return Carried(version)
        logical = self._logical.of(intent, view)
        own = local.own_fragment(logical, switch, plugged, before.get(("network", network_id)))
        of_links = (_kept(fragment, before) for fragment in fabric.of_network(intent, view, here))
        everywhere = logical.fragments(here.node.id in views and inputs.rewrites_arp(here.node))
        return Carried(
            version=None if linked else version,  # where strangers are is no matter of the network's version
            fragments=(*everywhere, own, *of_links),
            reach=logical.reach if view.segment.network_type in TUNNEL_TYPES else None,
        )

    def _of_peers(self, reached: tuple[Reach, ...], here: Here) -> Iterator[Fragment]:
        endpoints = {key: found for reach in reached for key, found in reach.endpoints.items()}
        for network_type, peer_id in sorted(endpoints):
            tunnel = here.tunnels.get(network_type)
            peer, matters = endpoints[network_type, peer_id]
            if peer_id != here.node.id and tunnel is not None and here.node.reaches(peer):
                yield self._of_peer(peer, network_type, (network_type, matters, tunnel), tunnel)

    def _of_peer(self, peer: Node, network_type: str, depends_on: Hashable, tunnel: int) -> Fragment:
        """The same object on every switch whose tunnels have the same OpenFlow port."""
        fragment = self._peers.get(depends_on)
        if fragment is None:
            fragment = self._peers[depends_on] = LazyFragment(
                ("peer", network_type, peer.id), depends_on, lambda _: _towards(peer, network_type, tunnel)
            )
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
