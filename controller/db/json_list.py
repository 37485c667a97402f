"""Lists of texts in a JSON column, as both databases can ask for their elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, String, exists
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class _Elements(FunctionElement[Any]):
    """The elements of a JSON list as rows with a column ``value``."""

    name = "json_elements"
    inherit_cache = True


@compiles(_Elements, "sqlite")
def _sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_each{compiler.process(element.clause_expr, **options)}"


@compiles(_Elements, "postgresql")
def _postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_array_elements_text{compiler.process(element.clause_expr, **options)}"


def contains_any(column: Any, texts: Sequence[str]) -> ColumnElement[bool]:
    """Whether the list in ``column`` has one of the texts."""
    elements = _Elements(column).table_valued("value")
    value: ColumnElement[str] = elements.c.value.cast(String)
    return exists().where(value.in_(texts)).correlate_except(elements)
