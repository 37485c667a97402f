"""What the fabric remembers over a restart of the controller: what is in use because of what was before.

The tree that broadcast takes, and which of several uplinks, depend on what failed in the past; where legacy hosts hang
is said every few seconds only. A controller that began without knowing would make switches change what is right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.model import switch_node_id
from topology.attachment import Speaker
from topology.links import End, Link, link
from topology.view import Tree

VERSION = 1


@dataclass(frozen=True, slots=True)
class Memory:
    """The links, the trees in use by physical network, and the ports at which hosts were heard."""

    links: frozenset[Link] = frozenset()
    trees: Mapping[str, Tree] = field(default_factory=dict)
    places: Mapping[Speaker, End] = field(default_factory=dict)


NOTHING = Memory()


def to_json(memory: Memory) -> dict[str, Any]:
    """As it is stored: ends are ``[datapath id, port]``."""
    return {
        "version": VERSION,
        "links": [_link_json(each) for each in sorted(memory.links)],
        "trees": {name: {"links": [_link_json(each) for each in sorted(tree.links)],
                         "uplinks": [_end_json(end) for end in sorted(tree.uplinks)]}
                  for name, tree in sorted(memory.trees.items())},
        "places": [[*who, _end_json(end)] for who, end in sorted(memory.places.items())],
    }  # fmt: skip


def from_json(stored: Any) -> Memory:
    """What was stored; nothing, if that cannot be read: another version of the controller may have written it."""
    try:
        if stored["version"] != VERSION:
            return NOTHING
        trees = {str(name): Tree(frozenset(map(_link, tree["links"])), frozenset(map(_end, tree["uplinks"])))
                 for name, tree in stored["trees"].items()}  # fmt: skip
        places = {(str(host), str(interface)): _end(end) for host, interface, end in stored["places"]}
        return Memory(frozenset(map(_link, stored["links"])), trees, places)
    except (AttributeError, KeyError, TypeError, ValueError):
        return NOTHING


def _end_json(end: End) -> list[Any]:
    return [end.node_id.removeprefix("switch:"), end.port]


def _link_json(each: Link) -> list[list[Any]]:
    return [_end_json(each.a), _end_json(each.b)]


def _end(stored: Any) -> End:
    datapath_id, port = stored
    return End(switch_node_id(int(datapath_id, 16)), int(port))


def _link(stored: Any) -> Link:
    one, other = stored
    return link(_end(one), _end(other))
