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
    agent_sort_key,
    allowedaddresspairs,
    availability_zone,
    data_plane_status,
    default_subnetpools,
    external_net,
    extra_dhcp_opt,
    ip_allocation,
    l2_adjacency,
    multiprovidernet,
    network,
    network_availability_zone,
    network_ip_availability,
    network_ip_availability_details,
    network_mtu_writable,
    network_segment_range,
    port,
    port_security,
    portbindings,
    portbindings_extended,
    provider_net,
    segment,
    subnet,
    subnet_segmentid_enforce,
    subnetpool,
    uplink_status_propagation_updatable,
    vlantransparent,
)
from neutron_lib.constants import ATTR_NOT_SPECIFIED
from neutron_lib.db import constants as db_constants
from neutron_lib.exceptions import InvalidInput

Attributes = Mapping[str, Mapping[str, Any]]

HEXADECIMAL = re.compile("[0-9a-fA-F]")


TAG_FILTERS = frozenset({"tags", "tags-any", "not-tags", "not-tags-any"})
CHANGED_SINCE = "changed_since"
QUOTAS = ("network", "subnet", "port", "subnetpool", "rbac_policy")
"""What a project's quota limits."""


@dataclass(frozen=True)
class ResourceType:
    """A resource of the Networking API. ``name`` is the plugin's word for it; ``key`` (else the name) and
    ``collection`` are the words of JSON bodies, ``path`` (else the collection) that of the URL. ``reads`` and
    ``writes`` name what clients may ask for."""

    name: str
    collection: str
    attributes: Attributes
    writes: frozenset[str] = frozenset({"create", "update", "delete"})
    reads: frozenset[str] = frozenset({"list", "show"})
    key: str = ""
    path: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.key or self.name)
        object.__setattr__(self, "path", self.path or self.collection)

    @property
    def tagged(self) -> bool:
        """Whether the resource has tags."""
        return "tags" in self.attributes

    @cached_property
    def visible(self) -> frozenset[str]:
        """Attributes that appear in answers."""
        return frozenset(name for name, spec in self.attributes.items() if spec.get("is_visible"))

    @cached_property
    def filters(self) -> frozenset[str]:
        """What a list can be filtered by: attributes, and words about tags and time stamps."""
        words = {name for name, spec in self.attributes.items() if spec.get("is_filter")}
        return frozenset(words | (TAG_FILTERS if self.tagged else set())
                         | ({CHANGED_SINCE} if "updated_at" in self.attributes else set()))  # fmt: skip

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
    """None (one of our choice: extension port-mac-address-regenerate), or six octets and nothing else: netaddr also
    reads ``fa:16:3e`` as an address, which nobody means."""
    if isinstance(value, str) and len(HEXADECIMAL.findall(value)) != 12:
        raise InvalidInput(error_message=f"'{value}' is not a valid MAC address; it has the form fa:16:3e:00:00:01")
    return None if value is None else converters.convert_to_sanitized_mac_address(value)


def _binding_profile(value: Any) -> Any:
    """Free in form, except for the part that says to which switch port the port is cabled."""
    links = value.get("local_link_information") if isinstance(value, dict) else None
    if links is not None and not (isinstance(links, list) and all(map(_is_local_link, links))):
        raise InvalidInput(
            error_message="binding:profile local_link_information must be a list of objects with the strings "
            "switch_id and port_id"
        )
    return value


def _word(value: Any) -> Any:
    """A word of ours, however it is written."""
    return value.strip().lower() if isinstance(value, str) else value


def _is_local_link(link: Any) -> bool:
    return isinstance(link, dict) and all(isinstance(link.get(name), str) for name in ("switch_id", "port_id"))


def _read_only(**more: Any) -> dict[str, Any]:
    return {"allow_post": False, "allow_put": False, "is_visible": True, **more}


def _given_once(**more: Any) -> dict[str, Any]:
    return {"allow_post": True, "allow_put": False, "is_visible": True, "is_filter": True, "is_sort_key": True, **more}


