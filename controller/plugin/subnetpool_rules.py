"""What makes a subnet pool sound, and which range it gives next. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from neutron_lib import exceptions as faults

from controller.plugin.bodies import invalid
from controller.plugin.subnet_rules import IpNetwork

SHORTEST = {4: 8, 6: 64}
"""IP version -> ``min_prefixlen`` unless said otherwise, as in Neutron."""

LONGEST = {4: 32, 6: 128}


@dataclass(frozen=True, slots=True)
class Bounds:
    """Prefix lengths that subnets of a pool may have, and the one they get."""

    shortest: int
    longest: int
    usual: int


def prefixes(wanted: Sequence[str]) -> list[IpNetwork]:
    """The prefixes of a pool, joined where they can be. Raises 400."""
    if not wanted:
        raise faults.EmptySubnetPoolPrefixList()
    try:
        networks = [ipaddress.ip_network(text, strict=False) for text in wanted]
    except ValueError as error:
        raise invalid(f"prefixes: {error}") from None
    four = [network for network in networks if isinstance(network, ipaddress.IPv4Network)]
    six = [network for network in networks if isinstance(network, ipaddress.IPv6Network)]
    if four and six:
        raise faults.PrefixVersionMismatch()
    return [*ipaddress.collapse_addresses(four), *ipaddress.collapse_addresses(six)]


def bounds(version: int, shortest: int | None, longest: int | None, usual: int | None) -> Bounds:
    """Checked prefix lengths; None is the default. Raises 400."""
    limit = LONGEST[version]
    low = SHORTEST[version] if shortest is None else shortest
    high = limit if longest is None else longest
    middle = low if usual is None else usual
    for prefixlen in (low, high, middle):
        if prefixlen > limit:
            raise faults.UnsupportedMinSubnetPoolPrefix(prefix=prefixlen, version=version)
    for name, length, other, wrong in (
        ("min_prefixlen", low, ("max_prefixlen", high), low > high),
        ("default_prefixlen", middle, ("min_prefixlen", low), middle < low),
        ("default_prefixlen", middle, ("max_prefixlen", high), middle > high),
    ):
        if wrong:
            raise faults.IllegalSubnetPoolPrefixBounds(
                prefix_type=name, prefixlen=length, base_prefix_type=other[0], base_prefixlen=other[1]
            )
    return Bounds(low, high, middle)


def covers(new: Iterable[IpNetwork], old: Iterable[IpNetwork]) -> bool:
    """Whether every old prefix is inside a new one."""
    wide = list(new)
    return all(any(within(prefix, outer) for outer in wide) for prefix in old)


def within(inner: IpNetwork, outer: IpNetwork) -> bool:
    """Whether a range lies inside another one of the same version."""
    return inner.version == outer.version and inner.prefixlen >= outer.prefixlen and inner.overlaps(outer)


def first_free(pool: Iterable[IpNetwork], used: Iterable[IpNetwork], prefixlen: int) -> IpNetwork | None:
    """The lowest range of that length inside the pool which overlaps nothing that is used."""
    taken = sorted((int(item.network_address), int(item.broadcast_address)) for item in used)
    for prefix in sorted(pool, key=lambda item: int(item.network_address)):
        if prefix.prefixlen > prefixlen:
            continue
        size = 1 << (prefix.max_prefixlen - prefixlen)
        start = int(prefix.network_address)
        for first, last in taken:
            if first >= start + size:
                break
            if last >= start:
                start = (last // size + 1) * size
        if start + size - 1 <= int(prefix.broadcast_address):
            return prefix.__class__((start, prefixlen))
    return None


def quota_units(cidr: IpNetwork) -> int:
    """How much of a project's quota in a pool a subnet takes: addresses, or networks of 64 bits for IPv6."""
    return cidr.num_addresses if cidr.version == 4 else max(1, cidr.num_addresses >> 64)
