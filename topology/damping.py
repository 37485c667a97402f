"""Damping of ports that flap: each fall adds to a penalty that fades; above a limit the port is left out.

The scheme is that of BGP route flap damping (RFC 2439): a half-life, a limit to suppress, a lower one to use again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from topology.links import End


@dataclass
class Damper:
    """Times in seconds; each fall of a port counts 1."""

    half_life: float = 10.0
    suppress: float = 4.0
    reuse: float = 1.0
    _penalty: dict[End, tuple[float, float]] = field(default_factory=dict)
    _suppressed: set[End] = field(default_factory=set)

    def fell(self, end: End, now: float) -> bool:
        """A port went down; True if it is suppressed from now on, and was not before."""
        penalty = self._now(end, now) + 1.0
        self._penalty[end] = (penalty, now)
        if penalty <= self.suppress or end in self._suppressed:
            return False
        self._suppressed.add(end)
        return True

    def suppresses(self, end: End) -> bool:
        """Whether the port is left out."""
        return end in self._suppressed

    def relieve(self, now: float) -> list[End]:
        """Ports that may be used again."""
        calm = [end for end in self._suppressed if self._now(end, now) < self.reuse]
        self._suppressed.difference_update(calm)
        for end in [end for end in self._penalty if self._now(end, now) < self.reuse / 8]:
            del self._penalty[end]
        return calm

    def _now(self, end: End, now: float) -> float:
        penalty, then = self._penalty.get(end, (0.0, now))
        return float(penalty * 0.5 ** ((now - then) / self.half_life))
