"""Ports as the API shows them: one shape for objects that were just written, and for rows that are only read.

Reading takes columns instead of objects, in the order of the names that the API has for them: a list of a thousand
ports then costs a twentieth of what the objects would.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, Select, Table, bindparam, select, type_coerce
from sqlalchemy.orm import Session

from controller.db.among import among
from controller.db.base import TimeText
from controller.db.models import BindingRow, IpRow, PairRow, PortRow
from controller.plugin.api import Body
from controller.plugin.bodies import standard
from controller.turns import in_turns

PORTS, BINDINGS, IPS, PAIRS = (cast(Table, model.__table__) for model in (PortRow, BindingRow, IpRow, PairRow))
"""Tables, not objects: statements about these are not the mapper's business."""

PORT_COLUMNS = (
    "description", "tags", "name", "network_id", "project_id", "mac_address", "admin_state_up", "device_id",
    "device_owner", "status", "status_reason", "port_security_enabled", "data_plane_status", "propagate_uplink_status",
    "extra_dhcp_opts", "ip_allocation",
)  # fmt: skip
BINDING_COLUMNS = {
    "binding:host_id": "host",
    "binding:vnic_type": "vnic_type",
    "binding:profile": "profile",
    "binding:vif_type": "vif_type",
    "binding:vif_details": "vif_details",
}
"""Attribute -> column of the binding."""

COLUMNS: Mapping[str, Any] = {
    "id": PORTS.c.id,
    "revision_number": PORTS.c.revision_number,
    **{name: type_coerce(PORTS.c[name], TimeText()) for name in ("created_at", "updated_at")},
    **{name: PORTS.c[name] for name in PORT_COLUMNS},
    **{name: BINDINGS.c[column] for name, column in BINDING_COLUMNS.items()},
}
"""What is read of a port and its binding to show it, by the name it is shown under."""
NAMES = tuple(COLUMNS)

SELECTION: Select[Any] = select(*COLUMNS.values()).join_from(PORTS, BINDINGS, BINDINGS.c.port_id == PORTS.c.id)
ONE = (
    SELECTION.add_columns(IPS.c.subnet_id, IPS.c.text, PAIRS.c.mac_address, PAIRS.c.ip_address)
    .outerjoin(IPS, IPS.c.port_id == PORTS.c.id)
    .outerjoin(PAIRS, PAIRS.c.port_id == PORTS.c.id)
    .where(PORTS.c.id == bindparam("port"))
    .order_by(IPS.c.position, PAIRS.c.position)
)
"""One port in one statement: a row for every pair of its addresses and address pairs, which are few."""

IPS_OF = (
    select(IPS.c.port_id, IPS.c.subnet_id, IPS.c.text)
    .where(among(IPS.c.port_id, "ports"))
    .order_by(IPS.c.port_id, IPS.c.position)
)
PAIRS_OF = (
    select(PAIRS.c.port_id, PAIRS.c.mac_address, PAIRS.c.ip_address)
    .where(among(PAIRS.c.port_id, "ports"))
    .order_by(PAIRS.c.port_id, PAIRS.c.position)
)


def state_of(port: PortRow) -> Body:
    """What a port shows besides the standard attributes."""
    binding = port.binding
    body = {name: getattr(port, name) for name in PORT_COLUMNS}
    for name, column in BINDING_COLUMNS.items():
        body[name] = getattr(binding, column)
    body["tenant_id"] = port.project_id
    body["fixed_ips"] = [_ip(ip.subnet_id, str(ip.address)) for ip in port.ips]
    body["allowed_address_pairs"] = [_pair(pair.mac_address, pair.ip_address) for pair in port.pairs]
    body["security_groups"] = []
    return body


def body_of(port: PortRow) -> Body:
    """All that a port shows."""
    return {**state_of(port), **standard(port)}


def bodies(session: Session, rows: Sequence[Sequence[Any]]) -> list[Body]:
    """Rows of :data:`SELECTION` as the API shows ports."""
    found = {row[0]: dict(zip(NAMES, row, strict=True)) for row in rows}
    ips, pairs = defaultdict(list), defaultdict(list)
    if found:
        connection, chosen = session.connection(), {"ports": list(found)}
        for port_id, subnet_id, text in connection.execute(IPS_OF, chosen):
            ips[port_id].append(_ip(subnet_id, text))
        for port_id, mac_address, ip_address in connection.execute(PAIRS_OF, chosen):
            pairs[port_id].append(_pair(mac_address, ip_address))
    return [_completed(body, ips[port_id], pairs[port_id]) for port_id, body in in_turns(found.items())]


def find(session: Session, port_id: str, conditions: Sequence[ColumnElement[bool]]) -> Body | None:
    """One port as the API shows it; None when there is none that fulfils the conditions."""
    statement = ONE.where(*conditions) if conditions else ONE
    rows = session.connection().execute(statement, {"port": port_id}).all()
    if not rows:
        return None
    ips = _distinct(row[-4:-2] for row in rows)
    pairs = _distinct(row[-2:] for row in rows)
    return _completed(
        dict(zip(NAMES, rows[0], strict=False)), [_ip(*ip) for ip in ips], [_pair(*pair) for pair in pairs]
    )


def _distinct(found: Iterable[Any]) -> Iterable[tuple[str, str]]:
    """What an outer join found, once and in order."""
    return dict.fromkeys((first, second) for first, second in found if first)


def _completed(body: Body, ips: list[Body], pairs: list[Body]) -> Body:
    body["tenant_id"] = body["project_id"]
    body["fixed_ips"], body["allowed_address_pairs"], body["security_groups"] = ips, pairs, []
    return body


def _ip(subnet_id: str, text: str) -> Body:
    return {"subnet_id": subnet_id, "ip_address": text}


def _pair(mac_address: str, ip_address: str) -> Body:
    return {"mac_address": mac_address, "ip_address": ip_address}
