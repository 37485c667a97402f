"""Ports: addresses, security, and where they are asked to be."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any, cast

from neutron_lib import exceptions as faults
from neutron_lib.constants import DEVICE_OWNER_NETWORK_PREFIX
from neutron_lib.exceptions import allowedaddresspairs as pair_faults
from sqlalchemy import ColumnElement, Table, bindparam, delete, insert, or_, select
from sqlalchemy.orm import Session

from controller.db.insert import insert_if_free
from controller.db.models import BindingRow, IpRow, PairRow, PortRow
from controller.db.transaction import Transaction
from controller.plugin import places, port_views, routed, tags, visibility
from controller.plugin.addresses import MacSource, address_pairs, checked_mac
from controller.plugin.api import Body, Query
from controller.plugin.binding import NOT_BOUND, Binder, set_host, wish
from controller.plugin.bodies import address_of, given, invalid, is_given, project_of, set_plain
from controller.plugin.context import RequestContext
from controller.plugin.faults import MacAddressGenerationFailure
from controller.plugin.ipam import Ipam, is_automatic
from controller.plugin.listing import Listing, one_of, page
from controller.plugin.places import AddressRange, Place
from controller.plugin.use_cases import Stored

PORTS, BINDINGS, PAIRS = (cast(Table, model.__table__) for model in (PortRow, BindingRow, PairRow))
SAME_MAC = select(PORTS.c.id).where(
    PORTS.c.network_id == bindparam("network"), PORTS.c.mac_address == bindparam("mac")
)
STORE_BINDING, STORE_PAIRS = insert(BINDINGS), insert(PAIRS)
REMOVE = delete(PORTS).where(PORTS.c.id == bindparam("port"))
MAC_TRIES = 64
MAX_HOST = 255


class Ports(Stored):
    """The port resource."""

    quiet = frozenset({"name", "description", "tags", "device_id", "extra_dhcp_opts", "data_plane_status",
                       "propagate_uplink_status", "ip_allocation"})  # fmt: skip
    shown_at_once = True

    def __init__(self, ipam: Ipam, binder: Binder, macs: MacSource, new_id: Callable[[], str]) -> None:
        self._ipam, self._binder, self._macs, self._new_id = ipam, binder, macs, new_id
        self.listing = Listing(PortRow, COLUMNS, FILTERS, port_views.SELECTION)

    def visible(self, context: RequestContext) -> list[ColumnElement[bool]]:
        """Whose ports the caller sees."""
        return visibility.ports(context)

    def find(self, session: Session, context: RequestContext, port_id: str, lock: bool = False) -> PortRow:
        """The port. Raises PortNotFound."""
        return visibility.find_port(session, context, port_id, lock)

    def create(self, transaction: Transaction, context: RequestContext, body: Body) -> PortRow:
        """Store a port with its addresses and decide its binding. Raises MacAddressInUse and what has to do with
        addresses. The row is no object of the session: nothing changes it any more."""
        session = transaction.session
        network = places.visible(session, context, body["network_id"])
        wanted, addresses = given(body, "mac_address"), given(body, "fixed_ips")
        for _ in range(1 if wanted else MAC_TRIES):
            row = self._row(context, network, body, checked_mac(wanted) if wanted else self._macs.next())
            transaction.dated(row)
            _set_security(row, body)
            _set_wish(session, row.binding, body)
            segments = routed.segments_for(row, network.subnets, addresses)
            self._binder.decide(transaction, row, segments=segments)
            subnets = routed.settle(row, network.subnets, addresses)
            if _store(session, row):
                break
        else:
            raise _no_mac(network.id, wanted)
        transaction.touch(row)
        self._give_addresses(session, row, subnets, addresses)
        return row

    def _row(self, context: RequestContext, network: Place, body: Body, mac_address: str) -> PortRow:
        owner = given(body, "device_owner") or ""
        trusted = owner.startswith(DEVICE_OWNER_NETWORK_PREFIX)  # a router sends what others wrote
        return PortRow(
            id=self._new_id(),
            description=given(body, "description") or "",
            network_id=network.id,
            project_id=project_of(body, context),
            name=given(body, "name") or "",
            mac_address=mac_address,
            admin_state_up=given(body, "admin_state_up", True),
            device_id=given(body, "device_id") or "",
            device_owner=owner,
            port_security_enabled=given(body, "port_security_enabled", network.port_security_enabled and not trusted),
            status="",
            status_reason="",
            tags=tags.checked(given(body, "tags") or ()),
            intent_revision=0,
            propagate_uplink_status=given(body, "propagate_uplink_status", True),
            extra_dhcp_opts=dhcp_options([], given(body, "extra_dhcp_opts") or ()),
            binding=BindingRow(
                host="",
                vnic_type="normal",
                profile={},
                auto_bound=False,
                vif_type="unbound",
                vif_details={},
                refusal="",
            ),
            ips=[],
            pairs=[],
        )

    def _mac(self, session: Session, network_id: str, wanted: str | None) -> str:
        if wanted:
            mac = checked_mac(wanted)
            if _has_mac(session, network_id, mac):
                raise _no_mac(network_id, mac)
            return mac
        for _ in range(MAC_TRIES):
            mac = self._macs.next()
            if not _has_mac(session, network_id, mac):
                return mac
        raise _no_mac(network_id, None)

    def _give_addresses(
        self, session: Session, row: PortRow, subnets: Sequence[AddressRange], wanted: Sequence[Body] | None
    ) -> None:
        if wanted is None:
            self._ipam.give_automatic(session, row, subnets)
        else:
            self._ipam.give_wanted(session, row, subnets, wanted)

    def update(self, transaction: Transaction, context: RequestContext, row: PortRow, body: Body) -> None:  # noqa: ARG002
        """Change a port; what concerns its place decides its binding anew."""
        with transaction.session.no_autoflush:
            self._change(transaction, row, body)

    def _change(self, transaction: Transaction, row: PortRow, body: Body) -> None:
        session = transaction.session
        wanted = given(body, "mac_address")
        new_mac = is_given(body, "mac_address") and (wanted is None or checked_mac(wanted) != row.mac_address)
        if new_mac:
            _require_loose(row, wanted)
            row.mac_address = self._mac(session, row.network_id, wanted)
        set_plain(row, body, "name", "description", "admin_state_up", "device_id", "device_owner")
        row.data_plane_status = given(body, "data_plane_status", row.data_plane_status)
        row.propagate_uplink_status = given(body, "propagate_uplink_status", row.propagate_uplink_status)
        if given(body, "extra_dhcp_opts"):
            row.extra_dhcp_opts = dhcp_options(row.extra_dhcp_opts, body["extra_dhcp_opts"])
        _set_security(row, body)
        moves = any(is_given(body, f"binding:{name}") for name in ("host_id", "profile", "vnic_type"))
        if is_given(body, "fixed_ips") or new_mac:
            session.flush()
            self._change_addresses(session, row, given(body, "fixed_ips"), moves)
        if moves:
            _set_wish(session, row.binding, body)
            self._binder.decide(transaction, row)
            routed.require_place(session, row)

    def _change_addresses(self, session: Session, row: PortRow, wanted: Sequence[Body] | None, moves: bool) -> None:
        """Keep the addresses that stay, give back the others, take the new ones."""
        subnets = {subnet.id: subnet for subnet in places.of_port(session, row.network_id).subnets}
        kept = [_kept(ip, subnets[ip.subnet_id]) for ip in row.ips]
        asked = kept if wanted is None else _asked(wanted, kept)
        routed.check_addresses(row, list(subnets.values()), asked, moves)
        if wanted is not None:
            row.ip_allocation = routed.IMMEDIATE if wanted else routed.NONE
        session.execute(delete(IpRow).where(IpRow.port_id == row.id))
        session.expire(row, ["ips"])
        self._ipam.give_wanted(session, row, list(subnets.values()), asked)

    def delete(self, transaction: Transaction, context: RequestContext, row: PortRow) -> None:  # noqa: ARG002
        """Remove a port; its addresses and its key on the node are free again. The database removes what is its."""
        transaction.session.connection().execute(REMOVE, {"port": row.id})
        transaction.session.expunge(row)
        transaction.touch(row)

    def bodies(self, session: Session, context: RequestContext, rows: Sequence[PortRow]) -> list[Body]:  # noqa: ARG002
        """As the API shows ports."""
        return [port_views.body_of(row) for row in rows]

    def show(self, session: Session, context: RequestContext, resource_id: str) -> Body:
        """One as the API shows it. Raises PortNotFound."""
        found = port_views.find(session, resource_id, self.visible(context))
        if found is None:
            raise faults.PortNotFound(port_id=resource_id)
        return found

    def list(self, session: Session, context: RequestContext, query: Query) -> list[Body]:
        """A page of what the caller sees and asks for."""
        marker = None if query.marker is None else self.find(session, context, query.marker)
        return port_views.bodies(session, page(session, self.listing, query, self.visible(context), marker))

    def state(self, row: Any) -> Body:
        """The port itself."""
        return port_views.state_of(row)


def _require_loose(row: PortRow, wanted: str | None) -> None:
    """A port's MAC address stays while it is bound, also where the same request ends the binding, and while it is a
    router's or another service's; all as in Neutron. Raises PortBound and UnsupportedPortDeviceOwner, both 409."""
    if row.binding.vif_type not in NOT_BOUND:
        raise faults.PortBound(port_id=row.id, vif_type=row.binding.vif_type, old_mac=row.mac_address, new_mac=wanted)
    if row.device_owner.startswith(DEVICE_OWNER_NETWORK_PREFIX):
        raise faults.UnsupportedPortDeviceOwner(op="mac address update", port_id=row.id, device_owner=row.device_owner)


def _store(session: Session, row: PortRow) -> bool:
    """Insert a port with its binding and address pairs; False when another port of the network has its MAC address."""
    if not insert_if_free(session, PORTS, _values(PORTS, row)):
        return False
    row.binding.port_id = row.id
    session.connection().execute(STORE_BINDING, _values(BINDINGS, row.binding))
    for pair in row.pairs:
        pair.port_id = row.id
    if row.pairs:
        session.connection().execute(STORE_PAIRS, [_values(PAIRS, pair) for pair in row.pairs])
    return True


def _values(table: Table, row: Any) -> Body:
    """What was set; the rest has the columns' defaults."""
    return {name: value for name, value in row.__dict__.items() if name in table.c}


