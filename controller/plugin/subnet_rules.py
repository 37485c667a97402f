"""What makes a subnet sound: version, range, gateway, pools, name servers and routes. Pure."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from neutron_lib import constants
from neutron_lib import exceptions as faults

from controller.db.base import Address
from controller.plugin.api import Body
from controller.plugin.bodies import address_of, given, invalid, is_given

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
AddressPool = tuple[Address, Address]

MAX_NAMESERVERS, MAX_ROUTES = 5, 20
"""Neutron's defaults."""


@dataclass(frozen=True, slots=True)
class SubnetPlan:
    """The checked range of a new subnet."""

    version: int
    cidr: IpNetwork
    gateway: Address | None
    pools: list[AddressPool]


def network_of(text: str) -> IpNetwork:
    """A CIDR that was checked before."""
    return ipaddress.ip_network(text)


def plan(body: Body) -> SubnetPlan:
    """Check the body of a new subnet. Raises 400 and 409."""
    cidr = cidr_of(body)
    _check_modes(body, cidr)
    if given(body, "enable_dhcp", True):
        refuse_dhcp(cidr)
    chosen = gateway(cidr, body["gateway_ip"]) if is_given(body, "gateway_ip") else _first(cidr)
    if given(body, "allocation_pools"):  # an empty list is said by clients that mean nothing by it
        wanted = pools(cidr, body["allocation_pools"])
        refuse_gateway_in_pools(chosen, wanted)
    else:
        wanted = default_pools(cidr, chosen)
    return SubnetPlan(cidr.version, cidr, chosen, wanted)


def refuse_dhcp(cidr: IpNetwork) -> None:
    """Raise 400 where no address would be left beside that of a DHCP server, or addresses that it could not give."""
    if cidr.prefixlen > cidr.max_prefixlen - 2:
        raise invalid(
            f"Subnet {cidr} has a prefix length that is incompatible with DHCP service enabled; use enable_dhcp=false"
        )
    if cidr.version == 4 and int(cidr.network_address) == 0:
        raise invalid(f"cidr '{cidr}' begins with 0.0.0.0, which DHCP cannot give; use enable_dhcp=false")


def cidr_of(body: Body) -> IpNetwork:
    """The range that the caller gave. Raises 400."""
    text, version = given(body, "cidr"), given(body, "ip_version")
    if not text:
        raise faults.BadRequest(resource="subnets", msg="a subnet needs a cidr")
    try:
        cidr = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise invalid(f"'{text}' is not a valid CIDR") from None
    if version is not None and cidr.version != version:
        raise invalid(f"cidr '{text}' does not match the ip_version '{version}'")
    if cidr.prefixlen == 0:
        raise invalid(f"cidr '{text}' has the prefix length 0, which no subnet can have")
    if cidr.is_multicast or cidr.is_loopback:
        raise invalid(f"cidr '{text}' is a {'multicast' if cidr.is_multicast else 'loopback'} range")
    return cidr


def _check_modes(body: Body, cidr: IpNetwork) -> None:
    modes = {name: given(body, name) for name in ("ipv6_ra_mode", "ipv6_address_mode") if given(body, name)}
    if not modes:
        return
    if cidr.version == 4:
        raise invalid(f"{' and '.join(modes)} cannot be set when ip_version is 4")
    if len(set(modes.values())) > 1:
        raise invalid("ipv6_ra_mode and ipv6_address_mode must be the same when both are set: " + str(modes))
    if not given(body, "enable_dhcp", True):
        raise invalid(f"{' and '.join(modes)} cannot be set when enable_dhcp is false")
    if set(modes.values()) & {constants.IPV6_SLAAC, constants.DHCPV6_STATELESS} and cidr.prefixlen != 64:
        raise invalid(f"{' and '.join(modes)} need a prefix length of 64, not {cidr.prefixlen} ({cidr})")


def _first(cidr: IpNetwork) -> Address:
    """The default gateway: the first address that a host may have."""
    short = cidr.prefixlen >= cidr.max_prefixlen - 1
    return cidr.network_address if short else cidr.network_address + 1


