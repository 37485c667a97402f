"""Table ``punt``: frames that bridges keep to themselves never cross the switch."""

from __future__ import annotations

from collections.abc import Iterator

from controller.dataplane import fields
from controller.dataplane.builder import flow
from controller.dataplane.values import Flow
from mechanisms.openflow.pipeline import PUNT

LINK_LOCAL = (fields.mac("01:80:c2:00:00:00"), fields.mac("ff:ff:ff:ff:ff:f0"))
"""IEEE 802.1Q, table 8-1: addresses that no bridge forwards, LLDP's among them."""


def flows() -> Iterator[Flow]:
    """The same on every switch."""
    yield flow(PUNT, 100).match(eth_dst=LINK_LOCAL).because("link-local control frames").drop()
