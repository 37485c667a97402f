"""Engines: how SQLite and PostgreSQL must be spoken to so that both behave alike."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from controller.errors import ConfigurationError, OutcomeUnknown

UNAVAILABLE = (OperationalError, InterfaceError, PoolTimeout, OutcomeUnknown)
"""What is raised while the database is away, or when writers met more often than the store tries again: nothing is
wrong with what it was asked."""

BUSY_TIMEOUT = 30.0
"""Seconds a writer of SQLite waits for the writer of another process."""

SHORT_BUSY_TIMEOUT = 0.05
"""Seconds of it that are waited for in C where threads are green: nobody else runs meanwhile, not even the echoes of
switches."""

IDLE, LAST_USE = 1.0, "isthmus_last_use"
"""Seconds after which a pooled connection of PostgreSQL is tried before it is used."""

LOCK_TIMEOUT = 30
"""Seconds a writer of PostgreSQL waits for a row that another one holds; then its transaction is tried again."""

IDLE_TIMEOUT = 120
"""Seconds that PostgreSQL waits for the next word inside a transaction: a host of ours that died with the change feed
locked would keep everybody from writing, until the server's kernel finds out hours later."""

STATEMENT_TIMEOUT = 300
"""Seconds after which PostgreSQL ends a statement: we have long given it up by then, unless it is a migration's."""

ALIVE = {"keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
"""The kernel finds out within half a minute that the server's host is gone. The URL may say otherwise."""
CONNECTING = 10
"""Seconds for a connection to be made, or an idle one to be tried, unless the URL has a ``connect_timeout``."""
ANSWERED = {"connect_timeout": CONNECTING, "tcp_user_timeout": 30_000}
"""Seconds, and milliseconds until what was sent is acknowledged."""

READING, WRITING = 20.0, LOCK_TIMEOUT + 10.0
"""Seconds of silence after which a server is given up (:mod:`controller.db.silence`): writers may wait for a lock."""


def is_sqlite(engine: Engine) -> bool:
    """Whether the engine's database is SQLite."""
    return engine.dialect.name == "sqlite"


def create(text: str, busy_timeout: float = BUSY_TIMEOUT) -> Engine:
    """The engine for a URL; ``busy_timeout`` is what SQLite itself waits. Raises ConfigurationError for a URL that
    names no usable database."""
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise ConfigurationError(
            "[database] connection is no database URL; it should look like sqlite:////var/lib/isthmus/isthmus.sqlite "
            "or postgresql+psycopg2://user:password@host/isthmus"
        ) from error
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, busy_timeout)
    if url.get_backend_name() == "postgresql":
        return _postgresql(url)
    raise ConfigurationError(
        f"[database] connection names the database '{url.get_backend_name()}'; sqlite and postgresql are supported"
    )


def _from_json(text: str) -> Any:
    """JSON columns: nearly all are empty, and four of them are in every port of a list."""
    if text == "[]":
        return []
    return {} if text == "{}" else json.loads(text)


def _sqlite(url: URL, busy_timeout: float) -> Engine:
    if url.database in (None, "", ":memory:"):
        raise ConfigurationError("[database] connection needs the path of a file for SQLite: sqlite:////path/to/file")
    directory = Path(str(url.database)).parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"[database] connection: the directory {directory} cannot be created: {error.strerror}"
        ) from error
    arguments = {"timeout": busy_timeout, "check_same_thread": False}
    engine = create_engine(url, connect_args=arguments, json_deserializer=_from_json)
    event.listen(engine, "do_connect", _create_private)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _create_private(_dialect: Any, _record: Any, arguments: Any, _options: Any) -> None:
    """Make a new database's file so that only we read it (what is in it is every project's); SQLite gives the files
    beside it the same mode. One that is there stays as it is, and what is wrong with the path SQLite says better."""
    path = str(arguments[0])
    if not path.startswith("file:"):
        with suppress(OSError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late: reads before it would see another state
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Writers take the write lock at once: a reader that turns writer may fail with SQLITE_BUSY whatever it waits."""
    options = connection.get_execution_options()
    begin = "BEGIN IMMEDIATE" if options.get("isthmus_write", False) else "BEGIN"
    if not options.get("isthmus_patient", False):
        connection.exec_driver_sql(begin)
        return
    raw: Any = connection.connection.dbapi_connection
    (usual,) = raw.execute("PRAGMA busy_timeout").fetchone()
    raw.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT * 1000:.0f}")
    connection.exec_driver_sql(begin)
    raw.execute(f"PRAGMA busy_timeout={usual}")


def _postgresql(url: URL) -> Engine:
    try:
        from controller.db.silence import connections  # psycopg2 need not be installed

        arguments: dict[str, Any] = {"connection_factory": connections(url), **ALIVE, **ANSWERED}
        own = {name: value for name, value in arguments.items() if name not in url.query}
        engine = create_engine(url, connect_args=own, pool_size=10, max_overflow=20, json_deserializer=_from_json)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"[database] connection: the driver {error.name} is not installed; pip install 'isthmus[postgresql]'"
        ) from error
    event.listen(engine, "connect", _prepare_postgresql)
    event.listen(engine, "begin", _begin_postgresql)
    event.listen(engine, "checkin", _remember_use)
    event.listen(engine, "checkout", _try_idle)
    return engine


def _remember_use(_connection: Any, record: Any) -> None:
    record.info[LAST_USE] = time.monotonic()


def _try_idle(connection: Any, record: Any, _proxy: Any) -> None:
    """A connection that was idle may have been closed from the other side, or the server hangs; then the pool is to
    make others. One that was just used is not asked: that would be a fifth of the work of reading a port."""
    if time.monotonic() - record.info.get(LAST_USE, float("inf")) < IDLE:
        return
    connection.silence = type(connection).silence
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.rollback()
    except connection.Error as error:
        raise InvalidatePoolError from error


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(
            f"SET lock_timeout = '{LOCK_TIMEOUT}s'; SET idle_in_transaction_session_timeout = '{IDLE_TIMEOUT}s'; "
            f"SET statement_timeout = '{STATEMENT_TIMEOUT}s'"
        )
    connection.autocommit = False


def _begin_postgresql(connection: Connection) -> None:
    """Readers see one state of the database; writers see what others committed, and meet them at constraints. The
    driver says so in the BEGIN that it sends anyway; who reads with a single statement needs none, and no end. Who is
    patient waits for every answer."""
    options = connection.get_execution_options()
    raw: Any = connection.connection.dbapi_connection
    raw.silence = WRITING if options.get("isthmus_write", False) else READING
    if options.get("isthmus_patient", False):
        raw.silence = None
    if raw.autocommit:
        raw.autocommit = False
    if options.get("isthmus_single", False):
        raw.set_session(isolation_level="DEFAULT", readonly="DEFAULT")
        raw.autocommit = True
    elif options.get("isthmus_write", False):
        raw.set_session(isolation_level="READ COMMITTED", readonly=False)
    else:
        raw.set_session(isolation_level="REPEATABLE READ", readonly=True)
