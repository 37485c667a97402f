"""How many addresses the subnets of a network have, and how many are in use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from controller.db.models import IpRow, NetworkRow, PoolRow, SubnetRow
from controller.plugin import visibility
from controller.plugin.api import Body, Query
from controller.plugin.context import RequestContext
from controller.plugin.subnet_rules import network_of
from controller.plugin.use_cases import Computed

CHUNK = 500


class Availability(Computed):
    """The network_ip_availability resource. Its id is its network's."""

    def all(self, session: Session, context: RequestContext, query: Query) -> list[Body]:
        """Every network, with the subnets of one IP version if that is asked for."""
        statement = select(NetworkRow).where(*visibility.networks(context)).order_by(NetworkRow.id)
        wanted = query.filters.get("network_id")
        if wanted is not None:
            statement = statement.where(NetworkRow.id.in_([str(item) for item in wanted]))
        versions = {int(str(version)) for version in query.filters.get("ip_version", (4, 6))}
        bodies = _bodies(session, session.scalars(statement).all(), versions)
        if "ip_version" in query.filters:
            bodies = [body for body in bodies if body["subnet_ip_availability"]]
            for body in bodies:
                body["ip_version"] = query.filters["ip_version"][0]
        return bodies

    def find(self, session: Session, context: RequestContext, network_id: str, lock: bool = False) -> Body:  # noqa: ARG002
        """One network. Raises NetworkNotFound."""
        row = visibility.find_network(session, context, network_id)
        return _bodies(session, [row], {4, 6})[0]


def _bodies(session: Session, networks: Sequence[NetworkRow], versions: set[int]) -> list[Body]:
    found: list[Body] = []
    for start in range(0, len(networks), CHUNK):
        part = networks[start : start + CHUNK]
        subnets = _subnets(session, [row.id for row in part], versions)
        found += [_body(row, subnets.get(row.id, [])) for row in part]
    return found


def _subnets(session: Session, network_ids: list[str], versions: set[int]) -> dict[str, list[Body]]:
    chosen = SubnetRow.network_id.in_(network_ids), SubnetRow.ip_version.in_(versions)
    rows = session.scalars(select(SubnetRow).where(*chosen).order_by(SubnetRow.created_at, SubnetRow.id)).all()
    here = IpRow.subnet_id.in_([row.id for row in rows])
    used = _count(session, select(IpRow.subnet_id, func.count()).where(here))
    inside = select(IpRow.subnet_id, func.count()).join(PoolRow, PoolRow.subnet_id == IpRow.subnet_id)
    used_in_pools = _count(session, inside.where(here, IpRow.address.between(PoolRow.first, PoolRow.last)))
    found: dict[str, list[Body]] = defaultdict(list)
    for row in rows:
        in_pools = sum(int(pool.last) - int(pool.first) + 1 for pool in row.pools)
        in_subnet = _usable(row.cidr)
        details = {
            "total_ips_in_subnet": in_subnet,
            "total_ips_in_allocation_pool": in_pools,
            "used_ips_in_subnet": used.get(row.id, 0),
            "used_ips_in_allocation_pool": used_in_pools.get(row.id, 0),
        }
        found[row.network_id].append(
            {
                "subnet_id": row.id,
                "subnet_name": row.name,
                "cidr": row.cidr,
                "ip_version": row.ip_version,
                "total_ips": in_pools or in_subnet,
                "used_ips": used.get(row.id, 0),
                "ip_availability_details": details,
            }
        )
    return found


def _count(session: Session, statement: Select[Any, Any]) -> dict[str, int]:
    return {row[0]: int(row[1]) for row in session.execute(statement.group_by(IpRow.subnet_id))}


def _usable(cidr: str) -> int:
    """How many hosts a range has room for."""
    network = network_of(cidr)
    if network.prefixlen >= network.max_prefixlen - 1:
        return network.num_addresses
    return network.num_addresses - (2 if network.version == 4 else 1)


def _body(row: NetworkRow, subnets: list[Body]) -> Body:
    names = ("total_ips_in_subnet", "total_ips_in_allocation_pool", "used_ips_in_subnet",
             "used_ips_in_allocation_pool")  # fmt: skip
    return {
        "id": row.id,
        "network_id": row.id,
        "network_name": row.name,
        "project_id": row.project_id,
        "tenant_id": row.project_id,
        "total_ips": sum(subnet["total_ips"] for subnet in subnets),
        "used_ips": sum(subnet["used_ips"] for subnet in subnets),
        "subnet_ip_availability": subnets,
        "ip_availability_details": {
            name: sum(subnet["ip_availability_details"][name] for subnet in subnets) for name in names
        },
    }