def gateway(cidr: IpNetwork, text: str | None) -> Address | None:
    """The gateway that was asked for; None for none. One outside the subnet is allowed, as in Neutron."""
    if text is None:
        return None
    address = address_of(text, "gateway_ip")
    if address.version != cidr.version:
        raise invalid(f"gateway_ip '{text}' does not match the ip_version '{cidr.version}'")
    ends = {cidr.network_address, cidr.broadcast_address} if cidr.version == 4 else {cidr.network_address}
    if cidr.prefixlen < cidr.max_prefixlen - 1 and address in ends:
        raise invalid(f"gateway_ip '{text}' is the network or broadcast address of {cidr}; no host can have it")
    return address


def default_pools(cidr: IpNetwork, chosen: Address | None) -> list[AddressPool]:
    """Every address that a host may have, except the gateway's."""
    first, last = cidr.network_address, cidr.broadcast_address
    if cidr.prefixlen < cidr.max_prefixlen - 1:
        first = first + 1
        last = last - 1 if cidr.version == 4 else last
    if chosen is None or not int(first) <= int(chosen) <= int(last):
        return [(first, last)]
    pools = [(first, chosen - 1)] if chosen != first else []
    return [*pools, (chosen + 1, last)] if chosen != last else pools


def pools(cidr: IpNetwork, wanted: Sequence[Body]) -> list[AddressPool]:
    """The allocation pools that were asked for, in order. Raises 400 and 409."""
    parsed = sorted((_pool(cidr, item) for item in wanted), key=lambda pool: int(pool[0]))
    for lower, upper in itertools.pairwise(parsed):
        if int(upper[0]) <= int(lower[1]):
            raise faults.OverlappingAllocationPools(
                pool_1=pool_text(lower), pool_2=pool_text(upper), subnet_cidr=str(cidr)
            )
    return parsed


def _pool(cidr: IpNetwork, item: Body) -> AddressPool:
    text = f"{item.get('start')}-{item.get('end')}"
    try:
        first, last = ipaddress.ip_address(item["start"]), ipaddress.ip_address(item["end"])
    except (KeyError, ValueError):
        raise faults.InvalidAllocationPool(pool=text) from None
    if {first.version, last.version} != {cidr.version} or int(first) > int(last):
        raise faults.InvalidAllocationPool(pool=text)
    lowest, highest = cidr.network_address, cidr.broadcast_address
    if cidr.prefixlen < cidr.max_prefixlen - 1:
        lowest = lowest + 1
        highest = highest - 1 if cidr.version == 4 else highest
    if int(first) < int(lowest) or int(last) > int(highest):
        raise faults.OutOfBoundsAllocationPool(pool=text, subnet_cidr=str(cidr))
    return first, last


def pool_text(pool: AddressPool) -> str:
    """A pool in messages."""
    return f"{pool[0]}-{pool[1]}"


def refuse_gateway_in_pools(chosen: Address | None, wanted: Sequence[AddressPool]) -> None:
    """Raise GatewayConflictWithAllocationPools: the gateway's address must not be given to a port."""
    for pool in wanted:
        if chosen is not None and int(pool[0]) <= int(chosen) <= int(pool[1]):
            raise faults.GatewayConflictWithAllocationPools(pool=pool_text(pool), ip_address=str(chosen))


def nameservers(wanted: Sequence[str], version: int) -> list[str]:
    """DNS servers of the subnet's version, no more than Neutron allows."""
    if len(wanted) > MAX_NAMESERVERS:
        raise faults.DNSNameServersExhausted(subnet_id="the subnet", quota=MAX_NAMESERVERS)
    addresses = [address_of(text, "dns_nameservers") for text in wanted]
    for address in addresses:
        _same_version("dns_nameservers", str(address), version)
    return list(map(str, addresses))


def host_routes(wanted: Sequence[Body], version: int) -> list[dict[str, str]]:
    """Routes of the subnet's version, no more than Neutron allows."""
    if len(wanted) > MAX_ROUTES:
        raise faults.HostRoutesExhausted(subnet_id="the subnet", quota=MAX_ROUTES)
    for route in wanted:
        _same_version("host_routes", route["destination"], version)
        _same_version("host_routes", route["nexthop"], version)
    return [{"destination": route["destination"], "nexthop": route["nexthop"]} for route in wanted]


def _same_version(name: str, text: str, version: int) -> None:
    try:
        found = ipaddress.ip_network(text, strict=False).version
    except ValueError:
        raise invalid(f"'{text}' in {name} is neither an IP address nor a network") from None
    if found != version:
        raise invalid(f"{name} '{text}' does not match the ip_version '{version}'")
