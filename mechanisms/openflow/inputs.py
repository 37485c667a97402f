"""What a switch's program is a function of, as strings, numbers and tuples that are the same in every process.

Of the model's values everything counts that is not named here as irrelevant: a field that is new to the model makes
switches be compared once too often, never once too rarely. ``tests/sim/test_inputs.py`` holds the compiler to it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Set
from dataclasses import fields, is_dataclass
from operator import attrgetter
from types import NoneType
from typing import Any

from controller.dataplane.lazy import digest_of
from controller.model import Binding, Fabric, FabricTree, Network, Node, Port, Segment
from mechanisms.openflow.registers import NICIRA

_SIMPLE = (str, int, NoneType)
"""What most values are; asked first, as abstract classes take long to find out that a value is none of theirs."""


def canonical(value: Any) -> Hashable:
    """The same for equal values, whatever the order of their sets and mappings."""
    if isinstance(value, _SIMPLE):
        return value
    if isinstance(value, Mapping):
        return tuple(sorted((key, canonical(item)) for key, item in value.items()))
    if isinstance(value, Set):
        return tuple(sorted(value))
    if isinstance(value, tuple):
        return tuple([canonical(item) for item in value])
    if is_dataclass(value):
        return tuple([canonical(getattr(value, field.name)) for field in fields(value)])
    return value  # type: ignore[no-any-return]


def _all_but(kind: type[Any], *irrelevant: str) -> Callable[[Any], tuple[Hashable, ...]]:
    """What gets the other fields of a value."""
    chosen = [field for field in fields(kind) if field.name not in irrelevant]
    get = attrgetter(*(field.name for field in chosen))
    if any(word in str(field.type) for field in chosen for word in ("Mapping", "set[")):
        return lambda value: tuple([canonical(item) for item in get(value)])
    return get


_PORT = _all_but(
    Port,
    "revision", "host", "binding_refusal", "local_links",  # how it came to be bound and plugged where it is
    "device_owner", "binding",  # parts of which follow
)  # fmt: skip
_BINDING = _all_but(Binding, "mechanism", "vif_type", "vif_details")
_NETWORK = _all_but(Network, "name", "mtu", "segments")
_NODE = _all_but(
    Node,
    "host", "kind", "mechanisms", "tunnel_types", "physical_networks", "limits", "admin_state_up", "served",
    "vif_details",  # decide bindings
    "capabilities",  # of which only :func:`rewrites_arp` matters, and that to the switch itself
)  # fmt: skip
_SEGMENT = _all_but(Segment)

_LINKS = _all_but(Fabric, "members", "trees", "learned", "known")  # of the rest networks have their part each
_EXIT = _all_but(FabricTree, "links", "clouds", "tags")
_TREE = _all_but(FabricTree, "exit")  # which matters to groups that all networks share


def port_mark(port: Port) -> bytes:
    """A hash of what matters of a port."""
    bound = None if port.binding is None else _BINDING(port.binding)
    return digest_of((_PORT(port), port.may_serve_dhcp, bound))


def network(network: Network) -> tuple[Hashable, ...]:
    """What matters of a network besides its segments."""
    return _NETWORK(network)


def segment(segment: Segment) -> tuple[Hashable, ...]:
    """What matters of a segment."""
    return _SEGMENT(segment)


def node(node: Node) -> tuple[Hashable, ...]:
    """What matters of a node, to itself and to its peers."""
    return _NODE(node)


def rewrites_arp(node: Node) -> bool:
    """Whether a switch can answer ARP by itself."""
    return NICIRA in node.capabilities


def ways(fabric: Fabric) -> Hashable:
    """What matters of the links besides the networks."""
    return (_LINKS(fabric), tuple(sorted((name, _EXIT(tree)) for name, tree in fabric.trees.items())))


def links(fabric: Fabric) -> Hashable:
    """What matters of the links to all networks alike."""
    return (fabric.links, tuple(sorted(fabric.trees)))


def tree(tree: FabricTree) -> Hashable:
    """What matters of a broadcast tree to the networks that it carries."""
    return _TREE(tree)
