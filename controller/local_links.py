"""Endpoints of ports that say themselves where they are plugged in, by ``local_link_information`` of their profile.

So it is on switches without OVSDB. A link names the switch by its datapath id and the port by number or name. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from controller.model import Attachment, Observation, Port, PortView, switch_node_id


@lru_cache(maxsize=1 << 16)
def switch_number(text: str) -> int | None:
    """A datapath id as hexadecimal digits, with or without ``0x``, colons or dashes; None if it is none."""
    digits = text.strip().lower().removeprefix("0x").replace(":", "").replace("-", "")
    if not digits or len(digits) > 16 or any(digit not in "0123456789abcdef" for digit in digits):
        return None
    return int(digits, 16)


@lru_cache(maxsize=1 << 16)
def _switch(text: str) -> str | None:
    """The node id of the switch that a datapath id names; None if it is none."""
    number = switch_number(text)
    return None if number is None else switch_node_id(number)


def link_on(port: Port, node_id: str) -> str | None:
    """What the port says of where it is plugged in on the node it is bound to; None if it is elsewhere or silent."""
    binding = port.binding
    if binding is None or binding.node_id != node_id:
        return None
    for switch, name in port.local_links:
        if _switch(switch) == node_id:
            return name
    return None


def switches_of(port: Port) -> tuple[str, ...]:
    """The node ids of the switches that the port names."""
    nodes = (_switch(switch) for switch, _ in port.local_links)
    return tuple([node_id for node_id in nodes if node_id is not None])


def numbers_of(views: Mapping[int, PortView]) -> Mapping[str, int]:
    """The numbers of a switch's OpenFlow ports by name; of those with the same name the lowest."""
    return {views[number].name: number for number in sorted(views, reverse=True)}


def linked(told: Observation, links: Mapping[str, str], numbers: Mapping[str, int]) -> Mapping[str, Attachment]:
    """The endpoints by port id that follow from ``links``: port id -> name or number of the switch's OpenFlow port.
    ``numbers``: see :func:`numbers_of`."""
    views, found = told.switch_ports, {}
    for port_id, name in links.items():
        number = numbers[name] if name in numbers else _number(name)
        view = views.get(number)
        if view is not None:
            found[port_id] = Attachment(port_id, view.name, number, view.link_up)
    return found


def _number(text: str) -> int:
    """The OpenFlow port number that the text is; one that no port has, if it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 11 else -1
