"""A switch that is already right comes back: our look at its stamp, against ``ovs-ofctl dump-flows`` of its flows.

``python -m bench.resync [FLOWS]``. Runs in the driver of the southbound's tests: os-ken as under ``osken-manager``, a
private Open vSwitch.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from bench.programs import sized
from bench.results import Result

if TYPE_CHECKING:
    from tests.ovs.world import World

FLOWS, TIMES = 100_000, 5
BAR = "at least 50 times faster than dump-flows"


def measure(world: World) -> None:
    """The scenario; writes its result by itself."""
    from bench import results
    from controller.southbound.applying import FRESH

    program = sized(int(os.environ["BENCH_FLOWS"]))
    node_id = world.switch()
    world.southbound.apply(node_id, program)
    ours, dumps = [], []
    for _ in range(TIMES):
        world.reconnect()
        time.sleep(FRESH + 0.1)  # so that the stamp is read again, within what is measured
        began = time.perf_counter()
        applied = world.southbound.apply(node_id, program)
        ours.append(time.perf_counter() - began)
        assert applied.adopted
        began = time.perf_counter()
        count = world.bed.ofctl("dump-flows", "br0").count("cookie=")
        dumps.append(time.perf_counter() - began)
    result = Result("resync", BAR)
    mine, theirs = statistics.median(ours), statistics.median(dumps)
    result.add(f"a switch with {count:,} flows is found to be right", f"ovs-ofctl dump-flows {theirs * 1e3:.0f} ms",
               f"{mine * 1e3:.1f} ms", f"{theirs / mine:.0f} x")  # fmt: skip
    result.judge(theirs / mine >= 50)
    results.write([result])
    if not result.met:
        raise SystemExit(f"not met: {BAR}")


def run(flows: int = FLOWS) -> Result:
    """In a process of its own, where everything is green; the result is already written."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.ovs.driver", "bench.resync:measure"]
    environment = {**os.environ, "BENCH_FLOWS": str(flows), "SCENARIO_LOG": "WARNING"}
    status = subprocess.call(command, env=environment)
    return Result("resync", BAR, met=status == 0, written=True)


if __name__ == "__main__":
    from bench.all import single

    sys.exit(single("resync", run, [int(item) for item in sys.argv[1:]]))
