"""The audit's look at bindings: whole or not there, where the port asks to be, and with a reason otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from neutron_lib.constants import PORT_STATUS_ACTIVE
from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.db.models import BindingRow, InactiveBindingRow, NodeRow, PortRow, SegmentRow
from controller.plugin.binding import NOT_BOUND, wished_switch

Finding = str

FACTS = (
    select(
        BindingRow.port_id, BindingRow.host, BindingRow.profile, BindingRow.switch_node_id, BindingRow.node_id,
        BindingRow.segment_id, BindingRow.mechanism, BindingRow.port_key, BindingRow.vif_type, BindingRow.refusal,
        PortRow.network_id, PortRow.status, SegmentRow.network_id.label("segments_network"),
        NodeRow.host.label("nodes_host"),
    )
    .join(PortRow, PortRow.id == BindingRow.port_id)
    .outerjoin(SegmentRow, SegmentRow.id == BindingRow.segment_id)
    .outerjoin(NodeRow, NodeRow.id == BindingRow.node_id)
)  # fmt: skip


def bindings(session: Session) -> Iterator[Finding]:
    """Every port has a binding that makes sense."""
    for port_id in session.scalars(select(PortRow.id).where(PortRow.id.not_in(select(BindingRow.port_id)))):
        yield f"port {port_id} has no binding row"
    for row in session.execute(FACTS):
        wrong = (*_whole(row), *_where_asked(row)) if row.node_id is not None else (*_whole(row), *_explained(row))
        yield from (f"port {row.port_id} {what}" for what in wrong)
    same = (
        select(BindingRow.port_id, BindingRow.host)
        .join(InactiveBindingRow, InactiveBindingRow.port_id == BindingRow.port_id)
        .where(InactiveBindingRow.host == BindingRow.host)
    )
    for port_id, host in session.execute(same):
        yield f"port {port_id} has its binding on host '{host}', and an inactive one there too"


def _whole(row: Any) -> Iterator[str]:
    parts = (row.node_id, row.segment_id, row.mechanism, row.port_key)
    present = [part is not None for part in parts]
    if any(present) and not all(present):
        yield "is bound by half: node {}, segment {}, mechanism {}, key {}".format(*parts)
    elif row.segment_id is not None and row.segments_network not in (None, row.network_id):
        yield f"is bound to segment {row.segment_id} of another network"
    if (row.vif_type in NOT_BOUND) != (row.node_id is None):
        yield f"has vif_type '{row.vif_type}' and is {'not bound' if row.node_id is None else 'bound'}"
    if row.switch_node_id != wished_switch(row.profile):
        yield f"is taken to ask for switch {row.switch_node_id}, which is not what its profile says"


def _where_asked(row: Any) -> Iterator[str]:
    if row.switch_node_id is not None:
        if row.switch_node_id != row.node_id:
            yield f"asks for switch {row.switch_node_id}, but is bound to node {row.node_id}"
    elif row.nodes_host not in (None, row.host):
        yield f"asks for host '{row.host}', but is bound to node {row.node_id} of host '{row.nodes_host}'"


def _explained(row: Any) -> Iterator[str]:
    asked = bool(row.host or row.switch_node_id)
    if row.status == PORT_STATUS_ACTIVE:
        yield "is ACTIVE without being bound"
    if asked and not row.refusal:
        yield f"asks for {row.switch_node_id or row.host}, is not bound there, and nothing says why"
    if row.refusal and not asked:
        yield "asks for no host, but was refused one"
