"""How patient the reconciler is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Times in seconds: the largest back-off, the audit period (0: none), and when a silent host counts as down."""

    retry_max: float = 30.0
    audit_interval: float = 300.0
    agent_down_time: float = 30.0
