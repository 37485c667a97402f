"""Sessions on the store: consistent reads, and writes that are one transaction with one revision each.

A write is a function of a :class:`Transaction`. It may be called again after a conflict, so it must not have effects
outside the session. Nothing here knows what is written.
"""

from __future__ import annotations

import itertools
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from controller.db.engine import BUSY_TIMEOUT, SHORT_BUSY_TIMEOUT, UNAVAILABLE, create, is_sqlite
from controller.db.listener import Listener
from controller.db.models import FeedState
from controller.db.transaction import Transaction
from controller.errors import OutcomeUnknown

T = TypeVar("T")
LOG = logging.getLogger(__name__)

RETRIED_STATES = frozenset({"40001", "40P01", "55P03"})
"""PostgreSQL: serialization failure, deadlock, lock not available."""
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.5
LONGEST_WRITE = 60.0
"""Seconds after which a write that meets others again and again is given up, whatever tries are left."""
SETTLING_TRIES = 40
"""How often the database is asked whether it committed; with the longest pauses, in twenty seconds."""
LONGEST_TURN = 60.0
"""Seconds that a writer waits for its turn while those before it wait for a database that hangs."""
WRITERS = 8
"""More would only meet more often: Python runs one of them at a time, the others wait for the database."""


def has_native_threads() -> bool:
    """Whether threads are the operating system's, and not those of eventlet or gevent under the same name."""
    return type(threading.Lock()).__module__ == "_thread"


def utc_now() -> datetime:
    """The clock of the store unless another is given."""
    return datetime.now(UTC)


