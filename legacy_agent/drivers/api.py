"""What an agent driver is. A third party adds one under the entry point group ``isthmus.agent_drivers``.

A driver is level-triggered: it says what should be (``desired``, pure), reads what is (``snapshot``), and applies the
difference. It keeps no state that matters; a new instance on a running host must find everything right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from controller.delta import Delta
from legacy_agent.host_plan import HostNetwork

ItemKey = Any
Item = Any


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What the configuration says of this host, for the drivers.

    ``physical_interfaces`` maps physical network -> interface. ``local_ip`` is the tunnel address, None where no
    tunnels are to be made.
    """

    host: str
    physical_interfaces: Mapping[str, str] = field(default_factory=dict)
    local_ip: str | None = None
    vxlan_port: int = 4789


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is on the host now: this driver's ``items``, the names of all interfaces, and what else the driver needs
    to apply a delta (``detail``, its own business)."""

    items: Mapping[ItemKey, Item]
    interfaces: frozenset[str]
    detail: Any = None


@dataclass(frozen=True, slots=True)
class Desired:
    """What should be on the host. ``errors`` maps network id -> why nothing can be desired for it."""

    items: Mapping[ItemKey, Item]
    errors: Mapping[str, str] = field(default_factory=dict)


class AgentDriver(Protocol):
    """Built with :class:`HostSettings`; used by one thread."""

    name: str
    network_types: tuple[str, ...]

    def probe(self) -> Mapping[str, str]:
        """Try what this kernel can do, leaving nothing behind; network type -> reason for what it cannot."""

    def desired(self, networks: Sequence[HostNetwork], snapshot: Snapshot) -> Desired:
        """What should be there for these networks, given the interfaces that exist. Pure."""

    def snapshot(self) -> Snapshot:
        """Read the host; raises :class:`controller.errors.IsthmusError` when it cannot be read."""

    def apply(self, delta: Delta[ItemKey, Item], snapshot: Snapshot) -> Mapping[str, str]:
        """Make the difference. Returns network id -> reason for what failed; the others are done."""

    def close(self) -> None:
        """Give sockets back; the host stays as it is."""