STANDARD: Attributes = {
    "description": {
        "allow_post": True,
        "allow_put": True,
        "validate": {"type:string": db_constants.DESCRIPTION_FIELD_SIZE},
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

TAGS: Attributes = {"tags": _read_only()}

HOST_SIZE = 255
PROJECT_SIZE = db_constants.PROJECT_ID_FIELD_SIZE

PORTS = port.RESOURCE_ATTRIBUTE_MAP["ports"]
BINDINGS = portbindings.RESOURCE_ATTRIBUTE_MAP["ports"]
HINTS = network_availability_zone.RESOURCE_ATTRIBUTE_MAP["networks"]

PORT_OWN: Attributes = {
    "status_reason": _read_only(),
    "mac_address": PORTS["mac_address"] | {"convert_to": _mac_address, "validate": {"type:mac_address_or_none": None}},
    "binding:profile": BINDINGS["binding:profile"] | {"convert_to": _binding_profile},
    "binding:host_id": BINDINGS["binding:host_id"] | {"validate": {"type:string_or_none": HOST_SIZE}},
    "security_groups": _only_empty("security_groups", "security groups are not available here") | {"is_visible": True},
    "tags": _read_only(allow_post=True, default=ATTR_NOT_SPECIFIED, validate={"type:list_of_unique_strings": None}),
}

NETWORK_OWN: Attributes = {
    "availability_zone_hints": HINTS["availability_zone_hints"] | {"is_sort_key": False},
    "qinq": _only_empty("qinq", "VLANs in VLANs are not carried here"),
}

SUBNETPOOL_OWN: Attributes = {
    "address_scope_id": _only_empty("address_scope_id", "address scopes are not available here"),
}

AGENT_OWN: Attributes = {
    "alive": _read_only(is_filter=True, is_sort_key=True, convert_to=converters.convert_to_boolean),
}

RBAC: Attributes = {
    "id": _read_only(is_filter=True, is_sort_key=True),
    "object_type": _given_once(convert_to=_word, validate={"type:values": ["network", "subnetpool"]}),
    "object_id": _given_once(validate={"type:uuid": None}),
    "target_tenant": _given_once(allow_put=True, validate={"type:not_empty_string": PROJECT_SIZE}),
    "action": _given_once(validate={"type:string": None}),
    "tenant_id": _given_once(validate={"type:string": PROJECT_SIZE}),
}

IP_AVAILABILITY_OWN: Attributes = {
    "ip_version": {"allow_post": False, "allow_put": False, "is_visible": False, "is_filter": True,
                   "convert_to": converters.convert_to_int},
}  # fmt: skip

BINDING: dict[str, dict[str, Any]] = portbindings_extended.SUB_RESOURCE_ATTRIBUTE_MAP["bindings"]["parameters"]
BINDING_OWN: Attributes = {
    "host": BINDING["host"] | {"validate": {"type:not_empty_string": HOST_SIZE}},
    "profile": BINDING["profile"] | {"convert_to": _binding_profile},
    "tenant_id": BINDING["project_id"] | {"is_visible": False},
}

LIMIT: Mapping[str, Any] = {
    "allow_post": False,
    "allow_put": True,
    "convert_to": converters.convert_to_int,
    "validate": {"type:range": [-1, db_constants.DB_INTEGER_MAX_VALUE]},
    "is_visible": True,
}
FLAG: Mapping[str, Any] = {"allow_post": False, "allow_put": True, "convert_to": converters.convert_to_boolean}

QUOTA_OWN: Attributes = {
    **dict.fromkeys(QUOTAS, LIMIT),
    "tenant_id": _read_only(is_filter=True),
    "check_limit": FLAG,
    "force": FLAG,
}

UNSTORED = frozenset({"security_groups", "qinq", "address_scope_id", "force"})
"""Attributes that are checked and then not handed on."""


def _merge(collection: str, *definitions: ModuleType, own: Attributes | None = None) -> Attributes:
    merged: dict[str, Mapping[str, Any]] = {}
    for definition in definitions:
        merged |= definition.RESOURCE_ATTRIBUTE_MAP.get(collection, {})
    merged |= own or {}
    if "tenant_id" in merged:
        merged["project_id"] = merged["tenant_id"]
    elif "project_id" in merged:
        merged["tenant_id"] = {**merged["project_id"], "is_visible": False}
    return merged


NETWORK = ResourceType(
    "network",
    "networks",
    _merge("networks", network, provider_net, multiprovidernet, port_security, network_mtu_writable, external_net,
           vlantransparent, network_availability_zone, l2_adjacency, own={**STANDARD, **TAGS, **NETWORK_OWN}),
)  # fmt: skip
SUBNET = ResourceType(
    "subnet",
    "subnets",
    _merge("subnets", subnet, default_subnetpools, subnet_segmentid_enforce, own={**STANDARD, **TAGS}),
)
PORT = ResourceType(
    "port",
    "ports",
    _merge("ports", port, portbindings, port_security, allowedaddresspairs, extra_dhcp_opt, data_plane_status,
           uplink_status_propagation_updatable, ip_allocation, own={**STANDARD, **PORT_OWN}),
)  # fmt: skip
SUBNETPOOL = ResourceType(
    "subnetpool",
    "subnetpools",
    _merge("subnetpools", subnetpool, own={**STANDARD, **TAGS, **SUBNETPOOL_OWN}),
)
SEGMENT = ResourceType("segment", "segments", _merge("segments", segment, own=STANDARD))
SEGMENT_RANGE = ResourceType(
    "network_segment_range",
    "network_segment_ranges",
    _merge("network_segment_ranges", network_segment_range, own={**STANDARD, **TAGS}),
)
AGENT = ResourceType(
    "agent",
    "agents",
    _merge("agents", agent, agent_sort_key, availability_zone, own=AGENT_OWN),
    writes=frozenset({"update", "delete"}),
)
RBAC_POLICY = ResourceType("rbac_policy", "rbac_policies", _merge("rbac_policies", own=RBAC), path="rbac-policies")
AVAILABILITY_ZONE = ResourceType(
    "availability_zone",
    "availability_zones",
    _merge("availability_zones", availability_zone),
    writes=frozenset(),
    reads=frozenset({"list"}),
)
IP_AVAILABILITY = ResourceType(
    "network_ip_availability",
    "network_ip_availabilities",
    _merge("network_ip_availabilities", network_ip_availability, network_ip_availability_details,
           own=IP_AVAILABILITY_OWN),
    writes=frozenset(),
    path="network-ip-availabilities",
)  # fmt: skip
QUOTA = ResourceType("quota", "quotas", _merge("quotas", own=QUOTA_OWN), writes=frozenset({"update", "delete"}))
PORT_BINDING = ResourceType(
    "port_binding", "bindings", _merge("bindings", own={**BINDING, **BINDING_OWN}), key="binding"
)

RESOURCE_TYPES: tuple[ResourceType, ...] = (
    NETWORK, SUBNET, PORT, SUBNETPOOL, SEGMENT, SEGMENT_RANGE, AGENT, RBAC_POLICY, AVAILABILITY_ZONE, IP_AVAILABILITY,
    QUOTA,
)  # fmt: skip
"""The collections; bindings are found under their ports."""
