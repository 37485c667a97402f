"""Meters: how much of what strangers send reaches the controller. Made only where the switch has them.

One is for ports of the API, one for all other ports that are no links: a tenant that floods takes nothing from the
discovery of links, and a stranger at a free port nothing from the links that are there. Of one port the controller
looks at some 25 frames a second anyhow (:mod:`controller.southbound.frames`).

What is learned from (table ``learn``) has no meter: it would drop the frames themselves, of which the controller gets
a copy. There ports that show too much are not asked for a while (:mod:`topology.learning`).
"""

from __future__ import annotations

from controller.dataplane.values import Meter

METERS = "meters"
"""The node capability: the switch has meters that drop by packets per second, and these ids are among its own."""

TENANTS = Meter(241, 100, 100, "LLDP of ports of the API")
OTHERS = Meter(242, 500, 1000, "LLDP of ports that are neither links nor ports of the API")
"""More than 48 ports at ten probes a second each, the fastest that ``[topology] probe_interval`` can be."""

SAMPLE = Meter(243, 500, 1000, "does the switch have what it takes?")
"""What an unknown switch is asked with: of no program."""

HIGHEST = SAMPLE.id
"""Ids are small enough for hardware with 256 meters, and not those that people begin to count with."""


def owns(meter_id: int) -> bool:
    """Whether the id is one of ours; meters have no owner tag."""
    return TENANTS.id <= meter_id <= HIGHEST
