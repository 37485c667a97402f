"""Truthful port status: ACTIVE, BUILD or DOWN, and why. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from controller.intent import Intent
from controller.local_links import link_on
from controller.model import PHYSICAL_TYPES, Binding, Node, NodeKind, Port
from controller.node_state import NodeState
from legacy_agent.host_plan import device_name

ACTIVE, BUILD, DOWN = "ACTIVE", "BUILD", "DOWN"

WAITING = "waiting"
"""How the reason begins when nothing went wrong."""

SHOWN = 5
"""Reasons that are written out."""

UNBOUND = "not bound: binding:host_id is empty and no endpoint has been plugged in"
"""Why a port is DOWN that nothing else is known of."""

StateOf = Callable[[str], NodeState | None]
Transit = Callable[[Collection[str]], Collection[str]]
"""Switches -> the switches that their links reach."""


FIRST = 1
"""The tick of the first question: everything, of every node."""


class PortStatus(NamedTuple):
    """A status with the reason that the API shows (empty when ACTIVE)."""

    status: str
    reason: str = ""


WELL = PortStatus(ACTIVE)


def nobody(_node_ids: Collection[str]) -> Collection[str]:
    """No links between switches."""
    return ()


def with_transit(
    intent: Intent, network_id: str, segment_id: str, carriers: Mapping[str, Node], transit: Transit
) -> Mapping[str, Node]:
    """The carriers of a segment by id, and the switches whose links may carry it for them."""
    network = intent.networks.get(network_id)
    segment = network.segment(segment_id) if network is not None else None
    if segment is None or segment.network_type not in PHYSICAL_TYPES:
        return carriers
    members = transit(carriers.keys())
    if not members:
        return carriers
    return {**carriers, **{member: intent.nodes[member] for member in members if member in intent.nodes}}


class WaitKey(NamedTuple):
    """What ports wait for: the nodes that carry the network by the segment ``place`` (or the one node ``place``), to
    have in force what was asked at ``tick``."""

    network_id: str
    place: str
    one_node: bool
    tick: int


@dataclass(frozen=True, slots=True)
class Asked:
    """The ticks at which the newest changes of ports were asked: by port id, of all nodes that carry its network
    (``everywhere``: its intent) and of its own node alone (``here``: what is plugged in there); by node id, of a node
    for all of its ports (``nodes``: it came back). What is not in there was asked at the start (:data:`FIRST`)."""

    everywhere: dict[str, int] = field(default_factory=dict)
    here: dict[str, int] = field(default_factory=dict)
    nodes: dict[str, int] = field(default_factory=dict)

    def of_its_node(self, port_id: str, node_id: str) -> int:
        """The tick at which a port's node was last asked anything for the port."""
        return max(self.here.get(port_id, FIRST), self.nodes.get(node_id, FIRST))


@dataclass(frozen=True, slots=True)
class Common:
    """What the ports of a network have in common that are bound by the same segment. ``waits``: tick -> what those of
    them wait for of all nodes that were changed then."""

    down: str
    carriers: Mapping[str, Node]
    waits: dict[int, tuple[WaitKey, ...]] = field(default_factory=dict)


