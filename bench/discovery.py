"""Links of 100 switches with 48 ports each, cabled as a ring of rings: found, kept, watched at what cost.

The whole controller as a process, and switches that are simulated (:mod:`bench.sim_cables`). Reference is os-ken's own
topology application (``os_ken.topology.switches``) on the same switches: it sleeps 50 ms after every probe.
``python -m bench.discovery [RINGS [SIZE]]``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from bench import bed
from bench.results import Result
from bench.scale import PHYSICAL_NETWORK
from bench.sim_cables import ring_of_rings
from tests.support.process import Program
from tests.unit.topology.cabling import Cabling, end
from topology.links import Role

RINGS, SIZE, PORTS = 10, 10, 48
IDLE, REFERENCE, FLOODED = 30.0, 40.0, 10.0
"""Seconds of watching, those that the reference gets, and those of a flood."""

MINUTES = 10
FLOOD = 20_000
BAR = "all links within 5 s of the last handshake; no link lost while idle, nor under a flood of frames from one port"

STOCK = """
import time
from os_ken.base import app_manager
from os_ken.controller.handler import set_ev_cls
from os_ken.ofproto import ofproto_v1_3
from os_ken.topology import event

class Stock(app_manager.OSKenApp):
    OFP_VERSIONS = [ofproto_v1_3.OFP_VERSION]

    def tell(self, what, link):
        print(what, time.monotonic(), link.src.dpid, link.dst.dpid, flush=True)

    @set_ev_cls(event.EventLinkAdd)
    def added(self, message):
        self.tell("LINK+", message.link)

    @set_ev_cls(event.EventLinkDelete)
    def gone(self, message):
        self.tell("LINK-", message.link)
"""


class Cabled:
    """The process of the simulated switches."""

    def __init__(self, rings: int, size: int) -> None:
        command = [sys.executable, "-m", "bench.sim_cables", "--port", str(bed.OPENFLOW_PORT)]
        command += ["--rings", str(rings), "--size", str(size), "--ports", str(PORTS)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def do(self, what: str, **details: Any) -> dict[str, Any]:
        """Give a command; its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": what, **details}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def reference(rings: int, size: int) -> tuple[int, int, float]:
    """What os-ken's own application finds in :data:`REFERENCE` seconds: links, links lost meanwhile, seconds of
    processor time."""
    path = bed.DIRECTORY / "stock_topology.py"
    path.write_text(STOCK)
    launcher = str(Path(sys.executable).with_name("osken-manager"))
    command = [launcher, "--ofp-listen-host", "127.0.0.1", "--observe-links", str(path), "os_ken.topology.switches"]
    log = bed.DIRECTORY / "stock_topology.log"
    stock = Program("stock", command, log)
    stock.start()
    switches = Cabled(rings, size)
    try:
        bed.wait_for(lambda: b":19FD" in Path("/proc/net/tcp").read_bytes(), "os-ken listens", 20, stock.tail)
        switches.do("connect")
        time.sleep(REFERENCE)
        cpu = _cpu(stock)
    finally:
        switches.end()
        stock.stop()
    lines = [line.split() for line in log.read_text().splitlines() if line.startswith("LINK")]
    there: set[tuple[str, ...]] = set()
    lost = 0
    for what, _, *ends in lines:
        (there.add if what == "LINK+" else there.discard)(tuple(ends))
        lost += what == "LINK-"
    return len({frozenset(pair) for pair in there}), lost, cpu


def in_injected_time(rings: int, size: int, seconds: float) -> tuple[int, int, float]:
    """The topology alone, without a controller, through that much time: links lost, probes, seconds of processor
    time."""
    made = Cabling()
    for (one, number), (other, far) in ring_of_rings(rings, size).items():
        if (one, number) < (other, far):
            made.cable(end(one, number), end(other, far))
    for number in range(1, rings * size + 1):
        for port in range(5, PORTS + 1):
            made.port(end(number, port), Role.FREE)
    made.captured = deque(maxlen=1)  # type: ignore[assignment]
    made.connect()
    made.run(2.0)
    began, sent = time.process_time(), made.sent
    made.run(seconds)
    return made.events.totals["link-down"], made.sent - sent, time.process_time() - began


