"""What a switch and a port take of the controller's memory, and how long garbage collections hold it up.

Resident memory of the controller with simulated switches at two sizes each; the difference, divided.
``python -m bench.memory``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import bed, scale
from bench.results import Result
from controller import garbage

FEW, MANY = 100, 1_000
"""Switches without ports."""

SWITCHES, PORTS, NETWORKS = 100, (1_000, 21_000), 50
"""Switches that carry so many ports in so many networks."""

PERIOD = 10.0
"""Seconds between collections in the process that is measured; the product's are ten minutes apart."""

PAUSES = "isthmus_garbage_pause_seconds"
LONGEST = 0.1
BAR = f"a regular garbage collection with {PORTS[1]:,} ports under {LONGEST * 1e3:.0f} ms"

MORE_OFTEN = f"""
import itertools
from controller import garbage

garbage.TICK, garbage.PERIOD = 2.0, {PERIOD}
original, turns = garbage.decide, itertools.count()

def alternately(*seen):
    step = original(*seen)
    if step is garbage.Step.RECENT and next(turns) % 2:
        return garbage.Step.EVERYTHING
    return step

garbage.decide = alternately
"""
"""Every second regular collection looks at everything."""


def layout(ports: int) -> scale.Layout:
    """Every network has ports on five switches."""
    each = ports // NETWORKS
    return scale.Layout(SWITCHES, [[1 + (network * 2 + place % 5) % SWITCHES for place in range(each)]
                                   for network in range(NETWORKS)])  # fmt: skip


@contextmanager
def frequent_collections() -> Iterator[None]:
    """Controllers started in here collect all garbage often."""
    folder = bed.DIRECTORY / "often"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(MORE_OFTEN)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{folder}:{Path(__file__).resolve().parents[1]}"
    try:
        yield
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


def measure(plan: scale.Layout, collections: bool = False) -> tuple[int, dict[str, float]]:
    """KiB resident once every switch has its program, and the metrics then, or after ``collections`` of both kinds."""
    scale.seed(bed.DIRECTORY, plan)
    controller = bed.Controller()
    fleet = bed.Fleet(plan.switches, plan.most_ports + 2, processes=2)
    try:
        with frequent_collections():
            controller.start()
        fleet.do("connect")
        bed.wait_for(lambda: _settled(controller, plan.switches), "all switches are in sync", 180)
        controller.wait_quiet()
        memory = controller.resident()
        if collections:
            bed.wait_for(lambda: controller.metrics()[f"{PAUSES}_count|everything"], "collections", 4 * PERIOD)
        return memory, controller.metrics()
    finally:
        fleet.end()
        controller.stop()


def _settled(controller: bed.Controller, switches: int) -> bool:
    time.sleep(0.3)
    health = controller.api.isthmus("health")
    return bool(health["nodes_connected"] >= switches and not health["nodes_behind"] + health["ports_undecided"])


def run() -> Result:
    """Switches, then ports."""
    result = Result("memory", BAR)
    few, many = (measure(scale.Layout(count, []))[0] for count in (FEW, MANY))
    result.add("memory per connected switch without ports", f"{FEW} switches: {few >> 10} MiB",
               f"{MANY:,} switches: {many >> 10} MiB", f"{(many - few) / (MANY - FEW):.0f} KiB each")  # fmt: skip
    small, (large, metrics) = measure(layout(PORTS[0]))[0], measure(layout(PORTS[1]), collections=True)
    per_port = (large - small) / (PORTS[1] - PORTS[0])
    result.add(f"memory per port, {SWITCHES} switches", f"{PORTS[0]:,} ports: {small >> 10} MiB",
               f"{PORTS[1]:,} ports: {large >> 10} MiB", f"{per_port:.1f} KiB each")  # fmt: skip
    recent, everything = (metrics[f"{PAUSES}_sum|{scope}"] / metrics[f"{PAUSES}_count|{scope}"]
                          for scope in ("recent", "everything"))  # fmt: skip
    result.add(f"a regular garbage collection (every {garbage.PERIOD:.0f} s), {PORTS[1]:,} ports",
               f"of everything, which was the rule: {everything * 1e3:.0f} ms", f"{recent * 1e3:.0f} ms",
               f"{everything / recent:.0f} x")  # fmt: skip
    result.judge(recent < LONGEST)
    return result


if __name__ == "__main__":
    from bench.all import single

    sys.exit(single("memory", run))
