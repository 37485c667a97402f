"""Ports as the API shows them: one shape for objects that were just written, and for rows that are only read.

Reading takes columns instead of objects: a list of a thousand ports then costs a tenth of what the objects would.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, bindparam, select
from sqlalchemy.orm import Session

from controller.db.models import BindingRow, IpRow, PairRow, PortRow
from controller.plugin.api import Body
from controller.plugin.bodies import standard

CHUNK = 1000

IPS, PAIRS = IpRow.__table__.c, PairRow.__table__.c
IP_COLUMNS = (IPS.port_id, IPS.subnet_id, IPS.text)
PAIR_COLUMNS = (PAIRS.port_id, PAIRS.mac_address, PAIRS.ip_address)
"""Columns of tables, not attributes of objects: statements of these are not the mapper's business."""

SELECTION: Any = select(
    PortRow.id, PortRow.description, PortRow.created_at, PortRow.updated_at, PortRow.revision_number, PortRow.tags,
    PortRow.name, PortRow.network_id, PortRow.project_id, PortRow.mac_address, PortRow.admin_state_up,
    PortRow.device_id, PortRow.device_owner, PortRow.status, PortRow.status_reason, PortRow.port_security_enabled,
    PortRow.data_plane_status, PortRow.propagate_uplink_status, PortRow.extra_dhcp_opts, BindingRow.host,
    BindingRow.vnic_type, BindingRow.profile, BindingRow.vif_type, BindingRow.vif_details,
).join(BindingRow, BindingRow.port_id == PortRow.id)  # fmt: skip
"""What is read of a port and its binding; columns have the names that the objects' attributes have."""

ONE: Any = (
    SELECTION.add_columns(
        IPS.subnet_id, IPS.text, PAIRS.mac_address.label("pair_mac"), PAIRS.ip_address.label("pair_ip")
    )
    .outerjoin(IpRow, IPS.port_id == PortRow.id)
    .outerjoin(PairRow, PAIRS.port_id == PortRow.id)
    .where(PortRow.id == bindparam("port"))
    .order_by(IPS.position, PAIRS.position)
)
"""One port in one statement: a row for every pair of its addresses and address pairs, which are few."""


def state(row: Any, binding: Any, ips: Sequence[Body], pairs: Sequence[Body]) -> Body:
    """What a port shows besides the standard attributes. ``row`` and ``binding`` are objects, or one row of both."""
    return {
        "description": row.description,
        "tags": row.tags,
        "name": row.name,
        "network_id": row.network_id,
        "project_id": row.project_id,
        "tenant_id": row.project_id,
        "mac_address": row.mac_address,
        "admin_state_up": row.admin_state_up,
        "device_id": row.device_id,
        "device_owner": row.device_owner,
        "status": row.status,
        "status_reason": row.status_reason,
        "port_security_enabled": row.port_security_enabled,
        "fixed_ips": ips,
        "allowed_address_pairs": pairs,
        "security_groups": [],
        "data_plane_status": row.data_plane_status,
        "propagate_uplink_status": row.propagate_uplink_status,
        "extra_dhcp_opts": row.extra_dhcp_opts,
        "binding:host_id": binding.host,
        "binding:vnic_type": binding.vnic_type,
        "binding:profile": binding.profile,
        "binding:vif_type": binding.vif_type,
        "binding:vif_details": binding.vif_details,
    }


def state_of(port: PortRow) -> Body:
    """The same of an object."""
    ips = [{"subnet_id": ip.subnet_id, "ip_address": str(ip.address)} for ip in port.ips]
    pairs = [{"mac_address": pair.mac_address, "ip_address": pair.ip_address} for pair in port.pairs]
    return state(port, port.binding, ips, pairs)


def bodies(session: Session, rows: Sequence[Any]) -> list[Body]:
    """Rows of :data:`SELECTION` as the API shows ports."""
    ids = [row.id for row in rows]
    ips, pairs = _ips(session, ids), _pairs(session, ids)
    return [{**state(row, row, ips.get(row.id, []), pairs.get(row.id, [])), **standard(row)} for row in rows]


def find(session: Session, port_id: str, conditions: Sequence[ColumnElement[bool]]) -> Body | None:
    """One port as the API shows it; None when there is none that fulfils the conditions."""
    rows: Sequence[Any] = session.execute(ONE.where(*conditions) if conditions else ONE, {"port": port_id}).all()
    if not rows:
        return None
    ips = dict.fromkeys((row.subnet_id, row.text) for row in rows if row.subnet_id)
    pairs = dict.fromkeys((row.pair_mac, row.pair_ip) for row in rows if row.pair_mac)
    shown_ips = [{"subnet_id": subnet_id, "ip_address": text} for subnet_id, text in ips]
    shown_pairs = [{"mac_address": mac, "ip_address": ip} for mac, ip in pairs]
    return {**state(rows[0], rows[0], shown_ips, shown_pairs), **standard(rows[0])}


def _ips(session: Session, ids: list[str]) -> Mapping[str, list[Body]]:
    found: dict[str, list[Body]] = defaultdict(list)
    for part in _parts(ids):
        chosen = select(*IP_COLUMNS).where(IPS.port_id.in_(part)).order_by(IPS.port_id, IPS.position)
        for port_id, subnet_id, text in session.execute(chosen):
            found[port_id].append({"subnet_id": subnet_id, "ip_address": text})
    return found


def _pairs(session: Session, ids: list[str]) -> Mapping[str, list[Body]]:
    found: dict[str, list[Body]] = defaultdict(list)
    for part in _parts(ids):
        chosen = select(*PAIR_COLUMNS).where(PAIRS.port_id.in_(part)).order_by(PAIRS.port_id, PAIRS.position)
        for port_id, mac_address, ip_address in session.execute(chosen):
            found[port_id].append({"mac_address": mac_address, "ip_address": ip_address})
    return found


def _parts(ids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]
