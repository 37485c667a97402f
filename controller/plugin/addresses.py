"""MAC addresses and allowed address pairs: what a port may claim to be."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from neutron_lib.exceptions import allowedaddresspairs as faults

from controller.db.models import PairRow
from controller.errors import ConfigurationError
from controller.plugin.api import Body
from controller.plugin.bodies import invalid
from typedrivers.intervals import Below


class MacSource:
    """Generated MAC addresses: the pattern's first three bytes (four, if the fourth is not zero), the rest random."""

    def __init__(self, pattern: str, below: Below) -> None:
        parts = pattern.strip().lower().split(":")
        try:
            numbers = [int(part, 16) for part in parts]
        except ValueError:
            numbers = []
        if len(numbers) != 6 or any(len(part) != 2 for part in parts) or numbers[0] & 1:
            raise ConfigurationError(
                f"[DEFAULT] base_mac '{pattern}' is no unicast MAC address of the form fa:16:3e:00:00:00"
            )
        self._fixed = numbers[: 4 if numbers[3] else 3]
        self._below = below

    def next(self) -> str:
        """A random address of the pattern."""
        random_bytes = [self._below(256) for _ in range(6 - len(self._fixed))]
        return ":".join(f"{byte:02x}" for byte in (*self._fixed, *random_bytes))


def checked_mac(text: str) -> str:
    """A MAC address in lower case that one port may have. Raises 400 for group addresses and zero."""
    mac = text.lower().replace("-", ":")
    if int(mac.split(":")[0], 16) & 1 or mac == "00:00:00:00:00:00":
        raise invalid(f"mac_address {text} is no unicast address")
    return mac


def address_pairs(wanted: Sequence[Body], mac_address: str) -> list[PairRow]:
    """Rows of allowed address pairs; a pair without a MAC address has the port's. Raises 400."""
    rows: dict[tuple[str, str], PairRow] = {}
    for item in wanted:
        mac = str(item.get("mac_address") or mac_address).lower().replace("-", ":")
        ip = canonical(str(item["ip_address"]))
        if (mac, ip) in rows:
            raise faults.DuplicateAddressPairInRequest(mac_address=mac, ip_address=ip)
        rows[mac, ip] = PairRow(mac_address=mac, ip_address=ip, position=len(rows))
    return list(rows.values())


def canonical(text: str) -> str:
    """An address, or a network with its host bits cleared. Raises 400."""
    try:
        if "/" in text:
            return str(ipaddress.ip_network(text, strict=False))
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise invalid(f"'{text}' in allowed_address_pairs is neither an IP address nor a network") from None
