"""What the soak believes to be true, and how the API is asked while the controller comes and goes."""

from __future__ import annotations

import http.client
import time
import urllib.error
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, TypeVar

from tests.support.client import ApiFault, Body
from tests.support.controller_process import Controller
from tests.support.datacentre import DataCentre, NetworkSpec, Vm
from tests.support.postgres import Cluster

T = TypeVar("T")

PATIENCE = 90.0
"""Seconds that one request may be tried again while the controller or its database is away."""

AUDIT = 5.0
"""Seconds between audits of a switch: what was done to it by hand is put right by the next."""

QUIET = (("quiet-flat", "ovs1", "host1"), ("quiet-vlan", "ovs2", "host2"), ("quiet-gre", "ovs1", "host2"),
         ("quiet-vxlan", "host1", "ovs2"))  # fmt: skip
"""Network, from, to: the pings that nothing must disturb."""

QUIET_NETWORKS = (
    NetworkSpec("quiet-flat", "flat", "physnet1", None, "10.1.0.0/16"),
    NetworkSpec("quiet-vlan", "vlan", "physnet2", 150, "10.2.0.0/16"),
    NetworkSpec("quiet-gre", "gre", None, 77, "10.3.0.0/16"),
    NetworkSpec("quiet-vxlan", "vxlan", None, 77, "10.4.0.0/16"),
)


@dataclass
class SoakPort:
    """A port as it should be. ``host`` is where it is wanted ("": where it is plugged in), ``place`` where its VM is
    plugged in."""

    name: str
    id: str
    mac: str
    ip: str
    network: str
    host: str
    place: str | None = None
    admin_up: bool = True
    security: bool = True
    pair: tuple[str, str] | None = None
    link_up: bool = True
    deleted: bool = False

    @property
    def vm(self) -> str:
        """The name of its VM."""
        return f"vm-{self.name}"


@dataclass
class World:
    """The data centre and what is believed of it."""

    site: DataCentre
    dice: Random
    database: Cluster | None = None
    ports: dict[str, SoakPort] = field(default_factory=dict)
    network_up: dict[str, bool] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    journal: list[str] = field(default_factory=list)
    counter: int = 0

    def start(self) -> None:
        """Build everything, with the quiet networks and their VMs."""
        if self.database is not None:
            self.site.controller = Controller(self.site.controller.launcher, self.database.url)
        configuration = self.site.controller.configuration
        text = configuration.read_text().replace("[openflow]\n", f"[openflow]\naudit_interval = {AUDIT}\n")
        configuration.write_text(text)
        self.site.start()
        self.site.create_networks(QUIET_NETWORKS)
        self.site.create_vms([(name, node) for name, *ends in QUIET for node in ends])
        self.site.wait_active()

    def note(self, text: str) -> None:
        """One line of the journal."""
        line = f"{time.strftime('%H:%M:%S')} {text}"
        self.journal.append(line)
        print(line, flush=True)

    def number(self) -> int:
        """A number that was not there before."""
        self.counter += 1
        return self.counter

    # -- the API, tried again while nobody answers -------------------------------------------------------------------

    def ask(self, work: Callable[[], T]) -> T:
        """What ``work`` returns; 503 and lost connections are tried again, everything else is raised."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return work()
            except ApiFault as fault:
                if fault.status != 503 or time.monotonic() > end:
                    raise
            except (urllib.error.URLError, OSError, http.client.HTTPException):
                if time.monotonic() > end:
                    raise
            time.sleep(0.3)

    def create(self, kind: str, **attributes: Any) -> Body:
        """Create something with a name of its own; an answer that was lost is found by the name."""

        def work() -> Body:
            found = self.site.api.list(kind, f"name={attributes['name']}") if tries else []
            tries.append(1)
            return found[0] if found else self.site.api.create(kind, **attributes)

        tries: list[int] = []
        return self.ask(work)

    def update(self, kind: str, identifier: str, **attributes: Any) -> Body:
        """Change something."""
        return self.ask(lambda: self.site.api.update(kind, identifier, **attributes))

    def delete(self, kind: str, identifier: str) -> None:
        """Delete something; it may be gone already when an answer was lost."""

        def work() -> None:
            try:
                self.site.api.delete(kind, identifier)
            except ApiFault as fault:
                if fault.status != 404 or not tries:
                    raise
            finally:
                tries.append(1)

        tries: list[int] = []
        self.ask(work)

    # -- what should be ----------------------------------------------------------------------------------------------

    def expected(self, port: SoakPort) -> tuple[str, str]:
        """Status of a port, and how its reason begins."""
        if not port.host and port.place is None:
            return "DOWN", "not bound"
        if not port.admin_up:
            return "DOWN", "administratively down"
        if not self.network_up[port.network]:
            return "DOWN", f"network {self.site.networks[port.network]['id']} is administratively down"
        if port.place is None or (port.host and port.host != port.place):
            return "DOWN", f"no endpoint on node {port.host}"
        if not port.link_up:
            return "DOWN", "link of"
        return "ACTIVE", ""

    def domain(self, port: SoakPort) -> str:
        """Who talks with each other: the name of a network, or one of the port's own."""
        if port.deleted or self.expected(port)[0] != "ACTIVE":
            return f"alone: {port.name}"
        return f"{port.network}@{port.place}" if self.types[port.network] == "local" else port.network

    def plugged(self) -> list[Vm]:
        """All VMs, each on the network that it should be heard on."""
        found = [vm for vm in self.site.vms.values() if vm.name.startswith("quiet-")]
        for port in self.ports.values():
            if port.place is not None:
                found.append(replace(self.site.vms[port.vm], network=self.domain(port)))
        return found
