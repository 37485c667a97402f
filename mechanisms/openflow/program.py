"""A switch's program, made of fragments that change as one.

One fragment is the same everywhere, one is the switch's own; every network has up to two that are location-free and
one of the switch's own; every peer has one per tunnel type. What each depends on is found out here; its flows are made
when they are needed.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import NamedTuple
from weakref import WeakValueDictionary

from controller.dataplane.builder import misses
from controller.dataplane.lazy import Content, LazyFragment, LazyProgram, Listed
from controller.dataplane.values import Flow, Fragment, Group, Program
from controller.intent import Intent
from controller.model import Node, NodeKind
from controller.turns import in_turns
from mechanisms.openflow import deliver, fabric, groups, local, port_security, punt
from mechanisms.openflow.endpoints import endpoint_of
from mechanisms.openflow.here import Here
from mechanisms.openflow.local import Carried
from mechanisms.openflow.logical import Found, Logical, LogicalNetworks, Reach, logical_of
from mechanisms.openflow.pipeline import PIPELINE
from mechanisms.openflow.registers import Transport
from mechanisms.openflow.version import VERSION
from mechanisms.view import PerNetwork, SegmentView

STATIC = LazyFragment(
    ("static",), VERSION, lambda _: Content((*misses(PIPELINE), *punt.flows(), *port_security.flows_for_all()))
)
"""What every switch carries. As it depends on the compiler's version, so does every program's stamp."""

NONE = Listed.of()

AT_ONCE = 16
"""Networks that are looked at in one go: a few microseconds each; what switches share of them gives way by itself."""

Fragments = Mapping[Hashable, Fragment]
OfNetwork = Carried | local.Nothing


class Compiled(NamedTuple):
    """A switch's program, and what of it the next one may take over."""

    switch: local.Switch
    program: Program
    networks: Mapping[str, OfNetwork]
    of_links: tuple[Fragment, ...]
    reached: tuple[Reach, ...]
    peers: Listed


class ProgramCompiler:
    """Compiles programs from network views and location-free fragments that all switches share."""

    def __init__(self, views: PerNetwork[dict[str, SegmentView]], logical: LogicalNetworks) -> None:
        self._views, self._logical = views, logical
        self._peers: WeakValueDictionary[Hashable, LazyFragment] = WeakValueDictionary()

    def compile(self, intent: Intent, here: Here, last: Compiled | None) -> Compiled:
        """The program of one switch. Networks of which nothing changed are not looked into, and fragments that depend
        on the same as in its ``last`` program are its very objects."""
        same_place = last if last is not None and last.switch.here == here else None
        switch = same_place.switch if same_place is not None else local.Switch(here, last.switch if last else None)
        networks = self._networks(intent, switch, same_place.networks if same_place is not None else {}, last)
        reached = _reached(networks.values()) if here.tunnels else ()
        if same_place is not None and list(map(id, same_place.reached)) == list(map(id, reached)):
            peers = same_place.peers
        else:
            peers = Listed.of(*self._of_peers(reached, here)) if reached else NONE
        of_links = _of_links(intent, here, networks, last) if here.fabric is not None else ()
        program = LazyProgram(intent.revision, [STATIC, switch, *of_links, *networks.values(), peers])
        return Compiled(switch, program, networks, of_links, reached, peers)

    def prepare(self, intent: Intent) -> None:
        """Work out what the networks' location-free fragments depend on."""
        for network_id in in_turns(list(intent.networks)):
            if any(intent.nodes[key].kind is NodeKind.SWITCH for key in self._views(intent, network_id)):
                self._logical.of(intent, network_id)

    def _networks(
        self, intent: Intent, switch: local.Switch, known: Mapping[str, OfNetwork], last: Compiled | None
    ) -> dict[str, OfNetwork]:
        here, node_id, networks = switch.here, switch.here.node.id, dict[str, OfNetwork]()
        network_ids = sorted({*intent.networks_of(node_id), *fabric.networks(intent, here)})
        for network_id in in_turns(network_ids, AT_ONCE):
            found, carried = self._logical.of(intent, network_id), known.get(network_id)
            if carried is None or carried.found is not found:
                logical = found.get(node_id) or self._passing(intent, network_id, here)
                carried = self._network(found, logical, switch, last)
            networks[network_id] = carried
        return networks

    def _network(
        self, found: Found, logical: Logical | None, switch: local.Switch, last: Compiled | None
    ) -> OfNetwork:
        depends_on = switch.inputs(logical) if logical is not None else b""
        if logical is None or not depends_on:
            return local.Nothing(found)
        carried = Carried(found, switch, logical, depends_on)
        if last is not None:
            carried.list_after(last.program.fragments.get(logical.own_key))
        return carried

    def _passing(self, intent: Intent, network_id: str, here: Here) -> Logical | None:
        """The network as a switch without ports of it must carry it for others; None if it need not."""
        view = fabric.passing(intent.networks.get(network_id), self._views(intent, network_id), here)
        if view is None:
            return None
        known = self._logical.of(intent, network_id).values()
        return next((each for each in known if each.view.segment == view.segment), None) or logical_of(view)

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


def _reached(networks: Iterable[OfNetwork]) -> tuple[Reach, ...]:
    """Each once."""
    return tuple({id(reach): reach for each in networks if (reach := each.reach) is not None}.values())


def _of_links(
    intent: Intent, here: Here, networks: Mapping[str, OfNetwork], last: Compiled | None
) -> tuple[Fragment, ...]:
    """What a switch whose links are looked for has whatever it carries, and what links need of what it carries: where
    strangers are, which is no matter of a network's version."""
    views = [each.logical.view for each in networks.values() if isinstance(each, Carried)]
    of_networks = (fragment for view in views for fragment in fabric.of_network(intent, view, here))
    before = {fragment.key: fragment for fragment in last.of_links} if last is not None else {}
    return tuple([_kept(fragment, before) for fragment in (*fabric.fragments(intent, here), *of_networks)])


def _kept(fragment: Fragment, last: Fragments) -> Fragment:
    """The fragment of the last program if it depends on the same."""
    before = last.get(fragment.key)
    same = isinstance(before, LazyFragment) and isinstance(fragment, LazyFragment) and before.inputs == fragment.inputs
    return before if same and before is not None else fragment


def _towards(peer: Node, network_type: str, tunnel: int) -> Content:
    endpoint, transport = endpoint_of(peer), Transport.of(network_type)
    flows: tuple[Flow, ...] = ()
    next_hops: tuple[Group, ...] = ()
    if endpoint is not None:
        group_id = groups.next_hop_id(transport, peer.key)
        flows = (deliver.to_peer(peer, transport),)
        next_hops = (groups.tunnel_next_hop(group_id, tunnel, endpoint, f"node {peer.id}"),)
    return Content(flows, next_hops)
