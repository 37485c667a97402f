"""Faults of the type drivers: neutron-lib's classes with messages that name the id, the range and the network."""

from __future__ import annotations

from neutron_lib import exceptions


class VlanIdInUse(exceptions.VlanIdInUse):  # type: ignore[misc]
    """409: another network has the VLAN."""

    message = "VLAN %(vlan_id)s on physical network %(physical_network)s is in use by network %(network_id)s."


class TunnelIdInUse(exceptions.TunnelIdInUse):  # type: ignore[misc]
    """409: another network has the tunnel id."""

    message = "The %(network_type)s id %(tunnel_id)s is in use by network %(network_id)s."


class FlatNetworkInUse(exceptions.FlatNetworkInUse):  # type: ignore[misc]
    """409: a physical network carries one flat network."""

    message = (
        "Physical network %(physical_network)s already carries the flat network %(network_id)s; "
        "it can carry only one without tags."
    )


class NoNetworkAvailable(exceptions.NoNetworkAvailable):  # type: ignore[misc]
    """503, as in Neutron: every id of every range is in use."""

    message = "Unable to create the network: %(reason)s."
