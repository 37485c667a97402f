"""What is plugged into a switch, with every OpenFlow port number meaning one thing only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from operator import is_
from typing import NamedTuple

from controller.model import Fabric, Node, Observation


class Here(NamedTuple):
    """The node and its OpenFlow port numbers: ``tunnels`` by network type, ``uplinks`` by physical network, ``ports``
    by port id. ``fabric`` is None where no links are looked for."""

    node: Node
    tunnels: Mapping[str, int]
    uplinks: Mapping[str, int]
    ports: Mapping[str, int]
    fabric: Fabric | None = None


class Locator:
    """Resolves what one node's switch observes; again only what is another object than the last time."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: tuple[Node, Observation, Here] | None = None

    def __call__(self, node: Node, observation: Observation) -> Here:
        """See :func:`locate`."""
        if self._seen is not None:
            last_node, last, here = self._seen
            if (
                node is last_node
                and observation.fabric is last.fabric
                and all(map(is_, _resolved(observation), _resolved(last)))
            ):
                return here
        here = locate(node, observation)
        self._seen = (node, observation, here)
        return here


def _resolved(observation: Observation) -> tuple[object, ...]:
    return observation.attachments, observation.uplinks, observation.tunnel_ports


def locate(node: Node, observation: Observation) -> Here:
    """Resolve what is observed.

    A number that is claimed twice goes to tunnels first, then uplinks, then ports, each by order of name: with two
    meanings in one program the outcome would depend on which flow came last.
    """
    tunnels, uplinks = observation.tunnel_ports, observation.uplinks
    ports: Mapping[str, int] = {key: seen.ofport for key, seen in observation.attachments.items()
                                if seen.ofport is not None}  # fmt: skip
    numbers = [*tunnels.values(), *uplinks.values(), *ports.values()]
    taken = set(numbers)
    if len(taken) < len(numbers):  # which is rare
        taken = set()
        tunnels, uplinks, ports = [_claim(wanted, taken) for wanted in (tunnels, uplinks, ports)]
    fabric = observation.fabric
    if fabric is not None and taken.intersection(fabric.links):
        fabric = replace(fabric, links=tuple(ofport for ofport in fabric.links if ofport not in taken))
    return Here(node, tunnels, uplinks, ports, fabric)


def _claim(wanted: Mapping[str, int], taken: set[int]) -> Mapping[str, int]:
    result = {}
    for name, ofport in sorted(wanted.items()):
        if ofport not in taken:
            taken.add(ofport)
            result[name] = ofport
    return result
