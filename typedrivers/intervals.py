"""Intervals of numbers: how pools are described, parsed and searched. Pure; nothing here is proportional to a pool."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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

    def lowest_gap(self, interval: Interval) -> int | None:
        """The lowest number of the interval that is not in use. May walk over every used number below it."""


SMALL = 2_048
"""A pool this small is searched from its lower end, which is cheaper than guessing."""
SAMPLES = 512
ROUNDS = 4

Below = Callable[[int], int]
"""``below(n)``: a random number from 0 to n - 1."""


def choose(pool: Pool, used: Used, below: Below, ordered: bool = True) -> int | None:
    """A free number of the pool, None when there is none.

    First the one after the highest in use. When the end is reached, a small pool is searched from below, and of a
    large one random numbers are looked up, :data:`SAMPLES` at a time: wherever the free ones lie, 1 % free are missed
    by all rounds with a probability below 1e-8. What remains, a large pool with hardly any free number, is walked
    through. ``ordered=False`` skips the first step: whoever just lost a number to somebody else chooses elsewhere.
    """
    if ordered:
        for interval in pool.intervals:
            highest = used.highest(interval)
            number = interval.first if highest is None else highest + 1
            if number in interval:
                return number
    if pool.size > SMALL or not ordered:
        for _ in range(ROUNDS):
            guess = _guess(pool, used, below)
            if guess is not None:
                return guess
    gaps = (used.lowest_gap(interval) for interval in pool.intervals)
    return next((gap for gap in gaps if gap is not None), None)


def _guess(pool: Pool, used: Used, below: Below) -> int | None:
    size = pool.size
    if not size:
        return None
    numbers = list(dict.fromkeys(pool.at(below(size)) for _ in range(min(SAMPLES, size))))
    taken = used.among(numbers)
    return next((number for number in numbers if number not in taken), None)


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
