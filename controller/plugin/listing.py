"""List requests in SQL: filters, sorts and pages by key (not by offset: a page stays right while others write)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from neutron_lib.api import converters
from sqlalchemy import ColumnElement, Integer, Select, and_, cast, func, or_, select
from sqlalchemy.orm import Session

from controller.db.base import UtcTime
from controller.plugin import tags
from controller.plugin.api import Query
from controller.plugin.bodies import invalid, moment

R = TypeVar("R")
Filter = Callable[[Sequence[Any]], ColumnElement[bool]]


@dataclass(frozen=True)
class Listing:
    """How a resource is listed: ``columns`` by attribute, ``filters`` for attributes that are no column of its own."""

    model: Any
    columns: Mapping[str, Any]
    filters: Mapping[str, Filter] = field(default_factory=dict)
    selection: Select[Any] | None = None
    """What is read of each row to show it; None: the whole model."""


def page(
    session: Session, listing: Listing, query: Query, visible: Sequence[ColumnElement[bool]], marker: Any | None
) -> list[Any]:
    """The rows of a page. ``marker`` is the row after which it starts (before which, for ``page_reverse``)."""
    sorts = [(_sortable(listing, name), ascending != query.page_reverse) for name, ascending in _sorts(query)]
    selection = select(listing.model) if listing.selection is None else listing.selection
    statement = selection.where(*visible, *conditions(listing, query.filters))
    if marker is not None:
        statement = statement.where(_after(session, listing, sorts, marker))
    statement = statement.order_by(*(column.asc() if ascending else column.desc() for column, ascending in sorts))
    if query.limit is not None:
        statement = statement.limit(query.limit)
    if listing.selection is None:
        rows: list[Any] = list(session.scalars(statement))
    else:
        rows = list(session.connection().execute(statement))
    return rows[::-1] if query.page_reverse else rows


def _sorts(query: Query) -> tuple[tuple[str, bool], ...]:
    names = [name for name, _ in query.sorts]
    return query.sorts if "id" in names else (*query.sorts, ("id", True))


def _sortable(listing: Listing, name: str) -> Any:
    column = listing.columns.get("project_id" if name == "tenant_id" else name)
    if column is None:
        raise invalid(f"'{name}' cannot be sorted by")
    kind = column.type.python_type
    sortable = cast(column, Integer) if kind is bool else column
    return func.coalesce(sortable, "" if kind is str else -1) if column.property.columns[0].nullable else sortable


def _after(session: Session, listing: Listing, sorts: Sequence[tuple[Any, bool]], marker: Any) -> ColumnElement[bool]:
    """Rows after the marker: greater in the first sort key, or equal there and greater in the next, and so on."""
    values = session.execute(select(*(column for column, _ in sorts)).where(listing.model.id == marker.id)).one()
    cases = []
    for index, (column, ascending) in enumerate(sorts):
        equal = [sorts[before][0] == values[before] for before in range(index)]
        cases.append(and_(*equal, column > values[index] if ascending else column < values[index]))
    return or_(*cases)


def conditions(listing: Listing, filters: Mapping[str, Sequence[Any]]) -> list[ColumnElement[bool]]:
    """What a row must fulfil: for every attribute one of the accepted values."""
    found = []
    tag_filters = tags.filters(listing.model.tags) if hasattr(listing.model, "tags") else {}
    for name, accepted in filters.items():
        key = "project_id" if name == "tenant_id" else name
        if key in listing.filters:
            found.append(listing.filters[key](accepted))
        elif key in listing.columns:
            found.append(one_of(listing.columns[key], accepted))
        elif key in tag_filters:
            found.append(tag_filters[key](accepted))
        elif key == "changed_since" and "updated_at" in listing.columns:
            found.append(listing.model.updated_at >= moment(accepted[-1]))
        else:
            raise invalid(f"'{name}' cannot be filtered by")
    return found


def one_of(column: Any, accepted: Sequence[Any]) -> ColumnElement[bool]:
    """The column has one of the values, which may come as text; an empty text also finds what is not set."""
    values = [_typed(column, value) for value in accepted]
    condition = column.in_([value for value in values if value is not None])
    return or_(condition, column.is_(None)) if None in values or "" in values else condition


def _typed(column: Any, value: Any) -> Any:
    if value is None:
        return None
    kind = column.type
    try:
        if isinstance(kind, UtcTime):
            return datetime.strptime(str(value), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        if kind.python_type is bool:
            return converters.convert_to_boolean(value)
        typed = kind.python_type(value)
        if isinstance(typed, int) and abs(typed) >= 2**63:
            raise ValueError(value)
        return typed
    except (ValueError, TypeError):
        raise invalid(f"'{value}' is no value of {column.key} to filter by") from None
