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


class SubnetsNotAllAssociatedWithSegments(exceptions.BadRequest):  # type: ignore[misc]
    """400: a network is routed with all its subnets or not at all."""

    message = (
        "All of the subnets on network '%(network_id)s' must either all be associated with segments or all not "
        "associated with any segment."
    )


class SubnetSegmentAssociationChangeNotAllowed(exceptions.BadRequest):  # type: ignore[misc]
    """400: a subnet stays on its segment."""

    message = "A subnet that is associated with a segment cannot go to another one or to none."


class NoUpdateSubnetWhenMultipleSegmentsOnNetwork(exceptions.BadRequest):  # type: ignore[misc]
    """400: ports of a network with several segments may be on any of them."""

    message = (
        "Network '%(network_id)s' has several segments; a subnet that is there already can be associated with a "
        "segment only on a network with one."
    )


class NetworkIdsDontMatch(exceptions.BadRequest):  # type: ignore[misc]
    """400: the segment is another network's."""

    message = "Segment '%(segment_id)s' is not one of the subnet's network, '%(subnet_network)s'."


class FixedIpsSubnetsNotOnSameSegment(exceptions.BadRequest):  # type: ignore[misc]
    """400: a port is on one segment only."""

    message = "Cannot allocate addresses from different segments."


class HostNotConnectedToAnySegment(exceptions.Conflict):  # type: ignore[misc]
    """409: without a segment there is no address for the port."""

    message = (
        "Host %(host)s cannot have the port on any segment of routed network '%(network_id)s' that has subnets: "
        "%(reason)s."
    )


class HostNotCompatibleWithFixedIps(exceptions.Conflict):  # type: ignore[misc]
    """409: the port's addresses belong to a segment that the host does not have."""

    message = "The addresses of port %(port_id)s do not work on host %(host)s, which is on another segment."


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


class SwitchNotFound(exceptions.NotFound):  # type: ignore[misc]
    """404: nothing is declared of that switch."""

    message = "Nothing is declared of switch %(dpid)s."


class CablePlanNotFound(exceptions.NotFound):  # type: ignore[misc]
    """404: there is no cable plan."""

    message = "No cable plan is stored."


class DeclarationConflict(exceptions.Conflict):  # type: ignore[misc]
    """409: what is declared does not go with what is known already."""

    message = "The switch cannot be declared so: %(reason)s."


class Forbidden(exceptions.NotAuthorized):  # type: ignore[misc]
    """403: the caller may not do this."""

    message = "%(reason)s."


class TagNotFound(exceptions.NotFound):  # type: ignore[misc]
    """404: the resource has no such tag."""

    message = "Tag %(tag)s could not be found."


class RbacPolicyNotFound(exceptions.NotFound):  # type: ignore[misc]
    """404: no such policy."""

    message = "RBAC policy with ID %(id)s not found."


class RbacPolicyInUse(exceptions.Conflict):  # type: ignore[misc]
    """409: what the policy allowed was done, and would no longer be allowed."""

    message = "RBAC policy on object %(object_id)s cannot be removed because other objects depend on it: %(details)s."


class DuplicateRbacPolicy(exceptions.Conflict):  # type: ignore[misc]
    """409: the same policy is there already."""

    message = "An RBAC policy already exists with those values."


class SubnetAllocationError(exceptions.BadRequest):  # type: ignore[misc]
    """400: the pool has no such range to give, or none that is large enough."""

    message = "Failed to allocate subnet: %(reason)s."


class TenantQuotaNotFound(exceptions.TenantQuotaNotFound):  # type: ignore[misc]
    """404: the project has no limits of its own."""

    message = "Quota for project %(project_id)s could not be found: it has no limits of its own."


class PortBindingError(exceptions.PortBindingError, exceptions.Conflict):  # type: ignore[misc]
    """409: no node on that host can realise the port."""

    message = "Binding for port %(port_id)s on host %(host)s could not be created or updated: %(reason)s."
