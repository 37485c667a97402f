"""What this kernel can do: on the host flat and VXLAN at least; the User Mode Linux guest has everything."""

from __future__ import annotations

import os

from legacy_agent.drivers.api import HostSettings
from legacy_agent.drivers.linuxbridge import LinuxBridgeAgentDriver

IN_GUEST = "ISTHMUS_GUEST"
"""Environment variable that is set in the guest."""


def in_guest() -> bool:
    """Whether this runs in the guest."""
    return IN_GUEST in os.environ


def possible_types() -> list[str]:
    """Network types that a legacy host of this kernel can carry."""
    if os.geteuid() != 0:
        return []
    limits = LinuxBridgeAgentDriver(HostSettings("probe")).probe()
    return [name for name in ("flat", "vlan", "gre", "vxlan") if name not in limits]
