"""The configured mechanism drivers, asked in order: which of them binds a port, and what a node's plan is."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from controller.entry_points import Drivers
from controller.errors import CompileError, DriverLoadError
from controller.intent import Intent
from controller.model import Network, Node, NodeKind, Observation, Port, Segment
from legacy_agent.host_plan import HostPlan
from mechanisms.api import Answer, Bound, Continue, MechanismDriver, Plan, Preparing, Refused
from mechanisms.reasons import listing

LOG = logging.getLogger(__name__)

DRIVERS = Drivers("isthmus.mechanism_drivers", "mechanism driver", "[ml2] mechanism_drivers")

NEEDLESS = {"l2population": "addresses behind tunnels are always told to all nodes"}
"""Names that an ``ml2_conf.ini`` of Neutron may have, and why nothing needs to be loaded for them."""


@dataclass(frozen=True, slots=True)
class BindDecision:
    """``bound`` by ``mechanism``; or, with ``bound`` None, the ``refusal`` for the operator."""

    bound: Bound | None = None
    mechanism: str = ""
    refusal: str = ""


class MechanismManager:
    """Decides bindings and compiles plans with the given drivers, the first that can serve wins."""

    def __init__(self, drivers: Sequence[MechanismDriver]) -> None:
        self.drivers = tuple(drivers)

    @classmethod
    def load(cls, names: Sequence[str]) -> MechanismManager:
        """The drivers of these entry points, in this order, without those that are :data:`NEEDLESS`.

        Raises :class:`DriverLoadError` naming the driver that is missing (with those available) or that cannot start.
        """
        if len(set(names)) != len(names):
            raise DriverLoadError(f"{DRIVERS.option} names a driver twice: {', '.join(names)}")
        for name in NEEDLESS.keys() & set(names):
            LOG.info("%s: '%s' is not needed: %s", DRIVERS.option, name, NEEDLESS[name])
        return cls([DRIVERS.make(name) for name in names if name not in NEEDLESS])

    def bind(self, port: Port, network: Network, node: Node) -> BindDecision:
        """Where a port can be realised on its node: the first segment that a driver binds."""
        if not node.admin_state_up and (port.binding is None or port.binding.node_id != node.id):
            return BindDecision(refusal=f"node '{node.host}' is administratively down and takes no new ports")
        refusals: list[str] = []
        for segment in network.segments:
            for driver in self._of(node, segment.network_type):
                answer = _ask(driver, port, network, segment, node)
                if isinstance(answer, Bound):
                    return BindDecision(answer, driver.name)
                if isinstance(answer, Refused) and answer.reason not in refusals:
                    refusals.append(answer.reason)
        return BindDecision(refusal="; ".join(refusals) or self._nothing_fits(network, node))

    def compile(
        self, intent: Intent, node: Node, observation: Observation, changed_networks: Collection[str] | None = None
    ) -> Plan:
        """The node's plan: a switch's by its one driver, a host's joined from all drivers that serve it.

        Raises :class:`CompileError` for a switch that no configured driver serves.
        """
        drivers = self._of(node)
        if node.kind is NodeKind.SWITCH:
            if not drivers:
                raise CompileError(f"no mechanism driver for switch '{node.host}': {self._nobody(node)}")
            return drivers[0].compile(intent, node, observation, changed_networks)
        plans = [driver.compile(intent, node, observation, changed_networks) for driver in drivers]
        networks = [network for plan in plans if isinstance(plan, HostPlan) for network in plan.networks]
        ordered = sorted(networks, key=lambda network: (network.network_id, network.driver))
        return HostPlan(node.host, intent.revision, tuple(ordered))

    def prepare(self, intent: Intent) -> None:
        """Have the drivers work out, before any node asks for its plan, what plans have in common."""
        for driver in self.drivers:
            if isinstance(driver, Preparing):
                driver.prepare(intent)

    def _of(self, node: Node, network_type: str | None = None) -> list[MechanismDriver]:
        """The drivers of the node; with a network type only those that serve it there."""
        return [
            driver
            for driver in self.drivers
            if driver.node_kind is node.kind
            and driver.name in node.mechanisms
            and (network_type is None or network_type in node.served.get(driver.name, (network_type,)))
        ]

    def _nothing_fits(self, network: Network, node: Node) -> str:
        if not self._of(node):
            return f"no mechanism driver for node '{node.host}': {self._nobody(node)}"
        segments = ", ".join(map(str, network.segments)) or "none"
        able = [f"physical networks {listing(node.physical_networks) or 'none'}"]
        able.append(f"tunnels {listing(node.tunnel_types) or 'none'}")
        able += [f"by {name}: {listing(types)}" for name, types in sorted(node.served.items())]
        return (
            f"network '{network.name or network.id}' has segments: {segments}; "
            f"node '{node.host}' realises: {', '.join(able)}"
        )

    def _nobody(self, node: Node) -> str:
        configured = ", ".join(driver.name for driver in self.drivers) or "none"
        return f"it takes {', '.join(node.mechanisms) or 'none'}; configured are {configured}"


def _ask(driver: MechanismDriver, port: Port, network: Network, segment: Segment, node: Node) -> Answer:
    """The driver's answer; one that fails refuses, so that the failure is seen in the API and others are asked."""
    try:
        answer = driver.bind(port, network, segment, node)
    except Exception as error:
        LOG.exception("mechanism driver %s failed to bind port %s", driver.name, port.id)
        return Refused(f"mechanism driver '{driver.name}' failed on {segment}: {error}")
    if isinstance(answer, Bound | Refused | Continue):
        return answer
    return Refused(f"mechanism driver '{driver.name}' answered {answer!r}, which is no answer to a binding")
