"""The extensions that work here, and only those: what ``/v2.0/extensions`` says.

Most are described by neutron-lib; those that exist only in Neutron's own tree, and ours, are described here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from neutron_lib.api.definitions import (
    agent,
    agent_sort_key,
    allowedaddresspairs,
    availability_zone,
    availability_zone_filter,
    data_plane_status,
    default_subnetpools,
    empty_string_filtering,
    external_net,
    extra_dhcp_opt,
    filter_validation,
    ip_allocation,
    ip_substring_port_filtering,
    l2_adjacency,
    multiprovidernet,
    network_availability_zone,
    network_ip_availability,
    network_ip_availability_details,
    network_mtu,
    network_mtu_writable,
    network_segment_range,
    pagination,
    port_mac_address_regenerate,
    port_security,
    portbindings,
    portbindings_extended,
    project_id,
    provider_net,
    quota_check_limit,
    rbac_subnetpool,
    revisionifmatch,
    segment,
    sort_key_validation,
    sorting,
    standard_attr_segment,
    subnet_segmentid_enforce,
    subnet_segmentid_writable,
    subnetpool_prefix_ops,
    tag_creation,
    tag_ports_during_bulk_creation,
    uplink_status_propagation,
    uplink_status_propagation_updatable,
    vlantransparent,
)


@dataclass(frozen=True, slots=True)
class Extension:
    """One entry of the list."""

    alias: str
    name: str
    description: str
    updated: str

    def to_dict(self) -> dict[str, Any]:
        """The JSON form of the Networking API."""
        return {
            "alias": self.alias,
            "name": self.name,
            "description": self.description,
            "updated": self.updated,
            "links": [],
        }


def _of(definition: ModuleType) -> Extension:
    return Extension(definition.ALIAS, definition.NAME, definition.DESCRIPTION, definition.UPDATED_TIMESTAMP)


_FROM_NEUTRON_LIB = (
    agent,
    agent_sort_key,
    allowedaddresspairs,
    availability_zone,
    availability_zone_filter,
    data_plane_status,
    default_subnetpools,
    empty_string_filtering,
    external_net,
    extra_dhcp_opt,
    filter_validation,
    ip_allocation,
    ip_substring_port_filtering,
    l2_adjacency,
    multiprovidernet,
    network_availability_zone,
    network_ip_availability,
    network_ip_availability_details,
    network_mtu,
    network_mtu_writable,
    network_segment_range,
    pagination,
    port_mac_address_regenerate,
    port_security,
    portbindings,
    portbindings_extended,
    project_id,
    provider_net,
    quota_check_limit,
    rbac_subnetpool,
    revisionifmatch,
    segment,
    sort_key_validation,
    sorting,
    standard_attr_segment,
    subnet_segmentid_enforce,
    subnet_segmentid_writable,
    subnetpool_prefix_ops,
    tag_creation,
    tag_ports_during_bulk_creation,
    uplink_status_propagation,
    uplink_status_propagation_updatable,
    vlantransparent,
)

_OTHERS = (
    Extension("standard-attr-description", "standard-attr-description", "Description of networks, subnets and ports.",
              "2016-02-10T10:00:00-00:00"),
    Extension("standard-attr-timestamp", "Resource timestamps", "Times of creation and of the last change.",
              "2016-09-12T10:00:00-00:00"),
    Extension("standard-attr-revisions", "Resource revision numbers", "A number that grows with every change.",
              "2016-04-11T10:00:00-00:00"),
    Extension("standard-attr-tag", "Tag support for resources with standard attribute", "Tags, and filters by them.",
              "2017-01-01T00:00:00-00:00"),
    Extension("quotas", "Quota management support", "Limits of what a project may have.",
              "2012-07-29T10:00:00-00:00"),
    Extension("quota_details", "Quota details management support", "Limits of a project beside its usage.",
              "2017-02-10T10:00:00-00:00"),
    Extension("rbac-policies", "RBAC Policies", "Networks and subnet pools shared with single projects.",
              "2015-06-17T12:15:12-00:00"),
    Extension("subnet_allocation", "Subnet Allocation", "Subnets cut from subnet pools.",
              "2015-03-30T10:00:00-00:00"),
    Extension("isthmus-port-status", "Reason of a port's status",
              "status_reason of a port: why it has its status, or why no node realises it.",
              "2026-01-01T00:00:00-00:00"),
)  # fmt: skip

EXTENSIONS: Mapping[str, Extension] = {
    extension.alias: extension
    for extension in sorted((*map(_of, _FROM_NEUTRON_LIB), *_OTHERS), key=lambda extension: extension.alias)
}
"""Alias -> extension."""
