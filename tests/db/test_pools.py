"""Allocation from a nearly full pool: few statements, each by an index, and nobody gets what another one has."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, select, text

from controller.db.migrate import migrate
from controller.db.session import Store
from tests.support.store import configuration
from typedrivers.intervals import Interval, Pool
from typedrivers.manager import TypeManager
from typedrivers.pools import IdPool
from typedrivers.vxlan import VxlanTypeDriver

SIZE = 200_000
FREE = {"scattered": "n % 100 = 50", "in one place": f"n BETWEEN {SIZE // 2} AND {SIZE // 2 + SIZE // 100}"}
TAKEN = 150
SERIES = {
    "postgresql": f"generate_series(1, {SIZE}) AS ids(n)",
    "sqlite": f"(WITH RECURSIVE ids(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM ids WHERE n < {SIZE}) "
    "SELECT n FROM ids) AS ids",
}


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    TypeManager.load(configuration())
    made = Store(url)
    migrate(made.engine)
    yield made
    made.dispose()


def fill(store: Store, free: str) -> IdPool:
    """A pool in which all ids are in use but the ``free`` ones."""
    table = VxlanTypeDriver.table
    series = SERIES[store.engine.dialect.name]
    with store.engine.execution_options(isthmus_write=True).begin() as connection:
        insert = f"INSERT INTO {table.name} (tunnel_id, segment_id) SELECT n, '' FROM {series} WHERE NOT ({free})"
        connection.execute(text(insert))
        connection.execute(text(f"ANALYZE {table.name}"))
    return IdPool(table, "tunnel_id", Pool.of([Interval(1, SIZE)]))


@contextmanager
def watched(store: Store) -> Iterator[list[tuple[str, Any]]]:
    """The statements that are sent, with their parameters."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not statement.startswith(("BEGIN", "SET")):
            sent.append((statement, parameters))

    event.listen(store.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(store.engine, "before_cursor_execute", note)


def take(store: Store, pool: IdPool) -> int:
    number = store.write(lambda write: pool.take_any(write.session, str(uuid.uuid4())))
    assert number is not None
    return number


@pytest.mark.parametrize("free", FREE)
def test_a_nearly_full_pool_costs_few_statements_and_every_one_has_its_index(store: Store, free: str) -> None:
    pool = fill(store, FREE[free])
    with watched(store) as sent:
        taken = [take(store, pool) for _ in range(TAKEN)]
    assert len(set(taken)) == TAKEN
    assert all(1 <= number <= SIZE for number in taken)
    assert len(sent) / TAKEN < 2, "an empty pool takes two"
    for statement, parameters in {statement: (statement, parameters) for statement, parameters in sent}.values():
        if statement.startswith("INSERT"):
            continue
        plan = explained(store, statement, parameters)
        assert "SCAN vxlan" not in plan, plan
        assert "Seq Scan on vxlan" not in plan, plan
        assert "INDEX" in plan.upper() or "PRIMARY KEY" in plan.upper(), plan


def explained(store: Store, statement: str, parameters: Any) -> str:
    """How the database would carry a statement out."""
    how = "EXPLAIN" if store.engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    with store.engine.connect() as connection:
        rows = connection.exec_driver_sql(f"{how} {statement}", parameters).all()
    return "\n".join(str(row[-1]) for row in rows)


def test_spare_numbers_that_are_gone_are_no_harm(store: Store) -> None:
    mine = fill(store, "n % 1000 = 0")
    there = IdPool(mine.table, mine.number, mine.pool)
    first = take(store, mine)
    there.spare[:] = [first, *mine.spare[:2], 0, SIZE + 5]
    numbers = [first, *(take(store, pool) for _ in range(60) for pool in (mine, there))]
    assert len(set(numbers)) == len(numbers) == 121
    assert all(1 <= number <= SIZE for number in numbers)


def test_all_are_given_out_in_the_end(store: Store) -> None:
    pool = fill(store, f"n > {SIZE - 20} OR n % 50000 = 7")
    taken = set()
    while (number := store.write(lambda write: pool.take_any(write.session, "s"))) is not None:
        assert number not in taken
        taken.add(number)
    assert len(taken) == 20 + 4
    with store.read() as session:
        assert len(session.scalars(select(pool.table.c.tunnel_id)).all()) == SIZE
    store.write(lambda write: pool.give_back(write.session, "s"))
    assert take(store, pool) in taken
