"""Agents that watch their plans: how soon a change reaches them, and what it costs the controller.

Simulated agents (:mod:`bench.sim_hosts`), each with a port on a VLAN network that all share and on a VXLAN network
that 20 hosts share. ``python -m bench.agents [AGENTS]``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench import bed, scale
from bench.results import Result

SMALL, LARGE = 200, 1_000
CLUSTER = 20
"""Hosts that share a VXLAN network: a change there concerns so many."""

NARROW, WIDE, IDLE = 15, 3, 6.0
"""Changes that concern a cluster, changes that concern all, and seconds of watching idle agents."""

POLL = 30.0
DOWN_TIME = "[agent]\nagent_down_time = 120"
QUIET = 0.3
BAR = "a change that concerns 20 agents costs under 1.5 times the CPU among 1,000 agents as among 200"


class Agents:
    """The process of the simulated agents and its latest figures."""

    def __init__(self, count: int) -> None:
        command = [sys.executable, "-m", "bench.sim_hosts", "--count", str(count), "--port", str(bed.API_PORT)]
        command += ["--wait", str(POLL), "--pause", "0.05"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.figures: dict[str, Any] = {"plans": 0, "reports": 0, "failures": 0}
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self.figures = json.loads(line)

    def end(self) -> None:
        """End them."""
        self._process.kill()
        self._process.wait()


@dataclass
class Figures:
    """Seconds until the last agent had its plan, and CPU seconds, of each change."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


class Trial:
    """A controller with so many agents."""

    def __init__(self, count: int) -> None:
        scale.seed(bed.DIRECTORY, scale.Layout(0, []))
        self.count = count
        self.controller = bed.Controller(extra=DOWN_TIME)
        self.controller.start()
        self.agents = Agents(count)
        self.api = self.controller.api

    def end(self) -> None:
        """End both."""
        self.agents.end()
        self.controller.stop()

    def prepare(self) -> tuple[str, str]:
        """Networks and ports; the ids of the first cluster's network and of the one that all share."""
        bed.wait_for(lambda: len(self.api.isthmus("hosts")["hosts"]) == self.count, "all agents reported", 120)
        wide = self._network("wide", "vlan", "10.0.0.0/16")
        clusters = [self._network(f"cluster-{number}", "vxlan", f"10.{number + 1}.0.0/16")
                    for number in range(self.count // CLUSTER)]  # fmt: skip
        ports = [{"network_id": network, "device_owner": "compute:b", "binding:host_id": f"sim-host-{number + 1}"}
                 for number in range(self.count) for network in (wide, clusters[number // CLUSTER])]  # fmt: skip
        for start in range(0, len(ports), 200):
            self.api.create_all("port", ports[start : start + 200])
        self.settle()
        return clusters[0], wide

    def _network(self, name: str, kind: str, cidr: str) -> str:
        network = self.api.create("network", name=name, **{"provider:network_type": kind})
        self.api.create("subnet", network_id=network["id"], ip_version=4, cidr=cidr, enable_dhcp=False)
        return str(network["id"])

    def settle(self) -> None:
        """Until no plans have come for a while."""
        before, since = -1, time.monotonic()
        while time.monotonic() - since < 2.0:
            now = self.agents.figures["plans"]
            if now != before:
                before, since = now, time.monotonic()
            time.sleep(0.1)

    def changes(self, times: int, agents: int, change: Callable[[int], object]) -> Figures:
        """Do a change so often and wait each time until so many agents have their new plans."""
        figures = Figures()
        for number in range(times):
            plans, cpu, began = self.agents.figures["plans"], self.controller.cpu(), time.monotonic()
            change(number)
            bed.wait_for(lambda plans=plans: self.agents.figures["plans"] >= plans + agents, "all plans", 120)  # type: ignore[misc]
            figures.seconds.append(self.agents.figures["last_plan"] - began)
            time.sleep(QUIET)
            figures.cpu.append(self.controller.cpu() - cpu)
        return figures

    def idle(self) -> float:
        """CPU seconds per second with nothing to do."""
        before = self.controller.cpu()
        time.sleep(IDLE)
        return (self.controller.cpu() - before) / IDLE


def measure(count: int) -> tuple[Figures, Figures, float, int]:
    """Changes that concern a cluster, changes that concern all, CPU per second when idle, and failed requests."""
    trial = Trial(count)
    try:
        narrow, wide = trial.prepare()
        idle = trial.idle()
        port = {"network_id": narrow, "device_owner": "compute:b", "binding:host_id": "sim-host-1"}
        few = trial.changes(NARROW, CLUSTER, lambda _: trial.api.create("port", **port))
        trial.settle()
        every = trial.changes(WIDE, count, lambda number: trial.api.update("network", wide, mtu=1400 + number))
        return few, every, idle, trial.agents.figures["failures"]
    finally:
        trial.end()


def run(large: int = LARGE) -> Result:
    """Both sizes."""
    result = Result("agents", BAR)
    small_few, small_all, small_idle, _ = measure(SMALL)
    few, every, idle, failures = measure(large)
    ratio = bed.quantile(few.cpu, 0.5) / bed.quantile(small_few.cpu, 0.5)
    result.add(f"CPU of a change that concerns {CLUSTER} of {large:,} agents, p50",
               f"of {SMALL} agents: {bed.quantile(small_few.cpu, 0.5) * 1e3:.0f} ms",
               f"{bed.quantile(few.cpu, 0.5) * 1e3:.0f} ms", f"{ratio:.2f} x")  # fmt: skip
    result.add("until the last of them has its plan, p50 and p99", _latencies(small_few), _latencies(few))
    here, there = bed.quantile(small_all.cpu, 0.5) / SMALL, bed.quantile(every.cpu, 0.5) / large
    result.add("CPU per agent of a change that concerns all, p50", f"{SMALL} agents: {here * 1e3:.2f} ms",
               f"{large:,} agents: {there * 1e3:.2f} ms", f"{there / here:.2f} x")  # fmt: skip
    result.add("until the last of all has its plan, p50 and p99", _latencies(small_all), _latencies(every))
    result.add(f"CPU with nothing to do: a report and a poll per agent every {POLL:.0f} s",
               f"{SMALL} agents: {small_idle * 100:.1f} % of a core", f"{large:,} agents: {idle * 100:.1f} %",
               f"{idle / small_idle:.1f} x")  # fmt: skip
    result.notes.append(f"Failed requests: {failures}.")
    result.judge(ratio < 1.5 and failures == 0)
    return result


def _latencies(figures: Figures) -> str:
    return "{:.0f}, {:.0f} ms".format(*(bed.quantile(figures.seconds, share) * 1e3 for share in (0.5, 0.99)))


if __name__ == "__main__":
    from bench.all import single

    sys.exit(single("agents", run, [int(item) for item in sys.argv[1:]]))
