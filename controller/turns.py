"""Long computations that let others have their turn.

Under green threads a computation holds up every session of every switch until it waits for something; echo requests
then go unanswered. Loops over what may be very many things therefore go through :func:`in_turns`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

STEPS = 128
"""Things between two turns: about two milliseconds of the slowest loops."""


def in_turns(items: Iterable[T], steps: int = STEPS) -> Iterator[T]:
    """The same items; every so many others have their turn."""
    left = steps
    for item in items:
        left -= 1
        if not left:
            left = steps
            time.sleep(0)
        yield item