def _no_mac(network_id: str, wanted: str | None) -> faults.NeutronException:
    fault = faults.MacAddressInUse(net_id=network_id, mac=wanted)
    return fault if wanted else MacAddressGenerationFailure(net_id=network_id)


def _has_mac(session: Session, network_id: str, mac: str) -> bool:
    return session.connection().scalar(SAME_MAC, {"network": network_id, "mac": mac}) is not None


def _set_security(row: PortRow, body: Body) -> None:
    """Port security and allowed address pairs, which need it. Raises 400 and 409."""
    row.port_security_enabled = given(body, "port_security_enabled", row.port_security_enabled)
    if is_given(body, "allowed_address_pairs"):
        wanted = {(pair.mac_address, pair.ip_address): pair for pair in
                  address_pairs(body["allowed_address_pairs"] or [], row.mac_address)}  # fmt: skip
        present = {(pair.mac_address, pair.ip_address): pair for pair in row.pairs}
        for key, pair in wanted.items():
            if key in present:
                present[key].position = pair.position
        row.pairs = [present.get(key, pair) for key, pair in wanted.items()]
    if row.pairs and not row.port_security_enabled:
        raise pair_faults.AddressPairAndPortSecurityRequired()


def _set_wish(session: Session, binding: BindingRow, body: Body) -> None:
    """Where the caller wants the port. Whoever names a host, or none, takes over from automatic binding."""
    if is_given(body, "binding:host_id"):
        set_host(session, binding, _host(body["binding:host_id"]))
    if is_given(body, "binding:profile"):
        binding.profile = checked_profile(body["binding:profile"])
        wish(binding)
    if given(body, "binding:vnic_type"):
        binding.vnic_type = body["binding:vnic_type"]


