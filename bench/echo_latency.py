"""How long switches wait for echo replies while another switch gets 100,000 flows: from its hello to its last flow.

``python -m bench.echo_latency``.
"""

from __future__ import annotations

import sys
import time

from bench import bed, scale
from bench.results import Result

IDLE, FLOWS = 20, 100_000
NETWORKS, HERE, THERE, NODES = 50, 10, 470, 100
"""Per network: ports on the switch that gets the flows, ports on nodes that are not connected; how many nodes."""

BAR = "p99 under 50 ms"


def layout() -> scale.Layout:
    """Switch 1 carries every network; 2 to 21 are idle; the others hold the remote ports and never connect."""
    first_remote = IDLE + 2
    networks = [[1] * HERE + [first_remote + (place + number) % NODES for place in range(THERE)]
                for number in range(NETWORKS)]  # fmt: skip
    return scale.Layout(first_remote + NODES, networks)


def run() -> Result:
    """Idle, then under load."""
    result = Result("echo_latency", BAR)
    plan = layout()
    scale.seed(bed.DIRECTORY, plan)
    controller = bed.Controller()
    fleet = bed.Fleet(IDLE, 8, processes=1, first=2)
    loaded = bed.Fleet(1, NETWORKS * HERE + 2, processes=1)
    try:
        controller.start()
        fleet.do("connect")
        fleet.wait(lambda now: len(now["introduced"]) == IDLE, "handshakes", 30)
        time.sleep(3)
        fleet.do("echo", interval=0.05)
        before = _echoes(fleet, 5)
        began = time.monotonic()
        loaded.do("connect")
        stats = loaded.wait(lambda now: now["flow_mods"] >= FLOWS * 0.95, "the flows", 120, pause=0.2)
        seconds = time.monotonic() - began
        during = fleet.stats()["echoes"]
        flows = stats["flow_mods"]
    finally:
        fleet.end()
        loaded.end()
        controller.stop()
    idle_p99, p99 = (bed.quantile(values, 0.99) * 1e3 for values in (before, during))
    result.add(f"echo reply, p99, while {flows:,} flows are compiled and sent in {seconds:.1f} s",
               f"idle {idle_p99:.1f} ms", f"{p99:.1f} ms", f"{p99 / idle_p99:.1f} x")  # fmt: skip
    result.add("the same, p50 and longest", f"idle {bed.quantile(before, 0.5) * 1e3:.1f}, {max(before) * 1e3:.0f} ms",
               f"{bed.quantile(during, 0.5) * 1e3:.1f}, {max(during) * 1e3:.0f} ms")  # fmt: skip
    result.notes.append(f"{len(during)} echoes of {IDLE} switches; {plan.ports:,} ports in the store.")
    result.judge(p99 < 50)
    return result


def _echoes(fleet: bed.Fleet, seconds: float) -> list[float]:
    fleet.do("reset")
    time.sleep(seconds)
    found: list[float] = fleet.stats()["echoes"]
    fleet.do("reset")
    return found


if __name__ == "__main__":
    from bench.all import single

    sys.exit(single("echo_latency", run))
