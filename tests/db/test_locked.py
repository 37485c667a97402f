"""SQLite locked by another process for seconds: writers wait for it, and green threads go on meanwhile."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

from controller.db.engine import SHORT_BUSY_TIMEOUT, create
from controller.db.migrate import migrate
from controller.db.session import Store

LOCKED = 1.5


def test_green_threads_go_on_while_another_process_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "isthmus.sqlite"
    url = f"sqlite:///{path}"
    store = Store(url)
    migrate(store.engine)
    store.dispose()
    command = [sys.executable, "-m", "tests.db.green_writer", url]
    other = sqlite3.connect(path, isolation_level=None)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as green:
        assert green.stdin is not None
        assert green.stdout is not None
        assert green.stdout.readline() == "ready\n"
        other.execute("BEGIN IMMEDIATE")
        green.stdin.write("go\n")
        green.stdin.flush()
        time.sleep(LOCKED)
        other.execute("ROLLBACK")
        other.close()
        said = json.loads(green.stdout.readline())
    assert LOCKED - 0.5 < said["seconds"] < LOCKED + 5, "it waits for the lock, and not much longer"
    assert said["longest_gap"] < LOCKED / 2, "nobody else could run"


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
