"""What a switch without OVSDB is, from what an operator declared and from the OpenFlow ports that it has. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from controller.model import PHYSICAL_TYPES, TUNNEL_TYPES, DeclaredSwitch, NodeFacts, Observation, PortView

OVSDB, NICIRA = "ovsdb", "nicira"
"""Capabilities: OVSDB says what the switch is; flows choose a tunnel's remote end (Open vSwitch's extensions)."""


NO_UPLINKS: Mapping[str, int] = {}


def port_number(text: str, ports: Mapping[int, PortView]) -> int | None:
    """The OpenFlow port of that name, or of that number; None if the switch has none."""
    for number, view in sorted(ports.items()):
        if view.name == text:
            return number
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 11 else -1
    return number if number in ports else None


def elected(
    candidates: Mapping[str, Sequence[int]], ports: Mapping[int, PortView], last: Mapping[str, int] = NO_UPLINKS
) -> tuple[dict[str, int], frozenset[int]]:
    """The uplinks in use by physical network, and those that wait.

    Of several it is the one that was in use ``last`` while its link is up: what is behind has learned addresses there
    and would send into the void. Else it is the first whose link is up.
    """
    used = {}
    for name, numbers in candidates.items():
        alive = [number for number in numbers if number not in ports or ports[number].link_up]
        if numbers:
            used[name] = last[name] if last.get(name) in alive else (alive or list(numbers))[0]
    everything = {number for numbers in candidates.values() for number in numbers}
    return used, frozenset(everything - set(used.values()))


def described(
    facts: NodeFacts, seen: Observation, said: DeclaredSwitch | None, last: Mapping[str, int] = NO_UPLINKS
) -> tuple[NodeFacts, Observation]:
    """The switch as it told, with what is declared of it; ``last`` are the uplinks that were in use. Where OVSDB
    speaks of a switch, OVSDB counts."""
    if said is None or OVSDB in facts.capabilities:
        return facts, seen
    ports = seen.switch_ports
    found = {name: _known(wanted, ports) for name, wanted in said.uplinks.items()}
    used, standby = elected(found, ports, last)
    names = {name: ",".join(ports[number].name for number in numbers) for name, numbers in found.items() if numbers}
    limits = _limits(facts, ports, said)
    tunnels = TUNNEL_TYPES - limits.keys()
    new_facts = replace(
        facts,
        host=said.name or facts.host,
        physical_networks={**facts.physical_networks, **names},
        link_tags={name: tags for name, tags in facts.link_tags.items() if name not in names},
        tunnel_ip=said.tunnel_ip,
        tunnel_types=tunnels,
        limits=limits,
    )
    uplinks = {name: port for name, port in seen.uplinks.items() if name not in said.uplinks} | used
    numbers = {kind: port_number(said.tunnel_ports[kind], ports) for kind in sorted(tunnels)}
    resolved = {kind: number for kind, number in numbers.items() if number is not None}
    return new_facts, replace(seen, uplinks=uplinks, standby_uplinks=standby, tunnel_ports=resolved)


def problems(said: DeclaredSwitch, facts: NodeFacts, seen: Observation) -> list[str]:
    """What is declared and cannot be, in sentences. ``facts`` and ``seen`` are what the switch itself told."""
    if OVSDB in facts.capabilities:
        return ["OVSDB says what this switch is; the declaration is not used"]
    missing = [f"the switch has no port '{port}', which is declared as an uplink into {name}"
               for name, ports in sorted(said.uplinks.items())
               for port in ports if port_number(port, seen.switch_ports) is None]  # fmt: skip
    limits = _limits(facts, seen.switch_ports, said)
    return missing + [f"no {kind} tunnels: {limits[kind]}" for kind in sorted(said.tunnel_ports) if kind in limits]


def _known(wanted: Sequence[str], ports: Mapping[int, PortView]) -> list[int]:
    numbers = (port_number(text, ports) for text in wanted)
    return list(dict.fromkeys(number for number in numbers if number is not None))


def _limits(facts: NodeFacts, ports: Mapping[int, PortView], said: DeclaredSwitch) -> dict[str, str]:
    """Network type -> why not. A switch that could have tunnels lacks only what is not declared."""
    if NICIRA not in facts.capabilities or PHYSICAL_TYPES & facts.limits.keys():
        return dict(facts.limits)
    limits = {kind: reason for kind, reason in facts.limits.items() if kind not in TUNNEL_TYPES}
    for kind in sorted(TUNNEL_TYPES):
        name = said.tunnel_ports.get(kind)
        if said.tunnel_ip is None or name is None:
            limits[kind] = f"OVSDB is not used, and no port for {kind} tunnels is declared for the switch"
        elif port_number(name, ports) is None:
            limits[kind] = f"the switch has no port '{name}', which is declared for {kind} tunnels"
    return limits
