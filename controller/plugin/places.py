"""What a port needs to know of its network: whether its ports are secured, and which addresses there are.

Columns instead of objects, and one statement: every create of a port asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

from neutron_lib.exceptions import NetworkNotFound
from sqlalchemy import Table, bindparam, select
from sqlalchemy.orm import Session

from controller.db.models import NetworkRow, PoolRow, SubnetRow
from controller.db.once import once
from controller.plugin import visibility
from controller.plugin.context import RequestContext
from typedrivers.intervals import Interval

NETWORKS, SUBNETS, POOLS = (cast(Table, model.__table__) for model in (NetworkRow, SubnetRow, PoolRow))


@dataclass(frozen=True, slots=True)
class AddressRange:
    """A subnet as far as addresses go."""

    id: str
    ip_version: int
    cidr: str
    ipv6_ra_mode: str | None
    ipv6_address_mode: str | None
    segment_id: str | None
    pools: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A network as far as its ports go; ``subnets`` are in the order they were made."""

    id: str
    port_security_enabled: bool
    subnets: tuple[AddressRange, ...]


PLACE = (
    select(
        NETWORKS.c.id, NETWORKS.c.port_security_enabled, SUBNETS.c.id, SUBNETS.c.ip_version, SUBNETS.c.cidr,
        SUBNETS.c.ipv6_ra_mode, SUBNETS.c.ipv6_address_mode, SUBNETS.c.segment_id, POOLS.c.first, POOLS.c.last,
    )
    .select_from(NETWORKS)
    .outerjoin(SUBNETS, SUBNETS.c.network_id == NETWORKS.c.id)
    .outerjoin(POOLS, POOLS.c.subnet_id == SUBNETS.c.id)
    .where(NETWORKS.c.id == bindparam("network"))
    .order_by(SUBNETS.c.created_at, SUBNETS.c.id, POOLS.c.first)
)  # fmt: skip

KEPT = select(NETWORKS.c.id).where(NETWORKS.c.id == bindparam("network")).with_for_update(read=True, key_share=True)
"""As a port's foreign key would lock its network: it stays, and whoever changes it or its subnets is waited for."""


def visible(session: Session, context: RequestContext, network_id: str) -> Place:
    """A network that the caller sees, for a new port. Raises NetworkNotFound.

    It is locked first and read then: a subnet that was being made has its addresses in the answer.
    """

    def find() -> Place:
        conditions = visibility.networks(context)
        session.connection().execute(KEPT.where(*conditions), {"network": network_id})
        return _find(session, network_id, conditions)

    return once(session, ("place", context.project_id, str(context.sees_all), network_id), find)


def keep(session: Session, network_id: str) -> None:
    """Have a network and its segments stay as they are until the end of the transaction."""
    session.connection().execute(KEPT, {"network": network_id})


def of_port(session: Session, network_id: str) -> Place:
    """The network of a port that is there."""
    return _find(session, network_id, ())


def _find(session: Session, network_id: str, conditions: Iterable[Any]) -> Place:
    rows: Sequence[Any] = session.connection().execute(PLACE.where(*conditions), {"network": network_id}).all()
    if not rows:
        raise NetworkNotFound(net_id=network_id)
    subnets = [AddressRange(*same, _pools(found)) for same, found in groupby(rows, _subnet) if same[0] is not None]
    return Place(rows[0][0], rows[0][1], tuple(subnets))


def _subnet(row: Any) -> tuple[Any, Any, Any, Any, Any, Any]:
    return row[2], row[3], row[4], row[5], row[6], row[7]


def _pools(rows: Iterable[Any]) -> tuple[Interval, ...]:
    return tuple(Interval(int(row[8]), int(row[9])) for row in rows if row[8] is not None)
