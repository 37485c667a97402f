"""How a revision gets into the change feed: its number, what was touched, the ports whose intent changed.

On PostgreSQL this is one statement, which also tells the listeners of :data:`CHANNEL` when it is committed
(:mod:`controller.db.listener`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, Table, bindparam, insert, text, update

from controller.db.base import UtcTime
from controller.db.models import FeedRow, FeedState, PortRow

INTENT, STATUS = "intent", "status"
CHANNEL = "isthmus_feed"
CHUNK = 500

Touched = Mapping[tuple[str, str], str]
"""(resource, id) -> kind."""

FEED, STATE, PORTS = (cast(Table, model.__table__) for model in (FeedRow, FeedState, PortRow))
NEXT = update(STATE).values(revision=STATE.c.revision + 1).returning(STATE.c.revision)
ENTRY = insert(FEED)
STAMP = (
    update(PORTS).where(PORTS.c.id.in_(bindparam("ids", expanding=True))).values(intent_revision=bindparam("revision"))
)
ALL_AT_ONCE = text(
    "WITH next AS (UPDATE feed_state SET revision = revision + 1 RETURNING revision), "
    "entries AS (INSERT INTO feed (revision, resource, object_id, kind, at) "
    "SELECT next.revision, touched.resource, touched.object_id, touched.kind, :at FROM next, "
    "unnest(CAST(:resources AS text[]), CAST(:ids AS text[]), CAST(:kinds AS text[])) "
    "AS touched (resource, object_id, kind)), "
    "stamped AS (UPDATE ports SET intent_revision = next.revision FROM next "
    "WHERE ports.id = ANY (CAST(:ports AS text[]))) "
    f"SELECT revision, pg_notify('{CHANNEL}', CAST(revision AS text)) FROM next"
).bindparams(bindparam("at", type_=UtcTime()))


def record(connection: Connection, touched: Touched, now: datetime) -> int:
    """Write a revision for what was touched; its number. From then on until the commit no other writer gets one."""
    ports = [object_id for (resource, object_id), kind in touched.items() if resource == "port" and kind == INTENT]
    if connection.dialect.name == "postgresql":
        return _all_at_once(connection, touched, ports, now)
    revision = int(connection.execute(NEXT).scalar_one())
    for start in range(0, len(ports), CHUNK):
        connection.execute(STAMP, {"ids": ports[start : start + CHUNK], "revision": revision})
    connection.execute(ENTRY, [
        {"revision": revision, "resource": resource, "object_id": object_id, "kind": kind, "at": now}
        for (resource, object_id), kind in touched.items()
    ])  # fmt: skip
    return revision


def _all_at_once(connection: Connection, touched: Touched, ports: Sequence[str], now: datetime) -> int:
    values: dict[str, Any] = {
        "resources": [resource for resource, _ in touched],
        "ids": [object_id for _, object_id in touched],
        "kinds": list(touched.values()),
        "ports": list(ports),
        "at": now,
    }
    return int(connection.execute(ALL_AT_ONCE, values).scalar_one())
