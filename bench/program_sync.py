"""How fast an empty Open vSwitch gets a whole program, against ``ovs-ofctl --bundle add-flows`` of the same flows.

``python -m bench.program_sync [FLOWS...]``. Runs in the driver of the southbound's tests: os-ken as under
``osken-manager``, a private Open vSwitch. In every round, each on a bridge of its own: a program just compiled, of
which nothing is hashed or encoded; the same program again (another switch of the same networks, or this one after
ovs-vswitchd has restarted); its bytes written at once, which is what Open vSwitch itself takes; ``ovs-ofctl`` with
what is then on the switch; and a program that is compiled on the way. From the call to the acknowledgement; medians
count.
"""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import programs
from bench.results import Result
from controller import garbage
from controller.dataplane.encoder import (
    OF14,
    BundleType,
    GroupCommand,
    bundle_adds,
    bundle_control,
    encode_fragment,
    encode_group,
)
from controller.dataplane.values import Program

if TYPE_CHECKING:
    from tests.ovs.world import World

SIZES = (10_000, 100_000)
ROUNDS = 3
LEAST = 1.3
BAR = f"at least {LEAST} times the rate of ovs-ofctl --bundle add-flows, until acknowledged, 10k and 100k flows"
OURS, THEIRS = "ours", "theirs"
RAW_BUNDLE = 0x2000


@dataclass(frozen=True)
class Taken:
    """Of one run, per flow: seconds, and processor seconds of this process and of ovs-vswitchd."""

    seconds: float
    own_cpu: float
    switch_cpu: float


class Round:
    """Measurements of one program on fresh bridges."""

    def __init__(self, world: World, program: Program, flows: int, number: int) -> None:
        self._world, self._program, self._flows, self._number = world, program, flows, number
        pid = int((world.bed.directory / "vswitchd.pid").read_text())
        self._tasks = Path(f"/proc/{pid}/task")

    def by_controller(self) -> Taken:
        """The controller's own path, for a switch that has just become ready."""
        node_id = self._world.switch(name=OURS, datapath_id=self._next())
        taken = self._timed(lambda: self._world.southbound.apply(node_id, self._program))
        self._remove(OURS)
        return taken

    def raw(self) -> Taken:
        """All bytes written at once to the bridge's own socket."""
        from tests.ovs.encoder_probe import Session, management_socket

        bed, program = self._world.bed, self._program
        bed.add_bridge(OURS, self._next())
        session = Session(management_socket(bed.directory, OURS), OF14)
        session.ask(b"".join([encode_group(group, GroupCommand.ADD, OF14) for group in program.groups()]))
        flows = [message for item in program.fragments.values() for message in encode_fragment(item, OF14).flows]
        controls = (BundleType.OPEN_REQUEST, BundleType.CLOSE_REQUEST, BundleType.COMMIT_REQUEST)
        begin, *end = (bundle_control(RAW_BUNDLE, kind, OF14) for kind in controls)
        buffer = b"".join([begin, bundle_adds(RAW_BUNDLE, flows, OF14), *end])
        return self._timed(lambda: session.ask(buffer))

    def by_ofctl(self) -> Taken:
        """``ovs-ofctl`` with the flows that the bridge of :meth:`raw` holds; removes it."""
        bed = self._world.bed
        flows, groups = bed.directory / "flows.txt", bed.directory / "groups.txt"
        dump = [line for line in bed.ofctl("--no-names", "--no-stats", "dump-flows", OURS).splitlines()
                if "actions=" in line]  # fmt: skip
        if len(dump) != self._flows - 1:
            raise RuntimeError(f"the switch has {len(dump)} flows instead of {self._flows - 1}")
        flows.write_text("\n".join(dump) + "\n")
        described = bed.ofctl("--no-names", "dump-groups", OURS).splitlines()
        groups.write_text("\n".join(line.strip() for line in described if "group_id" in line) + "\n")
        bed.add_bridge(THEIRS, 0xFFFF)
        bed.ofctl("add-groups", THEIRS, str(groups))
        taken = self._timed(lambda: _waited_for(bed.directory, "--bundle", "add-flows", THEIRS, str(flows)))
        self._remove(OURS, THEIRS)
        return taken

    def _timed(self, work: Callable[[], object]) -> Taken:
        """``work`` may say how many processor seconds it took itself."""
        gc.collect()
        began, own, switch = time.perf_counter(), time.process_time(), self._switch_cpu()
        said = work()
        seconds, own = time.perf_counter() - began, time.process_time() - own
        cpu = said if isinstance(said, float) else own
        return Taken(*(each / self._flows for each in (seconds, cpu, self._switch_cpu() - switch)))

    def _switch_cpu(self) -> float:
        return sum(int(task.read_text().split()[0]) for task in self._tasks.glob("*/schedstat")) / 1e9

    def _remove(self, *bridges: str) -> None:
        for bridge in bridges:
            self._world.bed.vsctl("del-br", bridge)

    def _next(self) -> int:
        self._number += 1
        return self._number


