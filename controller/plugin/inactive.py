"""Several bindings of a port: one is ACTIVE; others, on other hosts, wait to be activated: live migration.

A binding's id is ``<port id>/<host>``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neutron_lib import constants
from neutron_lib import exceptions as faults
from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.db.models import BindingRow, InactiveBindingRow, PortRow
from controller.db.transaction import STATUS, Transaction
from controller.plugin.api import Body, Query
from controller.plugin.binding import Binder, set_host, wish
from controller.plugin.bodies import given, invalid
from controller.plugin.context import RequestContext
from controller.plugin.faults import PortBindingError
from controller.plugin.ports import MAX_HOST, Ports, checked_profile
from controller.plugin.use_cases import Computed

ACTIVE, INACTIVE = constants.ACTIVE, constants.INACTIVE


@dataclass(frozen=True)
class PortBinding:
    """A binding as it is found: ``inactive`` None for the active one."""

    port: PortRow
    host: str
    inactive: InactiveBindingRow | None


class PortBindings(Computed):
    """The port_binding resource, a part of ports."""

    def __init__(self, ports: Ports, binder: Binder) -> None:
        self._ports, self._binder = ports, binder

    def all(self, session: Session, context: RequestContext, query: Query) -> list[Body]:
        """The bindings of the port that the filter ``port_id`` names; as in Neutron there is an active one even where
        the port is nowhere, with an empty host and ``vif_type`` unbound."""
        port = self._ports.find(session, context, str(query.filters["port_id"][0]))
        own = select(InactiveBindingRow).where(InactiveBindingRow.port_id == port.id)
        inactive = session.scalars(own.order_by(InactiveBindingRow.host))
        active = PortBinding(port, port.binding.host, None)
        return self.bodies(session, context, [active, *(PortBinding(port, row.host, row) for row in inactive)])

    def find(self, session: Session, context: RequestContext, binding_id: str, lock: bool = False) -> PortBinding:
        """One binding, its port locked. Raises PortNotFound and PortBindingNotFound."""
        port_id, _, host = binding_id.partition("/")
        port = self._ports.find(session, context, port_id, lock)
        inactive = _inactive(session, port_id, host)
        if not host or (inactive is None and port.binding.host != host):
            raise faults.PortBindingNotFound(port_id=port_id, host=host)
        return PortBinding(port, host, inactive)

    def create(self, transaction: Transaction, context: RequestContext, body: Body) -> PortBinding:
        """Bind a port to one more host; the first binding is active. Raises PortBindingAlreadyExists and
        PortBindingError when no node there can realise the port."""
        session, host = transaction.session, _host(body["host"])
        port = self._ports.find(session, context, body["port_id"], lock=True)
        if port.binding.host == host or _inactive(session, port.id, host) is not None:
            raise faults.PortBindingAlreadyExists(port_id=port.id, host=host)
        row = InactiveBindingRow(
            port_id=port.id,
            host=host,
            vnic_type=given(body, "vnic_type", "normal"),
            profile=checked_profile(given(body, "profile")),
        )
        self._try(session, port, row)
        if port.binding.host:
            session.add(row)
            transaction.touch_id("port", port.id, STATUS)
            return PortBinding(port, host, row)
        self._activate(transaction, port, row)
        return PortBinding(port, host, None)

    def _try(self, session: Session, port: PortRow, row: InactiveBindingRow) -> None:
        """Find out what the binding would be. Raises PortBindingError."""
        wanted = BindingRow(host=row.host, vnic_type=row.vnic_type, profile=row.profile)
        answer = self._binder.preview(session, port, wanted)
        if answer.bound is None:
            raise PortBindingError(port_id=port.id, host=row.host, reason=answer.refusal)
        row.vif_type, row.vif_details = answer.bound.vif_type, dict(answer.bound.vif_details)

    def update(self, transaction: Transaction, context: RequestContext, found: PortBinding, body: Body) -> None:  # noqa: ARG002
        """Change ``vnic_type`` or ``profile``; or with ``status`` ACTIVE make it the port's binding. Raises
        PortBindingAlreadyActive, and PortBindingError for what cannot be; the port then stays as it is."""
        session, port = transaction.session, found.port
        if given(body, "host", found.host) != found.host:
            raise invalid("host of a binding cannot be changed; create another binding and delete this one")
        if given(body, "status") == ACTIVE:
            if found.inactive is None:
                raise faults.PortBindingAlreadyActive(port_id=port.id, host=found.host)
            self._activate(transaction, port, found.inactive)
        elif found.inactive is None:
            before = (port.binding.vnic_type, port.binding.profile)
            _set(port.binding, body)
            self._decide(transaction, port, changed=before != (port.binding.vnic_type, port.binding.profile))
        else:
            _set(found.inactive, body)
            self._try(session, port, found.inactive)

    def _activate(self, transaction: Transaction, port: PortRow, chosen: InactiveBindingRow) -> None:
        """Exchange the active binding for another one; the old one stays as an inactive one."""
        session, row = transaction.session, port.binding
        if row.host:
            session.add(
                InactiveBindingRow(
                    port_id=port.id,
                    host=row.host,
                    vnic_type=row.vnic_type,
                    profile=row.profile,
                    vif_type=row.vif_type,
                    vif_details=row.vif_details,
                )
            )
        set_host(session, row, chosen.host)
        row.vnic_type, row.profile = chosen.vnic_type, chosen.profile
        self._decide(transaction, port, changed=True)

    def _decide(self, transaction: Transaction, port: PortRow, changed: bool) -> None:
        """Decide the active binding anew. Raises PortBindingError when it cannot be."""
        row = port.binding
        wish(row)
        if self._binder.decide(transaction, port) or changed:
            transaction.updated(port)
        if row.host and row.node_id is None:
            raise PortBindingError(port_id=port.id, host=row.host, reason=row.refusal)

    def delete(self, transaction: Transaction, context: RequestContext, found: PortBinding) -> None:  # noqa: ARG002
        """Forget a binding. Without the active one the port is bound nowhere."""
        if found.inactive is not None:
            transaction.session.delete(found.inactive)
            transaction.touch_id("port", found.port.id, STATUS)
            return
        row = found.port.binding
        set_host(transaction.session, row, "")
        row.profile = {}
        wish(row)
        self._binder.decide(transaction, found.port)
        transaction.updated(found.port)

    def bodies(self, session: Session, context: RequestContext, rows: Any) -> list[Body]:  # noqa: ARG002
        """As the API shows bindings, as they are now."""
        return [_body(session, found) for found in rows]


def _inactive(session: Session, port_id: str, host: str) -> InactiveBindingRow | None:
    found: InactiveBindingRow | None = session.get(InactiveBindingRow, (port_id, host))
    return found


def _body(session: Session, found: PortBinding) -> Body:
    active = found.port.binding.host == found.host
    row = found.port.binding if active else session.get_one(InactiveBindingRow, (found.port.id, found.host))
    return {
        "id": f"{found.port.id}/{found.host}",
        "port_id": found.port.id,
        "project_id": found.port.project_id,
        "tenant_id": found.port.project_id,
        "host": found.host,
        "vif_type": row.vif_type,
        "vif_details": row.vif_details,
        "vnic_type": row.vnic_type,
        "profile": row.profile,
        "status": ACTIVE if active else INACTIVE,
    }


def _set(row: Any, body: Body) -> None:
    row.vnic_type = given(body, "vnic_type", row.vnic_type)
    if given(body, "profile") is not None:
        row.profile = checked_profile(body["profile"])


def _host(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_HOST or "/" in value:
        raise invalid(f"host must be a host name of 1 to {MAX_HOST} characters without '/'")
    return value
