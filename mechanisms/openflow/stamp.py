"""Table ``stamp``: where a switch keeps the stamp of its program, which says what it follows from."""

from __future__ import annotations

from controller.dataplane.values import Flow, MatchField
from mechanisms.openflow.pipeline import STAMP

TABLE = STAMP.id
"""The table's id."""

PRIORITY = 0xFFFF
MATCH = (MatchField("metadata", (1 << 64) - 1),)
"""No other flow has this match with this priority, so the stamp of another version of the pipeline, which had it in
another table, is known as such."""


def stamp_flow() -> Flow:
    """The flow that carries the stamp; the southbound puts the program's into its cookie."""
    return Flow(TABLE, PRIORITY, MATCH, why="stamp of the program")
