"""What a ping of 1,000 per second loses while controller, agents, database and switch daemon come and go.

Two real Open vSwitch nodes and two plain Linux hosts; the ping runs from a VM on Open vSwitch to one on the other Open
vSwitch and to one on a Linux bridge, on a VLAN and a VXLAN network. ``python -m bench.restarts``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.all import single
from bench.results import Result
from tests.matrix.test_7_upgrade import NEW_VERSION
from tests.support import sandbox
from tests.support.controller_process import Controller
from tests.support.datacentre import DataCentre, NetworkSpec, Vm
from tests.support.postgres import Cluster, cluster

RATE = 1000.0
AFTER = 3.0
"""Seconds of ping after an event."""

DATABASE_AWAY = 30.0
NETWORKS = (
    NetworkSpec("vlan", "vlan", "physnet1", 100, "10.2.0.0/24"),
    NetworkSpec("vxlan", "vxlan", None, 77, "10.5.0.0/24"),
)


@dataclass(frozen=True, slots=True)
class Loss:
    """What one event cost: echoes sent and lost on all four ways together."""

    event: str
    sent: int
    lost: int
    longest: int
    """Most echoes lost in a row on one way: at 1,000 per second, milliseconds."""


class Trial:
    """A data centre on PostgreSQL, and the four ways of the ping."""

    def __init__(self, database: Cluster) -> None:
        self.database, self.site = database, DataCentre()
        self.site.controller = self._controller()
        self.site.api = self.site.controller.api
        self.site.start()
        self.site.create_networks(NETWORKS)
        places = [(spec.name, node) for spec in NETWORKS for node in ("ovs1", "ovs2", "host1")]
        self.site.wait_active(self.site.create_vms(places))
        self.ways = [(spec.name, other) for spec in NETWORKS for other in ("ovs2", "host1")]

    def events(self) -> dict[str, Callable[[], None]]:
        """What shall cost nothing."""
        return {
            "controller restarted": self.restart,
            "controller killed and started": self.kill,
            "controller upgraded to another pipeline": self.upgrade,
            "and back": self.restart,
            "agents killed and started": self.restart_agents,
            f"database away for {DATABASE_AWAY:.0f} s": self.database_away,
        }

    def _controller(self) -> Controller:
        return Controller(connection=self.database.url)

    def _ends(self, way: tuple[str, str]) -> tuple[Vm, Vm]:
        return self.site.vms[f"{way[0]}-ovs1"], self.site.vms[f"{way[0]}-{way[1]}"]

    def during(self, event: str, action: Callable[[], Any]) -> Loss:
        """Ping along all ways while ``action`` runs and a while longer."""
        for way in self.ways:
            one, other = self._ends(way)
            assert one.site.echo([(one.name, other.ip)], 10.0)[0] is not None, f"{way} is silent before: {event}"
            one.site.ping_start(str(way), one.name, other.ip, RATE)
        time.sleep(1.0)
        action()
        time.sleep(AFTER)
        results = [self._ends(way)[0].site.ping_stop(str(way)) for way in self.ways]
        lost = sum(len(result["lost"]) for result in results)
        return Loss(event, sum(result["sent"] for result in results), lost, max(map(_longest, results)))

    def start_controller(self) -> None:
        """What is installed now; until every port is ACTIVE."""
        self.site.controller = self._controller()
        self.site.controller.start()
        self.site.wait_in_force()
        self.site.wait_active()

    def restart(self) -> None:
        """SIGTERM and start."""
        self.site.controller.stop()
        self.start_controller()

    def kill(self) -> None:
        """SIGKILL and start."""
        self.site.controller.kill()
        self.start_controller()

    def upgrade(self) -> None:
        """SIGTERM, and start a version whose pipeline has one table more."""
        folder = sandbox.BED_DIRECTORY / "new-version"
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(NEW_VERSION)
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = f"{folder}:{Path(__file__).resolve().parents[1]}"
        try:
            self.restart()
        finally:
            os.environ.pop("PYTHONPATH")
            if before is not None:
                os.environ["PYTHONPATH"] = before

    def restart_agents(self) -> None:
        """SIGKILL and start."""
        self.site.kill_agents()
        self.site.start_agents()

    def database_away(self) -> None:
        """Stop the database server for a while."""
        self.database.stop()
        time.sleep(DATABASE_AWAY)
        self.database.start()
        self.site.wait_active()

    def restart_vswitchd(self) -> None:
        """SIGTERM to ovs-vswitchd of the far switch, and start."""
        self.site.switches[1].ovs.restart_vswitchd()


def _longest(result: dict[str, Any]) -> int:
    longest = run = 0
    previous = None
    for number in result["lost"]:
        run = run + 1 if previous is not None and number == previous + 1 else 1
        longest, previous = max(longest, run), number
    return longest


def run() -> Result:
    """All events."""
    result = Result(
        "restarts", f"0 of {RATE:.0f} echoes per second lost on four ways (OVS-OVS, OVS-bridge; VLAN, VXLAN)"
    )
    with cluster() as database:
        trial = Trial(database)
        for event, action in trial.events().items():
            loss = trial.during(event, action)
            result.add(event, "0 lost", f"{loss.lost} of {loss.sent} lost, {loss.longest} in a row")
            result.judge(loss.lost == 0)
        loss = trial.during("ovs-vswitchd restarted", trial.restart_vswitchd)
        result.add(loss.event, "-", f"{loss.lost} of {loss.sent} lost, {loss.longest} in a row")
    result.notes.append("The last line is no bar: with the userspace datapath ovs-vswitchd is the dataplane itself.")
    return result


if __name__ == "__main__":
    sys.exit(single("restarts", run))
