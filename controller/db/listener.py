"""Commits of other processes, told by PostgreSQL: LISTEN on a connection of its own, in a thread of its own.

The connection is an asynchronous one, and the thread waits for it in a selector: under eventlet, whose selectors let
others run, the hub goes on. Whoever follows the feed still asks now and then; so nothing is lost while there is no
connection, it only comes later.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from sqlalchemy import Engine

from controller.db.engine import ALIVE
from controller.db.record import CHANNEL

LOG = logging.getLogger(__name__)

NAME = "isthmus listener"
"""What the connection is called in ``pg_stat_activity``."""
ANSWER_TIMEOUT = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
"""Seconds between attempts to connect again; doubled up to the longest."""


class Listener:
    """Calls ``tell`` with the revision of every commit, whichever process made it, and with the newest one after the
    connection was lost and made again."""

    def __init__(self, engine: Engine, tell: Callable[[int], None]) -> None:
        self._dialect, self._url, self._tell = engine.dialect, engine.url, tell
        self._stopped = threading.Event()
        self._waker, self._woken = socket.socketpair()

    def start(self) -> None:
        """Begin to listen."""
        threading.Thread(target=self._run, name=NAME, daemon=True).start()

    def stop(self) -> None:
        """End the thread; it closes its connection."""
        self._stopped.set()
        self._waker.send(b"x")

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopped.is_set():
            try:
                with closing(self._connect()) as connection:
                    pause = FIRST_PAUSE
                    self._follow(connection)
            except (self._errors(), OSError) as error:
                level = logging.WARNING if pause == FIRST_PAUSE else logging.DEBUG
                LOG.log(level, "other processes' commits are only noticed by asking, once a second: %s", error)
            self._stopped.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _errors(self) -> type[Exception]:
        kind: type[Exception] = self._dialect.loaded_dbapi.Error
        return kind

    def _connect(self) -> Any:
        """A connection that listens, and what was committed until then told."""
        arguments, options = self._dialect.create_connect_args(self._url)
        connection = self._dialect.loaded_dbapi.connect(
            *arguments, **{**ALIVE, "application_name": NAME, **options, "async_": 1}
        )
        try:
            self._answer(connection)
            cursor = connection.cursor()
            for statement in (f"LISTEN {CHANNEL}", "SELECT revision FROM feed_state"):
                cursor.execute(statement)
                self._answer(connection)
            self._tell(int(cursor.fetchone()[0]))
        except BaseException:
            connection.close()
            raise
        LOG.info("PostgreSQL tells of other processes' commits")
        return connection

    def _answer(self, connection: Any) -> None:
        """Wait until the connection has done what it was asked. Raises OSError when the server takes too long."""
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while (wanted := connection.poll()) and not self._stopped.is_set():
            # psycopg2: POLL_READ is 1, POLL_WRITE is 2; the same numbers as the selectors' events
            self._wait(connection, wanted, deadline - time.monotonic())
            if time.monotonic() > deadline:
                raise TimeoutError(f"PostgreSQL does not answer within {ANSWER_TIMEOUT:.0f} s")

    def _follow(self, connection: Any) -> None:
        """Tell every notification until the connection is lost."""
        while not self._stopped.is_set():
            self._wait(connection, selectors.EVENT_READ, None)
            connection.poll()
            while connection.notifies:
                self._tell(int(connection.notifies.pop(0).payload))

    def _wait(self, connection: Any, events: int, timeout: float | None) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), events)
            selector.register(self._woken, selectors.EVENT_READ)
            selector.select(timeout)
