"""Commits of other processes on PostgreSQL: told at once, also after the listening connection was lost, also in a
process whose threads are eventlet's."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import pytest
from sqlalchemy import create_engine, text

from controller.db.feed import StoreFeed
from controller.db.listener import NAME
from tests.db import worker
from tests.support import postgres
from tests.support.store import ADMIN

SOON = 0.7
"""Seconds: less than the second after which a follower asks by itself, and many times what it takes."""
FRESH = multiprocessing.get_context("forkserver")
FRESH.set_forkserver_preload(["tests.db.worker"])
TERMINATE = text("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = :name")


class Follower:
    """What a follower was told, and when."""

    def __init__(self, url: str) -> None:
        self._store = worker.plugin(url)._store
        self._told, self._news = 0, threading.Condition()
        StoreFeed(self._store).subscribe(self._hear)

    def _hear(self, revision: int) -> None:
        with self._news:
            self._told = max(self._told, revision)
            self._news.notify_all()

    def wait(self, revision: int, timeout: float) -> bool:
        with self._news:
            return self._news.wait_for(lambda: self._told >= revision, timeout)

    def close(self) -> None:
        self._store.dispose()


@contextmanager
def another_process(url: str) -> Iterator[Connection]:
    """One that commits a network for every word it gets, and answers with the revision."""
    here, there = FRESH.Pipe()
    process = FRESH.Process(target=worker.obey, args=(url, there), daemon=True)
    process.start()
    try:
        assert here.recv() == "ready"
        yield here
    finally:
        here.send("")
        process.join(20)
        process.kill()


def commit(other: Connection) -> int:
    other.send("network")
    revision: int = other.recv()
    return revision


def ended(url: str) -> int:
    """How many listening connections were there to be ended from the server's side."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        found = int(connection.execute(TERMINATE, {"name": NAME}).scalar_one())
    engine.dispose()
    return found


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_told_at_once_and_again_after_the_connection_was_lost(url: str) -> None:
    follower = Follower(url)
    with another_process(url) as other:
        assert follower.wait(commit(other), 10.0), "not even told when it began to listen"
        for _ in range(3):
            assert follower.wait(commit(other), SOON)
        assert ended(url) == 1
        assert follower.wait(commit(other), 5.0), "what was committed without a connection is told with the next one"
        assert follower.wait(commit(other), SOON)
    follower.close()
    deadline = time.monotonic() + 5
    while ended(url) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ended(url) == 0, "nobody listens any more"


def test_a_server_that_comes_back_is_listened_to_again() -> None:
    with postgres.cluster() as cluster:
        follower = Follower(cluster.url)
        cluster.stop()
        time.sleep(0.5)
        cluster.start()
        with another_process(cluster.url) as other:
            assert follower.wait(commit(other), 15.0)
            assert follower.wait(commit(other), SOON)
        follower.close()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_hub_of_green_threads_goes_on_while_it_listens(url: str) -> None:
    made = worker.plugin(url)
    made.create(ADMIN, "network", {})
    made._store.dispose()
    green = subprocess.Popen(
        [sys.executable, "-m", "tests.db.green", url], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    with green, another_process(url) as other:
        assert green.stdout is not None
        assert green.stdout.readline() == "listening\n"
        time.sleep(0.5)
        sent = time.time()
        revision = commit(other)
        told = json.loads(green.stdout.readline())
        green.wait(10)
    assert told["revision"] >= revision
    assert told["at"] - sent < SOON
    assert told["longest_gap"] < 0.4, "something held up the other green threads"
    assert told["writers"] == 1, "writers that are green threads would only wait for each other"
