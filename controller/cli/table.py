"""Plain tables: a header line, then one line per row, columns two spaces apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows under a header of the column names in capitals."""
    cells = [[column.upper().replace("_", " ") for column in columns]]
    cells += [[cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def pairs(values: Mapping[str, Any]) -> str:
    """One ``name: value`` line per entry, values in one column."""
    width = max((len(name) for name in values), default=0) + 1
    return "\n".join(f"{(name + ':').ljust(width)} {cell(value)}" for name, value in values.items())


def cell(value: Any) -> str:
    """A JSON value in one line."""
    if value is None or value in ("", [], {}):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={cell(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(cell(item) for item in value)
    return printable(" ".join(str(value).split()))


def printable(text: str) -> str:
    """The text without what a terminal would obey: names come from switches and their neighbours."""
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)
