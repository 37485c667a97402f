"""Which physical networks links carry, and with which VLAN ids: the option ``[topology] physical_networks``."""

from __future__ import annotations

from collections.abc import Sequence

from controller.errors import ConfigurationError

LAST = 4094
OPTION = "[topology] physical_networks"


def parse(entries: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Physical network -> first and last VLAN id that links carry for it; 0 is its flat network, untagged.

    An entry is ``name`` (everything) or ``name:first:last``. Links have one space of VLAN ids, so the ranges must not
    overlap. Raises :class:`ConfigurationError`.
    """
    found: dict[str, tuple[int, int]] = {}
    for entry in entries:
        name, tags = _entry(entry)
        if name in found:
            raise ConfigurationError(f"{OPTION} names '{name}' twice")
        for other, (first, last) in found.items():
            if first <= tags[1] and tags[0] <= last:
                raise ConfigurationError(
                    f"{OPTION}: the VLAN ids of '{name}' and '{other}' overlap; "
                    f"give each a range of its own, e.g. {other}:0:1999,{name}:2000:4094"
                )
        found[name] = tags
    return found


def _entry(entry: str) -> tuple[str, tuple[int, int]]:
    name, *numbers = (part.strip() for part in entry.split(":"))
    if not name or len(numbers) not in (0, 2) or not all(part.isascii() and part.isdigit() for part in numbers):
        raise ConfigurationError(f"{OPTION}: '{entry}' is not <physical network>[:<first VLAN id>:<last VLAN id>]")
    first, last = (int(numbers[0]), int(numbers[1])) if numbers else (0, LAST)
    if not first <= last <= LAST:
        raise ConfigurationError(f"{OPTION}: '{entry}' is no range of VLAN ids from 0 (untagged) to {LAST}")
    return name, (first, last)
