"""The resources there are: name -> use cases. The one place that knows all of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import timedelta

from oslo_config import cfg

from controller.db.session import Store
from controller.plugin.addresses import MacSource
from controller.plugin.agents import Agents
from controller.plugin.availability import Availability
from controller.plugin.binding import Binder
from controller.plugin.cables import CablePlan
from controller.plugin.inactive import PortBindings
from controller.plugin.ipam import Ipam
from controller.plugin.networks import Networks
from controller.plugin.ports import Ports
from controller.plugin.quotas import QuotaDefaults, QuotaDetails, Quotas
from controller.plugin.rbac import RbacPolicies
from controller.plugin.segment_ranges import SegmentRanges
from controller.plugin.segments import Segments
from controller.plugin.sharing import Sharing
from controller.plugin.subnetpools import SubnetPools
from controller.plugin.subnets import Subnets
from controller.plugin.switches import DeclaredSwitches
from controller.plugin.use_cases import UseCases
from controller.plugin.zones import AvailabilityZones, Zones
from typedrivers.manager import TypeManager


def use_cases(
    conf: cfg.ConfigOpts, store: Store, types: TypeManager, binder: Binder, quotas: Quotas, new_id: Callable[[], str]
) -> Mapping[str, UseCases]:
    """All resources."""
    ipam, sharing, zones = Ipam(), Sharing(new_id), Zones(conf)
    agents = Agents(binder, zones, timedelta(seconds=conf.agent.agent_down_time), lambda: store.clock())
    pools = SubnetPools(sharing, new_id)
    ports = Ports(ipam, binder, MacSource(conf.base_mac, random.randrange), new_id)
    return {
        "network": Networks(types, zones, sharing, new_id),
        "subnet": Subnets(ipam, pools, new_id),
        "port": ports,
        "port_binding": PortBindings(ports, binder),
        "segment": Segments(types, binder),
        "network_segment_range": SegmentRanges(types, new_id),
        "subnetpool": pools,
        "rbac_policy": RbacPolicies(sharing, new_id),
        "agent": agents,
        "switch": DeclaredSwitches(binder),
        "cables": CablePlan(),
        "availability_zone": AvailabilityZones(agents),
        "network_ip_availability": Availability(),
        "quota": quotas,
        "quota_default": QuotaDefaults(quotas),
        "quota_details": QuotaDetails(quotas),
    }
