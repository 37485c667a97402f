"""A network as one node sees it: the segment by which it is carried there, who else carries it so, and the live ports.

Both kinds of mechanism compile from these views; they are computed once per network and version and shared by all
nodes. Everything is ordered by stable keys, never by the order in which changes came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar
from weakref import ReferenceType, WeakKeyDictionary, ref

from controller.intent import Intent
from controller.model import Network, Node, Port, Segment
from mechanisms.sources import allowed_macs

T = TypeVar("T")


@dataclass(frozen=True)
class SegmentView:
    """One network by one segment. ``carriers`` are ordered by node key; ``live`` maps node id -> ports that may carry
    traffic there (bound by this segment, port and network administratively up), ordered by port id."""

    network: Network
    segment: Segment
    carriers: tuple[Node, ...]
    live: Mapping[str, tuple[Port, ...]]

    def peers(self, node_id: str) -> Iterator[Node]:
        """The other carriers."""
        return (node for node in self.carriers if node.id != node_id)

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """The live ports of all nodes, ordered by port id."""
        return tuple(sorted((port for ports in self.live.values() for port in ports), key=lambda port: port.id))

    @cached_property
    def unique_macs(self) -> frozenset[str]:
        """MAC addresses that say where to go; one that two ports have is left to flooding."""
        return _unique(port.mac_address for port in self.ports)

    @cached_property
    def roaming_macs(self) -> frozenset[str]:
        """MAC addresses of live ports that do not say where to go: those of address pairs, and those of several."""
        secured = (port for port in self.ports if port.port_security_enabled)
        allowed = {mac for port in secured for mac in allowed_macs(port)}
        return frozenset(allowed.union(port.mac_address for port in self.ports) - self.unique_macs)

    @cached_property
    def open_nodes(self) -> frozenset[str]:
        """Ids of the nodes with a live port without port security, behind which any address may be."""
        return frozenset(node_id for node_id, ports in self.live.items()
                         if not all(port.port_security_enabled for port in ports))  # fmt: skip

    @cached_property
    def unique_addresses(self) -> frozenset[str]:
        """Fixed addresses that say whose they are; one that an address pair names may be taken over by another port,
        or be answered for with another MAC address."""
        paired = {pair.ip_address.removesuffix("/32") for port in self.ports for pair in port.allowed_address_pairs}
        return _unique(address for port in self.ports for address in port.fixed_ips) - paired


class PerNetwork(Generic[T]):
    """Remembers what was computed for a network while nothing that concerns it changed.

    ``compute(intent, network_id, earlier)`` may reuse parts of its earlier result (None: there is none), but its
    result must not depend on it. From outside this is a pure function.
    """

    def __init__(self, compute: Callable[[Intent, str, T | None], T]) -> None:
        self._compute = compute
        self._known: WeakKeyDictionary[Intent, dict[str, tuple[object, T]]] = WeakKeyDictionary()
        self._latest: tuple[ReferenceType[Intent] | None, dict[str, tuple[object, T]]] = (None, {})
        """What is known of the intent that was asked for last: nearly always there is one only."""

    def __call__(self, intent: Intent, network_id: str) -> T:
        """The result for the network as it is now."""
        latest, known = self._latest
        if latest is None or latest() is not intent:
            known = self._of(intent)
        version = intent.version_of(network_id)
        entry = known.get(network_id)
        if entry is not None and entry[0] is version:
            return entry[1]
        result = self._compute(intent, network_id, entry[1] if entry else None)
        known[network_id] = (version, result)
        _forget(known, intent.networks)
        return result

    def _of(self, intent: Intent) -> dict[str, tuple[object, T]]:
        known = self._known.setdefault(intent, {})
        self._latest = (ref(intent), known)
        return known


def views_of(intent: Intent, network_id: str) -> dict[str, SegmentView]:
    """Node id -> the network as that node sees it, for every node that carries it."""
    network = intent.networks.get(network_id)
    if network is None:
        return {}
    views = {}
    for segment in network.segments:
        carriers = intent.carriers_by(network_id, segment.id)
        live = {key: _live(intent.ports_on(key, network_id).values(), network, segment) for key in carriers}
        view = SegmentView(network, segment, tuple(carriers.values()), live)
        views.update(dict.fromkeys(carriers, view))
    return views


def network_views() -> PerNetwork[dict[str, SegmentView]]:
    """:func:`views_of` that remembers."""
    return PerNetwork(lambda intent, network_id, _earlier: views_of(intent, network_id))


def _live(ports: Iterable[Port], network: Network, segment: Segment) -> tuple[Port, ...]:
    if not network.admin_state_up:
        return ()
    live = [
        port
        for port in ports
        if port.admin_state_up and port.binding is not None and port.binding.segment_id == segment.id
    ]
    return tuple(sorted(live, key=lambda port: port.id))


def _unique(items: Iterable[str]) -> frozenset[str]:
    return frozenset(item for item, times in Counter(items).items() if times == 1)


def _forget(known: dict[str, tuple[object, T]], existing: Mapping[str, object]) -> None:
    """Drop what no longer exists, now and then, so that memory follows the number of networks."""
    if len(known) > 2 * len(existing) + 16:
        for key in [key for key in known if key not in existing]:
            del known[key]
