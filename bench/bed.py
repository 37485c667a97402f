"""The bed of benchmarks of the whole controller: it as a process, and fleets of simulated switches, on loopback.

Runs in private namespaces (:mod:`tests.support.sandbox`); nothing outlives it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client.parser import text_string_to_metric_families

from bench.scale import PHYSICAL_NETWORK
from tests.support import sandbox
from tests.support.client import Client
from tests.support.process import Program

T = TypeVar("T")
API_PORT, OPENFLOW_PORT = 9696, 6653
DIRECTORY = sandbox.BED_DIRECTORY

CONFIGURATION = """\
[DEFAULT]
{default}
[database]
connection = {connection}
[api]
bind_host = 127.0.0.1
bind_port = {api}
[openflow]
listen_host = 127.0.0.1
listen_port = {openflow}
uplinks = {network}:uplink
echo_interval = 15
audit_interval = 0
request_timeout = 60
{extra}
[ovsdb]
enabled = {ovsdb}
[ml2]
project_network_types = vlan
[ml2_type_vlan]
network_vlan_ranges = {network}:1:4094
"""


class Controller:
    """The controller as ``osken-manager`` runs it, on a store in :data:`DIRECTORY`.

    With the environment variable ``BENCH_PROFILE`` py-spy writes the stacks of the n-th start to that path and ``.n``.
    """

    _profiles = 0

    def __init__(self, ovsdb: bool = False, extra: str = "", default: str = "", connection: str = "") -> None:
        """``extra`` are lines of ``[openflow]``, ``default`` of ``[DEFAULT]``; ``connection`` is another database."""
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        configuration = DIRECTORY / "isthmus.conf"
        configuration.write_text(CONFIGURATION.format(
            connection=connection or f"sqlite:///{DIRECTORY}/isthmus.sqlite", api=API_PORT, openflow=OPENFLOW_PORT,
            network=PHYSICAL_NETWORK, ovsdb=ovsdb, extra=extra, default=default,
        ))  # fmt: skip
        program = str(Path(sys.executable).with_name("osken-manager"))
        command = [program, "--config-file", str(configuration), "controller.app"]
        self.program = Program("controller", command, DIRECTORY / "controller.log")
        self.api = Client(f"http://127.0.0.1:{API_PORT}")

    def start(self, timeout: float = 60.0) -> float:
        """Start it; seconds until the API answered."""
        began = time.monotonic()
        self.program.start()
        profile = os.environ.get("BENCH_PROFILE")
        if profile:
            Controller._profiles += 1
            command = ["py-spy", "record", "-p", str(self.pid), "-f", "raw", "-r", "200", "-d", "900"]
            subprocess.Popen([*command, "-o", f"{profile}.{Controller._profiles}"], stdout=subprocess.DEVNULL)
        wait_for(self._answers, "the API answers", timeout, self.program.tail)
        return time.monotonic() - began

    def wait_quiet(self) -> None:
        """Wait until it has nothing left to do."""
        calm = 0
        while calm < 3:
            before = self.cpu()
            time.sleep(1)
            calm = calm + 1 if self.cpu() - before < 0.25 else 0

    def stop(self) -> None:
        """End it."""
        self.program.stop(timeout=20)

    @property
    def pid(self) -> int:
        """The process id."""
        process = self.program._process
        assert process is not None
        return process.pid

    def cpu(self) -> float:
        """Seconds of processor time of all its threads so far."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def memory(self, peak: bool = True) -> int:
        """MiB resident, now or at most."""
        wanted = "VmHWM:" if peak else "VmRSS:"
        return self._of_status(wanted) >> 10

    def resident(self) -> int:
        """KiB resident now."""
        return self._of_status("VmRSS:")

    def metrics(self) -> dict[str, float]:
        """What ``/metrics`` says: ``name|label value`` -> value."""
        with urllib.request.urlopen(f"{self.api.url}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        return {
            sample.name + "".join(f"|{value}" for _, value in sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def _of_status(self, wanted: str) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith(wanted)))

    def _answers(self) -> bool:
        if not self.program.running:
            raise RuntimeError(f"the controller ended:\n{self.program.tail()}")
        try:
            self.api.request("GET", "isthmus/health", timeout=2.0)
        except Exception:  # not yet, in one of many ways
            return False
        return True


class Fleet:
    """Simulated switches in a few processes."""

    def __init__(
        self, count: int, ports: int, processes: int = 2, first: int = 1, options: Sequence[str] = ()
    ) -> None:
        """``options`` are further ones of :mod:`bench.sim_switches`."""
        share, rest = divmod(count, processes)
        self._processes = []
        for number in range(processes):
            size = share + (number < rest)
            command = [sys.executable, "-m", "bench.sim_switches", "--commands", "--port", str(OPENFLOW_PORT)]
            command += ["--first", str(first), "--count", str(size), "--ports", str(ports), *options]
            self._processes.append(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
            )
            first += size
        self.count = count

    def do(self, what: str, **details: Any) -> list[dict[str, Any]]:
        """Give all processes a command; their answers."""
        line = json.dumps({"do": what, **details}) + "\n"
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(line)
            process.stdin.flush()
        return [json.loads(process.stdout.readline()) for process in self._processes if process.stdout is not None]

    def stats(self) -> dict[str, Any]:
        """The processes' statistics added up."""
        return add_up(self.do("stats"))

    def wait(self, condition: Callable[[dict[str, Any]], bool], what: str, timeout: float, pause: float = 0.1) -> (
        dict[str, Any]
    ):  # fmt: skip
        """Ask until the condition holds; the last statistics."""
        end = time.monotonic() + timeout
        while not condition(stats := self.stats()):
            if time.monotonic() > end:
                shown = {key: value for key, value in stats.items() if not isinstance(value, list)}
                raise TimeoutError(f"not within {timeout:.0f} s: {what}; {shown}")
            time.sleep(pause)
        return stats

    def end(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.kill()
            process.wait()


def add_up(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Numbers are added, lists joined; of ``last...`` and ``least...`` the extreme is kept."""
    total: dict[str, Any] = dict(answers[0])
    for answer in answers[1:]:
        for key, value in answer.items():
            if key.startswith("last"):
                total[key] = max(total[key], value)
            elif key.startswith("least"):
                total[key] = min(total[key], value)
            else:
                total[key] = total[key] + value
    return total


def wait_for(condition: Callable[[], object], what: str, timeout: float, tail: Callable[[], str] = str) -> None:
    """Poll until it holds; TimeoutError with the end of a log otherwise."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {timeout:.0f} s: {what}\n{tail()}")
        time.sleep(0.05)


def wait_for_quickly(condition: Callable[[], object], what: str, timeout: float) -> None:
    """Poll every two milliseconds."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {timeout:.0f} s: {what}")
        time.sleep(0.002)


def quantile(values: Iterable[float], share: float) -> float:
    """The value below which that share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
