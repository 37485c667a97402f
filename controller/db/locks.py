"""Locks on ideas that are no row: at most one transaction at a time decides about, say, a project's ports."""

from __future__ import annotations

import hashlib

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

HOLD = text("SELECT pg_advisory_xact_lock(:lock)")


def hold(session: Session, *words: str) -> None:
    """Wait for the lock of that name and keep it until the end of the transaction.

    SQLite has one writer at a time anyway. Whoever needs several takes them in the order of their names.
    """
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        connection.execute(HOLD, {"lock": number(*words)})


def number(*words: str) -> int:
    """PostgreSQL's number of the lock of that name."""
    digest = hashlib.blake2b("\0".join(words).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def held(statement: str) -> TextClause:
    """A statement that PostgreSQL begins when it has got the lock of the number ``:lock``: it sees what the holders
    before it wrote. Both are one question to the server."""
    return text(f"{HOLD.text}; {statement}")
