"""The tables of the agent's bridge, in order."""

from __future__ import annotations

CLASSIFY, SCREEN, SOURCES, FORWARD, COPIES = range(5)
"""Which network is it? May anybody send this? May this port? Where does it go? Which tunnel peers get a copy?
A frame that no flow fits is dropped."""


def goto(table: int) -> str:
    """The action that goes on with a later table."""
    return f"goto_table:{table}"
