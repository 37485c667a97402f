"""When Python looks for cyclic garbage.

The controller holds millions of small values that contain no cycles. Python's full collections walk over all of them
whenever their number has grown by a quarter: more than half of the time of compiling 100,000 flows went there, in
pauses of up to a second in which no echo request was answered; with 40,000 ports one takes seconds. Therefore:

- garbage is looked for among young objects, as ever;
- what has grown old is set aside every now and then and not looked at again, so that the regular look at the rest is
  short whatever the size of the store;
- what comes with a storm of switches lives as long as they are connected, and is set aside while it comes;
- everything is looked at only when memory has grown by half since that was done last: what was set aside and became
  garbage in a cycle since then is found there, and cannot be more than that.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

YOUNG, MIDDLE, OLD = 100_000, 1_000, 1_000
"""Net new objects until the youngest are looked at, which takes a few milliseconds; then how many such rounds until
the next generation is. That is as good as never: what outlives the first look waits for the regular collection. With
a tenth of the objects and ten rounds, all that a storm of switches leaves was looked at twice, for a tenth of what it
costs."""

TICK, PERIOD = 10.0, 600.0
"""Seconds between two glances at how much is new, and between two regular collections."""

MANY = 200_000
"""New objects that are set aside without a look: more than can be looked at in a few dozen milliseconds."""

GROWTH, LEAST_GROWTH = 1.5, 256 << 20
"""Factor and bytes by which memory must have grown for everything to be looked at."""


STORM, STORM_LASTS = 64, 1.0
"""So many switches that come within so many seconds are a storm."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Small objects (blocks of Python's allocator) and resident bytes."""

    blocks: int
    resident: int


class Step(Enum):
    """What to do; the values are labels of the metric of pauses."""

    NOTHING = ""
    SET_ASIDE = "set aside"
    RECENT = "recent"
    EVERYTHING = "everything"


def decide(now: Memory, last: Memory, full: Memory | None, due: bool) -> Step:
    """``last`` is the memory when objects were set aside last, ``full`` when everything was looked at (None: never;
    then the first regular collection counts as that), ``due`` whether it is time for a regular collection."""
    if due and full is not None:
        grown = now.resident - full.resident
        if grown >= LEAST_GROWTH and now.resident > GROWTH * full.resident:
            return Step.EVERYTHING
    if now.blocks - last.blocks > MANY:
        return Step.SET_ASIDE
    return Step.RECENT if due else Step.NOTHING


def tune() -> None:
    """Set the thresholds of this process."""
    gc.set_threshold(YOUNG, MIDDLE, OLD)


def keep() -> None:
    """Set aside what there is, without a look: what was loaded at the start is no garbage."""
    gc.freeze()


def measure() -> Memory:
    """This process, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Memory(sys.getallocatedblocks(), pages * os.sysconf("SC_PAGE_SIZE"))


class Arrivals:
    """Hears of switches that come, and sets aside what there is while very many do: to look through what a thousand
    bring takes a tenth of what they cost, and nothing of it is garbage."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, set_aside: Callable[[], None] = gc.freeze) -> None:
        self._clock, self._set_aside = clock, set_aside
        self._count, self._since = 0, clock()

    def one_more(self) -> None:
        """A switch came."""
        self._count += 1
        if self._count < STORM:
            return
        now = self._clock()
        if now - self._since < STORM_LASTS:
            self._set_aside()
        self._count, self._since = 0, now


def collect_for_ever(paused: Callable[[str, float], None] = lambda _what, _seconds: None) -> None:
    """For a thread of its own; ``paused`` hears what was looked at and how many seconds it took."""
    last, full, since = measure(), None, time.monotonic()
    while True:
        time.sleep(TICK)
        now, due = measure(), time.monotonic() - since >= PERIOD
        step = decide(now, last, full, due)
        if step is Step.NOTHING:
            continue
        began = time.monotonic()
        _carry_out(step)
        if step is not Step.SET_ASIDE:
            paused(step.value, time.monotonic() - began)
        last = measure()
        if due:
            since = time.monotonic()
            full = last if full is None or step is Step.EVERYTHING else full


def _carry_out(step: Step) -> None:
    """Objects that were looked at are set aside too."""
    if step is Step.EVERYTHING:
        gc.unfreeze()
    if step is not Step.SET_ASIDE:
        gc.collect()
    gc.freeze()
