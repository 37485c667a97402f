"""Subnets of networks: address ranges, gateways and pools that fit each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from neutron_lib import constants
from neutron_lib import exceptions as faults
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from controller.db.models import IpRow, NetworkRow, PoolRow, PortRow, SubnetRow
from controller.db.transaction import STATUS, Transaction
from controller.plugin import subnet_rules as rules
from controller.plugin import visibility
from controller.plugin.api import Body
from controller.plugin.bodies import given, invalid, is_given, project_of, set_plain, standard
from controller.plugin.context import RequestContext
from controller.plugin.ipam import Ipam, eui64, is_automatic
from controller.plugin.listing import Listing
from controller.plugin.networks import AUTO_DELETED, IPV6_MIN_MTU


class Subnets:
    """The subnet resource."""

    def __init__(self, ipam: Ipam, new_id: Callable[[], str]) -> None:
        self._ipam, self._new_id = ipam, new_id
        self.listing = Listing(SubnetRow, COLUMNS, FILTERS)

    def visible(self, context: RequestContext) -> list[ColumnElement[bool]]:
        """Whose subnets the caller sees."""
        return visibility.subnets(context)

    def find(self, session: Session, context: RequestContext, subnet_id: str, lock: bool = False) -> SubnetRow:
        """The subnet. Raises SubnetNotFound."""
        return visibility.find_subnet(session, context, subnet_id, lock)

    def create(self, transaction: Transaction, context: RequestContext, body: Body) -> SubnetRow:
        """Store a subnet whose addresses no other subnet of the network has."""
        session = transaction.session
        network = visibility.find_network(session, context, body["network_id"], lock=True)
        if given(body, "subnetpool_id") or is_given(body, "prefixlen"):
            raise invalid("subnet pools are not available here; give the subnet a cidr")
        plan = rules.plan(body)
        _refuse_overlap(session, network, plan.cidr)
        if plan.version == 6 and network.mtu < IPV6_MIN_MTU:
            raise faults.NetworkMTUSubnetConflict(net_id=network.id, mtu=IPV6_MIN_MTU)
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
            pools=_pool_rows(plan.pools),
        )
        transaction.created(row)
        transaction.updated(network, STATUS)
        session.flush()
        self._give_automatic_addresses(transaction, row)
        return row

    def _give_automatic_addresses(self, transaction: Transaction, row: SubnetRow) -> None:
        """Ports that exist already get their address on a subnet where hosts give themselves addresses."""
        if not is_automatic(row):
            return
        session = transaction.session
        for port in session.scalars(select(PortRow).where(PortRow.network_id == row.network_id)).all():
            if port.device_owner not in constants.ROUTER_INTERFACE_OWNERS_SNAT:
                self._ipam.give(session, port, row, eui64(row, port.mac_address))
                transaction.updated(port)

    def update(self, transaction: Transaction, context: RequestContext, row: SubnetRow, body: Body) -> None:
        """Change a subnet; gateway and pools must go on fitting each other."""
        visibility.find_network(transaction.session, context, row.network_id, lock=True)
        if is_given(body, "gateway_ip") or is_given(body, "allocation_pools"):
            self._change_range(transaction.session, row, body)
        if is_given(body, "dns_nameservers"):
            row.dns_nameservers = rules.nameservers(body["dns_nameservers"] or (), row.ip_version)
        if is_given(body, "host_routes"):
            row.host_routes = rules.host_routes(body["host_routes"] or (), row.ip_version)
        if given(body, "enable_dhcp") is False and (row.ipv6_ra_mode or row.ipv6_address_mode):
            raise invalid("enable_dhcp cannot be false on a subnet with ipv6_ra_mode or ipv6_address_mode")
        set_plain(row, body, "name", "description", "enable_dhcp")
        transaction.updated(row)

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

    def delete(self, transaction: Transaction, context: RequestContext, row: SubnetRow) -> None:
        """Remove a subnet that no port needs; addresses that follow from MAC addresses go with it."""
        session = transaction.session
        network = visibility.find_network(session, context, row.network_id, lock=True)
        users = session.scalars(select(PortRow).join(IpRow).where(IpRow.subnet_id == row.id)).all()
        staying = [port for port in users if port.device_owner not in AUTO_DELETED]
        if staying and not is_automatic(row):
            some = ", ".join(port.id for port in staying[:5])
            raise faults.SubnetInUse(
                subnet_id=row.id,
                reason=f"{len(staying)} ports have an address from it (among them {some}); "
                "delete them or change their fixed_ips first",
            )
        for port in users:
            if port in staying:
                port.ips = [ip for ip in port.ips if ip.subnet_id != row.id]
                transaction.updated(port)
            else:
                transaction.deleted(port)
        session.flush()
        transaction.deleted(row)
        transaction.updated(network, STATUS)

    def bodies(self, session: Session, rows: Sequence[SubnetRow]) -> list[Body]:
        """As the API shows subnets."""
        ids = {row.network_id for row in rows}
        shared = set(session.scalars(select(NetworkRow.id).where(NetworkRow.shared, NetworkRow.id.in_(ids))))
        return [_body(row, row.network_id in shared) for row in rows]


def _refuse_overlap(session: Session, network: NetworkRow, cidr: rules.IpNetwork) -> None:
    same = SubnetRow.network_id == network.id, SubnetRow.ip_version == cidr.version
    for other_id, text in session.execute(select(SubnetRow.id, SubnetRow.cidr).where(*same)):
        if cidr.overlaps(rules.network_of(text)):
            raise invalid(
                f"Requested subnet with cidr: {cidr} for network: {network.id} overlaps with subnet {other_id}, {text}"
            )


def _pool_rows(pools: Sequence[rules.AddressPool]) -> list[PoolRow]:
    return [PoolRow(first=first, last=last) for first, last in pools]


def _body(row: SubnetRow, shared: bool) -> Body:
    return {
        **standard(row),
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
        "subnetpool_id": None,
        "shared": shared,
    }


def _by_shared(accepted: Sequence[object]) -> ColumnElement[bool]:
    return SubnetRow.network_id.in_(select(NetworkRow.id).where(NetworkRow.shared.in_(accepted)))


COLUMNS = {name: getattr(SubnetRow, name) for name in (
    "id", "name", "network_id", "project_id", "ip_version", "cidr", "gateway_ip", "enable_dhcp", "ipv6_ra_mode",
    "ipv6_address_mode", "description", "created_at", "updated_at", "revision_number")}  # fmt: skip
FILTERS = {
    "shared": _by_shared,
    "subnetpool_id": lambda accepted: SubnetRow.id.is_not(None) if None in accepted else SubnetRow.id.is_(None),
}
