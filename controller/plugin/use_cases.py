"""What one resource brings: the steps that :class:`controller.plugin.plugin.Plugin` runs inside its transactions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from controller.db.transaction import Transaction
from controller.plugin.api import Body, Query
from controller.plugin.context import RequestContext
from controller.plugin.faults import Forbidden
from controller.plugin.listing import Listing, page
from controller.plugin.selection import select_bodies


class UseCases(Protocol):
    """One resource."""

    quiet: frozenset[str]
    """Parts of :meth:`state` that no plan depends on: their changes are no change of intent."""
    shown_at_once: bool
    """Whether :meth:`show` is a single statement."""

    def find(self, session: Session, context: RequestContext, resource_id: str, lock: bool = False) -> Any: ...
    def show(self, session: Session, context: RequestContext, resource_id: str) -> Body: ...
    def create(self, transaction: Transaction, context: RequestContext, body: Body) -> Any: ...
    def update(self, transaction: Transaction, context: RequestContext, row: Any, body: Body) -> None:
        """Change the row. That it changed is found out by :meth:`state`."""

    def delete(self, transaction: Transaction, context: RequestContext, row: Any) -> None: ...
    def bodies(self, session: Session, context: RequestContext, rows: Sequence[Any]) -> list[Body]: ...

    def state(self, row: Any) -> Any:
        """What is compared before and after an update to tell whether the resource changed; None for a resource that
        has no revision number."""

    def list(self, session: Session, context: RequestContext, query: Query) -> list[Body]: ...


class Stored:
    """What resources share whose list requests are SQL. A subclass says what its rows are and who sees them."""

    listing: Listing
    quiet: frozenset[str] = frozenset()
    shown_at_once = False

    def visible(self, context: RequestContext) -> list[ColumnElement[bool]]:
        """Which rows the caller sees."""
        raise NotImplementedError

    def find(self, session: Session, context: RequestContext, resource_id: str, lock: bool = False) -> Any:
        """One row that the caller sees."""
        raise NotImplementedError

    def bodies(self, session: Session, context: RequestContext, rows: Sequence[Any]) -> list[Body]:
        """Rows as the API shows them."""
        raise NotImplementedError

    def show(self, session: Session, context: RequestContext, resource_id: str) -> Body:
        """One as the API shows it. Raises its NotFound."""
        return self.bodies(session, context, [self.find(session, context, resource_id)])[0]

    def list(self, session: Session, context: RequestContext, query: Query) -> list[Body]:
        """A page of what the caller sees and asks for."""
        marker = None if query.marker is None else self.find(session, context, query.marker)
        return self.bodies(session, context, page(session, self.listing, query, self.visible(context), marker))


class Computed:
    """What resources share that are put together at every request. They can be listed and found by ``id``; a subclass
    that can do more says so."""

    quiet: frozenset[str] = frozenset()
    shown_at_once = False

    def all(self, session: Session, context: RequestContext, query: Query) -> list[Body]:
        """Everything that the caller sees; ``query`` may help to find less."""
        raise NotImplementedError

    def create(self, transaction: Transaction, context: RequestContext, body: Body) -> Any:  # noqa: ARG002
        """403"""
        raise Forbidden(reason="This resource cannot be created")

    def update(self, transaction: Transaction, context: RequestContext, row: Any, body: Body) -> None:  # noqa: ARG002
        """403"""
        raise Forbidden(reason="This resource cannot be changed")

    def delete(self, transaction: Transaction, context: RequestContext, row: Any) -> None:  # noqa: ARG002
        """403"""
        raise Forbidden(reason="This resource cannot be deleted")

    def bodies(self, session: Session, context: RequestContext, rows: Sequence[Any]) -> list[Body]:  # noqa: ARG002
        """They are what is shown already."""
        return list(rows)

    def show(self, session: Session, context: RequestContext, resource_id: str) -> Body:
        """One as the API shows it. Raises its NotFound."""
        found = self.find(session, context, resource_id)  # type: ignore[attr-defined]
        return self.bodies(session, context, [found])[0]

    def state(self, row: Any) -> Any:  # noqa: ARG002
        """No revision number."""
        return None

    def list(self, session: Session, context: RequestContext, query: Query) -> list[Body]:
        """A page of what the caller sees and asks for."""
        return select_bodies(self.all(session, context, query), query)
