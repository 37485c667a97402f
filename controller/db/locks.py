"""Locks on ideas that are no row: at most one transaction at a time decides about, say, a project's ports."""

from __future__ import annotations

import hashlib

from sqlalchemy import func, select
from sqlalchemy.orm import Session


def hold(session: Session, *words: str) -> None:
    """Wait for the lock of that name and keep it until the end of the transaction.

    SQLite has one writer at a time anyway. Whoever needs several takes them in the order of their names.
    """
    if session.get_bind().dialect.name == "postgresql":
        digest = hashlib.blake2b("\0".join(words).encode(), digest_size=8).digest()
        session.execute(select(func.pg_advisory_xact_lock(int.from_bytes(digest, "big", signed=True))))
