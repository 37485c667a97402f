"""A queue of small jobs, done in order by one thread; a job that fails is tried again, so that nothing is lost.

What switches and agents tell is told once: a job given up is a switch that nobody serves until it connects again. So
a job waits for a database that is away as long as it takes; only one that fails by itself is given up at last, since
all others wait behind it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from controller.outage import Outage
from controller.switches import Spawn

LOG = logging.getLogger(__name__)

Job = Callable[[], None]


class Mailbox:
    """``put`` never blocks. A failing job is retried after ``retry`` seconds, at most ``attempts`` times; then it is
    dropped with an error in the log. Attempts during which the database was away do not count."""

    def __init__(self, name: str, spawn: Spawn, retry: float = 1.0, attempts: int = 60) -> None:
        self._name, self._spawn, self._retry, self._attempts = name, spawn, retry, attempts
        self._outage = Outage(name)
        self._jobs: deque[Job] = deque()
        self._news = threading.Event()
        """Set when there may be jobs: one wake-up for all that came meanwhile."""
        self._stopped = threading.Event()

    def start(self) -> None:
        """Start the thread."""
        self._spawn(self._run)

    def stop(self) -> None:
        """End the thread after the job at hand."""
        self._stopped.set()
        self._news.set()

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self._jobs)

    def put(self, job: Job) -> None:
        """Add a job."""
        self._jobs.append(job)
        if not self._news.is_set():  # to look costs less than the event's lock
            self._news.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            if self._jobs:
                self._do(self._jobs.popleft())
            elif self._news.is_set():
                self._news.clear()  # and look again: who brought a job just now did not set it
            else:
                self._news.wait()

    def _do(self, job: Job) -> None:
        failures = 0
        while failures < self._attempts:
            try:
                job()
            except Exception as error:
                failures += not self._outage.failed(error)
            else:
                self._outage.over()
                return
            if self._stopped.wait(self._retry):
                return
        LOG.error("%s: a job was given up after %d attempts", self._name, self._attempts)
