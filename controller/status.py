"""Truthful port status: ACTIVE, BUILD or DOWN, and why. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from controller.intent import Intent
from controller.model import Node, NodeKind, Port
from controller.node_state import NodeState
from legacy_agent.host_plan import device_name

ACTIVE, BUILD, DOWN = "ACTIVE", "BUILD", "DOWN"

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
    return PortStatus(BUILD, "; ".join(waiting)) if waiting else PortStatus(ACTIVE)


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
    return f"no interface has external_ids:iface-id={port.id}"


def _waiting_reasons(port: Port, intent: Intent, state_of: StateOf, tick: int) -> list[str]:
    return [reason for reason in (_waits_for(node, port, state_of, tick) for node in nodes_to_know(port, intent))
            if reason]  # fmt: skip


def _waits_for(node: Node, port: Port, state_of: StateOf, tick: int) -> str:
    state = state_of(node.id)
    if state is None or not state.connected:
        return ""
    if port.network_id in state.network_errors:
        return f"node {node.host}: {state.network_errors[port.network_id]}"
    if state.covers(tick):
        return ""
    return f"node {node.host}: {state.error}" if state.error else f"waiting for node {node.host} to acknowledge"


def affected(ports: Iterable[Port], intent: Intent, node_id: str) -> Iterable[str]:
    """Ids of those ports whose status may depend on the node."""
    for port in ports:
        if port.binding is not None and (port.binding.node_id == node_id or intent.ports_on(node_id, port.network_id)):
            yield port.id
