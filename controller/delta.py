"""Desired against installed: the one comparison that switches and hosts share.

Both sides are mappings from an item's key to its content. The result says what to add, what to change and what to
remove; nothing here knows what an item is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Delta(Generic[K, V]):
    """What turns *installed* into *desired*: ``add`` and ``change`` hold desired values, ``remove`` installed ones."""

    add: Mapping[K, V]
    change: Mapping[K, V]
    remove: Mapping[K, V]

    def __bool__(self) -> bool:
        return bool(self.add or self.change or self.remove)


def difference(
    desired: Mapping[K, V], installed: Mapping[K, V], same: Callable[[V, V], bool] | None = None
) -> Delta[K, V]:
    """Compare two mappings. ``same(desired, installed)`` decides whether an item is right (default ``==``)."""
    equal = same or (lambda left, right: left == right)
    add = {key: value for key, value in desired.items() if key not in installed}
    remove = {key: value for key, value in installed.items() if key not in desired}
    change = {key: value for key, value in desired.items() if key in installed and not equal(value, installed[key])}
    return Delta(add, change, remove)
