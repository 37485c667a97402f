"""The change feed as followers read it (:class:`controller.plugin.api.Feed`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.db import values
from controller.db.models import PLAN, FeedRow, FeedState
from controller.db.session import Store
from controller.db.transaction import INTENT
from controller.errors import FeedExpired
from controller.intent import Change, Intent
from controller.model import Network, Node, Port

V = TypeVar("V", Network, Port, Node)

FOLLOWED = ("network", "port", "node", "switch", "cables")
"""What plans depend on; subnets and status are in the feed, but no intent."""


class StoreFeed:
    """The feed of one store. ``arp_responder`` is the configured default of networks."""

    def __init__(self, store: Store, arp_responder: bool = True) -> None:
        self._store = store
        self._arp_responder = arp_responder

    def latest(self) -> int:
        """The newest committed revision."""
        return self._store.fetch(lambda session: _state(session).revision, at_once=True)

    def subscribe(self, callback: Callable[[int], None]) -> None:
        """Call back after every commit with its revision; on SQLite those of other processes are found by asking."""
        self._store.subscribe(callback)
        self._store.listen()

    def load(self) -> Intent:
        """The whole intent at the newest revision, from one state of the database."""
        intent = Intent()
        intent.apply(self._store.fetch(self._everything))
        return intent

    def _everything(self, session: Session) -> Change:
        revision = _state(session).revision
        networks = {item.id: item for item in values.networks(session, None, self._arp_responder)}
        nodes = {item.id: item for item in values.nodes(session)}
        ports = {item.id: item for item in values.ports(session)}
        switches = {item.node_id: item for item in values.switches(session)}
        return Change.of(revision, networks, ports, nodes, switches, values.cables(session))

    def since(self, revision: int) -> list[Change]:
        """All later changes of intent, in order; objects are as they are now.

        Raises :class:`controller.errors.FeedExpired` when entries after ``revision`` were pruned, and when the store
        is older than that: somebody restored a backup.
        """

        def read(session: Session) -> list[Change]:
            state = _state(session)
            if revision < state.pruned:
                raise FeedExpired(f"the change feed no longer has what follows revision {revision}; load anew")
            if revision > state.revision:
                raise FeedExpired(
                    f"the store is at revision {state.revision}, and was at {revision} before: an older one was "
                    "restored, and everything is loaded anew; start the controllers again"
                )
            touched, times = _touched(session, revision)
            current = self._current(session, touched)
            return [replace(_change(number, ids, current), at=times[number]) for number, ids in touched.items()]

        return self._store.fetch(read)

    def _current(self, session: Session, touched: Mapping[int, Mapping[str, list[str]]]) -> dict[str, dict[str, Any]]:
        ids: dict[str, set[str]] = {resource: set() for resource in FOLLOWED}
        for change in touched.values():
            for resource, names in change.items():
                ids[resource].update(names)
        network_ids, port_ids, node_ids, switch_ids, plans = (sorted(ids[resource]) for resource in FOLLOWED)
        return {
            "network": {item.id: item for item in values.networks(session, network_ids, self._arp_responder)},
            "port": {item.id: item for item in values.ports(session, port_ids)},
            "node": {item.id: item for item in values.nodes(session, node_ids)},
            "switch": {item.node_id: item for item in values.switches(session, switch_ids)},
            "cables": {PLAN: values.cables(session)} if plans else {},
        }


def _state(session: Session) -> FeedState:
    return session.scalars(select(FeedState)).one()


def _touched(session: Session, revision: int) -> tuple[dict[int, dict[str, list[str]]], dict[int, float]]:
    """Revision -> resource -> ids, in the order of revisions; revision -> when its transaction began."""
    statement = (
        select(FeedRow.revision, FeedRow.resource, FeedRow.object_id, FeedRow.at)
        .where(FeedRow.revision > revision, FeedRow.kind == INTENT, FeedRow.resource.in_(FOLLOWED))
        .order_by(FeedRow.revision)
    )
    touched: dict[int, dict[str, list[str]]] = {}
    times: dict[int, float] = {}
    for number, resource, object_id, at in session.execute(statement):
        touched.setdefault(number, defaultdict(list))[resource].append(object_id)
        times[number] = at.timestamp()
    return touched, times


def _change(revision: int, ids: Mapping[str, list[str]], current: Mapping[str, Mapping[str, Any]]) -> Change:
    networks, ports, nodes, switches, plans = (
        {object_id: current[resource].get(object_id) for object_id in ids.get(resource, ())} for resource in FOLLOWED
    )
    return Change.of(revision, networks, ports, nodes, switches, plans.get(PLAN))
