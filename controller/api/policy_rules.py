"""Who may do what unless ``policy.yaml`` says otherwise: rule names and defaults are Neutron's.

An action is ``create_network``; an attribute of it has a rule of its own where not everybody who may do the one may
say the other: ``create_network:shared``. ``get_<resource>:<attribute>`` decides who is shown it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

ADMIN = "rule:admin_only"
SERVICE = "rule:service_api"
MEMBER = "role:member and project_id:%(project_id)s"
READER = "role:reader and project_id:%(project_id)s"
NET_MEMBER = "role:member and rule:network_owner"
NET_READER = "role:reader and rule:network_owner"


def any_of(*checks: str) -> str:
    """Passed when one of the checks is."""
    return " or ".join(f"({check})" for check in checks)


BASE: Mapping[str, str] = {
    "context_is_admin": "role:admin",
    "context_is_advsvc": "role:advsvc",
    "service_api": "role:service",
    "isthmus_agent": "role:isthmus-agent",
    "admin_only": "rule:context_is_admin",
    "regular_user": "",
    "owner": "project_id:%(project_id)s",
    "admin_or_owner": "rule:context_is_admin or rule:owner",
    "network_owner": "project_id:%(network:project_id)s",
    "admin_or_network_owner": "rule:context_is_admin or rule:network_owner",
    "admin_owner_or_network_owner": "rule:owner or rule:admin_or_network_owner",
    "ext_parent_owner": "project_id:%(ext_parent:project_id)s",
    "admin_or_ext_parent_owner": "rule:context_is_admin or rule:ext_parent_owner",
    "shared": "field:networks:shared=True",
    "external": "field:networks:router:external=True",
    "shared_subnetpools": "field:subnetpools:shared=True",
    "network_device": "field:port:device_owner=~^network:",
    "admin_or_data_plane_int": "rule:context_is_admin or role:data_plane_integrator",
    "restrict_wildcard": "(not field:rbac_policy:target_tenant=* and not field:rbac_policy:target_project=*) "
                         "or rule:admin_only",
    "default": "rule:admin_or_owner",
}  # fmt: skip
"""Words that the rules are made of, and that an operator's own rules may be made of."""

PROVIDER = ("provider:network_type", "provider:physical_network", "provider:segmentation_id", "segments")

_MEMBER, _READER = any_of(ADMIN, MEMBER), any_of(ADMIN, READER)
_NETWORK_OWNER = any_of(ADMIN, SERVICE, "rule:context_is_advsvc", NET_MEMBER)
_ADMIN_OR_SERVICE = any_of(ADMIN, SERVICE)


def _network() -> Iterator[tuple[str, str]]:
    seen = any_of(ADMIN, READER, "rule:shared", "rule:external", "rule:context_is_advsvc", SERVICE)
    yield from _actions("network", _MEMBER, seen)
    for attribute in (*PROVIDER, "shared", "router:external", "is_default"):
        yield f"create_network:{attribute}", ADMIN
        yield f"update_network:{attribute}", ADMIN
    for attribute in PROVIDER:
        yield f"get_network:{attribute}", ADMIN
    for action in ("create", "update"):
        yield f"{action}_network:port_security_enabled", _MEMBER


def _subnet() -> Iterator[tuple[str, str]]:
    writes = any_of(ADMIN, MEMBER, NET_MEMBER)
    seen = any_of(ADMIN, READER, NET_READER, "rule:shared", "rule:context_is_advsvc", SERVICE)
    yield from _actions("subnet", writes, seen)
    yield "create_subnet", any_of(ADMIN, NET_MEMBER)
    for action in ("create", "update"):
        for attribute in ("segment_id", "service_types"):
            yield f"{action}_subnet:{attribute}", ADMIN
    yield "get_subnet:segment_id", ADMIN


