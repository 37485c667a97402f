"""Switches as an operator declares them, for those that OVSDB says nothing of."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.db.models import NodeRow, SwitchRow
from controller.db.transaction import Transaction
from controller.db.values import switch_value
from controller.declared import NICIRA
from controller.endpoints import endpoint
from controller.local_links import switch_number
from controller.model import TUNNEL_TYPES, switch_node_id
from controller.plugin.api import Body, Query
from controller.plugin.binding import Binder
from controller.plugin.bodies import invalid
from controller.plugin.context import RequestContext
from controller.plugin.faults import DeclarationConflict, SwitchNotFound
from controller.plugin.use_cases import Computed

LONGEST = 255
LAST_PORT = 0xFFFFFF00 - 1
"""The highest OpenFlow port number that is a port."""


class DeclaredSwitches(Computed):
    """The resource ``switch``: its id is a datapath id. To create one that exists is to replace it."""

    def __init__(self, binder: Binder) -> None:
        self._binder = binder

    def find(self, session: Session, context: RequestContext, wanted: str, lock: bool = False) -> SwitchRow:  # noqa: ARG002
        """One declaration. Raises SwitchNotFound."""
        row = session.get(SwitchRow, node_id_of(wanted), with_for_update=lock)
        if row is None:
            raise SwitchNotFound(dpid=wanted)
        return row

    def all(self, session: Session, context: RequestContext, query: Query) -> list[Body]:  # noqa: ARG002
        """Every declaration."""
        return self.bodies(session, context, session.scalars(select(SwitchRow).order_by(SwitchRow.id)).all())

    def create(self, transaction: Transaction, context: RequestContext, body: Body) -> SwitchRow:  # noqa: ARG002
        """Declare a switch, or declare it otherwise. Raises 400 and DeclarationConflict."""
        session, node_id = transaction.session, node_id_of(str(body["dpid"]))
        found = session.get(SwitchRow, node_id, with_for_update=True)
        before = None if found is None else (switch_value(found), found.admin_state_up)
        row = found or SwitchRow(id=node_id)
        row.name = _name(body.get("name"))
        row.uplinks = _uplinks(body.get("uplinks"))
        row.tunnel_ip, row.tunnel_ports = _tunnel(body.get("tunnel"))
        row.admin_state_up = _flag(body.get("admin_state_up"))
        _require_distinct([port for ports in row.uplinks.values() for port in ports] + [*row.tunnel_ports.values()])
        self._require_fit(session, row)
        session.add(row)
        if before != (switch_value(row), row.admin_state_up):
            transaction.touch(row)
        self._tell_node(transaction, row)
        return row

    def delete(self, transaction: Transaction, context: RequestContext, row: SwitchRow) -> None:  # noqa: ARG002
        """Take the declaration back; the switch is again what it says of itself."""
        transaction.deleted(row)

    def bodies(self, session: Session, context: RequestContext, rows: Sequence[Any]) -> list[Body]:  # noqa: ARG002
        """As the API shows declarations."""
        return [_body(row, session.get(NodeRow, row.id)) if isinstance(row, SwitchRow) else row for row in rows]

    def _require_fit(self, session: Session, row: SwitchRow) -> None:
        same = select(SwitchRow.id).where(SwitchRow.name == row.name, SwitchRow.id != row.id).limit(1)
        other = session.scalar(same) if row.name else None
        if other is not None:
            raise DeclarationConflict(reason=f"the name '{row.name}' is that of {other} already")
        node = session.get(NodeRow, row.id)
        if row.tunnel_ports and node is not None and NICIRA not in node.facts["capabilities"]:
            raise DeclarationConflict(
                reason=f"{row.id} cannot have tunnels: it cannot choose a tunnel's remote end by flow, which takes "
                "Open vSwitch's extensions; leave 'tunnel' out"
            )

    def _tell_node(self, transaction: Transaction, row: SwitchRow) -> None:
        node = transaction.session.get(NodeRow, row.id, with_for_update=True)
        if node is None or node.admin_state_up == row.admin_state_up:
            return
        node.admin_state_up = row.admin_state_up
        transaction.touch(node)
        transaction.session.flush()
        if node.admin_state_up:
            self._binder.decide_node(transaction, node, [node.host], only_unbound=True)


def node_id_of(text: str) -> str:
    """The node id for a datapath id as people write it. Raises 400."""
    number = switch_number(text)
    if number is None:
        raise invalid(f"'{text}' is no datapath id: up to 16 hexadecimal digits, with or without 0x and colons")
    return switch_node_id(number)


def _body(row: SwitchRow, node: NodeRow | None) -> Body:
    return {
        "id": row.id,
        "dpid": row.id.removeprefix("switch:"),
        "name": row.name,
        "uplinks": {name: list(ports) for name, ports in sorted(row.uplinks.items())},
        "tunnel": {"ip": row.tunnel_ip, "ports": dict(sorted(row.tunnel_ports.items()))} if row.tunnel_ip else None,
        "admin_state_up": node.admin_state_up if node is not None else row.admin_state_up,
    }


def _name(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST or not value.isprintable():
        raise invalid(f"name must be a text of 1 to {LONGEST} printable characters")
    return value


def _flag(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, bool):
        raise invalid("admin_state_up must be true or false")
    return value


def _uplinks(value: Any) -> dict[str, list[str]]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid('uplinks must be an object: {"physnet1": ["eth1"]}')
    found = {}
    for name, ports in value.items():
        if not name.strip() or len(name) > 64 or "," in name:
            raise invalid(f"uplinks: '{name[:80]}' is no name of a physical network (1 to 64 characters, no comma)")
        several = ports if isinstance(ports, list) else [ports]
        if not several:
            raise invalid(f"uplinks: physical network '{name}' has no port; leave it out")
        found[name] = [port_of(port, f"uplinks of '{name}'") for port in several]
    return found


def _tunnel(value: Any) -> tuple[str | None, dict[str, str]]:
    if value is None:
        return None, {}
    shape = 'tunnel must be of the form {"ip": "192.0.2.1", "ports": {"vxlan": "vxlan0"}}'
    if not isinstance(value, dict) or set(value) != {"ip", "ports"} or not isinstance(value["ports"], dict):
        raise invalid(shape)
    try:
        address = endpoint(value["ip"] if isinstance(value["ip"], str) else "")
    except ValueError as error:
        raise invalid(f"tunnel: ip: {error}. {shape}") from None
    if ipaddress.ip_address(address).is_loopback:
        raise invalid(f"tunnel: {address} cannot be a tunnel's endpoint")
    unknown = sorted(set(value["ports"]) - TUNNEL_TYPES)
    if unknown or not value["ports"]:
        raise invalid(f"tunnel: ports must name one or more of {', '.join(sorted(TUNNEL_TYPES))}. {shape}")
    return address, {kind: port_of(port, f"tunnel port of {kind}") for kind, port in value["ports"].items()}


def port_of(value: Any, where: str) -> str:
    """A port by name or number, as text. Raises 400."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LAST_PORT:
        return str(value)
    if isinstance(value, str) and value.strip() and len(value) <= LONGEST and value.isprintable():
        return value
    raise invalid(f"{where}: a port is a name, or a number from 1 to {LAST_PORT}")


def _require_distinct(ports: list[str]) -> None:
    twice = sorted({port for port in ports if ports.count(port) > 1})
    if twice:
        raise invalid(f"port '{twice[0]}' is named twice; a port is for one thing")
