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
    allowedaddresspairs,
    empty_string_filtering,
    external_net,
    filter_validation,
    multiprovidernet,
    network_mtu,
    network_mtu_writable,
    pagination,
    port_security,
    portbindings,
    project_id,
    provider_net,
    revisionifmatch,
    segment,
    sort_key_validation,
    sorting,
    standard_attr_segment,
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
    allowedaddresspairs,
    empty_string_filtering,
    external_net,
    filter_validation,
    multiprovidernet,
    network_mtu,
    network_mtu_writable,
    pagination,
    port_security,
    portbindings,
    project_id,
    provider_net,
    revisionifmatch,
    segment,
    sort_key_validation,
    sorting,
    standard_attr_segment,
)

_OTHERS = (
    Extension("standard-attr-description", "standard-attr-description", "Description of networks, subnets and ports.",
              "2016-02-10T10:00:00-00:00"),
    Extension("standard-attr-timestamp", "Resource timestamps", "Times of creation and of the last change.",
              "2016-09-12T10:00:00-00:00"),
    Extension("standard-attr-revisions", "Resource revision numbers", "A number that grows with every change.",
              "2016-04-11T10:00:00-00:00"),
    Extension("isthmus-port-status", "Reason of a port's status",
              "status_reason of a port: why it has its status, or why no node realises it.",
              "2026-01-01T00:00:00-00:00"),
)  # fmt: skip

EXTENSIONS: Mapping[str, Extension] = {
    extension.alias: extension
    for extension in sorted((*map(_of, _FROM_NEUTRON_LIB), *_OTHERS), key=lambda extension: extension.alias)
}
"""Alias -> extension."""
