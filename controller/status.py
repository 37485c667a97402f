"""Truthful port status: ACTIVE, BUILD or DOWN, and why. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from controller.intent import Intent
from controller.local_links import link_on
from controller.model import Node, NodeKind, Port
from controller.node_state import NodeState
from legacy_agent.host_plan import device_name

ACTIVE, BUILD, DOWN = "ACTIVE", "BUILD", "DOWN"

SHOWN = 5
"""Reasons that are written out."""

StateOf = Callable[[str], NodeState | None]


@dataclass(frozen=True, slots=True)
class PortStatus:
    """A status with the reason that the API shows (empty when ACTIVE)."""

    status: str
    reason: str = ""


def port_status(port: Port, intent: Intent, state_of: StateOf, tick: int) -> PortStatus:
    """The status of a port whose newest change was asked of the nodes at ``tick``.

    ACTIVE needs the endpoint present with its link up, and every connected node that carries the port's network by
    the same segment to have acknowledged that change. Nodes that are not connected cannot hold a port back; their own
    ports are DOWN.
    """
    down = _down_reason(port, intent, state_of)
    if down:
        return PortStatus(DOWN, down)
    waiting = _waiting_reasons(port, intent, state_of, tick)
    return PortStatus(BUILD, _joined(waiting)) if waiting else PortStatus(ACTIVE)


def nodes_to_know(port: Port, intent: Intent) -> list[Node]:
    """The nodes that must know a bound port: its own, and those that carry the network by the same segment."""
    if port.binding is None or port.binding.node_id not in intent.nodes:
        return []
    return [intent.nodes[port.binding.node_id], *intent.peers_of(port.binding.node_id, port.network_id)]


def _down_reason(port: Port, intent: Intent, state_of: StateOf) -> str:
    network = intent.networks.get(port.network_id)
    if port.binding is None:
        return port.binding_refusal or "not bound: binding:host_id is empty and no endpoint has been plugged in"
    if not port.admin_state_up:
        return "administratively down"
    if network is None or not network.admin_state_up:
        return f"network {port.network_id} is administratively down"
    node = intent.nodes.get(port.binding.node_id)
    state = state_of(port.binding.node_id)
    if node is None or state is None or not state.connected:
        return f"node {node.host if node else port.binding.node_id} is not connected"
    attachment = state.observation.attachments.get(port.id) if state.observation else None
    if attachment is None:
        return f"no endpoint on node {node.host}: {_plug_hint(port, node)}"
    if not attachment.link_up:
        return f"link of {attachment.device} on node {node.host} is down"
    return ""


def _plug_hint(port: Port, node: Node) -> str:
    if node.kind is NodeKind.HOST:
        return f"interface {device_name(port.id)} does not exist there"
    link = link_on(port, node.id)
    if link is not None:
        return f"the switch has no port '{link}' (local_link_information)"
    return f"no interface has external_ids:iface-id={port.id}"


def blocking_nodes(port: Port, intent: Intent, state_of: StateOf, tick: int) -> set[str]:
    """Ids of the nodes that a BUILD port waits for."""
    return {node.id for node in nodes_to_know(port, intent) if waits_for(node, port, state_of(node.id), tick)}


def _waiting_reasons(port: Port, intent: Intent, state_of: StateOf, tick: int) -> list[str]:
    nodes = nodes_to_know(port, intent)
    return [reason for reason in (waits_for(node, port, state_of(node.id), tick) for node in nodes) if reason]


def _joined(reasons: list[str]) -> str:
    """Failures first; of very many reasons the first few and the number of the others."""
    ordered = sorted(reasons, key=lambda reason: reason.startswith("waiting "))
    more = [f"and {len(ordered) - SHOWN} more"] if len(ordered) > SHOWN else []
    return "; ".join([*ordered[:SHOWN], *more])


def waits_for(node: Node, port: Port, state: NodeState | None, tick: int) -> str:
    """Why a port waits for a node that must know it; empty if it does not."""
    if state is None or not state.connected:
        return ""
    if port.network_id in state.network_errors:
        return f"node {node.host}: {state.network_errors[port.network_id]}"
    if state.covers(tick):
        return ""
    return f"node {node.host}: {state.error}" if state.error else f"waiting for node {node.host} to acknowledge"
