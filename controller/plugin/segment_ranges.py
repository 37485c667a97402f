"""Ranges of segmentation ids as a resource: those of the configuration, which stay, and those made at run time."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from neutron_lib.exceptions import network_segment_range as faults
from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.db.locks import hold
from controller.db.models import NetworkRow, SegmentRangeRow, SegmentRow
from controller.db.transaction import Transaction
from controller.model import Segment
from controller.plugin.api import Body, Query
from controller.plugin.bodies import given, invalid, set_plain, standard
from controller.plugin.context import RequestContext
from controller.plugin.selection import select_bodies
from controller.plugin.use_cases import Computed
from typedrivers.api import RangedTypeDriver
from typedrivers.intervals import Interval
from typedrivers.manager import TypeManager

NAMESPACE = uuid.UUID("0f2c7d8e-57a9-5f0c-8f37-3d4b0a1f6c55")
LISTED_IDS = 4_096
"""Free ids that are shown of one range, the lowest ones: a range of 32 bits has more than any client can take."""

UNWRITTEN = {"created_at": None, "updated_at": None, "revision_number": 0}
"""Of ranges that stand in the configuration."""


class SegmentRanges(Computed):
    """The network_segment_range resource."""

    quiet = frozenset({"name", "description", "tags"})

    def __init__(self, types: TypeManager, new_id: Callable[[], str]) -> None:
        self._types, self._new_id = types, new_id

    def _defaults(self) -> list[SegmentRangeRow]:
        """The configured ranges, as rows that are never stored."""
        found = []
        for kind in self._types.types:
            driver = self._types.ranged(kind)
            for name, pool in ({} if driver is None else driver.ranges()).items():
                found += [_default(kind, name, interval) for interval in pool.intervals]
        return found

    def find(self, session: Session, context: RequestContext, range_id: str, lock: bool = False) -> SegmentRangeRow:  # noqa: ARG002
        """The range. Raises NetworkSegmentRangeNotFound."""
        statement = select(SegmentRangeRow).where(SegmentRangeRow.id == range_id)
        row = session.scalars(statement.with_for_update() if lock else statement).one_or_none()
        row = row or next((item for item in self._defaults() if item.id == range_id), None)
        if row is None:
            raise faults.NetworkSegmentRangeNotFound(range_id=range_id)
        return row

    def create(self, transaction: Transaction, context: RequestContext, body: Body) -> SegmentRangeRow:  # noqa: ARG002
        """Make a range, for everybody or for a project. Raises 400 and NetworkSegmentRangeOverlaps."""
        shared, project = given(body, "shared", True), given(body, "project_id")
        if not shared and not project:
            raise invalid("a range that is not shared needs a project_id")
        row = SegmentRangeRow(
            id=self._new_id(),
            description=given(body, "description") or "",
            name=given(body, "name") or "",
            project_id=None if shared else project,
            network_type=given(body, "network_type"),
            physical_network=given(body, "physical_network") or None,
            minimum=body["minimum"],
            maximum=body["maximum"],
            tags=[],
        )
        self._check(transaction.session, row)
        transaction.created(row)
        return row

    def _check(self, session: Session, row: SegmentRangeRow) -> None:
        """The type has such ids there, and no other range that was made has one of them."""
        if row.network_type is None:
            raise invalid("a range needs a network_type")
        if self._types.ranged(row.network_type) is None:
            raise faults.NetworkSegmentRangeNetTypeNotSupported(type=row.network_type)
        if row.minimum > row.maximum:
            raise invalid(f"minimum {row.minimum} is more than maximum {row.maximum}")
        if row.network_type == "vlan" and row.physical_network is None:
            raise invalid("a range of VLANs needs a physical_network")
        for number in (row.minimum, row.maximum):
            segment = Segment(row.id, row.network_type, row.physical_network, number)
            self._types.driver(row.network_type).validate(segment)
        hold(session, "segment ranges", row.network_type)
        same = SegmentRangeRow.network_type == row.network_type, SegmentRangeRow.id != row.id
        for other in session.scalars(select(SegmentRangeRow).where(*same)):
            apart = row.maximum < other.minimum or other.maximum < row.minimum
            if other.physical_network == row.physical_network and not apart:
                raise faults.NetworkSegmentRangeOverlaps(range_id=other.id)

    def update(self, transaction: Transaction, context: RequestContext, row: SegmentRangeRow, body: Body) -> None:  # noqa: ARG002
        """Change name, description and ends. Raises NetworkSegmentRangeReferencedByProject when an id in use would be
        outside."""
        _refuse_default(row)
        set_plain(row, body, "name", "description")
        before = Interval(row.minimum, row.maximum)
        minimum, maximum = given(body, "minimum", row.minimum), given(body, "maximum", row.maximum)
        if (minimum, maximum) == (before.first, before.last):
            return
        session = transaction.session
        row.minimum, row.maximum = minimum, maximum
        with session.no_autoflush:
            self._check(session, row)
            if any(not minimum <= number <= maximum for number in self._used(session, row, before)):
                raise faults.NetworkSegmentRangeReferencedByProject(range_id=row.id)

    def delete(self, transaction: Transaction, context: RequestContext, row: SegmentRangeRow) -> None:  # noqa: ARG002
        """Remove a range of which no id is in use. Raises NetworkSegmentRangeReferencedByProject."""
        _refuse_default(row)
        if self._used(transaction.session, row, Interval(row.minimum, row.maximum)):
            raise faults.NetworkSegmentRangeReferencedByProject(range_id=row.id)
        transaction.deleted(row)

    def bodies(self, session: Session, context: RequestContext, rows: Any) -> list[Body]:  # noqa: ARG002
        """As the API shows ranges, with the ids in use and (some of) those that are free."""
        return [{**self._described(row), **self._ids(session, row)} for row in rows]

    def _described(self, row: SegmentRangeRow) -> Body:
        return {**self.state(row), **(UNWRITTEN if _is_default(row) else standard(row))}

    def _ids(self, session: Session, row: SegmentRangeRow) -> Body:
        """The ids in use, each with its project, and (some of) those that are free."""
        used = self._used(session, row, Interval(row.minimum, row.maximum))
        projects = _projects(session, row) if used else {}
        free = (number for number in range(row.minimum, row.maximum + 1) if number not in used)
        return {
            "used": {str(number): projects.get(segment_id, "") for number, segment_id in used.items()},
            "available": list(itertools.islice(free, LISTED_IDS)),
        }

    def state(self, row: Any) -> Body:
        """The range itself."""
        return {
            "id": row.id,
            "name": row.name,
            "description": row.description,
            "tags": row.tags,
            "default": _is_default(row),
            "shared": row.project_id is None,
            "project_id": row.project_id,
            "network_type": row.network_type,
            "physical_network": row.physical_network,
            "minimum": row.minimum,
            "maximum": row.maximum,
        }

    def _used(self, session: Session, row: SegmentRangeRow, interval: Interval) -> Mapping[int, str]:
        driver: RangedTypeDriver | None = self._types.ranged(row.network_type)
        return {} if driver is None else driver.used_within(session, row.physical_network, interval)

    def list(self, session: Session, context: RequestContext, query: Query) -> list[Body]:  # noqa: ARG002
        """A page of the ranges that are asked for. Only for these is looked which ids are in use, and only if that is
        asked for."""
        made = session.scalars(select(SegmentRangeRow).order_by(SegmentRangeRow.created_at, SegmentRangeRow.id))
        rows = {row.id: row for row in (*self._defaults(), *made)}
        found = select_bodies([self._described(row) for row in rows.values()], query)
        if query.fields and not query.fields & {"used", "available"}:
            return found
        return [{**body, **self._ids(session, rows[body["id"]])} for body in found]


def _default(kind: str, physical_network: str | None, interval: Interval) -> SegmentRangeRow:
    name = f"{kind}:{physical_network or ''}:{interval}"
    return SegmentRangeRow(
        id=str(uuid.uuid5(NAMESPACE, name)),
        name="",
        description="from the configuration",
        tags=[],
        network_type=kind,
        physical_network=physical_network,
        minimum=interval.first,
        maximum=interval.last,
    )


def _is_default(row: SegmentRangeRow) -> bool:
    return row.revision_number is None


def _refuse_default(row: SegmentRangeRow) -> None:
    if _is_default(row):
        raise faults.NetworkSegmentRangeDefaultReadOnly(range_id=row.id)


def _projects(session: Session, row: SegmentRangeRow) -> dict[str, str]:
    """Segment -> the project of its network, for the segments with ids of a range."""
    chosen = (
        SegmentRow.network_type == row.network_type,
        SegmentRow.physical_network == row.physical_network,  # None becomes IS NULL
        SegmentRow.segmentation_id.between(row.minimum, row.maximum),
    )
    statement = select(SegmentRow.id, NetworkRow.project_id).join(SegmentRow.network).where(*chosen)
    return {found[0]: found[1] for found in session.execute(statement)}
