"""Who sees what: administrators everything, projects their own and what is shared with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, cast

from neutron_lib.exceptions import NetworkNotFound, PortNotFound, SubnetNotFound, SubnetPoolNotFound
from sqlalchemy import ColumnElement, Table, bindparam, or_, select, text
from sqlalchemy.orm import Session, joinedload

from controller.db.models import NetworkRow, PortRow, RbacRow, SubnetPoolRow, SubnetRow
from controller.plugin.context import RequestContext
from controller.plugin.sharing import AS_SHARED, usable

Row = TypeVar("Row", NetworkRow, SubnetRow, SubnetPoolRow)
Conditions = Sequence[ColumnElement[bool]]

PORTS = cast(Table, PortRow.__table__)
KEPT = cast(Table, NetworkRow.__table__).alias("kept")

PORT = (
    select(PortRow)
    .where(PortRow.id == bindparam("port"))
    .options(joinedload(PortRow.binding, innerjoin=True), joinedload(PortRow.ips), joinedload(PortRow.pairs))
)
LOCKED_PORT = (
    select(PORTS.c.id)
    .join(KEPT, KEPT.c.id == PORTS.c.network_id)
    .where(PORTS.c.id == bindparam("port"))
    .suffix_with(text("FOR KEY SHARE OF kept FOR UPDATE OF ports"), dialect="postgresql")
)
"""The network first, as a new port locks it: whoever changes the network and then its ports would be met otherwise."""


def networks(context: RequestContext) -> list[ColumnElement[bool]]:
    """Own networks, and those that policies let the project use."""
    if context.sees_all:
        return []
    given = select(RbacRow.object_id).where(usable(context, "network"))
    return [or_(NetworkRow.project_id == context.project_id, NetworkRow.id.in_(given))]


def subnets(context: RequestContext) -> list[ColumnElement[bool]]:
    """Own subnets, those of own networks, and those of networks that are shared with the project."""
    if context.sees_all:
        return []
    own = select(NetworkRow.id).where(NetworkRow.project_id == context.project_id)
    given = select(RbacRow.object_id).where(usable(context, "network", AS_SHARED))
    mine = SubnetRow.project_id == context.project_id
    return [or_(mine, SubnetRow.network_id.in_(own), SubnetRow.network_id.in_(given))]


def subnetpools(context: RequestContext) -> list[ColumnElement[bool]]:
    """Own subnet pools, and those that policies let the project use."""
    if context.sees_all:
        return []
    given = select(RbacRow.object_id).where(usable(context, "subnetpool"))
    return [or_(SubnetPoolRow.project_id == context.project_id, SubnetPoolRow.id.in_(given))]


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
    row = _found(session, NetworkRow, network_id, networks(context), lock)
    if row is None:
        raise NetworkNotFound(net_id=network_id)
    return row


def find_subnet(session: Session, context: RequestContext, subnet_id: str, lock: bool = False) -> SubnetRow:
    """A subnet that the caller sees. Raises SubnetNotFound."""
    row = _found(session, SubnetRow, subnet_id, subnets(context), lock)
    if row is None:
        raise SubnetNotFound(subnet_id=subnet_id)
    return row


def find_subnetpool(session: Session, context: RequestContext, pool_id: str, lock: bool = False) -> SubnetPoolRow:
    """A subnet pool that the caller sees. Raises SubnetPoolNotFound."""
    row = _found(session, SubnetPoolRow, pool_id, subnetpools(context), lock)
    if row is None:
        raise SubnetPoolNotFound(subnetpool_id=pool_id)
    return row


def _found(session: Session, model: type[Row], row_id: str, seen: Conditions, lock: bool) -> Row | None:
    """The row if it is there and seen.

    What makes it seen is other rows, which may go while its lock is waited for. So where there is any such condition
    it is locked first, and looked for again then.
    """
    statement = select(model).where(model.id == row_id, *seen)
    if lock:
        statement = statement.with_for_update()
        if seen:
            session.execute(statement.with_only_columns(model.id))
    return session.scalars(statement).one_or_none()


def find_port(session: Session, context: RequestContext, port_id: str, lock: bool = False) -> PortRow:
    """A port that the caller sees, with all that belongs to it. Raises PortNotFound.

    It is locked first and read then: what was joined to it would be of the time before the lock was waited for.
    """
    chosen, conditions = {"port": port_id}, ports(context)
    if lock:
        session.connection().execute(LOCKED_PORT.where(*conditions), chosen)
    row: PortRow | None = session.scalars(PORT.where(*conditions), chosen).unique().one_or_none()
    if row is None:
        raise PortNotFound(port_id=port_id)
    return row