def _host(value: Any) -> str:
    """A host name; neutron-lib leaves its check to us. Raises 400."""
    if value is not None and not (isinstance(value, str) and len(value) <= MAX_HOST):
        raise invalid(f"binding:host_id must be a host name of at most {MAX_HOST} characters")
    return value or ""


def checked_profile(value: Any) -> dict[str, Any]:
    """A binding profile whose links can be read. Raises 400."""
    profile = value or {}
    links = profile.get("local_link_information") or []
    if not isinstance(links, list) or not all(isinstance(link, dict) for link in links):
        raise invalid("binding:profile: local_link_information must be a list of objects with switch_id and port_id")
    return dict(profile)


def dhcp_options(present: Sequence[Body], wanted: Sequence[Body]) -> list[Body]:
    """Options for the port's DHCP client: by name and IP version; one without a value goes, as in Neutron."""
    options = {(item["opt_name"], item["ip_version"]): item["opt_value"] for item in present}
    for item in wanted:
        key = item["opt_name"], int(item.get("ip_version") or 4)
        options[key] = item["opt_value"]
    return [{"opt_name": name, "opt_value": value, "ip_version": version}
            for (name, version), value in sorted(options.items()) if value is not None]  # fmt: skip


def _asked(wanted: Sequence[Body], kept: Sequence[Body]) -> list[Body]:
    """New entries; what the port has and no entry names may be kept by one that leaves the address open."""
    named = {address_of(item["ip_address"], "fixed_ips") for item in wanted if item.get("ip_address")}
    free = [old for old in kept if "ip_address" not in old or ipaddress.ip_address(old["ip_address"]) not in named]
    return [_keep(item, free) for item in wanted]