def _cpu(program: Program) -> float:
    process = program._process
    assert process is not None
    tasks = Path(f"/proc/{process.pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


class Watch:
    """The controller with the switches."""

    def __init__(self, rings: int, size: int) -> None:
        self.wanted = len(ring_of_rings(rings, size)) // 2
        self.controller = bed.Controller(extra=f"[topology]\nphysical_networks = {PHYSICAL_NETWORK}")
        self.controller.start()
        self.switches = Cabled(rings, size)
        self.count = rings * size

    def links(self) -> int:
        """How many links there are."""
        return sum(row["state"] == "up" for row in self.controller.api.isthmus("links")["links"])

    def totals(self) -> dict[str, int]:
        """Events so far, by kind."""
        found: dict[str, int] = self.controller.api.isthmus("events")["totals"]
        return found

    def find(self) -> tuple[float, float, float]:
        """Seconds from the first connection to the last handshake, from there to the last link, and processor time."""
        cpu, began = self.controller.cpu(), time.monotonic()
        self.switches.do("connect")
        bed.wait_for(lambda: self.links() == self.wanted, "all links", 120, self.controller.program.tail)
        done = time.monotonic()
        last = max(self.switches.do("stats")["introduced"])
        return last - began, max(0.0, done - last), self.controller.cpu() - cpu

    def idle(self, seconds: float) -> tuple[float, float, int]:
        """Processor time and probes per second, and links lost."""
        time.sleep(5)
        lost, cpu = self.totals().get("link-down", 0), self.controller.cpu()
        sent, began = self.switches.do("frames")["sent"], time.monotonic()
        time.sleep(seconds)
        passed = time.monotonic() - began
        probes = (self.switches.do("frames")["sent"] - sent) / passed
        return (self.controller.cpu() - cpu) / passed, probes, self.totals().get("link-down", 0) - lost

    def pull(self) -> tuple[float, float]:
        """Milliseconds until a link that goes down is gone, by the API, and of processor time."""
        cpu, began = self.controller.cpu(), time.monotonic()
        self.switches.do("port", switch=1, number=1, up=False)
        bed.wait_for_quickly(lambda: self.links() == self.wanted - 1, "the link is gone", 20)
        passed = time.monotonic() - began
        time.sleep(1.0)
        spent = self.controller.cpu() - cpu
        self.switches.do("port", switch=1, number=1, up=True)
        bed.wait_for(lambda: self.links() == self.wanted, "the link is back", 20)
        return passed * 1000, spent * 1000

    def flood(self, seconds: float) -> tuple[float, float, int]:
        """Share of a processor and the slowest answer of the API in ms while frames pour in by one port, and links
        lost."""
        lost, cpu, slowest = self.totals().get("link-down", 0), self.controller.cpu(), 0.0
        self.switches.do("flood", switch=self.count // 2, number=20, rate=FLOOD)
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            asked = time.monotonic()
            self.controller.api.isthmus("health")
            slowest = max(slowest, time.monotonic() - asked)
            time.sleep(0.1)
        passed = time.monotonic() - began
        share = (self.controller.cpu() - cpu) / passed
        self.switches.do("flood", switch=self.count // 2, number=20, rate=0)
        return share, slowest * 1000, self.totals().get("link-down", 0) - lost

    def end(self) -> None:
        """End both."""
        self.switches.end()
        self.controller.stop()


def run(rings: int = RINGS, size: int = SIZE) -> Result:
    """All of it, and the reference."""
    result = Result("discovery", BAR)
    bed.DIRECTORY.mkdir(parents=True, exist_ok=True)
    known, flaps, stock_cpu = reference(rings, size)
    watch = Watch(rings, size)
    try:
        handshakes, links, found_cpu = watch.find()
        share, probes, lost = watch.idle(IDLE)
        gone, spent = watch.pull()
        flooded, slowest, lost_in_flood = watch.flood(FLOODED)
        suppressed = watch.totals().get("too-many", 0)
    finally:
        watch.end()
    result.add(f"{watch.wanted} links of {watch.count} switches with {PORTS} ports",
               f"stock os-ken: {known} links after {REFERENCE:.0f} s, CPU {stock_cpu:.1f} s, {flaps} lost meanwhile",
               f"all {links:.2f} s after the last handshake, that {handshakes:.2f} s after the first; "
               f"CPU {found_cpu:.2f} s",
               f"{REFERENCE / max(links, 0.01):.0f} x or more" if known < watch.wanted else "")  # fmt: skip
    result.add(
        f"idle for {IDLE:.0f} s", "-", f"{share * 100:.1f} % of one core for {probes:.0f} probes/s; {lost} links lost"
    )
    result.add("a link goes down", "-", f"known after {gone:.0f} ms; CPU {spent:.0f} ms with all new programs")
    result.add(f"{FLOOD:,} frames/s by one port for {FLOODED:.0f} s", "idle",
               f"{flooded * 100:.0f} % of one core; slowest answer of the API {slowest:.0f} ms; {lost_in_flood} links "
               f"lost; {suppressed} frames noted as too many")  # fmt: skip
    flaps_in_time, sent, spent = in_injected_time(rings, size, MINUTES * 60)
    result.add(f"{MINUTES} minutes of injected time, discovery alone", "-",
               f"{flaps_in_time} links lost; {sent:,} probes, both ends in {spent:.1f} s of CPU")  # fmt: skip
    result.judge(links < 5 and lost == lost_in_flood == flaps_in_time == 0)
    return result


if __name__ == "__main__":
    from bench.all import single

    sys.exit(single("discovery", run, [int(item) for item in sys.argv[1:]]))
