"""Who sees what: administrators everything, projects their own and what is shared with them."""

from __future__ import annotations

from neutron_lib.exceptions import NetworkNotFound, PortNotFound, SubnetNotFound
from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from controller.db.models import NetworkRow, PortRow, SubnetRow
from controller.plugin.context import RequestContext


def networks(context: RequestContext) -> list[ColumnElement[bool]]:
    """Own networks, shared ones, and external ones."""
    if context.sees_all:
        return []
    return [or_(NetworkRow.project_id == context.project_id, NetworkRow.shared, NetworkRow.external)]


def subnets(context: RequestContext) -> list[ColumnElement[bool]]:
    """Own subnets, and those of shared networks."""
    if context.sees_all:
        return []
    shared = select(NetworkRow.id).where(NetworkRow.shared)
    return [or_(SubnetRow.project_id == context.project_id, SubnetRow.network_id.in_(shared))]


def ports(context: RequestContext) -> list[ColumnElement[bool]]:
    """Own ports, and all ports of own networks."""
    if context.sees_all:
        return []
    own = select(NetworkRow.id).where(NetworkRow.project_id == context.project_id)
    return [or_(PortRow.project_id == context.project_id, PortRow.network_id.in_(own))]


def find_network(session: Session, context: RequestContext, network_id: str, lock: bool = False) -> NetworkRow:
    """A network that the caller sees. ``lock`` keeps other writers from it until the end of the transaction.

    Raises NetworkNotFound.
    """
    statement = select(NetworkRow).where(NetworkRow.id == network_id, *networks(context))
    row = session.scalars(statement.with_for_update() if lock else statement).one_or_none()
    if row is None:
        raise NetworkNotFound(net_id=network_id)
    return row


def find_subnet(session: Session, context: RequestContext, subnet_id: str, lock: bool = False) -> SubnetRow:
    """A subnet that the caller sees. Raises SubnetNotFound."""
    statement = select(SubnetRow).where(SubnetRow.id == subnet_id, *subnets(context))
    row = session.scalars(statement.with_for_update() if lock else statement).one_or_none()
    if row is None:
        raise SubnetNotFound(subnet_id=subnet_id)
    return row


def find_port(session: Session, context: RequestContext, port_id: str, lock: bool = False) -> PortRow:
    """A port that the caller sees. Raises PortNotFound."""
    statement = select(PortRow).where(PortRow.id == port_id, *ports(context))
    row = session.scalars(statement.with_for_update() if lock else statement).one_or_none()
    if row is None:
        raise PortNotFound(port_id=port_id)
    return row
