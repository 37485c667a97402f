"""What every type driver must do. A third party runs it on a driver of its own::

from tests.conformance.typedrivers import TypeDriverConformance

class TestMine(TypeDriverConformance):
    case = Case("mine", options={"ml2_type_mine": {"ranges": ["1:20"]}}, project_size=20)
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from neutron_lib.exceptions import BadRequest, InUse, NoNetworkAvailable
from sqlalchemy.orm import Session

from controller.db.migrate import migrate
from controller.db.session import Store
from controller.model import Segment
from tests.support.store import configuration, new_store
from typedrivers.api import RangedTypeDriver, TypeDriver
from typedrivers.intervals import Interval, Pool
from typedrivers.manager import TypeManager

MOST = 10_000


@dataclass(frozen=True)
class Case:
    """A driver under test. ``options`` must give it exactly ``project_size`` segments for projects (None: no bound, 0:
    none at all). ``reserved`` are the attributes of a segment that an administrator may reserve, empty when the type
    has nothing to be reserved; ``refused`` those of segments that ``validate`` must refuse."""

    entry_point: str
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    project_size: int | None = None
    reserved: Mapping[str, Any] = field(default_factory=dict)
    refused: tuple[Mapping[str, Any], ...] = ()


class TypeDriverConformance:
    """The suite. One database per test; the driver is loaded by its entry point."""

    case: Case

    @pytest.fixture
    def manager(self) -> TypeManager:
        options = {**self.case.options, "ml2": {"type_drivers": [self.case.entry_point], "project_network_types": []}}
        return TypeManager.load(configuration(options))

    @pytest.fixture
    def driver(self, manager: TypeManager) -> TypeDriver:
        return manager.driver(self.case.entry_point)

    @pytest.fixture
    def store(self, manager: TypeManager, tmp_path: Path) -> Store:
        store = new_store(tmp_path)
        migrate(store.engine, manager.tables)
        return store

    def segment(self, number: int = 1, **attributes: Any) -> Segment:
        return replace(Segment(f"reserved-{number}", self.case.entry_point), **attributes)

    def take(self, store: Store, driver: TypeDriver, count: int) -> list[Segment]:
        return store.write(lambda write: [driver.allocate(write.session) for _ in range(count)])

    def test_it_has_the_interface(self, driver: TypeDriver) -> None:
        assert driver.network_type == self.case.entry_point
        assert driver.mtu_overhead >= 0
        for name in ("validate", "reserve", "allocate", "release", "mtu"):
            wanted = list(inspect.signature(getattr(TypeDriver, name)).parameters)[1:]
            assert list(inspect.signature(getattr(driver, name)).parameters) == wanted
        assert driver.mtu(None) >= 0

    def test_projects_get_different_segments_until_none_is_left(self, store: Store, driver: TypeDriver) -> None:
        count = min(MOST if self.case.project_size is None else self.case.project_size, 50)
        taken = self.take(store, driver, count)
        assert len({segment.id for segment in taken}) == count
        assert all(segment.network_type == self.case.entry_point for segment in taken)
        if self.case.project_size is not None:
            assert len({segment.isolation_key for segment in taken}) == count
            if count == self.case.project_size:
                with pytest.raises(NoNetworkAvailable) as failure:
                    self.take(store, driver, 1)
                assert self.case.entry_point in str(failure.value)

    def test_what_was_allocated_is_valid(self, store: Store, driver: TypeDriver) -> None:
        if self.case.project_size != 0:
            for segment in self.take(store, driver, 3):
                driver.validate(segment)

    def test_a_released_segment_is_free_again(self, store: Store, driver: TypeDriver) -> None:
        if not self.case.project_size:
            return
        taken = self.take(store, driver, self.case.project_size)
        for segment in taken[::3]:
            store.write(lambda write, gone=segment: driver.release(write.session, gone))
        again = self.take(store, driver, len(taken[::3]))
        assert {segment.isolation_key for segment in again} == {segment.isolation_key for segment in taken[::3]}

    def test_ranges_made_at_run_time_if_it_has_ranges(self, store: Store, driver: TypeDriver) -> None:
        if not isinstance(driver, RangedTypeDriver):
            return
        for place, pool in driver.ranges().items():
            wanted = Pool((Interval(pool.intervals[0].first, pool.intervals[0].first + 1),))
            taken = [store.write(lambda write, place=place, wanted=wanted: driver.allocate_within(
                write.session, place, wanted)) for _ in range(3)]  # fmt: skip
            assert taken[2] is None
            first, second = (segment for segment in taken if segment is not None)
            assert {first.segmentation_id, second.segmentation_id} == {wanted.at(0), wanted.at(1)}
            with store.read() as session:
                used = driver.used_within(session, place, wanted.intervals[0])
            assert used == {segment.segmentation_id: segment.id for segment in (first, second)}
            driver.validate(first)

    def test_releasing_twice_or_what_was_never_taken_is_harmless(self, store: Store, driver: TypeDriver) -> None:
        segment = self.segment(**self.case.reserved)
        for _ in range(2):
            store.write(lambda write: driver.release(write.session, segment))

    def test_releasing_does_not_take_from_another_segment(self, store: Store, driver: TypeDriver) -> None:
        if not self.case.reserved:
            return
        mine, other = self.segment(1, **self.case.reserved), self.segment(2, **self.case.reserved)
        store.write(lambda write: driver.reserve(write.session, mine))
        store.write(lambda write: driver.release(write.session, other))
        with pytest.raises(InUse):
            store.write(lambda write: driver.reserve(write.session, other))

    def test_a_reserved_segment_is_had_once(self, store: Store, driver: TypeDriver) -> None:
        if not self.case.reserved:
            return
        first, second = self.segment(1, **self.case.reserved), self.segment(2, **self.case.reserved)
        driver.validate(first)
        store.write(lambda write: driver.reserve(write.session, first))
        with pytest.raises(InUse) as failure:
            store.write(lambda write: driver.reserve(write.session, second))
        named = str(first.segmentation_id if first.segmentation_id is not None else first.physical_network)
        assert named in str(failure.value)
        store.write(lambda write: driver.release(write.session, first))
        store.write(lambda write: driver.reserve(write.session, second))

    def test_projects_never_get_a_reserved_segment(self, store: Store, driver: TypeDriver) -> None:
        if not (self.case.reserved and self.case.project_size):
            return
        taken = self.take(store, driver, 1)[0]
        store.write(lambda write: driver.release(write.session, taken))
        store.write(lambda write: driver.reserve(write.session, replace(taken, id="reserved")))
        rest = self.take(store, driver, self.case.project_size - 1)
        assert taken.isolation_key not in {segment.isolation_key for segment in rest}

    def test_a_rolled_back_transaction_takes_nothing(self, store: Store, driver: TypeDriver) -> None:
        def take_and_fail(session: Session) -> None:
            if self.case.reserved:
                driver.reserve(session, self.segment(**self.case.reserved))
            if self.case.project_size != 0:
                driver.allocate(session)
            raise RuntimeError("no")

        with pytest.raises(RuntimeError):
            store.write(lambda write: take_and_fail(write.session))
        if self.case.reserved:
            store.write(lambda write: driver.reserve(write.session, self.segment(**self.case.reserved)))
        if self.case.project_size:
            free = self.case.project_size - bool(self.case.reserved and self._inside(store, driver))
            self.take(store, driver, free)

    def _inside(self, store: Store, driver: TypeDriver) -> bool:
        """Whether the reserved segment is one of those that projects could get."""
        store.write(lambda write: driver.release(write.session, self.segment(**self.case.reserved)))
        taken = self.take(store, driver, self.case.project_size or 0)
        for segment in taken:
            store.write(lambda write, gone=segment: driver.release(write.session, gone))
        store.write(lambda write: driver.reserve(write.session, self.segment(**self.case.reserved)))
        wanted = self.segment(**self.case.reserved).isolation_key
        return wanted in {segment.isolation_key for segment in taken}

    def test_what_is_invalid_is_a_bad_request(self, driver: TypeDriver) -> None:
        for attributes in self.case.refused:
            with pytest.raises(BadRequest) as failure:
                driver.validate(self.segment(**attributes))
            assert len(str(failure.value)) > 20
