"""Long computations that let others have their turn.

Under green threads a computation holds up every session of every switch until it waits for something; echo requests
then go unanswered. Loops over what may be very many things therefore go through :func:`in_turns`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

SLICE = 0.001
"""Seconds after which others have their turn."""


class _Turn:
    """When the present computation got its turn; one for the process, because computations call each other."""

    began = 0.0


def give_way() -> None:
    """Let others have their turn if this one has lasted :data:`SLICE`."""
    if time.monotonic() - _Turn.began > SLICE:
        time.sleep(0)
        _Turn.began = time.monotonic()


def in_turns(items: Iterable[T], at_once: int = 1) -> Iterator[T]:
    """The same items; every now and then others have their turn. The clock is looked at once for ``at_once`` items,
    where each of them takes little longer than that."""
    for place, item in enumerate(items):
        if place % at_once == 0:
            give_way()
        yield item
