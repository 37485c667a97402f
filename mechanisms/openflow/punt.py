"""Table ``punt``: frames that bridges keep to themselves never cross the switch."""

from __future__ import annotations

from collections.abc import Iterator

from controller.dataplane import fields
from controller.dataplane.builder import FlowBuilder, flow
from controller.dataplane.forms import form
from controller.dataplane.values import Flow
from mechanisms.openflow import meters
from mechanisms.openflow.pipeline import PUNT

LINK_LOCAL = (fields.mac("01:80:c2:00:00:00"), fields.mac("ff:ff:ff:ff:ff:f0"))
"""IEEE 802.1Q, table 8-1: addresses that no bridge forwards, LLDP's among them."""


NEAREST_BRIDGE = fields.mac("01:80:c2:00:00:0e")
"""IEEE 802.1AB, table 7-1: the address of LLDP."""

MOST_OF_FRAME = 512
"""Bytes of an LLDP frame that the controller gets; our probes have 80."""


def _lldp(priority: int) -> FlowBuilder:
    sentence = flow(PUNT, priority).match(eth_dst=NEAREST_BRIDGE, eth_type=fields.ETH_LLDP)
    return sentence.output(fields.CONTROLLER, MOST_OF_FRAME)


def lldp(meter: int | None = None) -> Flow:
    """LLDP to the controller, as much as a meter lets pass; on switches whose links are looked for."""
    return _lldp(200).meter(meter).because("discovery of links").done()


@form
def lldp_of_tenant(ofport: int) -> Flow:
    """LLDP of a port of the API, which makes no link and is looked at to tell who tried."""
    return _lldp(210).match(in_port=ofport).meter(meters.TENANTS.id).because("LLDP of ports of the API").done()


def lldp_of_link(ofport: int) -> Flow:
    """LLDP by a link: all of it, for it comes from a switch of ours."""
    return _lldp(220).match(in_port=ofport).because("links are heard").done()


def flows() -> Iterator[Flow]:
    """The same on every switch."""
    yield flow(PUNT, 100).match(eth_dst=LINK_LOCAL).because("link-local control frames").drop()
