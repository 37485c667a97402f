"""Rows by many ids: one statement whatever their number, so that it is compiled once and has one parameter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import BindParameter, Boolean, Dialect, Text, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator


class _Ids(TypeDecorator[Sequence[str]]):
    """A list of texts: an array of PostgreSQL, JSON on SQLite."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return list(value) if dialect.name == "postgresql" else json.dumps(list(value))


class _Among(FunctionElement[bool]):
    """Whether a column is one of the ids of a parameter."""

    name = "among"
    type = Boolean()
    inherit_cache = True


@compiles(_Among, "sqlite")
def _sqlite(element: Any, compiler: Any, **options: Any) -> str:
    column, ids = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({ids}))"


@compiles(_Among, "postgresql")
def _postgresql(element: Any, compiler: Any, **options: Any) -> str:
    column, ids = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} = ANY (CAST({ids} AS text[]))"


def among(column: Any, parameter: str) -> FunctionElement[bool]:
    """Whether a text column is one of the texts that the parameter of that name brings as a list."""
    ids: BindParameter[Any] = bindparam(parameter, type_=_Ids())
    return _Among(column, ids)
