"""The location-free part of a network: the same fragment, the same object even, on every switch that carries it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from controller.dataplane.values import Flow, Fragment
from controller.intent import Intent
from controller.model import Network, Port
from controller.turns import in_turns
from mechanisms.openflow import arp_responder, l2_lookup
from mechanisms.openflow.registers import NICIRA
from mechanisms.reuse import Reuse
from mechanisms.view import PerNetwork, SegmentView

PortFlows = tuple[tuple[Flow, ...], tuple[Flow, ...]]
"""Of one port: flows of ``l2_lookup``, flows of ``arp_responder``."""


@dataclass(frozen=True)
class Logical:
    """A network by one segment: ``lookup`` for every switch, ``answers`` for those that can rewrite ARP."""

    lookup: Fragment
    answers: Fragment
    made: Reuse[PortFlows]

    def fragments(self, capabilities: frozenset[str]) -> Iterator[Fragment]:
        """What a switch with these capabilities carries."""
        yield self.lookup
        if NICIRA in capabilities and self.answers.flows:
            yield self.answers


class LogicalNetworks:
    """Compiles the location-free part of networks; remembers it, and every port's flows, while nothing changed."""

    def __init__(self, views: PerNetwork[dict[str, SegmentView]]) -> None:
        self._views = views
        self._compiled: PerNetwork[dict[str, Logical]] = PerNetwork(self._compile)

    def of(self, intent: Intent, view: SegmentView) -> Logical:
        """The logical part of the view's network by the view's segment."""
        return self._compiled(intent, view.network.id)[view.segment.id]

    def _compile(self, intent: Intent, network_id: str, earlier: dict[str, Logical] | None) -> dict[str, Logical]:
        views = {view.segment.id: view for view in self._views(intent, network_id).values()}
        return {key: compile_logical(view, (earlier or {}).get(key)) for key, view in views.items()}


def compile_logical(view: SegmentView, earlier: Logical | None = None) -> Logical:
    """The logical part of a network; flows of ports that are as they were in ``earlier`` are its very objects."""
    round_ = Reuse(earlier.made if earlier else None)
    keys = {node.id: node.key for node in view.carriers}
    parts = [_port_flows(port, view, keys, round_) for port in in_turns(view.ports)]
    lookup = tuple(flow for known, _ in parts for flow in known)
    answers = tuple(flow for _, answered in parts for flow in answered)
    network_id = view.network.id
    return Logical(
        Fragment(("lookup", network_id), lookup), Fragment(("answers", network_id), answers), round_.finish()
    )


def _port_flows(port: Port, view: SegmentView, keys: dict[str, int], round_: Reuse[PortFlows]) -> PortFlows:
    network = view.network
    node_key = keys[port.binding.node_id] if port.binding else 0
    known = port.mac_address in view.unique_macs
    addresses = tuple(_answered(port, view)) if network.arp_responder else ()
    inputs = (port, node_key, network.key, known, addresses)
    return round_.get(port.id, inputs, lambda: _make(port, network, node_key, known, addresses))


def _make(port: Port, network: Network, node_key: int, known: bool, addresses: tuple[str, ...]) -> PortFlows:
    lookup = (l2_lookup.known_mac(port, network, node_key),) if known else ()
    return lookup, tuple(flow for address in addresses for flow in arp_responder.answers(port, network, address))


def _answered(port: Port, view: SegmentView) -> Iterator[str]:
    for address in port.fixed_ips:
        if address in view.unique_addresses and ipaddress.ip_address(address).version == 4:
            yield address
