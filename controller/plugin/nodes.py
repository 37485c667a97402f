"""What switches and agents tell (:class:`controller.plugin.api.Nodes`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from neutron_lib.constants import PORT_STATUS_ACTIVE
from sqlalchemy import bindparam, case, func, literal, select, update
from sqlalchemy.orm import Session

from controller.db.models import BindingRow, NodeRow, PortRow, SwitchRow
from controller.db.session import Store
from controller.db.transaction import STATUS, Transaction
from controller.db.values import CHUNK, facts_json, node_value
from controller.errors import UnknownNode
from controller.model import Node, NodeFacts
from controller.plugin.agents import agent_id
from controller.plugin.binding import Binder, expect, set_host
from typedrivers.intervals import Interval
from typedrivers.pools import UsedIds

LONG = timedelta(seconds=60)
"""Silence by which a lost node has fallen behind the others when it counts as one that may not come back."""

NODE_KEYS = Interval(1, 2**16 - 1)
AFTER_DIGITS = "g"
"""Comes after every character of an id."""

SET_STATUS = (
    update(PortRow.__table__)  # type: ignore[arg-type]
    .where(PortRow.__table__.c.id == bindparam("port_id"))
    .values(
        status=bindparam("status"), status_reason=bindparam("status_reason"), updated_at=bindparam("updated_at"),
        revision_number=PortRow.__table__.c.revision_number + 1,
    )
)  # fmt: skip

STATUSES = (
    select(PortRow.id, PortRow.status, PortRow.status_reason, PortRow.intent_revision, BindingRow.node_id)
    .join(BindingRow, BindingRow.port_id == PortRow.id)
    .order_by(PortRow.id)
)


class NodeEvents:
    """Records facts, heartbeats, plugged endpoints and port statuses."""

    def __init__(self, store: Store, binder: Binder) -> None:
        self._store, self._binder = store, binder

    def node_seen(self, facts: NodeFacts) -> Node:
        """Record a node's facts. When they changed, every port there is decided anew; else only those that could not
        be bound, which heals a port that was created while the node appeared."""

        def work(transaction: Transaction) -> Node:
            row = transaction.session.get(NodeRow, facts.id, with_for_update=True)
            hosts = [facts.host] if row is None else sorted({row.host, facts.host})
            changed = row is None or (row.facts, row.host, row.kind) != (facts_json(facts), facts.host, facts.kind)
            if row is None or row.host != facts.host:
                expect(transaction.session, facts.id, facts.host)
            if row is None:
                row = self._create(transaction, facts)
            elif changed:
                row.facts, row.host, row.kind = facts_json(facts), facts.host, facts.kind
            if row.lost:
                row.started_at = transaction.now
            row.heartbeat_at, row.lost = transaction.now, False
            if changed:
                transaction.touch(row)
            transaction.session.flush()
            self._binder.decide_node(transaction, row, hosts, only_unbound=not changed)
            return node_value(row)

        return self._store.write(work)

    def _create(self, transaction: Transaction, facts: NodeFacts) -> NodeRow:
        key = UsedIds(transaction.session, NodeRow.__table__, "key").lowest_gap(NODE_KEYS)
        if key is None:
            raise UnknownNode(f"node {facts.id} cannot be taken: all {NODE_KEYS.last} numbers are in use")
        declared = transaction.session.get(SwitchRow, facts.id)
        row = NodeRow(
            id=facts.id,
            agent_id=agent_id(facts.id),
            key=key,
            kind=facts.kind,
            host=facts.host,
            facts=facts_json(facts),
            admin_state_up=declared is None or declared.admin_state_up,
            description="",
            created_at=transaction.now,
            started_at=transaction.now,
            heartbeat_at=transaction.now,
            lost=False,
        )
        transaction.session.add(row)
        return row

    def node_heartbeat(self, node_id: str) -> None:
        """The node is alive now. Raises UnknownNode."""

        def work(transaction: Transaction) -> None:
            row = _node(transaction.session, node_id)
            if row.lost:
                row.lost = False
                row.started_at = transaction.now
            row.heartbeat_at = transaction.now

        self._store.write(work)

    def node_heartbeats(self, node_ids: Sequence[str]) -> None:
        """These nodes are alive now."""

        def work(transaction: Transaction) -> None:
            now = transaction.now
            started = case((NodeRow.lost, literal(now, NodeRow.started_at.type)), else_=NodeRow.started_at)
            for start in range(0, len(node_ids), CHUNK):
                chosen = NodeRow.id.in_(node_ids[start : start + CHUNK])
                alive = update(NodeRow).where(chosen).values(started_at=started, heartbeat_at=now, lost=False)
                transaction.session.execute(alive, execution_options={"synchronize_session": False})

        self._store.write(work)

    def node_lost(self, node_id: str) -> None:
        """The node's session ended or its reports stopped; its ports stay bound and its plan stays in force."""
        with self._store.read() as session:
            row = session.get(NodeRow, node_id)
            if row is None or row.lost:
                return

        def work(transaction: Transaction) -> None:
            found = transaction.session.get(NodeRow, node_id, with_for_update=True)
            if found is not None and not found.lost:
                found.lost = True
                transaction.touch(found, STATUS)

        self._store.write(work)

    def long_away(self) -> frozenset[str]:
        """See :class:`controller.plugin.api.Nodes`."""

        def work(session: Session) -> frozenset[str]:
            newest = session.scalar(select(func.max(NodeRow.heartbeat_at)))
            if newest is None:
                return frozenset()
            gone = select(NodeRow.id).where(NodeRow.lost.is_(True), NodeRow.heartbeat_at < newest - LONG)
            return frozenset(session.scalars(gone))

        return self._store.fetch(work)

    def port_plugged(self, port_id: str, node_id: str) -> None:
        """The endpoint of a port appeared on a node."""
        with self._store.read() as session:
            port, node = session.get(PortRow, port_id), session.get(NodeRow, node_id)
            if port is None or node is None or not _may_bind(port.binding, node):
                return

        def work(transaction: Transaction) -> None:
            row = transaction.session.get(PortRow, port_id, with_for_update=True)
            place = _node(transaction.session, node_id)
            if row is None or not _may_bind(row.binding, place):
                return
            before = (row.binding.host, row.binding.auto_bound)
            if not row.binding.host or row.binding.auto_bound:
                set_host(transaction.session, row.binding, place.host, auto_bound=True)
            changed = self._binder.decide(transaction, row, node_id)
            if changed or before != (row.binding.host, row.binding.auto_bound):
                transaction.updated(row)

        self._store.write(work)

    def port_unplugged(self, port_id: str, node_id: str) -> bool:
        """The endpoint went away; a port that was bound because it was plugged loses its host and binding. Whether it
        did."""
        with self._store.read() as session:
            port = session.get(PortRow, port_id)
            if port is None or not _auto_bound_on(session, port.binding, node_id):
                return False

        def work(transaction: Transaction) -> bool:
            row = transaction.session.get(PortRow, port_id, with_for_update=True)
            if row is None or not _auto_bound_on(transaction.session, row.binding, node_id):
                return False
            set_host(transaction.session, row.binding, "")
            self._binder.decide(transaction, row)
            transaction.updated(row)
            return True

        return self._store.write(work)

    def find_port(self, id_prefix: str) -> str | None:
        """The one port whose id starts so. The bounds are there for the index: a database does not use it for LIKE in
        every collation, and hosts may have taps that are nobody's port."""
        with self._store.read() as session:
            among = PortRow.id.between(id_prefix, id_prefix + AFTER_DIGITS)
            chosen = PortRow.id.startswith(id_prefix, autoescape=True)
            found = session.scalars(select(PortRow.id).where(among, chosen).limit(2)).all()
        return found[0] if len(found) == 1 else None

    def port_statuses(self) -> Mapping[str, tuple[str, str]]:
        """What the store says of all ports."""
        with self._store.read() as session:
            rows = session.execute(select(PortRow.id, PortRow.status, PortRow.status_reason)).all()
        return {port_id: (status, reason) for port_id, status, reason in rows}

    def set_port_statuses(self, statuses: Mapping[str, tuple[str, str]], revisions: Mapping[str, int]) -> None:
        """Record statuses (port id -> status, reason) in one transaction. What was decided of a port as it was at an
        earlier revision is left out; and no unbound port becomes ACTIVE."""
        with self._store.read() as session:
            if not _different(session, statuses, revisions):
                return

        def work(transaction: Transaction) -> None:
            session = transaction.session
            changed = _different(session, statuses, revisions, lock=True)
            rows = [{"port_id": port_id, "status": statuses[port_id][0], "status_reason": statuses[port_id][1],
                     "updated_at": transaction.now} for port_id in changed]  # fmt: skip
            if rows:
                session.connection().execute(SET_STATUS, rows)
            for port_id in changed:
                transaction.touch_id("port", port_id, STATUS)

        self._store.write(work)


