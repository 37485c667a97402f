"""The openvswitch agent driver: one bridge of Open vSwitch, wired by its database, with flows written by the agent."""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence

from controller.delta import Delta
from controller.model import TUNNEL_TYPES
from legacy_agent.drivers.api import Desired, HostSettings, Item, ItemKey, Snapshot
from legacy_agent.drivers.openvswitch import desired
from legacy_agent.drivers.openvswitch.apply import Applier
from legacy_agent.drivers.openvswitch.database import Database, DatabaseError, Ovsdb
from legacy_agent.drivers.openvswitch.installed import COLUMNS, HostState, installed, read, selection
from legacy_agent.drivers.openvswitch.monitor import losses
from legacy_agent.drivers.openvswitch.ofctl import Flows, Ofctl
from legacy_agent.host_plan import HostNetwork
from legacy_agent.netlink.links import KernelLinks, Links

LOG = logging.getLogger(__name__)

_RECONNECT = 1.0
"""Seconds between two attempts to hear of changes."""


class OpenVSwitchAgentDriver:
    """Serves local, flat, VLAN, GRE, VXLAN and Geneve networks on a host that runs Open vSwitch.

    ``links`` is opened in the network namespace of the thread that first reads the host; tests pass their own.
    """

    name = "openvswitch"
    network_types: tuple[str, ...] = ("local", "flat", "vlan", "gre", "vxlan", "geneve")

    def __init__(self, settings: HostSettings, database: Ovsdb | None = None, flows: Flows | None = None,
                 links: Links | None = None) -> None:  # fmt: skip
        own = settings.open_vswitch
        self._settings, self._bridge = settings, own.bridge
        self._database = database if database is not None else Database(own.remote)
        self._socket = f"{own.run_directory}/{own.bridge}.mgmt"
        self._flows = flows if flows is not None else Ofctl(self._socket)
        self._links = links
        self.uplinks: Mapping[str, str] = {**own.bridge_mappings, **own.physical_interfaces}
        self.vif_details: Mapping[str, str] = {"bridge_name": own.bridge, "datapath_type": own.datapath_type}

    def probe(self) -> Mapping[str, str]:
        """Ask Open vSwitch what it can do; nothing is tried."""
        try:
            results = self._database.transact(selection())
        except DatabaseError as error:
            return dict.fromkeys(self.network_types, f"Open vSwitch is not there: {error}")
        if shutil.which("ovs-ofctl") is None:
            return dict.fromkeys(self.network_types, "there is no ovs-ofctl on this host (install Open vSwitch)")
        return self._limits(read(results, frozenset(), {}, {}))

    def desired(self, networks: Sequence[HostNetwork], snapshot: Snapshot) -> Desired:
        """What these networks need on this host."""
        return desired.desired(networks, self._settings, snapshot.detail)

    def snapshot(self) -> Snapshot:
        """Read the database, the flows, links and addresses."""
        state = self._read()
        endpoints = state.endpoints(self._bridge)
        return Snapshot(installed(state, self._bridge), frozenset(state.links), state, endpoints)

    def apply(self, delta: Delta[ItemKey, Item], snapshot: Snapshot) -> Mapping[str, str]:
        """Make the difference. Raises :class:`DatabaseError` when Open vSwitch went away."""
        links, state = self._kernel_links(), snapshot.detail
        return Applier(self._database, self._flows, links, state, self._bridge, self._read).apply(delta)

    def watch(self, notify: Callable[[], None], stopped: threading.Event) -> None:
        """Hear of changes of the database and of flows that are lost, connecting again whenever that is needed."""
        threading.Thread(target=self._watch_flows, args=(notify, stopped), name="flow-events", daemon=True).start()
        heard = {table: [name for name in names if name != "_uuid"] for table, names in COLUMNS.items()}
        connected = True
        while not stopped.is_set():
            try:
                for _ in self._database.changes(heard):
                    connected = True
                    notify()
            except DatabaseError as error:
                if connected:
                    LOG.warning("%s; trying again", error)
                    notify()
                connected = False
            stopped.wait(_RECONNECT)

    def _watch_flows(self, notify: Callable[[], None], stopped: threading.Event) -> None:
        """The database tells when the bridge comes or goes, so that nothing is said here while it is not there."""
        while not stopped.is_set():
            with contextlib.suppress(OSError):
                for _ in losses(self._socket):
                    notify()
            stopped.wait(_RECONNECT)

    def close(self) -> None:
        """Close the sockets."""
        closing: Callable[[], None] | None = getattr(self._links, "close", None)
        if closing is not None:
            closing()

    def _read(self) -> HostState:
        links = self._kernel_links()
        results = self._database.transact(selection())
        there = any(row["name"] == self._bridge for row in results[1]["rows"])
        cookies = self._flows.cookies() if there else frozenset()
        return read(results, cookies, links.links(), links.addresses())

    def _kernel_links(self) -> Links:
        if self._links is None:
            self._links = KernelLinks()
        return self._links

    def _limits(self, state: HostState) -> dict[str, str]:
        """Open vSwitch tells what it knows once ovs-vswitchd runs."""
        wanted = self._settings.open_vswitch.datapath_type
        if wanted not in state.datapath_types:
            known = ", ".join(sorted(state.datapath_types)) or "none yet (is ovs-vswitchd running?)"
            reason = f"Open vSwitch has no datapath type {wanted!r} ([ovs] datapath_type); it has: {known}"
            return dict.fromkeys(self.network_types, reason)
        missing = (TUNNEL_TYPES & set(self.network_types)) - state.interface_types
        return {kind: f"this Open vSwitch has no {kind} tunnels" for kind in sorted(missing)}
