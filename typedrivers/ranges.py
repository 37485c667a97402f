"""Ranges of ids that administrators make at run time, beside those of the configuration.

A project's own ranges are tried first. Ranges for everybody follow, configured or made, without the ids that are some
project's own. With no range made, the configuration alone counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.db.models import SegmentRangeRow
from controller.db.once import once
from typedrivers.api import RangedTypeDriver
from typedrivers.intervals import Interval, Pool

Place = tuple[str | None, Pool]
"""A physical network, and the ids of it."""


def made(session: Session, network_type: str) -> Sequence[SegmentRangeRow]:
    """The ranges of a type, oldest first, as they were when the session first asked: one that is made meanwhile counts
    for the next request."""

    def find() -> Sequence[SegmentRangeRow]:
        statement = select(SegmentRangeRow).where(SegmentRangeRow.network_type == network_type)
        return session.scalars(statement.order_by(SegmentRangeRow.created_at, SegmentRangeRow.id)).all()

    return once(session, ("segment ranges", network_type), find)


def interval(row: SegmentRangeRow) -> Interval:
    """The ids of a range."""
    return Interval(row.minimum, row.maximum)


def places(driver: RangedTypeDriver, rows: Sequence[SegmentRangeRow], project_id: str) -> Iterator[Place]:
    """Where a project's segment may come from, in the order of trying."""
    configured = driver.ranges()
    names = list(dict.fromkeys([*configured, *(row.physical_network for row in rows)]))
    own = [row for row in rows if row.project_id and row.project_id == project_id]
    for name in names:
        pool = Pool.of(interval(row) for row in own if row.physical_network == name)
        if pool.size:
            yield name, pool
    for name in names:
        here = [row for row in rows if row.physical_network == name]
        everybodys = [interval(row) for row in here if row.project_id is None]
        pool = Pool.of([*configured.get(name, Pool(())).intervals, *everybodys])
        pool = pool.without(interval(row) for row in here if row.project_id is not None)
        if pool.size:
            yield name, pool