def _waited_for(directory: Path, *arguments: str) -> float:
    """Run ``ovs-ofctl`` and wait for nothing else, so that its end is seen at once; its processor seconds."""
    environment = {**os.environ, "OVS_RUNDIR": str(directory)}
    pid = os.posix_spawnp("ovs-ofctl", ("ovs-ofctl", "-vconsole:off", "-O", "OpenFlow14", *arguments), environment)
    _, status, used = os.wait4(pid, 0)
    if status:
        raise RuntimeError(f"ovs-ofctl {' '.join(arguments)} failed")
    return used.ru_utime + used.ru_stime


def measure(world: World) -> None:
    """The scenario; writes its result by itself."""
    from bench import results

    garbage.tune()
    result = Result("program_sync", BAR)
    for number, size in enumerate(int(item) for item in os.environ["BENCH_FLOWS"].split()):
        _compare(world, size, 1 + number * ROUNDS * 10, result)
    result.notes.append(NOTE)
    results.write([result])
    if not result.met:
        raise SystemExit(f"not met: {BAR}")


NOTE = (
    "Fresh: compiled, but nothing hashed or encoded. Ready: encoded before, for another switch or before ovs-vswitchd "
    "restarted. Bytes at once: one buffer over a Unix socket, groups and stamp left out, which is how fast Open "
    "vSwitch takes it. Not compiled: flows are made while the switch waits (no bar). CPU is per flow, of the sender "
    "and of ovs-vswitchd. A rate counts flows; the controller sends the groups in the same time, ovs-ofctl has "
    "sent them before."
)

FRESH, READY, RAW, LATE = "fresh", "ready", "bytes at once", "not compiled"
REFERENCE = "ovs-ofctl --bundle add-flows"


def _compare(world: World, size: int, first: int, result: Result) -> None:
    networks = programs.networks_for(size)
    taken: dict[str, list[Taken]] = {name: [] for name in (FRESH, READY, RAW, REFERENCE, LATE)}
    for turn in range(ROUNDS):
        program = programs.compiled(networks)
        count, groups = sum(1 for _ in program.flows()) + 1, sum(1 for _ in program.groups())
        round_ = Round(world, program, count, first + turn * 10)
        steps = (round_.by_controller, round_.by_controller, round_.raw, round_.by_ofctl)
        for name, step in zip(taken, steps, strict=False):
            taken[name].append(step())
        taken[LATE].append(Round(world, programs.compiled(networks), count, first + turn * 10 + 5).by_controller())
    theirs = 1 / _median(taken[REFERENCE], "seconds")
    result.add(f"{count:,} flows, {groups:,} groups: {REFERENCE}", "-", _said(taken[REFERENCE]))
    for name in (FRESH, READY, RAW, LATE):
        ratio = 1 / _median(taken[name], "seconds") / theirs
        result.add(f"{name}, {count:,} flows", f"{theirs:,.0f} flows/s", _said(taken[name]), f"{ratio:.2f} x")
        result.judge(ratio >= LEAST or name == LATE)


def _said(runs: Sequence[Taken]) -> str:
    rate, own, switch = 1 / _median(runs, "seconds"), _median(runs, "own_cpu"), _median(runs, "switch_cpu")
    return f"{rate:,.0f} flows/s; CPU {own * 1e6:.1f} us, ovs-vswitchd {switch * 1e6:.1f} us"


def _median(runs: Sequence[Taken], what: str) -> float:
    return statistics.median(getattr(run, what) for run in runs)


def run(*sizes: int) -> Result:
    """In a process of its own, where everything is green; the result is already written."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.ovs.driver", "bench.program_sync:measure"]
    flows = " ".join(map(str, sizes or SIZES))
    status = subprocess.call(command, env={**os.environ, "BENCH_FLOWS": flows, "SCENARIO_LOG": "WARNING"})
    return Result("program_sync", BAR, met=status == 0, written=True)


if __name__ == "__main__":
    from bench.all import single

    sys.exit(single("program_sync", run, [int(item) for item in sys.argv[1:]]))
