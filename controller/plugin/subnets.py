"""Subnets of networks: address ranges, gateways and pools that fit each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from neutron_lib import constants
from neutron_lib import exceptions as faults
from sqlalchemy import ColumnElement, Select, Table, bindparam, select
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from controller.db.insert import insert_row_if_free
from controller.db.models import BindingRow, IpRow, NetworkRow, PoolRow, PortRow, SubnetPoolRow, SubnetRow
from controller.db.once import once
from controller.db.transaction import STATUS, Transaction
from controller.plugin import routed, visibility
from controller.plugin import subnet_rules as rules
from controller.plugin.api import Body
from controller.plugin.bodies import given, invalid, is_given, project_of, set_plain, standard
from controller.plugin.context import RequestContext, system_context
from controller.plugin.ipam import Ipam, eui64, is_automatic
from controller.plugin.listing import Listing
from controller.plugin.networks import IPV6_MIN_MTU
from controller.plugin.sharing import AUTO_DELETED, CHUNK, shared_with
from controller.plugin.subnetpools import SubnetPools, default_pool
from controller.plugin.use_cases import Stored

SUBNETS = cast(Table, SubnetRow.__table__).c
OTHERS = select(SUBNETS.id, SUBNETS.ip_version, SUBNETS.cidr, SUBNETS.subnetpool_id, SUBNETS.segment_id).where(
    SUBNETS.network_id == bindparam("network")
)
NAMED_PORTS = 5
"""How many of the ports that keep a subnet from going are named."""


class Subnets(Stored):
    """The subnet resource."""

    quiet = frozenset({"name", "description", "tags"})

    def __init__(self, ipam: Ipam, pools: SubnetPools, new_id: Callable[[], str]) -> None:
        self._ipam, self._pools, self._new_id = ipam, pools, new_id
        self.listing = Listing(SubnetRow, COLUMNS, FILTERS)

    def visible(self, context: RequestContext) -> list[ColumnElement[bool]]:
        """Whose subnets the caller sees."""
        return visibility.subnets(context)

    def find(self, session: Session, context: RequestContext, subnet_id: str, lock: bool = False) -> SubnetRow:
        """The subnet. ``lock`` keeps other writers from its network and so from it: who makes a port there locks the
        network first and the subnet then, and whoever did it the other way would meet them. Raises SubnetNotFound."""
        if lock:
            network_id = select(SubnetRow.network_id).where(SubnetRow.id == subnet_id).scalar_subquery()
            session.execute(select(NetworkRow.id).where(NetworkRow.id == network_id).with_for_update())
        return visibility.find_subnet(session, context, subnet_id)

    def create(self, transaction: Transaction, context: RequestContext, body: Body) -> SubnetRow:
        """Store a subnet whose addresses no other subnet of the network has."""
        session = transaction.session
        network = _network(session, context, body["network_id"])
        pool = _pool(session, context, body)
        if pool is not None:
            body = {**body, **self._from_pool(session, context, pool, body)}
        plan = rules.plan(body)
        others = session.connection().execute(OTHERS, {"network": network.id}).all()
        _refuse_overlap(network, others, plan.cidr, None if pool is None else pool.id)
        if plan.version == 6 and network.mtu < IPV6_MIN_MTU:
            raise faults.NetworkMTUSubnetConflict(net_id=network.id, mtu=IPV6_MIN_MTU)
        routed.check_new(session, network, {other.segment_id for other in others}, given(body, "segment_id"))
        row = SubnetRow(
            id=self._new_id(),
            description=given(body, "description") or "",
            network_id=network.id,
            project_id=project_of(body, context),
            name=given(body, "name") or "",
            ip_version=plan.version,
            cidr=str(plan.cidr),
            gateway_ip=None if plan.gateway is None else str(plan.gateway),
            enable_dhcp=given(body, "enable_dhcp", True),
            ipv6_ra_mode=given(body, "ipv6_ra_mode"),
            ipv6_address_mode=given(body, "ipv6_address_mode"),
            dns_nameservers=rules.nameservers(given(body, "dns_nameservers") or (), plan.version),
            host_routes=rules.host_routes(given(body, "host_routes") or (), plan.version),
            subnetpool_id=None if pool is None else pool.id,
            segment_id=given(body, "segment_id"),
            tags=[],
        )
        transaction.dated(row)
        _store(session, row, plan.pools)
        transaction.touch(row)
        transaction.updated(network, STATUS)
        self._give_automatic_addresses(transaction, row)
        return row

    def _from_pool(
        self, session: Session, context: RequestContext, pool: SubnetPoolRow, body: Body
    ) -> Mapping[str, object]:
        """The range of a subnet from a pool: the one asked for, or a free one."""
        if given(body, "ip_version") not in (None, pool.ip_version):
            raise invalid(
                f"Cannot allocate IPv{body['ip_version']} subnet from IPv{pool.ip_version} subnet pool {pool.id}"
            )
        cidr = rules.cidr_of(body) if given(body, "cidr") else None
        if cidr is None and given(body, "allocation_pools"):
            raise faults.BadRequest(
                resource="subnets", msg="allocation_pools allowed only for specific subnet requests, with a cidr"
            )
        project = project_of(body, context)
        found = self._pools.allocate(session, pool, project, cidr, given(body, "prefixlen"))
        return {"cidr": str(found), "ip_version": pool.ip_version}

    def _give_automatic_addresses(self, transaction: Transaction, row: SubnetRow) -> None:
        """Ports that exist already get their address on a subnet where hosts give themselves addresses."""
        if not is_automatic(row):
            return
        session = transaction.session
        statement = select(PortRow).where(PortRow.network_id == row.network_id)
        if row.segment_id is not None:
            statement = statement.join(PortRow.binding).where(BindingRow.segment_id == row.segment_id)
        for port in session.scalars(_in_order(statement)).all():
            if port.device_owner not in constants.ROUTER_INTERFACE_OWNERS_SNAT:
                self._ipam.give(session, port, row, eui64(row, port.mac_address))
                transaction.updated(port)

    def update(self, transaction: Transaction, context: RequestContext, row: SubnetRow, body: Body) -> None:  # noqa: ARG002
        """Change a subnet; gateway and pools must go on fitting each other."""
        session = transaction.session
        if is_given(body, "segment_id"):
            routed.check_change(session, session.get_one(NetworkRow, row.network_id), row, body["segment_id"])
            row.segment_id = body["segment_id"]
        if is_given(body, "gateway_ip") or is_given(body, "allocation_pools"):
            self._change_range(session, row, body)
        if is_given(body, "dns_nameservers"):
            row.dns_nameservers = rules.nameservers(body["dns_nameservers"] or (), row.ip_version)
        if is_given(body, "host_routes"):
            row.host_routes = rules.host_routes(body["host_routes"] or (), row.ip_version)
        if given(body, "enable_dhcp") and not row.enable_dhcp:
            rules.refuse_dhcp(rules.network_of(row.cidr))
        if given(body, "enable_dhcp") is False and (row.ipv6_ra_mode or row.ipv6_address_mode):
            raise invalid("enable_dhcp cannot be false on a subnet with ipv6_ra_mode or ipv6_address_mode")
        set_plain(row, body, "name", "description", "enable_dhcp")

    def _change_range(self, session: Session, row: SubnetRow, body: Body) -> None:
        cidr = rules.network_of(row.cidr)
        gateway = rules.gateway(cidr, given(body, "gateway_ip", row.gateway_ip) or None)
        pools = [(pool.first, pool.last) for pool in row.pools]
        if is_given(body, "allocation_pools"):
            pools = rules.pools(cidr, body["allocation_pools"] or [])
        rules.refuse_gateway_in_pools(gateway, pools)
        row.gateway_ip = None if gateway is None else str(gateway)
        if is_given(body, "allocation_pools"):
            row.pools = []
            session.flush()
            row.pools = _pool_rows(pools)

    def delete(self, transaction: Transaction, context: RequestContext, row: SubnetRow) -> None:  # noqa: ARG002
        """Remove a subnet that no port needs. As in Neutron addresses that follow from MAC addresses go with it, and
        those of ports that go with their network; the ports stay. Raises SubnetInUse."""
        session = transaction.session
        _refuse_in_use(session, row)
        users = PortRow.id.in_(select(IpRow.port_id).where(IpRow.subnet_id == row.id))
        for port in session.scalars(_in_order(select(PortRow).where(users))).all():
            port.ips = [ip for ip in port.ips if ip.subnet_id != row.id]
            transaction.updated(port)
        session.flush()
        transaction.deleted(row)
        transaction.updated(session.get_one(NetworkRow, row.network_id), STATUS)

    def bodies(self, session: Session, context: RequestContext, rows: Sequence[SubnetRow]) -> list[Body]:
        """As the API shows subnets; they are shared as their networks are."""
        ids = sorted({row.network_id for row in rows})
        shared: set[str] = set()
        for start in range(0, len(ids), CHUNK):
            networks = session.scalars(select(NetworkRow).where(NetworkRow.id.in_(ids[start : start + CHUNK])))
            shared |= shared_with(session, context, "network", networks)
        return [{**self.state(row), **standard(row), "shared": row.network_id in shared} for row in rows]

    def state(self, row: Any) -> Body:
        """The subnet itself."""
        return {
            "description": row.description,
            "tags": row.tags,
            "name": row.name,
            "network_id": row.network_id,
            "project_id": row.project_id,
            "tenant_id": row.project_id,
            "ip_version": row.ip_version,
            "cidr": row.cidr,
            "gateway_ip": row.gateway_ip,
            "allocation_pools": [{"start": str(pool.first), "end": str(pool.last)} for pool in row.pools],
            "dns_nameservers": list(row.dns_nameservers),
            "host_routes": list(row.host_routes),
            "enable_dhcp": row.enable_dhcp,
            "ipv6_ra_mode": row.ipv6_ra_mode,
            "ipv6_address_mode": row.ipv6_address_mode,
            "subnetpool_id": row.subnetpool_id,
            "segment_id": row.segment_id,
        }


def _network(session: Session, context: RequestContext, network_id: str) -> NetworkRow:
    """The network of a new subnet, locked; the subnets of a bulk create share it. What they change of their networks
    is written for all of them at the end."""
    key = ("network of subnets", context.project_id, str(context.sees_all), network_id)
    with session.no_autoflush:
        return once(session, key, lambda: visibility.find_network(session, context, network_id, lock=True))


def _store(session: Session, row: SubnetRow, pools: Sequence[rules.AddressPool]) -> None:
    """Insert a subnet with its pools."""
    insert_row_if_free(session, row)
    rows = [PoolRow(subnet_id=row.id, first=first, last=last) for first, last in pools]
    for pool in rows:
        insert_row_if_free(session, pool)
    set_committed_value(row, "pools", rows)


def _pool(session: Session, context: RequestContext, body: Body) -> SubnetPoolRow | None:
    """The pool that a new subnet is to come from, locked; None for a subnet with a range of its own. Raises 400."""
    wanted, default = given(body, "subnetpool_id"), given(body, "use_default_subnetpool")
    if wanted and default:
        _bad("subnetpool_id and use_default_subnetpool cannot both be specified")
    if is_given(body, "prefixlen") and given(body, "cidr"):
        _bad("cidr and prefixlen must not be supplied together")
    if wanted == constants.IPV6_PD_POOL_ID:
        _bad("prefix delegation is not available here")
    if default:
        version = given(body, "ip_version") or 4
        found = default_pool(session, version)
        if found is None:
            _bad(f"No default subnetpool found for IPv{version}")
        wanted = found.id  # type: ignore[union-attr]
        context = system_context()
    if wanted:
        return visibility.find_subnetpool(session, context, wanted, lock=True)
    if is_given(body, "prefixlen"):
        _bad("prefixlen needs a subnetpool_id")
    if not given(body, "cidr"):
        _bad("a subnetpool must be specified in the absence of a cidr")
    return None


def _bad(message: str) -> None:
    raise faults.BadRequest(resource="subnets", msg=message)


def _refuse_overlap(network: NetworkRow, others: Sequence[Any], cidr: rules.IpNetwork, pool_id: str | None) -> None:
    """Raise 400 when the network has such addresses, or subnets of that version from elsewhere."""
    for other in others:
        if other.ip_version != cidr.version:
            continue
        if other.subnetpool_id != pool_id:
            raise faults.NetworkSubnetPoolAffinityError()
        if cidr.overlaps(rules.network_of(other.cidr)):
            raise invalid(
                f"Requested subnet with cidr: {cidr} for network: {network.id} overlaps with another subnet, "
                f"{other.id} ({other.cidr})"
            )


def _refuse_in_use(session: Session, row: SubnetRow) -> None:
    """Raise SubnetInUse with some of the ports that need their address: all, or routers where hosts give themselves
    addresses."""
    owners, statement = PortRow.device_owner, select(PortRow.id).join(IpRow).where(IpRow.subnet_id == row.id)
    needing = owners.in_(constants.ROUTER_INTERFACE_OWNERS) if is_automatic(row) else owners.not_in(AUTO_DELETED)
    some = session.scalars(statement.where(needing).limit(NAMED_PORTS)).all()
    if some:
        raise faults.SubnetInUse(
            subnet_id=row.id,
            reason=f"ports have an address from it (among them {', '.join(some)}); "
            "delete them or change their fixed_ips first",
        )


def _in_order(statement: Select[Any]) -> Select[Any]:
    """Ports that are going to be changed, locked: two that lock many do it in the same order."""
    return statement.order_by(PortRow.id).with_for_update(of=PortRow)


def _pool_rows(pools: Sequence[rules.AddressPool]) -> list[PoolRow]:
    return [PoolRow(first=first, last=last) for first, last in pools]


def _by_shared(accepted: Sequence[object]) -> ColumnElement[bool]:
    return SubnetRow.network_id.in_(select(NetworkRow.id).where(NetworkRow.shared.in_(accepted)))


COLUMNS = {name: getattr(SubnetRow, name) for name in (
    "id", "name", "network_id", "project_id", "ip_version", "cidr", "gateway_ip", "enable_dhcp", "ipv6_ra_mode",
    "ipv6_address_mode", "subnetpool_id", "segment_id", "description", "created_at", "updated_at",
    "revision_number")}  # fmt: skip
FILTERS = {"shared": _by_shared}
