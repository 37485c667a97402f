"""What the openvswitch driver puts on a host, as values, and how each of them says that it is ours.

``network_id`` tells which network an item serves (empty: several); it is never compared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

MARK = "isthmus-agent"
"""Key in the ``external_ids`` of our bridge and our ports; its value says what the thing is for."""

COOKIE_TAG = 0x1572
"""First 16 bits of the cookie of each flow of the agent; the controller's begin with 0x1571."""

_REFERENCE = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Bridge:
    """The bridge that VMs are plugged into. In fail mode ``secure`` it has no flows but ours."""

    name: str
    datapath_type: str
    fail_mode: str = "secure"
    mark: str = "bridge"
    network_id: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Wire:
    """A port made by the agent: a tunnel, one end of a patch, an uplink, or a tap that nobody else plugged in.

    ``type`` is Open vSwitch's (empty: an interface of the host); ``options`` and ``external_ids`` are sorted pairs.
    """

    name: str
    bridge: str
    type: str
    mark: str
    options: tuple[tuple[str, str], ...] = ()
    external_ids: tuple[tuple[str, str], ...] = ()
    up: bool = True
    network_id: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Template:
    """A flow with names of interfaces in braces in place of port numbers, as ``ovs-ofctl`` writes it otherwise.

    ``actions`` come one by one: those that name an interface without a number are left out; a flow whose ``match``
    names one is not made.
    """

    table: int
    priority: int
    match: str
    actions: tuple[str, ...]

    def references(self) -> frozenset[str]:
        """The interfaces that it names."""
        return frozenset(_REFERENCE.findall(",".join([self.match, *self.actions])))

    def resolve(self, known: Mapping[str, str]) -> str | None:
        """The flow without its cookie, None if it cannot be; ``known`` is by :func:`port_numbers`."""
        match = _filled(self.match, known)
        if match is None:
            return None
        actions = [text for action in self.actions if (text := _filled(action, known)) is not None]
        head = f"table={self.table},priority={self.priority}"
        return f"{head}{',' + match if match else ''},actions={','.join(actions) or 'drop'}"


def port_numbers(numbers: Mapping[str, int], pending: frozenset[str] = frozenset()) -> dict[str, str]:
    """What stands for each interface in a flow. Those that are ``pending`` will have a number; a flow with one of them
    is like no flow that is installed."""
    return {name: str(number) for name, number in numbers.items()} | {name: f"?{name}" for name in pending}


@dataclass(frozen=True, slots=True)
class FlowItem:
    """A flow; its cookie is a hash of the rest of it. What was read from the bridge has only a cookie."""

    cookie: int
    template: Template | None = field(default=None, compare=False)
    network_id: str = field(default="", compare=False)


AnyItem = Bridge | Wire | FlowItem
Key = tuple[str, str | int]


def key(item: AnyItem) -> Key:
    """What an item is about: two items with the same key cannot both be there."""
    if isinstance(item, FlowItem):
        return ("flow", item.cookie)
    return (type(item).__name__.lower(), item.name)


def cookie_of(flow: str) -> int:
    """The cookie of a flow written out."""
    return COOKIE_TAG << 48 | int.from_bytes(blake2b(flow.encode(), digest_size=6).digest())


def is_our_cookie(cookie: int) -> bool:
    """Whether a flow with this cookie was made by an agent."""
    return cookie >> 48 == COOKIE_TAG


def _filled(text: str, known: Mapping[str, str]) -> str | None:
    names = _REFERENCE.findall(text)
    if any(name not in known for name in names):
        return None
    return _REFERENCE.sub(lambda found: known[found[1]], text)
