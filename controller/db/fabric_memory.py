"""Keeps what the fabric remembers over a restart of the controller. No change of intent: nobody else follows it."""

from __future__ import annotations

from typing import Any

from controller.db.models import FabricMemoryRow
from controller.db.session import Store
from controller.db.transaction import Transaction

ROW = 1


class FabricMemory:
    """A :class:`controller.fabric.Keeper` in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def load(self) -> Any:
        """What was saved last; None if nothing was."""
        return self._store.fetch(lambda session: getattr(session.get(FabricMemoryRow, ROW), "content", None))

    def save(self, content: Any) -> None:
        """Take the place of what was saved. Raises what the database raises."""

        def work(transaction: Transaction) -> None:
            transaction.session.merge(FabricMemoryRow(id=ROW, content=content))

        self._store.write(work)
