"""What an agent driver is. A third party adds one under the entry point group ``isthmus.agent_drivers``.

A driver is level-triggered: it says what should be (``desired``, pure), reads what is (``snapshot``), and applies the
difference. It keeps no state that matters; a new instance on a running host must find everything right.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from controller.delta import Delta
from legacy_agent.host_plan import HostNetwork

ItemKey = Any
Item = Any


@dataclass(frozen=True, slots=True)
class OpenVSwitchSettings:
    """What the configuration says for the openvswitch driver.

    ``bridge`` is the bridge that VMs are plugged into. A physical network is reached by an interface that this bridge
    gets as a port (``physical_interfaces``), or by a patch to a bridge of the operator's (``bridge_mappings``).
    ``run_directory`` holds the bridges' management sockets.
    """

    bridge: str = "isthmus-int"
    remote: str = "unix:/run/openvswitch/db.sock"
    run_directory: str = "/run/openvswitch"
    datapath_type: str = "system"
    physical_interfaces: Mapping[str, str] = field(default_factory=dict)
    bridge_mappings: Mapping[str, str] = field(default_factory=dict)


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
    open_vswitch: OpenVSwitchSettings = field(default_factory=OpenVSwitchSettings)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is on the host now: this driver's ``items``, the names of all interfaces, and what else the driver needs
    to apply a delta (``detail``, its own business). ``endpoints`` maps port id -> interface, for VMs that the driver
    knows to be plugged in; a tap named after its port need not be told."""

    items: Mapping[ItemKey, Item]
    interfaces: frozenset[str]
    detail: Any = None
    endpoints: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Desired:
    """What should be on the host. ``errors`` maps network id -> why nothing can be desired for it."""

    items: Mapping[ItemKey, Item]
    errors: Mapping[str, str] = field(default_factory=dict)


class AgentDriver(Protocol):
    """Built with :class:`HostSettings`; used by one thread.

    ``network_types`` are those it knows; the configuration may leave it some of them only, by setting the attribute of
    the instance. A driver may also be an :class:`UplinkDriver`, a :class:`PlugDriver` or a :class:`WatchingDriver`.
    """

    name: str
    network_types: tuple[str, ...]

    def probe(self) -> Mapping[str, str]:
        """Try what this host can do, leaving nothing behind; network type -> reason for what it cannot. Asked again
        now and then."""

    def desired(self, networks: Sequence[HostNetwork], snapshot: Snapshot) -> Desired:
        """What should be there for these networks, given the interfaces that exist. Pure."""

    def snapshot(self) -> Snapshot:
        """Read the host; raises :class:`controller.errors.IsthmusError` when it cannot be read."""

    def apply(self, delta: Delta[ItemKey, Item], snapshot: Snapshot) -> Mapping[str, str]:
        """Make the difference. Returns network id -> reason for what failed; the others are done."""

    def close(self) -> None:
        """Give sockets back; the host stays as it is."""


@runtime_checkable
class UplinkDriver(Protocol):
    """A driver that reaches physical networks by a mapping of its own, not by ``physical_interfaces``."""

    uplinks: Mapping[str, str]
    """Physical network -> interface."""


@runtime_checkable
class PlugDriver(Protocol):
    """A driver that can say more about where VMs are plugged in."""

    vif_details: Mapping[str, str]
    """Goes into ``binding:vif_details`` of the ports that it serves."""


@runtime_checkable
class WatchingDriver(Protocol):
    """A driver that hears of changes which are no events of the kernel."""

    def watch(self, notify: Callable[[], None], stopped: threading.Event) -> None:
        """Call ``notify`` after each change until ``stopped``; runs in a thread of its own."""
