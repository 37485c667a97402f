"""One port is added to a network that many switches carry: what it costs the controller per switch.

500 switches and 50,000 ports in the store against 5 switches and 500 ports. ``python -m bench.one_port [SWITCHES]``.
"""

from __future__ import annotations

import sys
import time

from bench import bed, scale
from bench.results import Result

SMALL, LARGE, TIMES = 5, 500, 30
CLUSTER, LOCAL_NETWORKS, PORTS = 5, 3, 33
"""Besides the wide network every 5 switches share 3 networks with 33 ports on each switch: 100 ports a switch."""

BAR = "p99 of the CPU per switch no higher than with 5 switches"


def layout(switches: int) -> scale.Layout:
    """Network 0 has a port on every switch."""
    networks = [list(range(1, switches + 1))]
    for first in range(1, switches + 1, CLUSTER):
        members = range(first, first + CLUSTER)
        networks += [[switch for switch in members for _ in range(PORTS)] for _ in range(LOCAL_NETWORKS)]
    return scale.Layout(switches, networks)


def measure(switches: int) -> tuple[list[float], list[float], int]:
    """CPU seconds and seconds of each addition until the last switch has its flows; ports in the store."""
    plan = layout(switches)
    scale.seed(bed.DIRECTORY, plan)
    controller = bed.Controller()
    fleet = bed.Fleet(switches, plan.most_ports + TIMES + 4, processes=2 if switches > 50 else 1)
    cpu, seconds = [], []
    try:
        controller.start()
        fleet.do("connect")
        fleet.wait(lambda now: now["least_flows"] > 4 * switches, "first programs", 180)
        controller.wait_quiet()
        for number in range(TIMES):
            fleet.do("reset")
            before, began = controller.cpu(), time.monotonic()
            controller.api.create(
                "port", network_id=scale.network_id(0), device_owner="compute:b",
                **{"binding:vnic_type": "baremetal",
                   "binding:profile": scale.local_link(1 + number % switches, plan.most_ports + 1 + number)},
            )  # fmt: skip
            stats = fleet.wait(lambda now: now["flow_mods"] >= 5 * switches, "the port is everywhere", 60, pause=0.02)
            seconds.append(stats["last_activity"] - began)
            time.sleep(0.25)
            cpu.append(controller.cpu() - before)
    finally:
        fleet.end()
        controller.stop()
    return cpu, seconds, plan.ports


def run(large: int = LARGE) -> Result:
    """Both sizes."""
    result = Result("one_port", BAR)
    figures = {}
    for switches in (SMALL, large):
        cpu, seconds, ports = measure(switches)
        figures[switches] = [item / switches * 1e3 for item in cpu], seconds, ports
    (small, small_time, small_ports), (big, big_time, ports) = figures[SMALL], figures[large]
    for share in (0.5, 0.99):
        here, there = bed.quantile(small, share), bed.quantile(big, share)
        result.add(f"CPU per switch, p{share * 100:.0f}, {large} switches, {ports:,} ports",
                   f"{SMALL} switches, {small_ports:,} ports: {here:.2f} ms", f"{there:.2f} ms",
                   f"{there / here:.2f} x")  # fmt: skip
    result.add("until the last switch has acknowledged, p50 and p99",
               f"{bed.quantile(small_time, 0.5) * 1e3:.0f}, {bed.quantile(small_time, 0.99) * 1e3:.0f} ms",
               f"{bed.quantile(big_time, 0.5) * 1e3:.0f}, {bed.quantile(big_time, 0.99) * 1e3:.0f} ms")  # fmt: skip
    result.judge(bed.quantile(big, 0.99) <= bed.quantile(small, 0.99))
    return result


if __name__ == "__main__":
    from bench.all import single

    sys.exit(single("one_port", run, [int(item) for item in sys.argv[1:]]))
