"""The plugin: every use case behind one face, each one transaction (:class:`controller.plugin.api.Resources` and
:class:`controller.plugin.api.Nodes`)."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from oslo_config import cfg

from controller.db.migrate import migrate
from controller.db.session import Store
from controller.db.transaction import INTENT, STATUS, Transaction
from controller.model import Node, NodeFacts
from controller.plugin import tags
from controller.plugin.api import Body, Query
from controller.plugin.binding import Binder, Mechanisms
from controller.plugin.bodies import given, project_of
from controller.plugin.context import RequestContext, system_context
from controller.plugin.faults import RevisionNumberConstraintFailed
from controller.plugin.nodes import NodeEvents
from controller.plugin.quotas import Quotas
from controller.plugin.registry import use_cases
from controller.turns import in_turns
from typedrivers.manager import TypeManager


def _new_id() -> str:
    return str(uuid.uuid4())


def open_store(conf: cfg.ConfigOpts, types: TypeManager | None = None) -> Store:
    """The configured store, migrated, with the tables of third parties' type drivers."""
    store = Store(conf.database.connection, conf.database.max_retries)
    migrate(store.engine, types.tables if types is not None else ())
    return store


class Plugin:
    """The use cases of the Networking API and of nodes, on one store."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        sessions: Store,
        type_manager: TypeManager,
        mechanism_manager: Mechanisms,
        new_id: Callable[[], str] = _new_id,
    ) -> None:
        self._store = sessions
        binder = Binder(mechanism_manager)
        self._nodes = NodeEvents(sessions, binder)
        self._quotas = Quotas(conf)
        self._resources = use_cases(conf, sessions, type_manager, binder, self._quotas, new_id)

    def create(self, context: RequestContext, resource: str, body: Body) -> Body:
        """Create one resource."""
        return self.create_bulk(context, resource, [body])[0]

    def create_bulk(self, context: RequestContext, resource: str, bodies: Sequence[Body]) -> list[Body]:
        """Create all or none, in one transaction. Raises OverQuota."""
        cases = self._resources[resource]

        def work(transaction: Transaction) -> list[Body]:
            session = transaction.session
            self._quotas.require(session, resource, Counter(project_of(body, context) for body in bodies))
            rows = []
            for body in in_turns(bodies):
                row = cases.create(transaction, context, body)
                if given(body, "tags"):
                    tags.change(row, {"tags": body["tags"]})
                rows.append(row)
            session.flush()
            return cases.bodies(session, context, rows)

        return self._store.write(work)

    def get(self, context: RequestContext, resource: str, resource_id: str) -> Body:
        """One resource. Raises its NotFound."""
        cases = self._resources[resource]
        return self._store.fetch(lambda session: cases.show(session, context, resource_id), cases.shown_at_once)

    def list(self, context: RequestContext, resource: str, query: Query) -> list[Body]:
        """The resources that the caller sees and asks for."""
        return self._store.fetch(lambda session: self._resources[resource].list(session, context, query))

    def update(
        self, context: RequestContext, resource: str, resource_id: str, body: Body, if_match: int | None = None
    ) -> Body:
        """Change one resource; its revision number rises if that changed anything.

        Raises RevisionNumberConstraintFailed when it is not at revision ``if_match``.
        """
        cases = self._resources[resource]

        def work(transaction: Transaction) -> Body:
            session = transaction.session
            row = cases.find(session, context, resource_id, lock=True)
            _require_revision(row, if_match)
            before = cases.state(row)
            if tags.CHANGES & body.keys():
                tags.change(row, body)
            cases.update(transaction, context, row, {name: body[name] for name in body if name not in tags.CHANGES})
            _mark(transaction, row, before, cases.state(row), cases.quiet)
            session.flush()
            return cases.bodies(session, context, [row])[0]

        return self._store.write(work)

    def delete(self, context: RequestContext, resource: str, resource_id: str, if_match: int | None = None) -> None:
        """Delete one resource. Raises its NotFound or InUse, and RevisionNumberConstraintFailed as :meth:`update`."""
        cases = self._resources[resource]

        def work(transaction: Transaction) -> None:
            row = cases.find(transaction.session, context, resource_id, lock=True)
            _require_revision(row, if_match)
            cases.delete(transaction, context, row)

        self._store.write(work)

    def node_seen(self, facts: NodeFacts) -> Node:
        """See :class:`controller.plugin.api.Nodes`, also for what follows."""
        return self._nodes.node_seen(facts)

    def node_heartbeat(self, node_id: str) -> None:
        """The node is alive now."""
        self._nodes.node_heartbeat(node_id)

    def node_heartbeats(self, node_ids: Sequence[str]) -> None:
        """These nodes are alive now."""
        self._nodes.node_heartbeats(node_ids)

    def node_lost(self, node_id: str) -> None:
        """The node is gone."""
        self._nodes.node_lost(node_id)

    def long_away(self) -> frozenset[str]:
        """Nodes that were lost long before the others were heard last."""
        return self._nodes.long_away()

    def port_plugged(self, port_id: str, node_id: str) -> None:
        """A port's endpoint appeared."""
        self._nodes.port_plugged(port_id, node_id)

    def port_unplugged(self, port_id: str, node_id: str) -> bool:
        """A port's endpoint went away; whether the port is free now."""
        return self._nodes.port_unplugged(port_id, node_id)

    def ports_named(self, name: str) -> Sequence[str]:
        """Ids of the ports with that name, whoever's they are."""
        return [port["id"] for port in self.list(system_context(), "port", Query(filters={"name": [name]}))]

    def find_port(self, id_prefix: str) -> str | None:
        """The one port whose id starts so."""
        return self._nodes.find_port(id_prefix)

    def port_statuses(self) -> Mapping[str, tuple[str, str]]:
        """See :meth:`controller.plugin.api.Nodes.port_statuses`."""
        return self._nodes.port_statuses()

    def set_port_statuses(
        self, statuses: Mapping[str, tuple[str, str]], revisions: Mapping[str, int] | None = None
    ) -> None:
        """Record ports' statuses in one transaction."""
        self._nodes.set_port_statuses(statuses, revisions or {})


def _require_revision(row: Any, expected: int | None) -> None:
    if expected is not None and row.revision_number != expected:
        raise RevisionNumberConstraintFailed(expected=expected, current=row.revision_number)


def _mark(transaction: Transaction, row: Any, before: Body | None, after: Body | None, quiet: frozenset[str]) -> None:
    """A resource that differs gets a new revision number; followers are told whether plans may differ."""
    if before is not None and after is not None and after != before:
        changed = {name for name in after.keys() | before.keys() if after.get(name) != before.get(name)}
        transaction.updated(row, STATUS if changed <= quiet else INTENT)
