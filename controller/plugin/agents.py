"""Nodes as the agent resource shows them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from neutron_lib.exceptions.agent import AgentNotFound
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from controller.db.models import BindingRow, NodeRow
from controller.db.transaction import STATUS, Transaction
from controller.model import NodeKind
from controller.plugin.api import Body, Query
from controller.plugin.binding import Binder
from controller.plugin.bodies import given, invalid, is_given
from controller.plugin.context import RequestContext
from controller.plugin.faults import AgentInUse
from controller.plugin.use_cases import Computed
from controller.plugin.zone_map import ZoneMap

NAMESPACE = uuid.UUID("7d0b1a52-6b8e-5c3f-9a4e-2f1d86c0b9e7")
TYPES = {NodeKind.HOST: "Linux bridge agent", NodeKind.SWITCH: "OpenFlow switch"}
OPEN_VSWITCH_AGENT = "Open vSwitch agent"
BINARIES = {NodeKind.HOST: "isthmus-agent", NodeKind.SWITCH: "openflow-switch"}
TIME = "%Y-%m-%d %H:%M:%S"


def agent_id(node_id: str) -> str:
    """The id of a node's agent, the same for ever."""
    return str(uuid.uuid5(NAMESPACE, node_id))


class Agents(Computed):
    """The agent resource; ``down_after`` is the silence after which a node is held to be down."""

    def __init__(self, binder: Binder, zones: ZoneMap, down_after: timedelta, clock: Callable[[], datetime]) -> None:
        self._binder, self._zones, self._down_after, self._clock = binder, zones, down_after, clock

    def find(self, session: Session, context: RequestContext, wanted: str, lock: bool = False) -> NodeRow:  # noqa: ARG002
        """The node of an agent. Raises AgentNotFound."""
        statement = select(NodeRow).where(NodeRow.agent_id == wanted)
        row = session.scalars(statement.with_for_update() if lock else statement).one_or_none()
        if row is None:
            raise AgentNotFound(id=wanted)
        return row

    def all(self, session: Session, context: RequestContext, query: Query) -> list[Body]:  # noqa: ARG002
        """Every agent."""
        rows = session.scalars(select(NodeRow).order_by(NodeRow.host, NodeRow.id))
        return self.bodies(session, context, rows.all())

    def bodies(self, session: Session, context: RequestContext, rows: Sequence[NodeRow]) -> list[Body]:  # noqa: ARG002
        """As the API shows agents."""
        now = self._clock()
        return [self.body(row, now) for row in rows]

    def body(self, row: NodeRow, now: datetime) -> Body:
        """One as the API shows it at the moment ``now``."""
        kind = NodeKind(row.kind)
        return {
            "id": row.agent_id,
            "agent_type": _type(row),
            "binary": BINARIES[kind],
            "topic": "N/A",
            "host": row.host,
            "availability_zone": self._zones.of_host(row.host),
            "admin_state_up": row.admin_state_up,
            "alive": self.alive(row, now),
            "created_at": row.created_at.strftime(TIME),
            "started_at": row.started_at.strftime(TIME),
            "heartbeat_timestamp": row.heartbeat_at.strftime(TIME),
            "description": row.description,
            "configurations": _configurations(row),
        }

    def alive(self, row: NodeRow, now: datetime) -> bool:
        """Whether the node was heard of lately. A switch is heard as long as the controller has a session with it; its
        heartbeats are the controller's, so none is alive where no controller is."""
        return not row.lost and now - row.heartbeat_at <= self._down_after

    def update(self, transaction: Transaction, context: RequestContext, row: NodeRow, body: Body) -> None:  # noqa: ARG002
        """Administrative state and description; a node that is down takes no new ports."""
        unknown = set(body) - {"admin_state_up", "description"}
        if unknown:
            raise invalid(f"{', '.join(sorted(unknown))} of an agent cannot be changed")
        if is_given(body, "description") and (body["description"] or "") != row.description:
            row.description = body["description"] or ""
            transaction.touch(row, STATUS)
        before, row.admin_state_up = row.admin_state_up, given(body, "admin_state_up", row.admin_state_up)
        if row.admin_state_up != before:
            transaction.touch(row)
        transaction.session.flush()
        if row.admin_state_up and not before:
            self._binder.decide_node(transaction, row, [row.host], only_unbound=True)

    def delete(self, transaction: Transaction, context: RequestContext, row: NodeRow) -> None:  # noqa: ARG002
        """Forget a node that is neither alive nor used. Raises AgentInUse."""
        if self.alive(row, transaction.now):
            raise AgentInUse(agent_id=row.agent_id, host=row.host, reason="it is alive; stop it first")
        bound = select(func.count()).select_from(BindingRow).where(BindingRow.node_id == row.id)
        ports = transaction.session.scalar(bound)
        if ports:
            raise AgentInUse(
                agent_id=row.agent_id,
                host=row.host,
                reason=f"{ports} ports are bound there; move or delete them first",
            )
        transaction.deleted(row)


def _type(row: NodeRow) -> str:
    """As Neutron calls it; a host with several drivers goes by the first."""
    if row.kind == NodeKind.HOST and row.facts["mechanisms"][:1] == ["openvswitch"]:
        return OPEN_VSWITCH_AGENT
    return TYPES[NodeKind(row.kind)]


def _configurations(row: NodeRow) -> dict[str, Any]:
    facts = row.facts
    shown: dict[str, Any] = {
        "tunnel_ip": facts["tunnel_ip"],
        "tunnel_types": facts["tunnel_types"],
        "bridge_mappings": facts["physical_networks"],
        "mechanisms": facts["mechanisms"],
        "capabilities": facts["capabilities"],
        "limits": facts["limits"],
        "network_types": facts.get("served", {}),
    }
    if row.kind == NodeKind.SWITCH:
        shown["datapath_id"] = row.id.removeprefix("switch:")
    return shown
