"""Table ``arp_responder``: requests for known addresses are answered on the first switch and need no broadcast.

Not answered are an owner asking for its own address (address conflict detection, RFC 5227: an answer would tell the
owner that its address is taken) and gratuitous requests, which announce and must be heard by all.
"""

from __future__ import annotations

from collections.abc import Iterator

from controller.dataplane import fields
from controller.dataplane.builder import FlowBuilder, flow
from controller.dataplane.values import Flow
from controller.model import Network, Port
from mechanisms.openflow.pipeline import ARP_RESPONDER, L2_LOOKUP
from mechanisms.openflow.registers import Source

ANSWER, HEAR = 100, 200
REQUEST, REPLY = 1, 2


def answers(port: Port, network: Network, address: str) -> Iterator[Flow]:
    """The flows for one IPv4 address of a live port."""
    yield _asked(HEAR, port, network, address).match(arp_spa=address).goto(L2_LOOKUP)
    yield _asked(HEAR, port, network, address).match(arp_sha=port.mac_address).goto(L2_LOOKUP)
    yield (
        _asked(ANSWER, port, network, address)
        .move("eth_src", "eth_dst")
        .set(eth_src=port.mac_address, arp_op=REPLY)
        .move("arp_sha", "arp_tha")
        .move("arp_spa", "arp_tpa")
        .set(arp_sha=port.mac_address, arp_spa=address)
        .output(fields.IN_PORT)
        .done()
    )


def _asked(priority: int, port: Port, network: Network, address: str) -> FlowBuilder:
    who_has = flow(ARP_RESPONDER, priority).match(network=network.key, source=Source.LOCAL)
    who_has.match(eth_type=fields.ETH_ARP, arp_op=REQUEST, arp_tpa=address)
    return who_has.because(f"port {port.id}")
