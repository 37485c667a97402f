"""One write: a session, the moment, and which objects it touched. Its record is one revision of the change feed."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from controller.db.models import (
    CablePlanRow,
    FeedRow,
    FeedState,
    NetworkRow,
    NodeRow,
    PortRow,
    SegmentRangeRow,
    SegmentRow,
    Standard,
    SubnetPoolRow,
    SubnetRow,
    SwitchRow,
)
from controller.db.record import INTENT, STATUS, record

__all__ = ["INTENT", "STATUS", "Transaction", "prune"]

KEPT_REVISIONS = 100_000
KEPT_TIME = timedelta(hours=24)
PRUNE_EVERY = 1_000

RESOURCES: dict[type, str] = {
    NetworkRow: "network",
    SubnetRow: "subnet",
    PortRow: "port",
    SegmentRow: "segment",
    SubnetPoolRow: "subnetpool",
    SegmentRangeRow: "segment_range",
    NodeRow: "node",
    SwitchRow: "switch",
    CablePlanRow: "cables",
}


class Transaction:
    """What a use case writes with. ``now`` is the moment of the write for every time stamp in it."""

    def __init__(self, session: Session, now: datetime) -> None:
        self.session = session
        self.now = now
        self._touched: dict[tuple[str, str], str] = {}

    def created(self, row: Standard) -> None:
        """Add a new resource."""
        self.dated(row)
        self.session.add(row)
        self.touch(row)

    def dated(self, row: Standard) -> None:
        """A new resource gets its time stamps; its caller stores it and then touches it."""
        row.created_at = row.updated_at = self.now
        row.revision_number = 0

    def updated(self, row: Standard, kind: str = INTENT) -> None:
        """A resource changed: its revision number rises once per write."""
        if (RESOURCES[type(row)], row.id) not in self._touched:
            row.updated_at = self.now
            row.revision_number += 1
        self.touch(row, kind)

    def deleted(self, row: Standard | NodeRow | SwitchRow | CablePlanRow) -> None:
        """Remove a resource."""
        self.session.delete(row)
        self.touch(row)

    def touch(self, row: Standard | NodeRow | SwitchRow | CablePlanRow, kind: str = INTENT) -> None:
        """Name an object in the change feed."""
        self.touch_id(RESOURCES[type(row)], row.id, kind)

    def touch_id(self, resource: str, object_id: str, kind: str = INTENT) -> None:
        """Name an object in the change feed by its id."""
        key = (resource, object_id)
        if self._touched.get(key) != INTENT:
            self._touched[key] = kind

    def record(self) -> int | None:
        """Write the revision for everything touched; None if nothing was. Called last, right before the commit."""
        self.session.flush()
        if not self._touched:
            return None
        revision = record(self.session.connection(), self._touched, self.now)
        if revision % PRUNE_EVERY == 0:
            prune(self.session, revision - KEPT_REVISIONS, self.now - KEPT_TIME)
        return revision

    def is_recorded(self, session: Session, revision: int) -> bool:
        """Whether the feed has this transaction's record at a revision, seen from another session."""
        columns = (FeedRow.resource, FeedRow.object_id, FeedRow.at)
        there = {tuple(row) for row in session.execute(select(*columns).where(FeedRow.revision == revision))}
        return there == {(resource, object_id, self.now) for resource, object_id in self._touched}


def prune(session: Session, revision: int, before: datetime) -> int:
    """Forget entries that are both old in revisions and old in time, and remember up to where; returns that revision.

    A follower that fell back behind it is told so (:class:`controller.errors.FeedExpired`) and loads afresh.
    """
    young = select(FeedRow.revision).where(FeedRow.at >= before).order_by(FeedRow.revision).limit(1)
    first_kept = session.scalar(young)  # a walk over what goes, not over all that stays
    newest = revision if first_kept is None else min(revision, first_kept - 1)
    pruned = int(session.scalars(select(FeedState.pruned)).one())
    if newest <= pruned:
        return pruned
    session.execute(delete(FeedRow).where(FeedRow.revision <= newest))
    session.execute(update(FeedState).values(pruned=newest))
    return newest
