"""Keeping what was made from the same inputs, so that a recompilation hands out the very objects of the last one."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Reuse(Generic[T]):
    """One round of making things by key; what the ``earlier`` round made from equal inputs is taken over.

    The results do not depend on ``earlier`` as long as the making depends on the inputs only.
    """

    __slots__ = ("_earlier", "_made")

    def __init__(self, earlier: Reuse[T] | None = None) -> None:
        self._earlier = earlier._made if earlier is not None else {}
        self._made: dict[Hashable, tuple[object, T]] = {}

    def get(self, key: Hashable, inputs: object, make: Callable[[], T]) -> T:
        """The thing of that key."""
        known = self._earlier.get(key)
        entry = known if known is not None and known[0] == inputs else (inputs, make())
        self._made[key] = entry
        return entry[1]

    def last(self, key: Hashable) -> T | None:
        """What the earlier round made under that key, whatever from."""
        known = self._earlier.get(key)
        return known[1] if known is not None else None

    def finish(self) -> Reuse[T]:
        """End the round: earlier things that were not asked for are let go."""
        self._earlier = {}
        return self
