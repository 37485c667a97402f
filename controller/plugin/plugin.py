"""The plugin: every use case behind one face, each one transaction (:class:`controller.plugin.api.Resources` and
:class:`controller.plugin.api.Nodes`)."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from oslo_config import cfg
from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from controller.db.migrate import migrate
from controller.db.session import Store
from controller.db.transaction import Transaction
from controller.model import Node, NodeFacts
from controller.plugin.addresses import MacSource
from controller.plugin.agents import Agents
from controller.plugin.api import Body, Query
from controller.plugin.binding import Binder, Mechanisms
from controller.plugin.context import RequestContext
from controller.plugin.faults import Forbidden, RevisionNumberConstraintFailed
from controller.plugin.ipam import Ipam
from controller.plugin.listing import Listing, page
from controller.plugin.networks import Networks
from controller.plugin.nodes import NodeEvents
from controller.plugin.ports import Ports
from controller.plugin.segments import Segments
from controller.plugin.subnets import Subnets
from typedrivers.manager import TypeManager


def _new_id() -> str:
    return str(uuid.uuid4())


class UseCases(Protocol):
    """One resource: what :class:`Plugin` runs inside its transactions."""

    listing: Listing

    def visible(self, context: RequestContext) -> list[ColumnElement[bool]]: ...
    def find(self, session: Session, context: RequestContext, resource_id: str, lock: bool = False) -> Any: ...
    def create(self, transaction: Transaction, context: RequestContext, body: Body) -> Any: ...
    def update(self, transaction: Transaction, context: RequestContext, row: Any, body: Body) -> None: ...
    def delete(self, transaction: Transaction, context: RequestContext, row: Any) -> None: ...
    def bodies(self, session: Session, rows: Sequence[Any]) -> list[Body]: ...


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
        ipam = Ipam()
        self._agents = Agents(binder, timedelta(seconds=conf.agent.agent_down_time))
        self._nodes = NodeEvents(sessions, binder)
        self._resources: dict[str, UseCases] = {
            "network": Networks(type_manager, new_id),
            "subnet": Subnets(ipam, new_id),
            "port": Ports(ipam, binder, MacSource(conf.base_mac, random.randrange), new_id),
            "segment": Segments(type_manager, binder),
        }

    def create(self, context: RequestContext, resource: str, body: Body) -> Body:
        """Create one resource."""
        return self.create_bulk(context, resource, [body])[0]

    def create_bulk(self, context: RequestContext, resource: str, bodies: Sequence[Body]) -> list[Body]:
        """Create all or none, in one transaction."""
        cases = self._resources[resource]

        def work(transaction: Transaction) -> list[Body]:
            rows = [cases.create(transaction, context, body) for body in bodies]
            transaction.session.flush()
            return cases.bodies(transaction.session, rows)

        return self._store.write(work)

    def get(self, context: RequestContext, resource: str, resource_id: str) -> Body:
        """One resource. Raises its NotFound."""
        with self._store.read() as session:
            if resource == "agent":
                _admin_only(context)
                return self._agents.body(self._agents.find(session, resource_id), self._store.clock())
            cases = self._resources[resource]
            return cases.bodies(session, [cases.find(session, context, resource_id)])[0]

    def list(self, context: RequestContext, resource: str, query: Query) -> list[Body]:
        """The resources that the caller sees and asks for."""
        with self._store.read() as session:
            if resource == "agent":
                _admin_only(context)
                return self._agents.list(session, query, self._store.clock())
            cases = self._resources[resource]
            marker = None if query.marker is None else cases.find(session, context, query.marker)
            rows = page(session, cases.listing, query, cases.visible(context), marker)
            return cases.bodies(session, rows)

    def update(
        self, context: RequestContext, resource: str, resource_id: str, body: Body, if_match: int | None = None
    ) -> Body:
        """Change one resource. Raises RevisionNumberConstraintFailed when it is not at revision ``if_match``."""
        if resource == "agent":
            return self._update_agent(context, resource_id, body)
        cases = self._resources[resource]

        def work(transaction: Transaction) -> Body:
            session = transaction.session
            row = cases.find(session, context, resource_id, lock=True)
            if if_match is not None and row.revision_number != if_match:
                raise RevisionNumberConstraintFailed(expected=if_match, current=row.revision_number)
            cases.update(transaction, context, row, body)
            session.flush()
            return cases.bodies(session, [row])[0]

        return self._store.write(work)

    def _update_agent(self, context: RequestContext, resource_id: str, body: Body) -> Body:
        _admin_only(context)

        def work(transaction: Transaction) -> Body:
            row = self._agents.find(transaction.session, resource_id, lock=True)
            self._agents.update(transaction, row, body)
            return self._agents.body(row, transaction.now)

        return self._store.write(work)

    def delete(self, context: RequestContext, resource: str, resource_id: str) -> None:
        """Delete one resource. Raises its NotFound or InUse."""

        def work(transaction: Transaction) -> None:
            session = transaction.session
            if resource == "agent":
                _admin_only(context)
                self._agents.delete(transaction, self._agents.find(session, resource_id, lock=True))
                return
            cases = self._resources[resource]
            cases.delete(transaction, context, cases.find(session, context, resource_id, lock=True))

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

    def port_plugged(self, port_id: str, node_id: str) -> None:
        """A port's endpoint appeared."""
        self._nodes.port_plugged(port_id, node_id)

    def port_unplugged(self, port_id: str, node_id: str) -> None:
        """A port's endpoint went away."""
        self._nodes.port_unplugged(port_id, node_id)

    def find_port(self, id_prefix: str) -> str | None:
        """The one port whose id starts so."""
        return self._nodes.find_port(id_prefix)

    def set_port_status(self, port_id: str, status: str, reason: str) -> None:
        """Record a port's status."""
        self._nodes.set_port_statuses({port_id: (status, reason)})

    def set_port_statuses(self, statuses: Mapping[str, tuple[str, str]]) -> None:
        """Record ports' statuses in one transaction."""
        self._nodes.set_port_statuses(statuses)


def _admin_only(context: RequestContext) -> None:
    if not context.is_admin:
        raise Forbidden(reason="Agents are shown to administrators only")
