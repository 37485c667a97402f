"""When Python looks for cyclic garbage.

The controller holds millions of small values that contain no cycles. Python's full collections walk over all of them
whenever their number has grown by a quarter: more than half of the time of compiling 100,000 flows went there, in
pauses of up to a second in which no echo request was answered. Garbage is therefore looked for among young objects
only, and everywhere once in a while.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

YOUNG, MIDDLE, OLD = 10_000, 10, 1_000
"""Net new objects until the youngest are looked at; then how many such rounds until the next generation is."""

PERIOD = 600.0
"""Seconds between full collections."""


def tune() -> None:
    """Set the thresholds of this process."""
    gc.set_threshold(YOUNG, MIDDLE, OLD)


def collect_for_ever(paused: Callable[[float], None] = lambda _seconds: None) -> None:
    """A full collection every now and then, for a thread of its own; ``paused`` hears how many seconds it took."""
    while True:
        time.sleep(PERIOD)
        began = time.monotonic()
        gc.collect()
        paused(time.monotonic() - began)
