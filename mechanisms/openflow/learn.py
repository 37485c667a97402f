"""Table ``learn``: frames whose source nobody manages are shown to the controller, once.

It stands behind ports that lead out of the fabric and behind tenant ports without port security. What is shown goes on
as if nothing had been done; the source is then put among those that are known at the port.
"""

from __future__ import annotations

from controller.dataplane import fields
from controller.dataplane.builder import flow
from controller.dataplane.forms import form
from controller.dataplane.values import Flow
from mechanisms.openflow.pipeline import L2_LOOKUP, LEARN

KNOWN, SHOWN = 200, 100

HEADER = 64
"""Bytes of a frame that the controller gets: it looks at the source address."""


def shown(ofport: int) -> Flow:
    """Frames that come in by a port, unless :func:`known` says better."""
    sentence = flow(LEARN, SHOWN).match(in_port=ofport).because("addresses are learned")
    return sentence.output(fields.CONTROLLER, HEADER).goto(L2_LOOKUP)


@form
def known(network: int, ofport: int, mac: int, network_id: str) -> Flow:
    """An address that need not be shown again at this port, on the network with that key."""
    sentence = flow(LEARN, KNOWN).match(in_port=ofport, network=network, eth_src=mac)
    return sentence.because(f"network {network_id}: address heard").goto(L2_LOOKUP)
