"""The resources and their attributes, merged from neutron-lib's definitions.

One :class:`ResourceType` per collection holds everything the HTTP layer needs: which attributes exist, which may be
given on create and update, which can be filtered and sorted by, which are shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

from neutron_lib.api import converters
from neutron_lib.api.definitions import (
    agent,
    allowedaddresspairs,
    external_net,
    multiprovidernet,
    network,
    network_mtu_writable,
    port,
    port_security,
    portbindings,
    provider_net,
    segment,
    subnet,
)
from neutron_lib.db import constants as db_constants
from neutron_lib.exceptions import InvalidInput

Attributes = Mapping[str, Mapping[str, Any]]

HEXADECIMAL = re.compile("[0-9a-fA-F]")


@dataclass(frozen=True)
class ResourceType:
    """A resource of the Networking API. ``writes`` names the changes that clients may ask for."""

    name: str
    collection: str
    attributes: Attributes
    writes: frozenset[str] = frozenset({"create", "update", "delete"})

    @cached_property
    def visible(self) -> frozenset[str]:
        """Attributes that appear in answers."""
        return frozenset(name for name, spec in self.attributes.items() if spec.get("is_visible"))

    @cached_property
    def filters(self) -> frozenset[str]:
        """Attributes that a list can be filtered by."""
        return frozenset(name for name, spec in self.attributes.items() if spec.get("is_filter"))

    @cached_property
    def sort_keys(self) -> frozenset[str]:
        """Attributes that a list can be sorted by."""
        return frozenset(name for name, spec in self.attributes.items() if spec.get("is_sort_key"))


def _only_empty(name: str, why: str) -> dict[str, Any]:
    """An attribute that clients may send with nothing in it, because what it would say does not exist here."""

    def refuse(value: Any) -> Any:
        if value:
            raise InvalidInput(error_message=f"{why}; leave {name} out or empty")
        return value

    return {"allow_post": True, "allow_put": True, "default": None, "convert_to": refuse, "is_visible": False}


def _mac_address(value: Any) -> Any:
    """Six octets and nothing else: netaddr also reads ``fa:16:3e`` as an address, which nobody means."""
    if isinstance(value, str) and len(HEXADECIMAL.findall(value)) != 12:
        raise InvalidInput(error_message=f"'{value}' is not a valid MAC address; it has the form fa:16:3e:00:00:01")
    return converters.convert_to_sanitized_mac_address(value)


def _binding_profile(value: Any) -> Any:
    """Free in form, except for the part that says to which switch port the port is cabled."""
    links = value.get("local_link_information") if isinstance(value, dict) else None
    if links is not None and not (isinstance(links, list) and all(map(_is_local_link, links))):
        raise InvalidInput(
            error_message="binding:profile local_link_information must be a list of objects with the strings "
            "switch_id and port_id"
        )
    return value


def _is_local_link(link: Any) -> bool:
    return isinstance(link, dict) and all(isinstance(link.get(name), str) for name in ("switch_id", "port_id"))


def _read_only(**more: Any) -> dict[str, Any]:
    return {"allow_post": False, "allow_put": False, "is_visible": True, **more}


STANDARD: Attributes = {
    "description": {
        "allow_post": True,
        "allow_put": True,
        "validate": {"type:string_or_none": db_constants.DESCRIPTION_FIELD_SIZE},
        "default": "",
        "is_filter": True,
        "is_sort_key": True,
        "is_visible": True,
    },
    "created_at": _read_only(is_filter=True, is_sort_key=True),
    "updated_at": _read_only(is_filter=True, is_sort_key=True),
    "revision_number": _read_only(is_filter=True, is_sort_key=True, convert_to=converters.convert_to_int),
}
"""Neutron's standard attributes, which live in its own tree rather than in neutron-lib."""

HOST_SIZE = 255

PORTS = port.RESOURCE_ATTRIBUTE_MAP["ports"]
BINDINGS = portbindings.RESOURCE_ATTRIBUTE_MAP["ports"]
SUBNETS = subnet.RESOURCE_ATTRIBUTE_MAP["subnets"]

PORT_OWN: Attributes = {
    "status_reason": _read_only(),
    "mac_address": PORTS["mac_address"] | {"convert_to": _mac_address},
    "binding:profile": BINDINGS["binding:profile"] | {"convert_to": _binding_profile},
    "binding:host_id": BINDINGS["binding:host_id"] | {"validate": {"type:string_or_none": HOST_SIZE}},
    "security_groups": _only_empty("security_groups", "security groups are not available here"),
}

SUBNET_OWN: Attributes = {
    "subnetpool_id": SUBNETS["subnetpool_id"] | {"is_sort_key": False},
    "segment_id": _only_empty("segment_id", "subnets cannot be tied to one segment here"),
}

UNSTORED = frozenset({"security_groups", "segment_id"})
"""Attributes that are checked and then not handed on."""


def _merge(collection: str, *definitions: ModuleType, own: Attributes | None = None) -> Attributes:
    merged: dict[str, Mapping[str, Any]] = {}
    for definition in definitions:
        merged |= definition.RESOURCE_ATTRIBUTE_MAP.get(collection, {})
    merged |= own or {}
    if "tenant_id" in merged:
        merged["project_id"] = merged["tenant_id"]
    return merged


NETWORK = ResourceType(
    "network",
    "networks",
    _merge("networks", network, provider_net, multiprovidernet, port_security, network_mtu_writable, external_net,
           own=STANDARD),
)  # fmt: skip
SUBNET = ResourceType("subnet", "subnets", _merge("subnets", subnet, own={**STANDARD, **SUBNET_OWN}))
PORT = ResourceType(
    "port",
    "ports",
    _merge("ports", port, portbindings, port_security, allowedaddresspairs, own={**STANDARD, **PORT_OWN}),
)
SEGMENT = ResourceType("segment", "segments", _merge("segments", segment, own=STANDARD))
AGENT = ResourceType(
    "agent",
    "agents",
    _merge("agents", agent, own={"alive": _read_only(is_filter=True, convert_to=converters.convert_to_boolean)}),
    writes=frozenset({"update", "delete"}),
)

RESOURCE_TYPES: tuple[ResourceType, ...] = (NETWORK, SUBNET, PORT, SEGMENT, AGENT)
