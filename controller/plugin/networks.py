"""Networks: created with reserved segments, shown with provider attributes, deleted when nothing uses them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from neutron_lib import constants
from neutron_lib import exceptions as faults
from neutron_lib.exceptions.vlanqinq import VlanQinqDriverError
from neutron_lib.exceptions.vlantransparent import VlanTransparencyDriverError
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from controller.db.insert import insert_row_if_free
from controller.db.models import NetworkRow, PortRow, SegmentRow, SubnetRow
from controller.db.transaction import Transaction
from controller.db.values import segment_value
from controller.model import Segment
from controller.plugin import segments, visibility
from controller.plugin.api import Body
from controller.plugin.bodies import given, invalid, is_given, project_of, set_plain, standard
from controller.plugin.context import RequestContext
from controller.plugin.listing import Listing, one_of
from controller.plugin.sharing import (
    AS_EXTERNAL,
    AS_SHARED,
    AUTO_DELETED,
    EXTERNAL_HERE,
    Sharing,
    external_for,
    shared_with,
)
from controller.plugin.use_cases import Stored
from controller.plugin.zones import Zones
from typedrivers.errors import NoNetworkAvailable
from typedrivers.intervals import Interval, Pool, choose
from typedrivers.manager import TypeManager
from typedrivers.pools import TRIES, UsedIds

KEYS = Pool((Interval(1, 2**20 - 1),))
LEFT_OUT = 8
LAST_KEY = "last network key"
"""What a bulk create took last in its session: the next one is most likely free."""
IPV6_MIN_MTU, MAX_MTU = 1280, 65535
SHARED_BY = {"shared": AS_SHARED, "router:external": AS_EXTERNAL}
"""Attribute -> what it allows everybody."""


class Networks(Stored):
    """The network resource."""

    quiet = frozenset({"description", "tags", "shared", "router:external", "port_security_enabled"})

    def __init__(self, types: TypeManager, zones: Zones, sharing: Sharing, new_id: Callable[[], str]) -> None:
        self._types, self._zones, self._sharing = types, zones, sharing
        self._new_id = new_id
        self.listing = Listing(NetworkRow, COLUMNS, FILTERS)

    def visible(self, context: RequestContext) -> list[ColumnElement[bool]]:
        """Whose networks the caller sees."""
        return visibility.networks(context)

    def find(self, session: Session, context: RequestContext, network_id: str, lock: bool = False) -> NetworkRow:
        """The network. Raises NetworkNotFound."""
        return visibility.find_network(session, context, network_id, lock)

    def create(self, transaction: Transaction, context: RequestContext, body: Body) -> NetworkRow:
        """Reserve segments and store the network."""
        if given(body, "vlan_transparent"):
            raise VlanTransparencyDriverError()
        if given(body, "qinq"):
            raise VlanQinqDriverError()
        session, project_id = transaction.session, project_of(body, context)
        chosen = segments.allocate(session, self._types, segments.requests(body), project_id)
        row = NetworkRow(
            id=self._new_id(),
            description=given(body, "description") or "",
            project_id=project_id,
            name=given(body, "name") or "",
            admin_state_up=given(body, "admin_state_up", True),
            status=constants.NET_STATUS_ACTIVE,
            shared=False,
            external=False,
            tags=[],
            availability_zone_hints=self._zones.checked(session, given(body, "availability_zone_hints")),
            port_security_enabled=given(body, "port_security_enabled", True),
            vlan_transparent=given(body, "vlan_transparent"),
            mtu=self._mtu(chosen, given(body, "mtu") or 0),
        )
        transaction.dated(row)
        _insert(session, row)
        transaction.touch(row)
        added = [segments.add(transaction, row.id, segment, position) for position, segment in enumerate(chosen)]
        set_committed_value(row, "segments", added)
        for name, action in SHARED_BY.items():
            if given(body, name):
                self._sharing.set_everybody(session, row, action, True)
        return row

    def _mtu(self, carrying: list[Segment], wanted: int) -> int:
        largest = self._types.mtu(carrying)
        if wanted and largest and wanted > largest:
            raise invalid(f"mtu {wanted} is more than the {largest} bytes that the network's segments carry")
        if wanted and wanted < constants.IPV4_MIN_MTU:
            raise invalid(f"mtu {wanted} is less than the {constants.IPV4_MIN_MTU} bytes that IPv4 needs")
        if wanted > MAX_MTU:
            raise invalid(f"mtu {wanted} is more than the {MAX_MTU} bytes of the largest IP packet")
        return wanted or largest or constants.DEFAULT_NETWORK_MTU

    def update(self, transaction: Transaction, context: RequestContext, row: NetworkRow, body: Body) -> None:  # noqa: ARG002
        """Change what may change; provider attributes may only be repeated as they are."""
        shown = segments.provider_attributes(row.segments)
        for name in ("provider:network_type", "provider:physical_network", "provider:segmentation_id", "segments"):
            if is_given(body, name) and body[name] != shown.get(name):
                raise invalid(f"{name} of a network cannot be changed; create another network")
        if is_given(body, "mtu"):
            row.mtu = self._checked_mtu(transaction.session, row, body["mtu"] or 0)
        for name, action in SHARED_BY.items():
            if is_given(body, name):
                self._sharing.set_everybody(transaction.session, row, action, body[name])
        set_plain(row, body, "name", "description", "admin_state_up", "port_security_enabled")

    def _checked_mtu(self, session: Session, row: NetworkRow, wanted: int) -> int:
        carrying = list(map(segment_value, row.segments))
        mtu = wanted or self._mtu(carrying, 0)
        for version, least in ((4, constants.IPV4_MIN_MTU), (6, IPV6_MIN_MTU)):
            subnet = select(SubnetRow.id).where(SubnetRow.network_id == row.id, SubnetRow.ip_version == version)
            if mtu < least and session.scalar(subnet.limit(1)):
                raise faults.NetworkMTUSubnetConflict(net_id=row.id, mtu=least)
        return self._mtu(carrying, wanted)

    def delete(self, transaction: Transaction, context: RequestContext, row: NetworkRow) -> None:  # noqa: ARG002
        """Remove a network with its subnets. Raises NetworkInUse while it has ports."""
        session = transaction.session
        own, staying = PortRow.network_id == row.id, PortRow.device_owner.not_in(AUTO_DELETED)
        if session.scalar(select(PortRow.id).where(own, staying).limit(1)):
            raise faults.NetworkInUse(net_id=row.id)
        for port in session.scalars(select(PortRow).where(own)).all():
            transaction.deleted(port)
        session.flush()
        for subnet in session.scalars(select(SubnetRow).where(SubnetRow.network_id == row.id)):
            transaction.deleted(subnet)
        segments.release_all(session, self._types, row)
        self._sharing.forget(session, row)
        session.flush()
        transaction.deleted(row)

    def bodies(self, session: Session, context: RequestContext, rows: Sequence[NetworkRow]) -> list[Body]:
        """As the API shows networks."""
        subnets = _subnets(session, [row.id for row in rows])
        zones = self._zones.of_networks(session, [row.id for row in rows])
        shared = shared_with(session, context, "network", rows)
        external = external_for(session, context, rows)
        return [
            {
                **self.state(row),
                **standard(row),
                "shared": row.id in shared,
                EXTERNAL_HERE: row.id in external,
                "subnets": [subnet_id for subnet_id, _ in subnets.get(row.id, ())],
                "l2_adjacency": all(segment is None for _, segment in subnets.get(row.id, ())),
                "availability_zones": zones.get(row.id, []),
            }
            for row in rows
        ]

    def state(self, row: Any) -> Body:
        """The network itself."""
        return {
            "description": row.description,
            "tags": row.tags,
            "name": row.name,
            "project_id": row.project_id,
            "tenant_id": row.project_id,
            "admin_state_up": row.admin_state_up,
            "status": row.status,
            "shared": row.shared,
            "router:external": row.external,
            "mtu": row.mtu,
            "port_security_enabled": row.port_security_enabled,
            "vlan_transparent": row.vlan_transparent,
            "availability_zone_hints": row.availability_zone_hints,
            **segments.provider_attributes(row.segments),
        }


def _insert(session: Session, row: NetworkRow) -> None:
    """Insert the row with a free key, the one after the highest; whoever loses it to another process leaves some out,
    or many processes would lose to each other again and again."""
    for attempt in range(TRIES):
        last: int = session.info.pop(LAST_KEY, KEYS.intervals[0].last)
        key = last + 1 if last + 1 in KEYS else _free_key(session)
        skipped = random.randrange(LEFT_OUT * attempt + 1)
        row.key = key + skipped if key + skipped in KEYS else key
        if insert_row_if_free(session, row):
            session.info[LAST_KEY] = row.key
            return
    raise faults.NoNetworkFoundInMaximumAllowedAttempts()


def _free_key(session: Session) -> int:
    key = choose(KEYS, UsedIds(session, NetworkRow.__table__, "key"), random.randrange)
    if key is None:
        raise NoNetworkAvailable(reason=f"all {KEYS.size} network numbers are in use")
    return key


def _subnets(session: Session, network_ids: list[str]) -> Mapping[str, list[tuple[str, str | None]]]:
    """Network -> its subnets, each with the segment that it belongs to."""
    found: dict[str, list[tuple[str, str | None]]] = defaultdict(list)
    for start in range(0, len(network_ids), 500):
        chosen = SubnetRow.network_id.in_(network_ids[start : start + 500])
        statement = select(SubnetRow.network_id, SubnetRow.id, SubnetRow.segment_id).where(chosen)
        for row in session.execute(statement.order_by(SubnetRow.created_at, SubnetRow.id)):
            found[row.network_id].append((row.id, row.segment_id))
    return found


def _by_segment(name: str) -> Callable[[Sequence[Any]], ColumnElement[bool]]:
    column = getattr(SegmentRow, name)
    return lambda accepted: NetworkRow.id.in_(select(SegmentRow.network_id).where(one_of(column, accepted)))


COLUMNS = {
    **{name: getattr(NetworkRow, name) for name in (
        "id", "name", "project_id", "admin_state_up", "status", "shared", "mtu", "port_security_enabled",
        "vlan_transparent", "description", "created_at", "updated_at", "revision_number")},
    "router:external": NetworkRow.external,
}  # fmt: skip
FILTERS = {f"provider:{name}": _by_segment(name) for name in segments.PROVIDER}
