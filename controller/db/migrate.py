"""Bring the schema of a database to this program's version; safe when several processes start at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, Table, text
from sqlalchemy.exc import DatabaseError

from controller.db.engine import is_sqlite
from controller.errors import ConfigurationError

SCRIPTS = Path(__file__).parent / "migrations"
LOCK = 0x15748005
"""Our number of PostgreSQL's advisory lock for migrations."""


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's configuration without a file, for a connection."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def migrate(engine: Engine, tables: Sequence[Table] = ()) -> None:
    """Upgrade to the newest version, and create ``tables`` that no version of ours knows: those of third parties' type
    drivers. Raises ConfigurationError when the database cannot be reached or is newer."""
    try:
        with engine.execution_options(isthmus_write=True, isthmus_patient=True).begin() as connection:
            if not is_sqlite(engine):
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
                connection.execute(text("SET LOCAL statement_timeout = 0"))
            upgrade(connection)
            for table in tables:
                table.create(connection, checkfirst=True)
    except DatabaseError as error:
        raise ConfigurationError(
            f"[database] connection: {engine.url.render_as_string()} cannot be used: {error.orig}"
        ) from error
    except CommandError as error:
        raise ConfigurationError(
            f"[database] connection: the schema of {engine.url.render_as_string()} is not known to this version of "
            f"Isthmus ({error}); start the newer version that made it, or use another database"
        ) from error


def upgrade(connection: Connection) -> None:
    """Run the missing migrations on a connection that holds the lock."""
    config = configuration(connection)
    if MigrationContext.configure(connection).get_current_revision() == head():
        return
    command.upgrade(config, "head")


def version(engine: Engine) -> str | None:
    """The version of a database's schema; None when it has none. Raises ConfigurationError when it cannot be
    reached."""
    try:
        with engine.connect() as connection:
            found: str | None = MigrationContext.configure(connection).get_current_revision()
            return found
    except DatabaseError as error:
        raise ConfigurationError(
            f"[database] connection: {engine.url.render_as_string()} cannot be used: {error.orig}"
        ) from error


def head() -> str | None:
    """The newest version of the schema that this program knows."""
    newest: str | None = ScriptDirectory.from_config(configuration()).get_current_head()
    return newest
