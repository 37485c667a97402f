"""What a type driver is: the owner of one network type.

It owns the schema of its allocations, its pools, the validation of provider attributes and the MTU overhead. It runs
inside the plugin's transaction: ``session`` is a SQLAlchemy session that the plugin commits or rolls back.
A driver is a class made with the configuration, found by the entry point group ``isthmus.type_drivers``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from sqlalchemy.orm import Session

from controller.model import Segment
from typedrivers.intervals import Interval, Pool


class TypeDriver(Protocol):
    """One network type."""

    network_type: str
    mtu_overhead: int
    """Bytes that the encapsulation takes from the underlay's MTU (0 for flat, vlan, local)."""

    def validate(self, segment: Segment) -> None:
        """Check provider attributes. Raises ``neutron_lib.exceptions.InvalidInput`` naming the attribute, the value,
        and the ranges or physical networks that would be right."""

    def reserve(self, session: Session, segment: Segment) -> None:
        """Take exactly this segment. Raises a 409 (``VlanIdInUse``, ``TunnelIdInUse``, ``FlatNetworkInUse``) naming
        the id and the network that has it."""

    def allocate(self, session: Session, physical_network: str | None = None) -> Segment:
        """Take a free segment. Raises ``neutron_lib.exceptions.NoNetworkAvailable`` naming the ranges."""

    def release(self, session: Session, segment: Segment) -> None:
        """Give the segment back."""

    def mtu(self, physical_network: str | None) -> int:
        """The largest MTU of a network of this type (0: not known)."""


@runtime_checkable
class RangedTypeDriver(Protocol):
    """What a type driver has besides when its ids come from ranges that can be given to projects at run time (the
    network_segment_range API). A driver without it works, with the ranges of its own configuration."""

    limits: Interval
    """The ids that the protocol has."""

    def ranges(self) -> Mapping[str | None, Pool]:
        """The configured ids that projects get: by physical network, under None for types without one."""

    def allocate_within(self, session: Session, physical_network: str | None, pool: Pool) -> Segment | None:
        """Take a free segment with an id of ``pool``; None when all are in use."""

    def used_within(self, session: Session, physical_network: str | None, interval: Interval) -> Mapping[int, str]:
        """The ids in use within an interval, and the id of the segment that has each."""
