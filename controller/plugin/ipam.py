"""Addresses: which a port gets, and that no two ports get the same.

An address in use is a row with a unique key; whoever comes second chooses again. Pools are never enumerated.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from netaddr import EUI
from neutron_lib import constants
from neutron_lib import exceptions as faults
from sqlalchemy import Table, bindparam, select
from sqlalchemy.orm import Session, make_transient_to_detached, object_session
from sqlalchemy.orm.attributes import set_committed_value

from controller.db.base import Address
from controller.db.insert import insert_if_free
from controller.db.models import IpRow, PortRow
from controller.plugin.api import Body
from controller.plugin.bodies import address_of, invalid
from controller.plugin.faults import AllocationOnAutoAddressSubnet
from controller.plugin.places import AddressRange
from typedrivers.intervals import Below, Interval, Pool, choose, stride
from typedrivers.pools import TRIES

AUTOMATIC_MODES = (constants.IPV6_SLAAC, constants.DHCPV6_STATELESS)
PAGE = 1_000
COMBED = 64
"""Addresses per question while a nearly full subnet is searched."""
ADDRESSES = cast(Table, IpRow.__table__)
HIGHEST = (
    select(ADDRESSES.c.address)
    .where(
        ADDRESSES.c.subnet_id == bindparam("subnet"),
        ADDRESSES.c.address.between(bindparam("first"), bindparam("last")),
    )
    .order_by(ADDRESSES.c.address.desc())
    .limit(1)
)


class Modes(Protocol):
    """The part of a subnet that says how hosts there get their addresses: a row's, or an :class:`AddressRange`'s."""

    @property
    def id(self) -> str: ...
    @property
    def cidr(self) -> str: ...
    @property
    def ipv6_ra_mode(self) -> str | None: ...
    @property
    def ipv6_address_mode(self) -> str | None: ...


def is_automatic(subnet: Modes) -> bool:
    """Whether addresses on the subnet follow from the MAC address."""
    return subnet.ipv6_address_mode in AUTOMATIC_MODES or subnet.ipv6_ra_mode in AUTOMATIC_MODES


def eui64(subnet: Modes, mac_address: str) -> Address:
    """The address that a host gives itself (RFC 4291, appendix A)."""
    interface_id = int(EUI(mac_address).modified_eui64())
    return ipaddress.ip_network(subnet.cidr).network_address + interface_id


@dataclass(frozen=True, slots=True)
class UsedAddresses:
    """The addresses in use on a subnet, as numbers."""

    session: Session
    subnet: AddressRange

    def _address(self, number: int) -> Address:
        return address_at(self.subnet, number)

    def highest(self, interval: Interval) -> int | None:
        """One step from the upper end of the index."""
        ends = {"first": self._address(interval.first), "last": self._address(interval.last)}
        address = self.session.connection().scalar(HIGHEST, {"subnet": self.subnet.id, **ends})
        return None if address is None else int(address)

    def among(self, numbers: Sequence[int]) -> set[int]:
        """One index look-up each."""
        wanted = IpRow.address.in_([self._address(number) for number in numbers])
        statement = select(IpRow.address).where(IpRow.subnet_id == self.subnet.id, wanted)
        return {int(address) for address in self.session.scalars(statement)}

    def free_in_steps(self, first: int, last: int, step: int) -> int | None:
        """A few dozen look-ups at a time."""
        numbers: list[int] = []
        while first <= last:
            while first <= last and len(numbers) < COMBED:
                numbers.append(first)
                first += stride(first, step)
            taken = self.among(numbers)
            found = next((number for number in numbers if number not in taken), None)
            if found is not None:
                return found
            numbers.clear()
        return None

    def within(self, interval: Interval) -> Sequence[int]:
        """One walk along the index."""
        inside = IpRow.address.between(self._address(interval.first), self._address(interval.last))
        statement = select(IpRow.address).where(IpRow.subnet_id == self.subnet.id, inside)
        return [int(address) for address in self.session.scalars(statement)]

    def lowest_gap(self, interval: Interval) -> int | None:
        """Walks up the index, a page at a time, to the first address that is missing."""
        number = interval.first
        while number <= interval.last:
            inside = IpRow.address.between(self._address(number), self._address(interval.last))
            statement = select(IpRow.address).where(IpRow.subnet_id == self.subnet.id, inside)
            page = self.session.scalars(statement.order_by(IpRow.address).limit(PAGE)).all()
            for address in page:
                if int(address) != number:
                    return number
                number += 1
            if len(page) < PAGE:
                break
        return number if number <= interval.last else None


class Ipam:
    """Gives addresses of a network's subnets to ports and takes them back."""

    def __init__(self, below: Below = random.randrange) -> None:
        self._below = below

    def give_automatic(self, session: Session, port: PortRow, subnets: Sequence[AddressRange]) -> None:
        """What a port gets that asks for nothing: one IPv4 address, one IPv6 address of managed subnets, and one on
        every subnet where hosts give themselves addresses. Raises IpAddressGenerationFailure."""
        for version in (4, 6):
            managed = [subnet for subnet in subnets if subnet.ip_version == version and not is_automatic(subnet)]
            if managed and not any(self._take_any(session, port, subnet) for subnet in managed):
                raise faults.IpAddressGenerationFailure(net_id=port.network_id)
        if port.device_owner not in constants.ROUTER_INTERFACE_OWNERS_SNAT:
            for subnet in filter(is_automatic, subnets):
                self.give(session, port, subnet, eui64(subnet, port.mac_address))

    def give_wanted(
        self, session: Session, port: PortRow, subnets: Sequence[AddressRange], wanted: Sequence[Body]
    ) -> None:
        """The addresses that a caller asked for, by subnet, by address, or by both. Raises 400 and 409."""
        resolved = [resolve(port, subnets, item) for item in wanted]
        for subnet, address in resolved:
            if address is not None:
                self.give(session, port, subnet, address)
        for subnet, address in resolved:
            if address is None and not self._take_any(session, port, subnet):
                raise faults.IpAddressGenerationFailure(net_id=port.network_id)

    def give(self, session: Session, port: PortRow, subnet: Modes, address: Address) -> None:
        """Exactly this address. Raises IpAddressInUse."""
        if not self._insert(session, port, subnet, address):
            raise faults.IpAddressInUse(net_id=port.network_id, ip_address=str(address))

    def _take_any(self, session: Session, port: PortRow, subnet: AddressRange) -> bool:
        pool, used = Pool(subnet.pools), UsedAddresses(session, subnet)
        for attempt in range(TRIES):
            number = choose(pool, used, self._below, ordered=attempt == 0)
            if number is None:
                return False
            if self._insert(session, port, subnet, address_at(subnet, number)):
                return True
        return False

    def _insert(self, session: Session, port: PortRow, subnet: Modes, address: Address) -> bool:
        """Store an address of a port that is in the database already, and in its row."""
        present = list(port.ips)
        row = {
            "subnet_id": subnet.id,
            "address": address,
            "port_id": port.id,
            "network_id": port.network_id,
            "text": str(address),
            "position": max((ip.position for ip in present), default=-1) + 1,
        }
        if not insert_if_free(session, ADDRESSES, row):
            return False
        taken = IpRow(**row)
        if object_session(port) is not None:
            make_transient_to_detached(taken)
            session.add(taken)
        set_committed_value(port, "ips", [*present, taken])
        return True


