"""Faults that neutron-lib has no class for; type names are Neutron's where Neutron has one."""

from __future__ import annotations

from neutron_lib import exceptions


class RevisionNumberConstraintFailed(exceptions.NeutronException):  # type: ignore[misc]
    """412: somebody else changed the resource since the caller read it."""

    message = "Constrained to revision %(expected)s, but current revision is %(current)s; read the resource again."


class SegmentNotFound(exceptions.NotFound):  # type: ignore[misc]
    """404: no such segment."""

    message = "Segment %(segment_id)s could not be found."


class SegmentInUse(exceptions.InUse):  # type: ignore[misc]
    """409: a segment cannot go while ports use it, or while it is the network's only one."""

    message = "Segment '%(segment_id)s' cannot be deleted: %(reason)s."


class AgentInUse(exceptions.InUse):  # type: ignore[misc]
    """409: an agent cannot go while it lives or ports are bound to its node."""

    message = "Agent %(agent_id)s on %(host)s cannot be deleted: %(reason)s."


class AllocationOnAutoAddressSubnet(exceptions.InvalidInput):  # type: ignore[misc]
    """400: addresses of such a subnet follow from the MAC address."""

    message = (
        "IPv6 address %(ip)s cannot be directly assigned to a port on subnet %(subnet_id)s as the subnet is "
        "configured for automatic addresses; the port would get %(expected)s."
    )


class MacAddressGenerationFailure(exceptions.ServiceUnavailable):  # type: ignore[misc]
    """503: no free MAC address was found within a number of tries."""

    message = "Unable to generate a MAC address on network %(net_id)s; [DEFAULT] base_mac leaves too few."


class Forbidden(exceptions.NotAuthorized):  # type: ignore[misc]
    """403: the caller may not do this."""

    message = "%(reason)s."
