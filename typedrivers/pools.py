"""Allocation of ids from pools: only ids in use are rows, and the unique key of their table decides who has one.

Works alike for several processes on SQLite and PostgreSQL without locking a table: an id is chosen, its row inserted
under a savepoint, and whoever comes second chooses again.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from neutron_lib.exceptions import NoNetworkFoundInMaximumAllowedAttempts
from sqlalchemy import BigInteger, Column, ColumnElement, FromClause, String, Table, TextClause, delete, select, text
from sqlalchemy.orm import Session

from controller.db.base import Base
from controller.db.insert import insert_if_free
from typedrivers.intervals import Below, Interval, Pool, choose

TRIES = 100
"""Every lost try means that somebody else got an id: so many are lost only in a stampede on a nearly full pool."""

SPARE_TRIES = 4

Scope = Mapping[str, Any]
"""Column -> value: the part of a table that is one pool, for example one physical network."""


def allocation_table(name: str, number: str, *scope: Column[Any]) -> Table:
    """A driver's own table: ``number`` (and ``scope`` before it) is the primary key, the row names the segment."""
    return Table(
        name,
        Base.metadata,
        *scope,
        Column(number, BigInteger, primary_key=True, autoincrement=False),
        Column("segment_id", String(36), nullable=False, index=True),
    )


@cache
def _comb(table: FromClause, number: str, scope: tuple[str, ...]) -> TextClause:
    """The first free number of a comb with the distances of :func:`typedrivers.intervals.stride`."""
    inside = "".join(f" AND used.{name} = :scope_{name}" for name in scope)
    return text(
        "WITH RECURSIVE steps (number) AS (SELECT CAST(:first AS BIGINT) UNION ALL "
        "SELECT number + :step + number % :spread FROM steps "
        "WHERE number + :step + number % :spread <= :last) "
        f"SELECT number FROM steps WHERE NOT EXISTS (SELECT 1 FROM {table} used "
        f"WHERE used.{number} = steps.number{inside}) LIMIT 1"
    )


@cache
def _walk(table: FromClause, number: str, scope: tuple[str, ...]) -> TextClause:
    """The numbers in use of an interval."""
    inside = "".join(f" AND {name} = :scope_{name}" for name in scope)
    return text(f"SELECT {number} FROM {table} WHERE {number} BETWEEN :first AND :last{inside}")


@dataclass(frozen=True, slots=True)
class UsedIds:
    """The ids in use in a column of a table, within a scope. The index must be on the scope and then the column."""

    session: Session
    table: FromClause
    number: str
    scope: Scope = field(default_factory=dict)

    def highest(self, interval: Interval) -> int | None:
        """One step from the upper end of the index."""
        column = self.table.c[self.number]
        inside = column.between(interval.first, interval.last)
        return self.session.scalar(
            select(column).where(*self._in(self.table), inside).order_by(column.desc()).limit(1)
        )

    def among(self, numbers: Sequence[int]) -> set[int]:
        """One index look-up each."""
        column = self.table.c[self.number]
        return set(self.session.scalars(select(column).where(*self._in(self.table), column.in_(numbers))))

    def free_in_steps(self, first: int, last: int, step: int) -> int | None:
        """One statement that ends with the first number found; as text, because building it would take longer."""
        if first > last:
            return None
        bounds = {"first": first, "last": last, "step": step, "spread": step // 4 | 1}
        scope = {f"scope_{name}": value for name, value in self.scope.items()}
        statement = _comb(self.table, self.number, tuple(self.scope))
        found: int | None = self.session.scalar(statement, {**bounds, **scope})
        return found

    def within(self, interval: Interval) -> Sequence[int]:
        """As text, because building it would take longer."""
        scope = {f"scope_{name}": value for name, value in self.scope.items()}
        statement = _walk(self.table, self.number, tuple(self.scope))
        bounds = {"first": interval.first, "last": interval.last}
        return self.session.scalars(statement, {**bounds, **scope}).all()

    def lowest_gap(self, interval: Interval) -> int | None:
        """The successor of the lowest used id whose successor is free: an anti-join on the index."""
        if not self.among([interval.first]):
            return interval.first
        column, other = self.table.c[self.number], self.table.alias()
        next_used = select(other.c[self.number]).where(*self._in(other), other.c[self.number] == column + 1).exists()
        inside = column.between(interval.first, interval.last - 1)
        statement = select(column + 1).where(*self._in(self.table), inside, ~next_used).order_by(column).limit(1)
        return self.session.scalar(statement)

    def _in(self, table: FromClause) -> list[ColumnElement[bool]]:
        return [table.c[name] == value for name, value in self.scope.items()]


@dataclass(frozen=True, slots=True)
class IdPool:
    """The ids of one network type, or of one physical network of it, and the table that holds those in use."""

    table: Table
    number: str
    pool: Pool
    scope: Scope = field(default_factory=dict)
    below: Below = random.randrange
    spare: list[int] = field(default_factory=list, compare=False)
    """Numbers that were free when somebody looked: a hint that saves looking, nothing that is relied upon."""

    def take_any(self, session: Session, segment_id: str) -> int | None:
        """Take a free id for a segment; None when every id of the pool is in use.

        Raises ``NoNetworkFoundInMaximumAllowedAttempts`` (503) when others were faster every time.
        """
        number = self._take_spare(session, segment_id)
        if number is not None:
            return number
        used = UsedIds(session, self.table, self.number, self.scope)
        for attempt in range(TRIES):
            number = choose(self.pool, used, self.below, ordered=attempt == 0, spare=self.spare)
            if number is None:
                return None
            if self.take(session, number, segment_id):
                return number
        raise NoNetworkFoundInMaximumAllowedAttempts()

    def _take_spare(self, session: Session, segment_id: str) -> int | None:
        """One of the spare numbers; when some are gone already, the others are forgotten too."""
        for _ in range(SPARE_TRIES):
            try:
                number = self.spare.pop()
            except IndexError:  # perhaps another thread was faster
                return None
            if number in self.pool and self.take(session, number, segment_id):
                return number
        self.spare.clear()
        return None

    def take(self, session: Session, number: int, segment_id: str) -> bool:
        """Take exactly this id, inside the pool or not; False when somebody has it."""
        row = {**self.scope, self.number: number, "segment_id": segment_id}
        return insert_if_free(session, self.table, row)

    def holder(self, session: Session, number: int) -> str | None:
        """The segment that has an id."""
        chosen = [self.table.c[name] == value for name, value in {**self.scope, self.number: number}.items()]
        return session.scalar(select(self.table.c.segment_id).where(*chosen))

    def used_within(self, session: Session, interval: Interval) -> Mapping[int, str]:
        """The ids in use within an interval, in order, and the segments that have them."""
        column = self.table.c[self.number]
        scope = [self.table.c[name] == value for name, value in self.scope.items()]
        inside = column.between(interval.first, interval.last)
        rows = session.execute(select(column, self.table.c.segment_id).where(*scope, inside).order_by(column))
        return {row[0]: row[1] for row in rows}

    def give_back(self, session: Session, segment_id: str) -> None:
        """Free what a segment has; harmless when it has nothing."""
        session.execute(delete(self.table).where(self.table.c.segment_id == segment_id))
