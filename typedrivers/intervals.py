"""Intervals of numbers: how pools are described, parsed and searched. Pure; nothing here is proportional to a pool."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from controller.errors import ConfigurationError


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """The numbers from ``first`` to ``last``, both included."""

    first: int
    last: int

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"{self.first}:{self.last}"


@dataclass(frozen=True, slots=True)
class Pool:
    """Disjoint, ordered intervals."""

    intervals: tuple[Interval, ...]

    @classmethod
    def of(cls, intervals: Iterable[Interval]) -> Pool:
        """Join intervals that overlap or touch."""
        joined: list[Interval] = []
        for interval in sorted(intervals):
            if joined and interval.first <= joined[-1].last + 1:
                joined[-1] = Interval(joined[-1].first, max(joined[-1].last, interval.last))
            else:
                joined.append(interval)
        return cls(tuple(joined))

    def without(self, removed: Iterable[Interval]) -> Pool:
        """The numbers that are in none of these intervals."""
        remaining = list(self.intervals)
        for gone in removed:
            below = [Interval(item.first, min(item.last, gone.first - 1)) for item in remaining]
            above = [Interval(max(item.first, gone.last + 1), item.last) for item in remaining]
            remaining = [part for part in (*below, *above) if part.first <= part.last]
        return Pool.of(remaining)

    @property
    def size(self) -> int:
        """How many numbers the pool holds."""
        return sum(interval.last - interval.first + 1 for interval in self.intervals)

    def at(self, index: int) -> int:
        """The number at an index of the whole pool, 0 for the lowest."""
        for interval in self.intervals:
            length = interval.last - interval.first + 1
            if index < length:
                return interval.first + index
            index -= length
        raise IndexError("beyond the end of the pool")

    def __contains__(self, number: int) -> bool:
        return any(number in interval for interval in self.intervals)

    def __str__(self) -> str:
        return ", ".join(map(str, self.intervals)) or "none"


class Used(Protocol):
    """The numbers in use, as a database index can tell cheaply."""

    def highest(self, interval: Interval) -> int | None:
        """The highest number in use within the interval. One index look-up."""

    def among(self, numbers: Sequence[int]) -> set[int]:
        """Which of these are in use. One index look-up each."""

    def free_in_steps(self, first: int, last: int, step: int) -> int | None:
        """The first free one of some numbers from ``first`` up to ``last``, each :func:`stride` above the one before.
        One index look-up each, in one question."""

    def within(self, interval: Interval) -> Collection[int]:
        """The numbers in use of a short interval. One walk along the index."""

    def lowest_gap(self, interval: Interval) -> int | None:
        """The lowest number of the interval that is not in use. May walk over every used number below it."""


SMALL = 2_048
"""A pool this small is searched from its lower end, which is cheaper than guessing."""
SAMPLES = 256
ROUNDS = 8

NEAR = 1_024
"""How far from a number that a comb found others are looked for: a walk along the index costs a tenth of a comb."""
MOST_SPARE = 64

Below = Callable[[int], int]
"""``below(n)``: a random number from 0 to n - 1."""


def choose(pool: Pool, used: Used, below: Below, ordered: bool = True, spare: list[int] | None = None) -> int | None:
    """A free number of the pool, None when there is none.

    First the one after the highest in use. When the end is reached, a small pool is searched from below, and a large
    one is combed from a random number on, in about :data:`SAMPLES` steps: a hole of a two-hundredth of the pool is
    found for certain, and if 1 % are free here and there, all rounds miss them with a probability below 1e-8. What
    remains, a large pool with hardly any free number, is walked through. ``ordered=False`` skips the first step:
    whoever just lost a number to somebody else chooses elsewhere. ``spare`` is given some free numbers beside one that
    a comb found, so that not everybody needs to comb.
    """
    if ordered:
        for interval in pool.intervals:
            highest = used.highest(interval)
            number = interval.first if highest is None else highest + 1
            if number in interval:
                return number
    if pool.size > SMALL or not ordered:
        for _ in range(ROUNDS):
            found = _comb(pool, used, below)
            if found is not None:
                if spare is not None:
                    spare[:] = _free_after(found, pool, used)
                return found
    gaps = (used.lowest_gap(interval) for interval in pool.intervals)
    return next((gap for gap in gaps if gap is not None), None)


def _free_after(number: int, pool: Pool, used: Used) -> list[int]:
    """Free numbers after a free one, the nearest last, because lists are emptied from their end."""
    interval = next(interval for interval in pool.intervals if number in interval)
    near = Interval(number + 1, min(number + NEAR, interval.last))
    taken = set(used.within(near))
    free = [other for other in range(near.first, near.last + 1) if other not in taken]
    return free[:MOST_SPARE][::-1]


def _comb(pool: Pool, used: Used, below: Below) -> int | None:
    """Numbers at nearly equal distances, from a random one on and round."""
    size = pool.size
    if not size:
        return None
    step = max(1, size * 4 // (SAMPLES * 5))
    start = pool.at(below(size))
    ordered = sorted(pool.intervals, key=lambda interval: (interval.last < start, interval.first))
    for interval in ordered:
        first = max(start, interval.first) if start in interval else interval.first + below(min(step, len(interval)))
        found = used.free_in_steps(first, interval.last, step)
        if found is not None:
            return found
    here = next(interval for interval in pool.intervals if start in interval)
    return used.free_in_steps(here.first + below(min(step, len(here))), start - 1, step)


def stride(number: int, step: int) -> int:
    """The distance to the next number: ``step`` and up to a quarter more, so that no pattern slips through the comb.

    The modulus is odd: with an even one all numbers after an even one would be even.
    """
    return step + number % (step // 4 | 1)


def parse_range(text: str, limits: Interval, option: str) -> Interval:
    """``<first>:<last>`` within the protocol's limits. Raises ConfigurationError naming the option."""
    wanted = f"[{option.partition('.')[0]}] {option.partition('.')[2]}"
    first, separator, last = (part.strip() for part in text.partition(":"))
    if not (separator and first.isascii() and first.isdigit() and last.isascii() and last.isdigit()):
        raise ConfigurationError(f"{wanted}: '{text}' is not of the form <first>:<last>")
    interval = Interval(int(first), int(last))
    if interval.first > interval.last:
        raise ConfigurationError(f"{wanted}: '{text}' ends before it begins; write {last}:{first}")
    if interval.first not in limits or interval.last not in limits:
        raise ConfigurationError(f"{wanted}: '{text}' leaves the ids that exist, {limits}")
    return interval
