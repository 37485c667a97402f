"""Remember within a session: what a bulk create asks again for each of its items is found once.

Only for what cannot change while the transaction lasts, such as rows that it has locked, or may as well be seen as it
was when the transaction first asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy.orm import Session

T = TypeVar("T")


def once(session: Session, key: tuple[str, ...], find: Callable[[], T]) -> T:
    """What ``find`` finds, kept under ``key`` until the session ends. A key begins with its caller's own word."""
    known: dict[tuple[str, ...], Any] = session.info.setdefault("found once", {})
    if key not in known:
        known[key] = find()
    found: T = known[key]
    return found
