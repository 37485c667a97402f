"""Legacy hosts as the northbound serves them: plans to watch, reports to take."""

from __future__ import annotations

import logging
import time

from controller.endpoints import endpoint
from controller.errors import ReportError, UnknownNode
from controller.model import TUNNEL_TYPES, Attachment, NodeFacts, NodeKind, Observation, host_node_id
from controller.plugin.api import Nodes
from controller.reconciler import Reconciler
from legacy_agent.host_plan import HostPlan, HostReport

LOG = logging.getLogger(__name__)


class Hosts:
    """Serves plans to agents and turns their reports into facts, endpoints and acknowledgements."""

    def __init__(self, reconciler: Reconciler, nodes: Nodes) -> None:
        self._reconciler, self._nodes = reconciler, nodes
        self._ports: dict[str, str] = {}

    def plan(self, host: str, newer_than: int, timeout: float) -> HostPlan | None:
        """The host's plan as soon as one newer than revision ``newer_than`` exists, None after ``timeout`` seconds.

        An agent that knows a revision newer than the whole intent has outlived another database: it gets the plan at
        once. Raises :class:`UnknownNode` for a host that never reported.
        """
        board = self._reconciler.board
        node_id = host_node_id(host)
        if node_id not in board.intent.nodes:
            raise UnknownNode(f"host {host!r} is not known: its agent must report first")
        if newer_than > board.intent.revision:
            newer_than = 0
        state = board.state(node_id)
        deadline = time.monotonic() + timeout
        state.wait_for(
            lambda: state.host_plan is not None and state.host_plan.revision > newer_than,
            timeout=max(0.0, deadline - time.monotonic()),
        )
        plan = state.host_plan
        return plan if plan is not None and plan.revision > newer_than else None

    def report(self, report: HostReport) -> None:
        """Take an agent's report. Raises :class:`ReportError` when it cannot be true."""
        facts = _facts(report)
        board = self._reconciler.board
        self._reconciler.node_observed(facts, Observation(facts.id, attachments=self._attachments(report)))
        self._nodes.node_heartbeat(facts.id)
        self._reconciler.host_announces(facts, _key(report))
        revision = report.applied_revision
        if revision > board.intent.revision:
            LOG.warning("host %s applied revision %d of another database; sending it the plan anew",
                        report.host, revision)  # fmt: skip
            revision = 0
        self._reconciler.host_applied(facts.id, revision, report.errors)

    def _attachments(self, report: HostReport) -> dict[str, Attachment]:
        found = {}
        for prefix, device in report.devices.items():
            port_id = self._port(prefix)
            if port_id is not None:
                found[port_id] = Attachment(port_id, device)
        return found

    def _port(self, prefix: str) -> str | None:
        """The port of a tap; remembered while it exists, because reports repeat."""
        port_id = self._ports.get(prefix)
        if port_id is None or port_id not in self._reconciler.board.intent.ports:
            port_id = self._nodes.find_port(prefix)
            if port_id is None:
                self._ports.pop(prefix, None)
                return None
            self._ports[prefix] = port_id
        return port_id


def _key(report: HostReport) -> bytes:
    try:
        return bytes.fromhex(report.announcement_key)
    except ValueError:
        raise ReportError("field 'announcement_key' must be hexadecimal digits") from None


def _facts(report: HostReport) -> NodeFacts:
    tunnel_ip = None
    if report.tunnel_ip is not None:
        try:
            tunnel_ip = endpoint(report.tunnel_ip)
        except ValueError as error:
            raise ReportError(f"field 'tunnel_ip': {error}") from None
    unknown = sorted(set(report.tunnel_types) - TUNNEL_TYPES)
    if unknown:
        raise ReportError(f"field 'tunnel_types' has {unknown[0]!r}; known are {', '.join(sorted(TUNNEL_TYPES))}")
    if report.tunnel_types and report.tunnel_ip is None:
        raise ReportError("field 'tunnel_types' is given without 'tunnel_ip'")
    return NodeFacts(
        id=host_node_id(report.host),
        kind=NodeKind.HOST,
        host=report.host,
        mechanisms=tuple(report.drivers),
        tunnel_ip=tunnel_ip,
        tunnel_types=frozenset(report.tunnel_types),
        physical_networks=dict(report.physical_networks),
        limits=dict(report.limits),
        served={name: tuple(sorted(types)) for name, types in report.drivers.items()},
        vif_details={name: dict(details) for name, details in report.vif_details.items()},
    )