def _port() -> Iterator[tuple[str, str]]:
    yield "create_port", any_of(ADMIN, SERVICE, NET_MEMBER, "role:member and rule:shared")
    yield "get_port", any_of(ADMIN, SERVICE, "rule:context_is_advsvc", READER, NET_READER)
    yield "update_port", any_of(ADMIN, SERVICE, "rule:context_is_advsvc", MEMBER)
    yield "delete_port", any_of(ADMIN, SERVICE, "rule:context_is_advsvc", MEMBER, NET_MEMBER)
    for action in ("create", "update"):
        yield f"{action}_port:device_id", any_of(ADMIN, SERVICE, MEMBER)
        yield f"{action}_port:device_owner", any_of("not rule:network_device", _NETWORK_OWNER)
        yield f"{action}_port:fixed_ips:ip_address", _NETWORK_OWNER
        yield f"{action}_port:fixed_ips:subnet_id", any_of(_NETWORK_OWNER, "rule:shared")
        yield f"{action}_port:port_security_enabled", _NETWORK_OWNER
        for part in ("", ":mac_address", ":ip_address"):
            yield f"{action}_port:allowed_address_pairs{part}", any_of(ADMIN, SERVICE, NET_MEMBER)
        for attribute in ("host_id", "profile"):
            yield f"{action}_port:binding:{attribute}", _ADMIN_OR_SERVICE
        yield f"{action}_port:binding:vnic_type", any_of(ADMIN, SERVICE, MEMBER)
    yield "create_port:fixed_ips", any_of(_NETWORK_OWNER, "rule:shared")
    yield "update_port:fixed_ips", _NETWORK_OWNER
    yield "create_port:mac_address", _NETWORK_OWNER
    manager = "role:manager and rule:network_owner"
    yield "update_port:mac_address", any_of(ADMIN, SERVICE, "rule:context_is_advsvc", manager)
    yield "update_port:data_plane_status", "rule:admin_or_data_plane_int"
    for attribute in ("host_id", "profile", "vif_type", "vif_details"):
        yield f"get_port:binding:{attribute}", _ADMIN_OR_SERVICE
    yield "get_port:resource_request", _ADMIN_OR_SERVICE
    for action in ("get", "create", "delete"):
        yield f"{action}_port_binding", _ADMIN_OR_SERVICE
    yield "activate", _ADMIN_OR_SERVICE


def _subnetpool() -> Iterator[tuple[str, str]]:
    yield from _actions("subnetpool", _MEMBER, any_of(ADMIN, READER, "rule:shared_subnetpools"))
    for name in ("create_subnetpool:shared", "create_subnetpool:is_default", "update_subnetpool:is_default"):
        yield name, ADMIN
    for name in ("add_prefixes", "remove_prefixes"):
        yield name, _MEMBER


def _rbac() -> Iterator[tuple[str, str]]:
    yield from _actions("rbac_policy", _MEMBER, _READER)
    yield "create_rbac_policy:object_id", any_of(ADMIN, "rule:ext_parent_owner")
    yield "create_rbac_policy:target_tenant", "rule:restrict_wildcard"
    yield "update_rbac_policy:target_tenant", "rule:restrict_wildcard"


def _administration() -> Iterator[tuple[str, str]]:
    for resource in ("segment", "network_segment_range", "agent", "switch", "cables"):
        yield from _actions(resource, ADMIN, ADMIN)
    yield "get_network_ip_availability", _ADMIN_OR_SERVICE
    yield "get_availability_zone", any_of(ADMIN, "role:reader")
    yield "get_quota", any_of(ADMIN, "rule:owner")
    yield "update_quota", ADMIN
    yield "delete_quota", ADMIN


def _isthmus() -> Iterator[tuple[str, str]]:
    yield "isthmus:agent", any_of(ADMIN, SERVICE, "rule:isthmus_agent")
    yield "isthmus:get_status", ADMIN
    yield "isthmus:get_metrics", any_of(ADMIN, SERVICE, "role:reader")


def _tags() -> Iterator[tuple[str, str]]:
    """``update_network:tags``, and the name that it had before Neutron 2025.1, for older policy files."""
    writes = {
        "network": _MEMBER,
        "subnet": any_of(ADMIN, MEMBER, NET_MEMBER),
        "port": any_of(ADMIN, MEMBER, "rule:context_is_advsvc"),
        "subnetpool": _MEMBER,
        "network_segment_range": ADMIN,
    }
    for resource, check in writes.items():
        for action in ("get", "create", "update", "delete"):
            yield f"{action}_{resource}s_tags", f"rule:get_{resource}" if action == "get" else check
            yield f"{action}_{resource}:tags", f"rule:{action}_{resource}s_tags"


def _actions(resource: str, writes: str, reads: str) -> Iterator[tuple[str, str]]:
    for action in ("create", "update", "delete"):
        yield f"{action}_{resource}", writes
    yield f"get_{resource}", reads


RULES: Mapping[str, str] = {
    **BASE,
    **dict(_network()),
    **dict(_subnet()),
    **dict(_port()),
    **dict(_subnetpool()),
    **dict(_rbac()),
    **dict(_tags()),
    **dict(_administration()),
    **dict(_isthmus()),
}
"""Every rule by name."""
