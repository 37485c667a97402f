"""A declared cable plan, and what differs between it and the links that were found. Pure; changes no forwarding.

A plan is a list of cables, in YAML or JSON::

    cables:
      - {a: {switch: leaf1, port: eth1}, b: {switch: "0000000000000002", port: 3}}

A switch is named by its datapath id or by its name (``binding:host_id``), a port by name or number.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from string import hexdigits
from typing import Any

import yaml

from controller.errors import ConfigurationError
from controller.model import Cable, Plug, PortView, switch_node_id
from topology.links import End, Link, link

LONGEST = 255
FORM = '{"a": {"switch": "leaf1", "port": "eth1"}, "b": {"switch": "leaf2", "port": 3}}'


class CablePlanError(ConfigurationError):
    """A cable plan cannot be understood; the message names the cable."""


class Difference(enum.StrEnum):
    """What is wrong with a cable."""

    MISSING = "missing"
    """Planned, and nothing is found at either end."""
    MISWIRED = "miswired"
    """Planned, and one end at least is found at another port than planned."""
    UNEXPECTED = "unexpected"
    """Found, and neither end is in the plan."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A difference. ``planned`` is None for what is unexpected; ``found`` are the links concerned; ``note`` says what
    of the plan is not known, if anything is."""

    kind: Difference
    planned: Cable | None
    found: tuple[Link, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        found = " and ".join(map(str, self.found))
        if self.planned is None:
            return f"{found} is not in the cable plan"
        said = f"{self.planned.a} - {self.planned.b}"
        if self.kind is Difference.MISWIRED:
            return f"planned {said}, found {found}"
        return f"planned {said}, not found" + (f": {self.note}" if self.note else "")


def read_plan(path: str) -> tuple[Cable, ...]:
    """The plan in a YAML file. Raises :class:`CablePlanError`."""
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.safe_load(file)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CablePlanError(f"[topology] cable_plan {path} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or set(content) != {"cables"}:
        raise CablePlanError(f"[topology] cable_plan {path} must have one key, 'cables'")
    try:
        return parse(content["cables"])
    except CablePlanError as error:
        raise CablePlanError(f"[topology] cable_plan {path}: {error}") from None


def parse(value: Any) -> tuple[Cable, ...]:
    """The cables of a plan as JSON or YAML has them. Raises :class:`CablePlanError` naming the entry."""
    if not isinstance(value, list):
        raise CablePlanError(f"cables must be a list of {FORM}")
    plan = tuple(_cable(entry, number) for number, entry in enumerate(value, 1))
    seen: dict[Plug, int] = {}
    for number, cable in enumerate(plan, 1):
        for end in (cable.a, cable.b):
            if end in seen:
                raise CablePlanError(f"cable {number}: {end} has a cable already, number {seen[end]}")
            seen[end] = number
    return plan


def _cable(entry: Any, number: int) -> Cable:
    if not isinstance(entry, dict) or set(entry) != {"a", "b"}:
        raise CablePlanError(f"cable {number} must be of the form {FORM}")
    return Cable(_plug(entry["a"], number), _plug(entry["b"], number))


def _plug(value: Any, number: int) -> Plug:
    if not isinstance(value, dict) or set(value) != {"switch", "port"}:
        raise CablePlanError(f"cable {number}: an end must be of the form {FORM}")
    return Plug(_word(value["switch"], "switch", number), _word(value["port"], "port", number))


def _word(value: Any, what: str, number: int) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and what == "port" and 0 < value < 1 << 32:
        return str(value)
    if isinstance(value, str) and value.strip() and len(value) <= LONGEST and value.isprintable():
        return value
    hint = "a name or a number" if what == "port" else "a name or a datapath id (in quotes)"
    raise CablePlanError(f"cable {number}: {what} must be {hint}")


class Names:
    """Turns the names of a plan into ends of links. ``switches`` maps name -> node id, ``ports`` node id -> ports."""

    def __init__(self, switches: Mapping[str, str], ports: Mapping[str, Mapping[int, PortView]]) -> None:
        self._switches, self._ports = switches, ports

    def end(self, plug: Plug) -> End | str:
        """The end, or why it is not known."""
        node_id = self._node(plug.switch)
        if node_id is None or node_id not in self._ports:
            return f"switch '{plug.switch}' has not connected"
        ports = self._ports[node_id]
        named = [number for number, view in sorted(ports.items()) if view.name == plug.port]
        number = named[0] if named else int(plug.port) if plug.port.isascii() and plug.port.isdigit() else None
        if number is None or number not in ports:
            return f"{plug.switch} has no port '{plug.port}'"
        return End(node_id, number)

    def _node(self, name: str) -> str | None:
        if name in self._switches:
            return self._switches[name]
        digits = name.lower().removeprefix("switch:").removeprefix("0x").replace(":", "")
        readable = 0 < len(digits) <= 16 and all(digit in hexdigits for digit in digits)
        return switch_node_id(int(digits, 16)) if readable else None


def compare(plan: Iterable[Cable], links: Iterable[Link], names: Names) -> list[Finding]:
    """What differs, in a stable order; nothing where plan and links agree."""
    by_end = {end: each for each in links for end in each}
    planned_ends: set[End] = set()
    found: list[Finding] = []
    for cable in plan:
        ends = [names.end(cable.a), names.end(cable.b)]
        known = [end for end in ends if isinstance(end, End)]
        planned_ends.update(known)
        found += _judged(cable, known, by_end, next((end for end in ends if isinstance(end, str)), ""))
    unexpected = {each for each in by_end.values() if not planned_ends & set(each)}
    return sorted(found, key=_order) + [Finding(Difference.UNEXPECTED, None, (each,)) for each in sorted(unexpected)]


def _judged(cable: Cable, ends: list[End], by_end: Mapping[End, Link], note: str) -> Iterator[Finding]:
    seen = tuple(sorted({by_end[end] for end in ends if end in by_end}))
    if len(ends) == 2 and seen == (link(*ends),):
        return
    yield Finding(Difference.MISWIRED if seen else Difference.MISSING, cable, seen, "" if seen else note)


def _order(finding: Finding) -> tuple[str, str]:
    return finding.kind, str(finding)
