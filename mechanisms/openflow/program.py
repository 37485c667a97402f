"""A switch's program, made of fragments that change as one.

One fragment is the same everywhere, one is the switch's own; every network has up to two that are location-free and
one of the switch's own; every peer has one per tunnel type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from controller.dataplane.builder import misses
from controller.dataplane.values import Fragment, Program
from controller.intent import Intent
from controller.model import Node
from controller.turns import in_turns
from mechanisms.openflow import deliver, fabric, groups, port_security, punt
from mechanisms.openflow.here import Here
from mechanisms.openflow.local import Local, compile_local, endpoint_of
from mechanisms.openflow.logical import LogicalNetworks
from mechanisms.openflow.pipeline import PIPELINE
from mechanisms.openflow.registers import Transport
from mechanisms.reuse import Reuse
from mechanisms.view import PerNetwork, SegmentView

STATIC = Fragment(("static",), (*misses(PIPELINE), *punt.flows(), *port_security.flows_for_all()))
"""What every switch carries."""


@dataclass(frozen=True)
class Rounds:
    """What was made for one switch the last time."""

    own: Reuse[Fragment] = field(default_factory=Reuse)
    networks: Reuse[Local] = field(default_factory=Reuse)
    peers: Reuse[tuple[Fragment, ...]] = field(default_factory=Reuse)

    def next(self) -> Rounds:
        """The round after this one."""
        return Rounds(Reuse(self.own), Reuse(self.networks), Reuse(self.peers))

    def finish(self) -> Rounds:
        """End the round."""
        return Rounds(self.own.finish(), self.networks.finish(), self.peers.finish())


@dataclass(frozen=True)
class ProgramCompiler:
    """Compiles programs from network views and location-free fragments that all switches share."""

    views: PerNetwork[dict[str, SegmentView]]
    logical: LogicalNetworks

    def compile(self, intent: Intent, here: Here, rounds: Rounds) -> Program:
        """The program of one switch; what it is made of is noted in ``rounds``."""
        return Program.of(intent.revision, self._fragments(intent, here, rounds))

    def _fragments(self, intent: Intent, here: Here, rounds: Rounds) -> Iterator[Fragment]:
        yield STATIC
        yield rounds.own.get("own", (here.node.key, here.uplinks), lambda: _own(here))
        yield from fabric.fragments(intent, here)
        reached: list[Mapping[tuple[str, str], Node]] = []
        for network_id in in_turns(sorted({*intent.networks_of(here.node.id), *fabric.networks(intent, here)})):
            views = self.views(intent, network_id)
            view = views.get(here.node.id) or fabric.passing(views, here)
            local = self._local(intent, view, here, rounds) if view is not None else None
            if view is not None and local is not None and local.fragment is not None:
                abilities = here.node.capabilities if here.node.id in views else frozenset()
                yield from self.logical.of(intent, view).fragments(abilities)
                yield local.fragment
                reached.append(local.reached)
        yield from rounds.peers.get("peers", (reached, here.tunnels), lambda: tuple(_peers(reached, here)))

    def _local(self, intent: Intent, view: SegmentView, here: Here, rounds: Rounds) -> Local:
        network_id = view.network.id
        plugged = tuple(here.ports.get(port.id) for port in view.live.get(here.node.id, ()))
        links = fabric.inputs(here, view.segment)
        inputs = (intent.version_of(network_id), plugged, here.node, here.uplinks, here.tunnels, links)
        earlier = rounds.networks.last(network_id)
        return rounds.networks.get(network_id, inputs, lambda: compile_local(view, here, earlier))


def _own(here: Here) -> Fragment:
    ids = groups.uplink_ids(here.uplinks)
    next_hops = (
        groups.uplink_next_hop(ids[name], ofport, f"physical network {name}")
        for name, ofport in sorted(here.uplinks.items())
    )
    return Fragment(("switch",), (deliver.absent(here.node),), tuple(next_hops))


def _peers(reached: list[Mapping[tuple[str, str], Node]], here: Here) -> Iterator[Fragment]:
    everyone = {key: peer for nodes in reached for key, peer in nodes.items()}
    for network_type, peer_id in sorted(everyone):
        peer, tunnel_port = everyone[network_type, peer_id], here.tunnels[network_type]
        transport, endpoint = Transport.of(network_type), endpoint_of(peer)
        if endpoint is not None:
            group_id, why = groups.next_hop_id(transport, peer.key), f"node {peer_id}"
            next_hop = groups.tunnel_next_hop(group_id, tunnel_port, endpoint, why)
            yield Fragment(("peer", network_type, peer_id), (deliver.to_peer(peer, transport),), (next_hop,))
