"""What a port may send as: the anti-spoofing data that every mechanism enforces in its own way."""

from __future__ import annotations

import ipaddress
import socket

from controller.errors import CompileError
from controller.model import Port
from legacy_agent.host_plan import AllowedAddress


def allowed_sources(port: Port) -> tuple[AllowedAddress, ...]:
    """Its own MAC with each fixed address, and its allowed address pairs; sorted, without repetition.

    Addresses are written in their canonical form, CIDRs without host bits. Raises :class:`CompileError` naming the
    port for an address that is none.
    """
    own = [(port.mac_address, address) for address in port.fixed_ips]
    pairs = [(pair.mac_address or port.mac_address, pair.ip_address) for pair in port.allowed_address_pairs]
    return tuple(sorted({AllowedAddress(mac.lower(), _canonical(address, port)) for mac, address in own + pairs}))


def allowed_macs(port: Port) -> tuple[str, ...]:
    """Its own MAC and those of its address pairs; sorted, without repetition."""
    pairs = {pair.mac_address.lower() for pair in port.allowed_address_pairs if pair.mac_address}
    return tuple(sorted({port.mac_address.lower(), *pairs}))


def _canonical(address: str, port: Port) -> str:
    if _is_ipv4(address):
        return address  # which has one form only
    try:
        network = ipaddress.ip_network(address, strict=False)
    except ValueError as error:
        raise CompileError(f"port {port.id} has an address that cannot be read: {error}") from error
    single = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if single else str(network)


def _is_ipv4(text: str) -> bool:
    """Whether it is one plain IPv4 address; most are."""
    try:
        socket.inet_pton(socket.AF_INET, text)
    except OSError:
        return False
    return True