def _keep(item: Body, kept: list[Body]) -> Body:
    """An entry that names only a subnet keeps the address that the port has there."""
    if item.get("ip_address"):
        return item
    for index, old in enumerate(kept):
        if old["subnet_id"] == item.get("subnet_id"):
            return kept.pop(index)
    return item


def _kept(ip: IpRow, subnet: AddressRange) -> Body:
    """The entry that stands for an address; it leaves the address open where it follows from the MAC address."""
    if is_automatic(subnet):
        return {"subnet_id": subnet.id}
    return {"subnet_id": subnet.id, "ip_address": str(ip.address)}


def _by_fixed_ip(accepted: Sequence[Any]) -> ColumnElement[bool]:
    """``[{"ip_address": ...}, {"ip_address_substr": ...}, {"subnet_id": ...}]``: one of the addresses, with one of the
    parts, on one of the subnets. Raises 400 for anything else."""
    unknown = {name for item in accepted for name in item} - {"ip_address", "ip_address_substr", "subnet_id"}
    if unknown:
        raise invalid(f"fixed_ips cannot be filtered by {', '.join(sorted(unknown))}")
    addresses = [address for item in accepted for address in _parsed(item.get("ip_address"))]
    parts = [item["ip_address_substr"] for item in accepted if "ip_address_substr" in item]
    subnets = [item["subnet_id"] for item in accepted if "subnet_id" in item]
    statement = select(IpRow.port_id)
    if any("ip_address" in item for item in accepted):
        statement = statement.where(IpRow.address.in_(addresses))
    if parts:
        statement = statement.where(or_(*(IpRow.text.contains(part, autoescape=True) for part in parts)))
    if subnets:
        statement = statement.where(IpRow.subnet_id.in_(subnets))
    return PortRow.id.in_(statement)


def _parsed(text: str | None) -> list[Any]:
    try:
        return [ipaddress.ip_address(text)] if text else []
    except ValueError:
        return []


def _by_binding(column: Any) -> Callable[[Sequence[Any]], ColumnElement[bool]]:
    return lambda accepted: PortRow.id.in_(select(BindingRow.port_id).where(one_of(column, accepted)))


COLUMNS = {name: getattr(PortRow, name) for name in (
    "id", "name", "network_id", "project_id", "mac_address", "admin_state_up", "device_id", "device_owner", "status",
    "port_security_enabled", "ip_allocation", "description", "created_at", "updated_at",
    "revision_number")}  # fmt: skip
FILTERS = {
    "fixed_ips": _by_fixed_ip,
    "binding:host_id": _by_binding(BindingRow.host),
    "binding:vnic_type": _by_binding(BindingRow.vnic_type),
    "binding:vif_type": _by_binding(BindingRow.vif_type),
}
