"""A queue of small jobs, done in order by one thread; a job that fails is tried again, so that nothing is lost."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from controller.switches import Spawn

LOG = logging.getLogger(__name__)

Job = Callable[[], None]


class Mailbox:
    """``put`` never blocks. A failing job is retried after ``retry`` seconds, at most ``attempts`` times; then it is
    dropped with an error in the log."""

    def __init__(self, name: str, spawn: Spawn, retry: float = 1.0, attempts: int = 60) -> None:
        self._name, self._spawn, self._retry, self._attempts = name, spawn, retry, attempts
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Start the thread."""
        self._spawn(self._run)

    def stop(self) -> None:
        """End the thread after the job at hand."""
        self._stopped.set()
        self._jobs.put(None)

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return self._jobs.qsize()

    def put(self, job: Job) -> None:
        """Add a job."""
        self._jobs.put(job)

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None or self._stopped.is_set():
                return
            self._do(job)

    def _do(self, job: Job) -> None:
        for _ in range(self._attempts):
            try:
                job()
            except Exception:
                LOG.exception("%s: a job failed; trying again in %.1f s", self._name, self._retry)
                if self._stopped.wait(self._retry):
                    return
            else:
                return
        LOG.error("%s: a job was given up after %d attempts", self._name, self._attempts)
