"""Rows that somebody else may have: inserted if their key is free, without a savepoint and without an error."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from sqlalchemy import Executable, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, make_transient_to_detached

from controller.db.base import Base


def insert_if_free(session: Session, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert a row; False when another one has its key. On PostgreSQL this waits for one that is not committed yet."""
    connection = session.connection()
    return bool(connection.execute(_statement(connection.dialect.name, table), dict(values)).rowcount)


def insert_row_if_free(session: Session, row: Base) -> bool:
    """:func:`insert_if_free` for a new object, without what belongs to it. Then it is the session's, as if it had been
    read; that costs a fraction of what the session itself takes to insert an object."""
    table = cast(Table, row.__table__)
    if not insert_if_free(session, table, {name: value for name, value in vars(row).items() if name in table.c}):
        return False
    make_transient_to_detached(row)
    session.add(row)
    return True


@cache
def _statement(dialect: str, table: Table) -> Executable:
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
