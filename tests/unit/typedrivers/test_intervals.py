"""Pools as intervals: parsing, arithmetic, and the choice of a free number."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import ConfigurationError
from typedrivers import intervals
from typedrivers.intervals import Interval, Pool, choose, parse_range, stride

LIMITS = Interval(1, 2**32 - 1)


@dataclass
class UsedSet:
    """Numbers in use, in memory; counts what was asked."""

    numbers: set[int] = field(default_factory=set)
    asked: int = 0

    def highest(self, interval: Interval) -> int | None:
        self.asked += 1
        return max((number for number in self.numbers if number in interval), default=None)

    def among(self, numbers: Sequence[int]) -> set[int]:
        return self.numbers & set(numbers)

    def free_in_steps(self, first: int, last: int, step: int) -> int | None:
        number = first
        while number <= last:
            self.asked += 1
            if not self.among([number]):
                return number
            number += stride(number, step)
        return None

    def within(self, interval: Interval) -> set[int]:
        self.asked += 1
        return self.among(range(interval.first, interval.last + 1))

    def lowest_gap(self, interval: Interval) -> int | None:
        numbers = range(interval.first, interval.last + 1)
        return next((number for number in numbers if number not in self.numbers), None)


class AlmostFull(UsedSet):
    """A pool of which one in a hundred numbers is free, wherever: without holding a single number."""

    def highest(self, interval: Interval) -> int | None:
        self.asked += 1
        return interval.last

    def among(self, numbers: Sequence[int]) -> set[int]:
        return {number for number in numbers if not self.is_free(number)}

    def is_free(self, number: int) -> bool:
        return number % 100 == 7

    def lowest_gap(self, interval: Interval) -> int | None:
        raise AssertionError("a walk through a large pool")


small_intervals = st.tuples(st.integers(1, 60), st.integers(0, 12)).map(lambda pair: Interval(pair[0], sum(pair)))


def members(items: Sequence[Interval]) -> set[int]:
    return {number for item in items for number in range(item.first, item.last + 1)}


@given(st.lists(small_intervals, max_size=6))
def test_a_pool_is_the_union_of_its_intervals(items: list[Interval]) -> None:
    pool = Pool.of(items)
    assert pool.size == len(members(items))
    assert [pool.at(index) for index in range(pool.size)] == sorted(members(items))
    assert {number for number in range(80) if number in pool} == members(items)
    for lower, upper in zip(pool.intervals, pool.intervals[1:], strict=False):
        assert lower.last + 1 < upper.first
    with pytest.raises(IndexError):
        pool.at(pool.size)


@given(st.lists(small_intervals, max_size=4), st.sets(st.integers(1, 80)), st.booleans(), st.randoms())
def test_a_chosen_number_is_free_and_none_means_none(
    items: list[Interval], numbers: set[int], ordered: bool, source: random.Random
) -> None:
    pool = Pool.of(items)
    number = choose(pool, UsedSet(set(numbers)), source.randrange, ordered)
    free = members(items) - numbers
    assert number in free if free else number is None


@given(st.lists(small_intervals, min_size=1, max_size=4), st.randoms())
def test_taking_and_giving_back_in_any_order_reaches_every_number(
    items: list[Interval], source: random.Random
) -> None:
    pool, used = Pool.of(items), UsedSet()
    for _ in range(3):
        while (number := choose(pool, used, source.randrange)) is not None:
            assert number not in used.numbers
            used.numbers.add(number)
        assert used.numbers == members(items)
        used.numbers -= set(source.sample(sorted(used.numbers), len(used.numbers) // 2))


def test_a_large_pool_that_is_99_percent_full_is_not_walked_through() -> None:
    pool, source = Pool((Interval(1, 2**24),)), random.Random(1)
    for _ in range(200):
        used = AlmostFull()
        number = choose(pool, used, source.randrange)
        assert number is not None
        assert used.is_free(number)
        assert used.asked <= 1 + intervals.ROUNDS * intervals.SAMPLES


class OneHole(AlmostFull):
    """A pool of which one hundredth, in one place, is free."""

    def is_free(self, number: int) -> bool:
        return 9_000_000 <= number < 9_000_000 + 2**24 // 100


def test_a_hole_in_a_large_pool_is_found_at_once() -> None:
    pool, source = Pool((Interval(1, 2**24),)), random.Random(2)
    for _ in range(200):
        used = OneHole()
        number = choose(pool, used, source.randrange)
        assert number is not None
        assert used.is_free(number)
        assert used.asked <= 1 + 2 * intervals.SAMPLES


@pytest.mark.parametrize("used", [AlmostFull(), OneHole()], ids=["scattered", "one hole"])
def test_a_comb_leaves_spare_numbers_beside_the_one_that_it_found(used: AlmostFull) -> None:
    pool, source = Pool((Interval(1, 2**24),)), random.Random(3)
    for _ in range(50):
        spare = [99]
        number = choose(pool, used, source.randrange, spare=spare)
        assert number is not None
        assert 0 < len(spare) <= intervals.MOST_SPARE
        assert len({number, *spare}) == len(spare) + 1
        assert all(used.is_free(other) and other in pool and 0 < other - number <= intervals.NEAR for other in spare)


def test_who_did_not_comb_leaves_nothing() -> None:
    spare: list[int] = []
    assert choose(Pool((Interval(1, 2**24),)), UsedSet({1, 2, 3}), random.randrange, spare=spare) == 4
    assert spare == []


@given(st.lists(small_intervals, min_size=1, max_size=4), st.sets(st.integers(1, 80)), st.randoms())
def test_spare_numbers_stay_within_the_pool(items: list[Interval], numbers: set[int], source: random.Random) -> None:
    pool, spare = Pool.of(items), list[int]()
    number = choose(pool, UsedSet(numbers), source.randrange, ordered=False, spare=spare)
    assert set(spare) <= members(items) - numbers - {number}


def test_an_unused_pool_of_any_size_costs_one_question() -> None:
    used = UsedSet()
    assert choose(Pool((Interval(1, 2**32 - 1),)), used, random.randrange) == 1
    assert used.asked == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [("1", "not of the form"), ("a:b", "not of the form"), ("1:2:3", "not of the form"), ("", "not of the form"),
     ("-1:5", "not of the form"), ("9:5", "write 5:9"), ("0:5", "leaves the ids that exist, 1:4294967295"),
     ("1:4294967296", "leaves the ids")],
)  # fmt: skip
def test_wrong_ranges_name_the_option(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^\[ml2_type_gre\] tunnel_id_ranges: ") as failure:
        parse_range(text, LIMITS, "ml2_type_gre.tunnel_id_ranges")
    assert words in str(failure.value)


def test_ranges() -> None:
    assert parse_range(" 1 : 4294967295 ", LIMITS, "g.o") == Interval(1, 2**32 - 1)
    assert str(Pool.of([Interval(5, 9), Interval(1, 4), Interval(20, 20)])) == "1:9, 20:20"
    assert str(Pool(())) == "none"
