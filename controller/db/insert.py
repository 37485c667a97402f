"""Rows that somebody else may have: inserted if their key is free, without a savepoint and without an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session


def insert_if_free(session: Session, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert a row; False when another one has its key. On PostgreSQL this waits for one that is not committed yet."""
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        done = connection.execute(postgresql.insert(table).values(values).on_conflict_do_nothing())
    else:
        done = connection.execute(sqlite.insert(table).values(values).on_conflict_do_nothing())
    return bool(done.rowcount)
