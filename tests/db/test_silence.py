"""A PostgreSQL that keeps its connections open and says nothing is given up, and used again when it goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError

from controller.db import engine, session, silence
from controller.db.engine import UNAVAILABLE
from controller.db.migrate import migrate
from controller.db.models import FeedState
from controller.db.session import Store
from tests.support import postgres
from tests.support.postgres import Cluster

CONNECTING, READING, WRITING = 1, 0.7, 1.4


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "READING", READING)
    monkeypatch.setattr(engine, "WRITING", WRITING)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with postgres.cluster() as found:
        yield found


@pytest.fixture
def store(cluster: Cluster) -> Iterator[Store]:
    made = Store(f"{cluster.url}?connect_timeout={CONNECTING}")
    migrate(made.engine)
    yield made
    made.dispose()


def revision(store: Store) -> int:
    return store.fetch(lambda reader: reader.query(FeedState).one().revision, at_once=True)


def test_transactions_under_way_and_new_ones_are_given_up(store: Store, cluster: Cluster) -> None:
    before, reading = revision(store), store.engine.connect()
    reading.execute(text("SELECT 1"))
    with cluster.frozen():
        began = time.monotonic()
        with pytest.raises(OperationalError, match="said nothing") as raised:
            reading.execute(text("SELECT 1"))
        assert raised.value.connection_invalidated
        assert READING <= time.monotonic() - began < READING + 1
        for attempt in (lambda: revision(store), lambda: store.write(lambda write: write.session.get(FeedState, 1))):
            began = time.monotonic()
            with pytest.raises(UNAVAILABLE):
                attempt()
            assert time.monotonic() - began < WRITING + 2 * CONNECTING + 1
    reading.close()
    assert revision(store) == before


def test_a_server_that_nobody_is_connected_to(cluster: Cluster) -> None:
    store = Store(f"{cluster.url}?connect_timeout={CONNECTING}")
    with cluster.frozen(), pytest.raises(UNAVAILABLE):
        revision(store)
    assert store.fetch(lambda reader: reader.scalar(text("SELECT 7"))) == 7
    store.dispose()


def test_writers_that_wait_for_their_turn_are_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "LONGEST_TURN", 0.2)
    busy, done = threading.Event(), threading.Event()

    def hold(_: Any) -> None:
        busy.set()
        done.wait(10)

    store._turns = threading.BoundedSemaphore(1)
    writer = threading.Thread(target=lambda: store.write(hold))
    writer.start()
    busy.wait(10)
    with pytest.raises(UNAVAILABLE, match="other writers"):
        store.write(lambda write: None)
    done.set()
    writer.join()
    store.write(lambda write: None)


def test_who_writes_may_wait_longer_and_a_migration_for_ever(store: Store) -> None:
    slow, slower = text(f"SELECT pg_sleep({READING + 0.3})"), text(f"SELECT pg_sleep({WRITING + 0.3})")
    options = ({}, {"isthmus_write": True}, {"isthmus_write": True, "isthmus_patient": True})
    for statement, ends in ((slow, (True, False, False)), (slower, (True, True, False))):
        found = []
        for chosen in options:
            with store.engine.execution_options(**chosen).connect() as connection:
                try:
                    connection.execute(statement)
                    found.append(False)
                except DBAPIError:
                    found.append(True)
        assert tuple(found) == ends


def test_a_long_answer_is_no_silence(store: Store) -> None:
    """Each word may take its time: lists are as long as they are."""
    rows = text("SELECT i, pg_sleep(CASE WHEN i % 2000 = 0 THEN 0.1 ELSE 0 END), repeat('x', 100) "
                "FROM generate_series(1, 30000) i")  # fmt: skip
    began = time.monotonic()
    with store.engine.connect() as connection:
        assert len(connection.execute(rows).all()) == 30_000
    assert time.monotonic() - began > 2 * READING


@pytest.mark.parametrize(
    ("query", "expected"),
    [("", 10), ("?connect_timeout=3", 3), ("?connect_timeout=0", None), ("?host=a&host=b", engine.WRITING)],
)
def test_the_url_says_how_long_connecting_may_take(query: str, expected: float | None) -> None:
    assert silence.limit(make_url(f"postgresql+psycopg2://isthmus@db/isthmus{query}")) == expected
