"""Engines, migrations and transactions."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, event, inspect, text
from sqlalchemy.exc import IntegrityError, OperationalError

from controller.db import migrate, session
from controller.db.base import Base
from controller.db.engine import create
from controller.db.session import Store, backoff, is_conflict
from controller.db.transaction import Transaction
from controller.errors import ConfigurationError, OutcomeUnknown
from tests.support.store import Clock, World, new_store


def migrated(path: Path) -> Store:
    store = Store(f"sqlite:///{path}", clock=Clock())
    migrate.migrate(store.engine)
    return store


def test_the_migrated_schema_is_that_of_the_models(tmp_path: Path) -> None:
    store = migrated(tmp_path / "new" / "directory" / "isthmus.sqlite")
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})
        assert compare_metadata(context, Base.metadata) == []


def test_migrating_again_changes_nothing_and_back_leaves_nothing(tmp_path: Path) -> None:
    store = migrated(tmp_path / "isthmus.sqlite")
    migrate.migrate(store.engine)
    with store.engine.execution_options(isthmus_write=True).begin() as connection:
        command.downgrade(migrate.configuration(connection), "base")
    assert inspect(store.engine).get_table_names() == ["alembic_version"]


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    store = migrated(tmp_path / "isthmus.sqlite")
    with store.engine.execution_options(isthmus_write=True).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="start the newer version"):
        migrate.migrate(store.engine)


@pytest.mark.parametrize("given", [None, 0o640, 0o644])
def test_a_new_file_is_private_and_one_that_is_there_stays_as_it_is(tmp_path: Path, given: int | None) -> None:
    path = tmp_path / "isthmus.sqlite"
    if given is not None:
        path.touch()
        path.chmod(given)
    before = os.umask(0o022)
    try:
        store = migrated(path)
        with store.engine.connect() as connection:
            connection.execute(text("SELECT revision FROM feed_state"))
            modes = {found.name: found.stat().st_mode & 0o777 for found in tmp_path.iterdir()}
    finally:
        os.umask(before)
    store.dispose()
    assert modes == dict.fromkeys([path.name, f"{path.name}-wal", f"{path.name}-shm"], given or 0o600)


def test_sqlite_is_set_up_for_readers_beside_a_writer(tmp_path: Path) -> None:
    store = migrated(tmp_path / "isthmus.sqlite")
    with store.engine.connect() as connection:
        found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                 for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")}  # fmt: skip
    assert found == {"journal_mode": "wal", "synchronous": 1, "foreign_keys": 1, "busy_timeout": 30000}


@pytest.mark.parametrize(
    ("url", "words"),
    [("nonsense", "no database URL"), ("mysql://host/db", "'mysql'; sqlite and postgresql"),
     ("sqlite://", "path of a file"), ("sqlite:////proc/nothing/here.sqlite", "cannot be created")],
)  # fmt: skip
def test_unusable_urls_name_the_option(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=r"\[database\] connection") as failure:
        create(url)
    assert words in str(failure.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "isthmus.sqlite"
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        migrated(path)


def test_conflicts_are_tried_again_a_bounded_number_of_times(tmp_path: Path) -> None:
    pauses: list[float] = []
    store = new_store(tmp_path)
    store._pause = pauses.append
    calls = 0

    def conflict(write: Transaction) -> int:
        nonlocal calls
        calls += 1
        if calls < 4:
            raise IntegrityError("insert", {}, sqlite3.IntegrityError("UNIQUE constraint failed"))
        return calls

    assert store.write(conflict) == 4
    assert len(pauses) == 3
    calls = -100
    with pytest.raises(IntegrityError):
        store.write(conflict)
    assert calls == -100 + 11


def test_what_is_a_conflict() -> None:
    assert is_conflict(OperationalError("", {}, sqlite3.OperationalError("database is locked")))
    assert not is_conflict(OperationalError("", {}, sqlite3.OperationalError("no such table: x")))
    assert not is_conflict(RuntimeError())
    assert all(0 < backoff(attempt) <= 0.5 for attempt in range(20))


def test_a_reader_sees_one_state(world: World) -> None:
    world.network()
    with world.store.read() as session:
        before = session.execute(text("SELECT count(*) FROM networks")).scalar()
        world.network()
        assert session.execute(text("SELECT count(*) FROM networks")).scalar() == before == 1


class Away:
    """A database that commits without an answer, and then does not let anybody begin for a number of times."""

    def __init__(self, store: Store, times: float, invalidated: bool) -> None:
        self._left, self._invalidated, self._armed = 0.0, invalidated, True
        self._times = times
        event.listen(store.engine, "commit", self._commit)
        event.listen(store.engine, "begin", self._begin)

    def _commit(self, connection: Connection) -> None:
        if self._armed:
            self._armed, self._left = False, self._times
            connection.connection.commit()
            raise OperationalError("", {}, sqlite3.OperationalError("gone"), connection_invalidated=True)

    def _begin(self, _connection: Connection) -> None:
        if self._left > 0:
            self._left -= 1
            gone = sqlite3.OperationalError("away")
            raise OperationalError("", {}, gone, connection_invalidated=self._invalidated)


class Touch:
    """A write that counts how often it is done."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, write: Transaction) -> None:
        self.times += 1
        write.touch_id("port", "x")


@pytest.mark.parametrize("invalidated", [True, False])
def test_a_commit_without_an_answer_waits_for_the_database_to_tell(tmp_path: Path, invalidated: bool) -> None:
    store, touch, told = new_store(tmp_path), Touch(), list[int]()
    store.subscribe(told.append)
    Away(store, times=15, invalidated=invalidated)
    store.write(touch)
    assert (touch.times, told) == (1, [1])


def test_a_write_is_not_done_twice_when_nobody_tells_whether_it_was_done(tmp_path: Path) -> None:
    store, touch = new_store(tmp_path), Touch()
    Away(store, times=float("inf"), invalidated=True)
    with pytest.raises(OutcomeUnknown, match="revision 1"):
        store.write(touch)
    assert touch.times == 1


def test_a_write_that_meets_others_for_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that never comes costs half a minute each time, whatever tries are left."""
    monkeypatch.setattr(session, "LONGEST_WRITE", 0.0)
    touch = Touch()

    def conflict(write: Transaction) -> None:
        touch(write)
        raise IntegrityError("insert", {}, sqlite3.IntegrityError("UNIQUE constraint failed"))

    with pytest.raises(IntegrityError):
        new_store(tmp_path).write(conflict)
    assert touch.times == 1
