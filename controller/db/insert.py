"""Rows that somebody else may have: inserted if their key is free, without a savepoint and without an error."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import Executable, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session


def insert_if_free(session: Session, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert a row; False when another one has its key. On PostgreSQL this waits for one that is not committed yet."""
    connection = session.connection()
    return bool(connection.execute(_statement(connection.dialect.name, table), dict(values)).rowcount)


@cache
def _statement(dialect: str, table: Table) -> Executable:
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