def _different(
    session: Session, statuses: Mapping[str, tuple[str, str]], revisions: Mapping[str, int], lock: bool = False
) -> list[str]:
    """Which of these ports have another status, and may have the new one."""
    found, wanted = [], sorted(statuses)
    for start in range(0, len(wanted), CHUNK):
        chosen = PortRow.id.in_(wanted[start : start + CHUNK])
        statement = STATUSES.where(chosen)
        for row in session.execute(statement.with_for_update(of=PortRow) if lock else statement):
            unbound = statuses[row.id][0] == PORT_STATUS_ACTIVE and row.node_id is None
            outdated = row.intent_revision > revisions.get(row.id, row.intent_revision)
            if (row.status, row.status_reason) != statuses[row.id] and not unbound and not outdated:
                found.append(row.id)
    return found


def _node(session: Session, node_id: str) -> NodeRow:
    row = session.get(NodeRow, node_id)
    if row is None:
        raise UnknownNode(f"node '{node_id}' has not reported yet")
    return row


def _may_bind(binding: BindingRow, node: NodeRow) -> bool:
    """A port may be bound where it is plugged if nobody asked for another place, and it is not there already."""
    if binding.node_id == node.id and (binding.host == node.host or binding.switch_node_id == node.id):
        return False
    if binding.switch_node_id is not None:
        return binding.switch_node_id == node.id
    return not binding.host or binding.auto_bound or binding.host == node.host


def _auto_bound_on(session: Session, binding: BindingRow, node_id: str) -> bool:
    """Whether plugging bound the port to this node, successfully or not."""
    if not binding.auto_bound:
        return False
    if binding.node_id is not None:
        return binding.node_id == node_id
    node = session.get(NodeRow, node_id)
    return node is not None and node.host == binding.host
