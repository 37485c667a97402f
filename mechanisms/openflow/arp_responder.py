"""Table ``arp_responder``: requests for known addresses are answered on the first switch and need no broadcast.

Not answered are an owner asking for its own address (address conflict detection, RFC 5227: an answer would tell the
owner that its address is taken) and gratuitous requests, which announce and must be heard by all.
"""

from __future__ import annotations

from controller.dataplane import fields
from controller.dataplane.builder import FlowBuilder, flow
from controller.dataplane.forms import form
from controller.dataplane.values import Flow
from controller.model import Port
from mechanisms.openflow.pipeline import ARP_RESPONDER, L2_LOOKUP
from mechanisms.openflow.registers import Source

ANSWER, HEAR = 100, 200
REQUEST, REPLY = 1, 2

_ADDRESS = fields.named("arp_tpa")


def answers(port: Port, mac: int, network: int, address: str) -> tuple[Flow, ...]:
    """The flows for one IPv4 address of a live port, whose MAC is also given as a number, on the network with that
    key."""
    at, port_id = _ADDRESS.parse(address), port.id
    return _gratuitous(network, at, port_id), _own(network, at, mac, port_id), _answer(network, at, mac, port_id)


def _asked(priority: int, network: int, address: int, port_id: str) -> FlowBuilder:
    who_has = flow(ARP_RESPONDER, priority).match(network=network, source=Source.LOCAL)
    who_has.match(eth_type=fields.ETH_ARP, arp_op=REQUEST, arp_tpa=address)
    return who_has.because(f"port {port_id}")


@form
def _gratuitous(network: int, address: int, port_id: str) -> Flow:
    return _asked(HEAR, network, address, port_id).match(arp_spa=address).goto(L2_LOOKUP)


@form
def _own(network: int, address: int, mac: int, port_id: str) -> Flow:
    return _asked(HEAR, network, address, port_id).match(arp_sha=mac).goto(L2_LOOKUP)


@form
def _answer(network: int, address: int, mac: int, port_id: str) -> Flow:
    return (
        _asked(ANSWER, network, address, port_id)
        .move("eth_src", "eth_dst")
        .set(eth_src=mac, arp_op=REPLY)
        .move("arp_sha", "arp_tha")
        .move("arp_spa", "arp_tpa")
        .set(arp_sha=mac, arp_spa=address)
        .output(fields.IN_PORT)
        .done()
    )
