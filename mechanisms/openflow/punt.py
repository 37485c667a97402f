"""Table ``punt``: frames that bridges keep to themselves never cross the switch."""

from __future__ import annotations

from collections.abc import Iterator

from controller.dataplane import fields
from controller.dataplane.builder import flow
from controller.dataplane.values import Flow
from mechanisms.openflow.pipeline import PUNT

LINK_LOCAL = (fields.mac("01:80:c2:00:00:00"), fields.mac("ff:ff:ff:ff:ff:f0"))
"""IEEE 802.1Q, table 8-1: addresses that no bridge forwards, LLDP's among them."""


NEAREST_BRIDGE = fields.mac("01:80:c2:00:00:0e")
"""IEEE 802.1AB, table 7-1: the address of LLDP."""

MOST_OF_FRAME = 512
"""Bytes of an LLDP frame that the controller gets; our probes have 80."""


def lldp() -> Flow:
    """LLDP to the controller; on switches whose links are looked for."""
    sentence = flow(PUNT, 200).match(eth_dst=NEAREST_BRIDGE, eth_type=fields.ETH_LLDP).because("discovery of links")
    return sentence.output(fields.CONTROLLER, MOST_OF_FRAME).done()


def flows() -> Iterator[Flow]:
    """The same on every switch."""
    yield flow(PUNT, 100).match(eth_dst=LINK_LOCAL).because("link-local control frames").drop()
