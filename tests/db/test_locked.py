"""A database that keeps a writer waiting for seconds: the writer waits, and green threads go on meanwhile."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import make_url

from controller.db.engine import SHORT_BUSY_TIMEOUT, create
from controller.db.migrate import migrate
from controller.db.session import Store

LOCKED = 1.5


def prepare(url: str) -> None:
    store = Store(url)
    migrate(store.engine)
    store.dispose()


def write_meanwhile(url: str, begin: Callable[[], object], end: Callable[[], object]) -> dict[str, float]:
    """What a green writer says that began just after ``begin``; ``end`` comes a while later."""
    command = [sys.executable, "-m", "tests.db.green_writer", url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as green:
        assert green.stdin is not None
        assert green.stdout is not None
        assert green.stdout.readline() == "ready\n"
        begin()
        try:
            green.stdin.write("go\n")
            green.stdin.flush()
            time.sleep(LOCKED)
        finally:
            end()
        said: dict[str, float] = json.loads(green.stdout.readline())
        return said


def check(said: dict[str, float]) -> None:
    assert LOCKED - 0.5 < said["seconds"] < LOCKED + 5, "it waits for the lock, and not much longer"
    assert said["longest_gap"] < LOCKED / 2, "nobody else could run"


def test_green_threads_go_on_while_another_process_has_locked_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "isthmus.sqlite"
    prepare(f"sqlite:///{path}")
    other = sqlite3.connect(path, isolation_level=None)
    check(write_meanwhile(
        f"sqlite:///{path}", lambda: other.execute("BEGIN IMMEDIATE"), lambda: other.execute("ROLLBACK")
    ))  # fmt: skip
    other.close()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_green_threads_go_on_while_another_process_has_locked_a_row(url: str) -> None:
    prepare(url)
    other = psycopg2.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))
    with other.cursor() as cursor:
        check(write_meanwhile(url, lambda: cursor.execute("SELECT * FROM feed_state FOR UPDATE"), other.rollback))
    other.close()


def test_a_start_waits_for_the_lock(tmp_path: Path) -> None:
    """Nobody else has anything to do yet, so it may wait inside SQLite; later the short time counts again."""
    path = tmp_path / "isthmus.sqlite"
    engine = create(f"sqlite:///{path}", SHORT_BUSY_TIMEOUT)
    engine.connect().close()
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.5, lambda: other.execute("ROLLBACK")).start()
    migrate(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == SHORT_BUSY_TIMEOUT * 1000
    engine.dispose()
    other.close()