class Store:
    """One database: SQLite by file, or PostgreSQL. Safe to use from many threads.

    Writers take turns before the database makes them, one at a time where threads are green: they would only wait for
    each other's rows. SQLite has one writer anyway. Else :data:`WRITERS` work at once, which is three times as fast
    when many write.
    """

    def __init__(
        self,
        url: str,
        max_retries: int = 10,
        clock: Callable[[], datetime] = utc_now,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        native = has_native_threads()
        self.engine: Engine = create(url, BUSY_TIMEOUT if native else SHORT_BUSY_TIMEOUT)
        self._patience = 0.0 if native else BUSY_TIMEOUT
        """Seconds that a locked SQLite is tried again, whatever ``max_retries`` is; native threads wait inside it."""
        self.clock = clock
        self._writer = self.engine.execution_options(isthmus_write=True)
        self._single = self.engine.execution_options(isthmus_single=True)
        self._max_retries = max_retries
        self._pause = pause
        self.writers = WRITERS if native and not is_sqlite(self.engine) else 1
        self._turns = threading.BoundedSemaphore(self.writers)
        self._listeners: list[Callable[[int], None]] = []
        self._told = 0
        self._listener: Listener | None = None

    def subscribe(self, callback: Callable[[int], None]) -> None:
        """Call back with the revision after every commit of this process that has one."""
        self._listeners.append(callback)

    def listen(self) -> None:
        """Tell subscribers of other processes' commits too, where the database does (PostgreSQL)."""
        if self._listener is None and not is_sqlite(self.engine):
            self._listener = Listener(self.engine, self._heard)
            self._listener.start()

    def _heard(self, revision: int) -> None:
        """Another process committed; or this one did, which is known already. Revisions come in order, so whoever
        was told of a later one has seen this one too."""
        if revision > self._told:
            self._tell(revision)

    def _tell(self, revision: int) -> None:
        self._told = max(self._told, revision)
        for callback in self._listeners:
            callback(revision)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session whose reads all see one state of the database."""
        with Session(self.engine, expire_on_commit=False, autoflush=False) as session:
            yield session

    def fetch(self, work: Callable[[Session], T], at_once: bool = False) -> T:
        """What ``work`` reads from one state of the database; read again when the connection was lost on the way.
        ``at_once``: it does so with a single statement, for which a transaction would be two questions more."""
        for attempt in range(self._max_retries + 1):
            try:
                with Session(self._single if at_once else self.engine, autoflush=False) as session:
                    return work(session)
            except DBAPIError as error:
                if attempt == self._max_retries or not is_conflict(error):
                    raise
                self._pause(backoff(attempt))
        raise AssertionError("unreachable")

    def write(self, work: Callable[[Transaction], T]) -> T:
        """Run ``work`` in a transaction and commit it with one revision for all it touched.

        After a conflict with another writer it is run again, at most ``max_retries`` times; when the connection is
        lost while committing, only if the database did not commit. Raises what ``work`` raises, the database's error
        when the conflict does not go away, and OutcomeUnknown when the database does not come back to tell.
        """
        began = time.monotonic()
        for attempt in itertools.count():
            try:
                result, revision = self._once(work)
            except (DBAPIError, StaleDataError) as error:
                if not self._may_succeed(error, attempt, time.monotonic() - began):
                    raise
                LOG.debug("transaction is tried again (%d) after %s", attempt + 1, error)
                self._pause(backoff(attempt))
                continue
            if revision is not None:
                self._tell(revision)
            return result
        raise AssertionError("unreachable")

    def _may_succeed(self, error: Exception, attempt: int, seconds: float) -> bool:
        """Whether a write is to be tried once more that has been tried for so long."""
        if is_locked(error) and seconds < self._patience:
            return True
        return attempt < self._max_retries and seconds < LONGEST_WRITE and is_conflict(error)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Be one of the writers. Raises the error of a pool without a free connection when it takes too long."""
        if not self._turns.acquire(timeout=LONGEST_TURN):
            raise PoolTimeout(f"writing had to wait for other writers for more than {LONGEST_TURN:.0f} s")
        try:
            yield
        finally:
            self._turns.release()

    def _once(self, work: Callable[[Transaction], T]) -> tuple[T, int | None]:
        with self._turn(), Session(self._writer, expire_on_commit=False) as session:
            transaction = Transaction(session, self.clock())
            result = work(transaction)
            revision = transaction.record()
            try:
                session.commit()
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                lost = error
            else:
                return result, revision
        if not self._committed(revision, transaction):
            raise lost
        LOG.info("revision %d was committed, though the connection was lost on the way", revision)
        return result, revision

    def _committed(self, revision: int | None, transaction: Transaction) -> bool:
        """Whether a commit that got no answer happened: the feed then has our revision with what we touched.

        To try again without knowing would do it twice. Raises OutcomeUnknown.
        """
        if revision is None:
            return False
        began = time.monotonic()
        for attempt in range(SETTLING_TRIES):
            if time.monotonic() - began > LONGEST_WRITE:
                break
            try:
                with self._turn(), Session(self._writer) as session, session.begin():
                    session.scalars(select(FeedState.revision).with_for_update()).one()  # after a commit under way
                    return transaction.is_recorded(session, revision)
            except (DBAPIError, *UNAVAILABLE) as error:
                LOG.debug("whether revision %d was committed is asked again (%d) after %s", revision, attempt, error)
            self._pause(backoff(attempt))
        raise OutcomeUnknown(
            f"the database went away while it committed revision {revision}, and does not say whether it did; look "
            "before you ask for the same again"
        )

    def dispose(self) -> None:
        """Close every connection."""
        if self._listener is not None:
            self._listener.stop()
        self.engine.dispose()


def backoff(attempt: int) -> float:
    """Seconds to wait before trying again: growing, and different for everybody who collided."""
    return float(random.uniform(0.5, 1.0) * min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt))


def is_conflict(error: Exception) -> bool:
    """Whether another try may succeed: two writers met, nothing is wrong with the statement or the database."""
    if isinstance(error, (IntegrityError, StaleDataError)):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "pgcode", None)
    return error.connection_invalidated or state in RETRIED_STATES or is_locked(error)


def is_locked(error: Exception) -> bool:
    """Whether another process writes into SQLite just now."""
    return isinstance(error, DBAPIError) and "database is locked" in str(error.orig)
