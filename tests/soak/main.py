"""The soak: ``SECONDS=600 SEED=7 DATABASE=postgresql python -m tests.support.sandbox python -m tests.soak.main``.

Exit status 1 with the seed, the journal and the logs of everything when an invariant did not hold.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from random import Random

from tests.soak import disturbances, invariants, operations
from tests.soak.disturbances import Disturbance
from tests.soak.world import QUIET, World
from tests.support.datacentre import DataCentre
from tests.support.postgres import cluster

RATE = 100.0
TUNNELLED, FORGIVEN = ("quiet-gre", "quiet-vxlan"), 12
"""Open vSwitch's userspace datapath forgets its tunnel routes for an instant whenever a port of it comes or goes, with
or without a controller (measured with none: 13 of 3600 frames over 30 ports); so many lost ones are no finding."""

TRACEBACK = "Traceback (most recent call last)"


class Soak:
    """Batch after batch, until the time is over or something is wrong."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._read: dict[Path, int] = {}
        self._dropped: dict[str, dict[str, int]] = {}

    def batch(self) -> list[str]:
        """Operations and disturbances, then every check; what is wrong."""
        world = self.world
        chosen = disturbances.chosen(world.dice)
        self._ping_start()
        self._act(chosen)
        seconds, problems = invariants.settle(world)
        if not problems:
            world.note(f"settled after {seconds:.1f} s")
            problems = invariants.traffic(world) + invariants.store(world)
        lost = self._ping_stop()
        drops = self._drops()
        if lost:
            expected = any(item.lossy for item in chosen)
            words = "; ".join(text for text, _ in lost.values())
            world.note(f"{'(expected)' if expected else 'LOSS'}: {words}; switches dropped {drops}")
            problems += (
                [] if expected else [text for name, (text, count) in lost.items() if not _forgiven(name, count)]
            )
        self._logs()
        return problems

    def _act(self, chosen: list[Disturbance]) -> None:
        world = self.world
        failed: list[str] = []

        def disturb(item: Disturbance, dice: Random) -> None:
            time.sleep(dice.uniform(0, 2))
            try:
                item.act(world, dice)
            except Exception:
                failed.append(traceback.format_exc())

        threads = [threading.Thread(target=disturb, args=(item, Random(world.dice.random()))) for item in chosen]
        for thread in threads:
            thread.start()
        for _ in range(world.dice.randint(3, 10)):
            operations.step(world)
            time.sleep(world.dice.choice((0.0, 0.0, 0.2, 0.8)))
        for thread in threads:
            thread.join()
        if failed:
            raise RuntimeError(f"a disturbance itself failed: {failed[0]}")

    def _ping_start(self) -> None:
        for network, a, b in QUIET:
            one, other = self.world.site.vms[f"{network}-{a}"], self.world.site.vms[f"{network}-{b}"]
            if one.site.echo([(one.name, other.ip)], 10.0)[0] is None:
                self.world.note(f"WRONG: {one.name} does not reach {other.name} before the batch")
            one.site.ping_start(one.name, one.name, other.ip, RATE)

    def _ping_stop(self) -> dict[str, tuple[str, int]]:
        """VM -> in words what was lost or doubled, and how many."""
        runs = [self.world.site.vms[f"{network}-{a}"] for network, a, _ in QUIET]
        with ThreadPoolExecutor() as pool:
            ended = list(pool.map(lambda vm: vm.site.ping_stop(vm.name), runs))
        found = {}
        for vm, result in zip(runs, ended, strict=True):
            if result["lost"] or result["duplicates"] or result["errors"]:
                lost = result["lost"]
                when = f", first after {lost[0] / RATE:.1f} s, last {lost[-1] / RATE:.1f} s" if lost else ""
                text = f"{vm.name}: of {result['sent']} lost {len(lost)}{when}, {result['duplicates']} doubled"
                found[vm.name] = f"{text}, {result['errors'][:3]}", len(lost) + 1000 * result["duplicates"]
        return found

    def _drops(self) -> dict[str, str]:
        """What each switch says that it dropped since the last question, by its own counters."""
        found = {}
        for node in self.world.site.switches:
            now = {words[0]: int(words[-1]) for line in node.ovs.appctl("coverage/show").splitlines()
                   if "drop" in line and (words := line.split())[-2] == "total:"}  # fmt: skip
            before, self._dropped[node.wiring.name] = self._dropped.get(node.wiring.name, {}), now
            more = {name: count - before.get(name, 0) for name, count in now.items() if count > before.get(name, 0)}
            if more:
                found[node.wiring.name] = ", ".join(f"{name} {count}" for name, count in more.items())
        return found

    def _logs(self) -> None:
        """Tracebacks are told as they come."""
        for path in self._log_files():
            text = path.read_text(errors="replace")[self._read.get(path, 0) :]
            self._read[path] = self._read.get(path, 0) + len(text)
            told = Counter(_raised(part) for part in text.split(TRACEBACK)[1:])
            for what, times in told.items():
                self.world.note(f"? {path.parent.name}: {times} tracebacks: {what}")
            for line in text.splitlines():
                if "repaired its tables" in line or " was given up " in line:
                    self.world.note(f"? {path.parent.name}: {line[:200]}")

    def _log_files(self) -> list[Path]:
        directory = self.world.site.controller.configuration.parent
        return [directory / "controller.log", *(directory.parent / host / "agent.log" for host in ("host1", "host2"))]


def _forgiven(name: str, count: int) -> bool:
    return name.startswith(TUNNELLED) and count <= FORGIVEN


def _raised(text: str) -> str:
    """The line below a traceback that says what was raised."""
    lines = (line for line in text.splitlines()[1:] if line and not line.startswith(" "))
    return next(lines, "-")[:160]


def main() -> int:
    """The program."""
    seed, seconds = int(os.environ.get("SEED") or time.time()), float(os.environ.get("SECONDS") or 120)
    end = time.monotonic() + seconds
    with ExitStack() as stack:
        database = stack.enter_context(cluster()) if os.environ.get("DATABASE") == "postgresql" else None
        world = World(DataCentre(), Random(seed), database)
        soak, batches = Soak(world), 0
        print(f"seed {seed}", flush=True)
        world.start()
        problems: list[str] = []
        while time.monotonic() < end and not problems:
            batches += 1
            world.note(f"--- batch {batches}")
            try:
                problems = soak.batch()
            except Exception:
                problems = [traceback.format_exc()]
        if problems:
            print(world.site.diagnosis())
            print("\n".join([*world.journal[-150:], "", f"SEED={seed}: batch {batches}:", *problems]))
            return 1
        print(f"seed {seed}: {batches} batches, nothing wrong")
        return 0


if __name__ == "__main__":
    sys.exit(main())