def address_at(subnet: AddressRange, number: int) -> Address:
    """The address of that number, of the subnet's IP version."""
    return ipaddress.IPv4Address(number) if subnet.ip_version == 4 else ipaddress.IPv6Address(number)


def resolve(port: PortRow, subnets: Sequence[AddressRange], wanted: Body) -> tuple[AddressRange, Address | None]:
    """Which subnet and address an entry of ``fixed_ips`` means; address None: any. Raises 400."""
    text = wanted.get("ip_address")
    subnet = _subnet(port, subnets, wanted)
    if is_automatic(subnet) and port.device_owner not in constants.ROUTER_INTERFACE_OWNERS_SNAT:
        expected = eui64(subnet, port.mac_address)
        if text and address_of(text, "fixed_ips") != expected:
            raise AllocationOnAutoAddressSubnet(ip=text, subnet_id=subnet.id, expected=expected)
        return subnet, expected
    if not text:
        return subnet, None
    address = address_of(text, "fixed_ips")
    if not usable(subnet.cidr, address):
        raise faults.InvalidIpForSubnet(ip_address=text)
    return subnet, address


def _subnet(port: PortRow, subnets: Sequence[AddressRange], wanted: Body) -> AddressRange:
    text, subnet_id = wanted.get("ip_address"), wanted.get("subnet_id")
    if subnet_id:
        found = next((subnet for subnet in subnets if subnet.id == subnet_id), None)
        if found is None:
            known = ", ".join(subnet.id for subnet in subnets) or "none"
            raise invalid(f"subnet {subnet_id} is not on network {port.network_id}; its subnets: {known}")
        return found
    if not text:
        raise invalid("an entry of fixed_ips needs a subnet_id or an ip_address")
    address = address_of(text, "fixed_ips")
    containing = (subnet for subnet in subnets if address in ipaddress.ip_network(subnet.cidr))
    found = next(containing, None)
    if found is None:
        raise faults.InvalidIpForNetwork(ip_address=text)
    return found


def usable(cidr: str, address: Address) -> bool:
    """Whether a host may have the address: inside, and neither the network's own nor its broadcast address."""
    network = ipaddress.ip_network(cidr)
    if address not in network:
        return False
    if network.prefixlen >= network.max_prefixlen - 1:
        return True
    return address != network.network_address and (network.version == 6 or address != network.broadcast_address)
