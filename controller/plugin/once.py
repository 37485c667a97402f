"""What a transaction needs to find only once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy.orm import Session

T = TypeVar("T")


def once(session: Session, key: tuple[str, ...], find: Callable[[], T]) -> T:
    """What ``find`` finds, kept until the session ends: a bulk create asks for the same again and again."""
    known: dict[tuple[str, ...], Any] = session.info.setdefault("found once", {})
    if key not in known:
        known[key] = find()
    found: T = known[key]
    return found
