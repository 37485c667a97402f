"""Jobs are done in order, and what was told once is not lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy.exc import OperationalError

from controller.mailbox import Mailbox
from tests.unit.controller.world import eventually


def done_by(jobs: list[Callable[[], None]], attempts: int = 3) -> None:
    """Have a mailbox do the jobs; returns when it has."""
    finished = threading.Event()
    mailbox = Mailbox("test", lambda body: threading.Thread(target=body, daemon=True).start(), 0.001, attempts)
    mailbox.start()
    for job in (*jobs, finished.set):
        mailbox.put(job)
    assert finished.wait(10)
    mailbox.stop()


def failing(times: int, error: Exception, done: list[str]) -> Callable[[], None]:
    """A job that fails so often before it is done."""
    left = [error] * times

    def job() -> None:
        if left:
            raise left.pop()
        done.append("failing")

    return job


def test_a_job_waits_for_the_database_as_long_as_it_is_away(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []
    away = OperationalError("SELECT 1", {}, Exception("connection refused"))
    done_by([failing(50, away, done), lambda: done.append("next")])
    assert done == ["failing", "next"]
    assert len(caplog.records) == 1, "it is said once, not every second"


def test_a_job_that_fails_by_itself_is_given_up() -> None:
    done: list[str] = []
    done_by([failing(50, ValueError("a fault of ours"), done), lambda: done.append("next")])
    assert done == ["next"]
    done_by([failing(2, ValueError("a fault of ours"), done)])
    assert done == ["next", "failing"]


def test_no_job_is_overlooked_that_comes_when_the_mailbox_runs_empty() -> None:
    done: list[int] = []
    mailbox = Mailbox("test", lambda body: threading.Thread(target=body, daemon=True).start())
    mailbox.start()
    for number in range(300):  # each finds the mailbox waiting, about to wait, or still at work
        mailbox.put(partial(done.append, number))
        deadline = time.monotonic() + 10
        while number % 2 and len(done) <= number:
            assert time.monotonic() < deadline, f"job {number} waits for ever"
    eventually(lambda: done == list(range(300)))
    assert mailbox.waiting == 0
    mailbox.stop()
