"""Table ``stamp``: where a switch keeps the hash of its program."""

from __future__ import annotations

from controller.dataplane.builder import flow
from controller.dataplane.values import Flow
from mechanisms.openflow.pipeline import STAMP

TABLE = STAMP.id
"""The table's id."""


def stamp_flow() -> Flow:
    """The flow that carries the hash; the southbound puts the program's digest into its cookie."""
    return flow(STAMP).because("program hash").drop()