class Look:
    """Port statuses as of one moment; what the ports of a network have in common is found out once. Not to be kept: it
    does not follow changes.

    ACTIVE needs the endpoint present with its link up, and every connected node that carries the port's network by
    the same segment, or whose links may carry it for them (``transit``), to have acknowledged the port's newest
    change. Nodes that are not connected cannot hold a port back; their own ports are DOWN.
    """

    def __init__(self, intent: Intent, state_of: StateOf, asked: Asked, transit: Transit = nobody) -> None:
        self._intent, self._state_of, self._asked, self._transit = intent, state_of, asked, transit
        self._commons: dict[tuple[str, str], Common] = {}
        self._missing: dict[WaitKey, Mapping[str, str]] = {}
        self._texts: dict[tuple[WaitKey, ...], str] = {}

    def status(self, port: Port) -> PortStatus:
        """The status of a port."""
        binding = port.binding
        if binding is None:
            return PortStatus(DOWN, port.binding_refusal or UNBOUND)
        common = self._commons.get((port.network_id, binding.segment_id)) or self._common(port.network_id, binding)
        own = self._state_of(binding.node_id)
        down = self._down_reason(port, binding, common, own)
        if down:
            return PortStatus(DOWN, down)
        keys = self._waits(port, binding, common, own)
        return PortStatus(BUILD, self._reason(keys)) if keys else WELL

    def waits(self, port: Port) -> tuple[WaitKey, ...]:
        """What a bound port waits for: its own node first, then all."""
        binding = port.binding
        if binding is None:
            return ()
        common, own = self._common(port.network_id, binding), self._state_of(binding.node_id)
        return self._waits(port, binding, common, own)

    def _common(self, network_id: str, binding: Binding) -> Common:
        known = self._commons.get((network_id, binding.segment_id))
        if known is None:
            network = self._intent.networks.get(network_id)
            down = "" if network and network.admin_state_up else f"network {network_id} is administratively down"
            carriers = self._intent.carriers_by(network_id, binding.segment_id)
            known = self._commons[network_id, binding.segment_id] = Common(down, carriers)
        return known

    def _down_reason(self, port: Port, binding: Binding, common: Common, own: NodeState | None) -> str:
        if not port.admin_state_up:
            return "administratively down"
        if common.down:
            return common.down
        node = common.carriers.get(binding.node_id) or self._intent.nodes.get(binding.node_id)
        if node is None or own is None or not own.connected:
            return f"node {node.host if node else binding.node_id} is not connected"
        if binding.node_id not in common.carriers:
            elsewhere = _other_segment(port, binding, node, self._intent)
            if elsewhere:
                return elsewhere
        attachment = own.observation.attachments.get(port.id) if own.observation else None
        if attachment is None:
            return f"no endpoint on node {node.host}: {_plug_hint(port, node)}"
        if not attachment.link_up:
            return f"link of {attachment.device} on node {node.host} is down"
        return ""

    def _waits(self, port: Port, binding: Binding, common: Common, own: NodeState | None) -> tuple[WaitKey, ...]:
        if own is not None and (own.pending or own.network_errors):
            tick = self._asked.of_its_node(port.id, binding.node_id)
            here = WaitKey(port.network_id, binding.node_id, True, tick)
            if self.missing(here):
                return (here,)
        tick = self._asked.everywhere.get(port.id, FIRST)
        keys = common.waits.get(tick)
        if keys is None:
            everywhere = WaitKey(port.network_id, binding.segment_id, False, tick)
            keys = common.waits[tick] = (everywhere,) if self.missing(everywhere) else ()
        return keys

    def missing(self, key: WaitKey) -> Mapping[str, str]:
        """Node id -> reason, for the nodes that are waited for."""
        known = self._missing.get(key)
        if known is None:
            nodes, state_of = self._nodes(key), self._state_of
            known = {}
            for node_id, state in zip(nodes, map(state_of, nodes), strict=True):
                # Most are well; ``pending`` is written out because a look at a network costs this for all its nodes.
                if state is not None and (state.asked > state.acknowledged or state.network_errors):
                    why = waits_for(nodes[node_id], key, state)
                    if why:
                        known[node_id] = why
            self._missing[key] = known
        return known

    def _nodes(self, key: WaitKey) -> Mapping[str, Node]:
        if not key.one_node:
            carriers = self._intent.carriers_by(key.network_id, key.place)
            return with_transit(self._intent, key.network_id, key.place, carriers, self._transit)
        node = self._intent.nodes.get(key.place)
        return {} if node is None else {node.id: node}

    def _reason(self, keys: tuple[WaitKey, ...]) -> str:
        text = self._texts.get(keys)
        if text is None:
            reasons = {node_id: why for key in keys for node_id, why in self.missing(key).items()}
            text = self._texts[keys] = _joined(list(reasons.values()))
        return text


def nodes_to_know(port: Port, intent: Intent) -> Mapping[str, Node]:
    """The nodes by id that must know a bound port: its own, and those that carry the network by the same segment."""
    if port.binding is None or port.binding.node_id not in intent.nodes:
        return {}
    own = intent.nodes[port.binding.node_id]
    return {node.id: node for node in (own, *intent.peers_of(own.id, port.network_id))}


def _other_segment(port: Port, binding: Binding, node: Node, intent: Intent) -> str:
    """Why a port carries nothing that is bound by another segment than other ports of its network on its node."""
    carried = intent.segment_on(node.id, port.network_id)
    if carried is None or carried.id == binding.segment_id:
        return ""
    own = intent.networks[port.network_id].segment(binding.segment_id)
    return (
        f"node {node.host} carries the network by segment {carried}, for other ports there; "
        f"this port is bound by {own or 'one that is gone'}, and a node carries a network by one segment only"
    )


def _plug_hint(port: Port, node: Node) -> str:
    if node.kind is NodeKind.HOST:
        return f"interface {device_name(port.id)} does not exist there"
    link = link_on(port, node.id)
    if link is not None:
        return f"the switch has no port '{link}' (local_link_information)"
    return f"no interface has external_ids:iface-id={port.id}"


def _joined(reasons: list[str]) -> str:
    """Failures first; of very many reasons the first few and the number of the others."""
    ordered = sorted(reasons, key=lambda reason: reason.startswith(WAITING))
    more = [f"and {len(ordered) - SHOWN} more"] if len(ordered) > SHOWN else []
    return "; ".join([*ordered[:SHOWN], *more])


def waits_for(node: Node, key: WaitKey, state: NodeState | None) -> str:
    """Why a node is waited for; empty if it is not."""
    if state is None or not state.connected:
        return ""
    if key.network_id in state.network_errors:
        return f"node {node.host}: {state.network_errors[key.network_id]}"
    if state.covers(key.tick):
        return ""
    return f"node {node.host}: {state.error}" if state.error else f"{WAITING} for node {node.host} to acknowledge"
