"""What the API's own endpoints under ``/v2.0/isthmus/`` ask of the controller.

The controller (reconciler, southbound, plugin) implements it; the API knows nothing else of them. Answers are plain
JSON values, host plans excepted. Methods that wait block the calling thread with plain threading primitives, never
longer than ``timeout`` seconds.
"""

from __future__ import annotations

from typing import Any, Protocol

from controller.tracing.frame import Wanted
from legacy_agent.host_plan import HostPlan, HostReport

Json = dict[str, Any]


class IsthmusService(Protocol):
    """The controller as operators and agents see it. An unknown node or host raises
    :class:`controller.errors.UnknownNode`, an unknown port ``neutron_lib.exceptions.PortNotFound``."""

    def host_plan(self, host: str, newer_than: int, timeout: float) -> HostPlan | None:
        """The host's plan as soon as one with a revision above ``newer_than`` exists; None when the time is up."""

    def host_report(self, report: HostReport) -> None:
        """An agent spoke. Raises :class:`controller.errors.ReportError` when what it says cannot be."""

    def switches(self) -> list[Json]:
        """One object per switch that ever connected: ``id``, ``state``, ``address``, ``openflow_version``,
        ``revision`` (acknowledged), ``last_error`` and what else the southbound knows."""

    def hosts(self) -> list[Json]:
        """One object per legacy host: ``id``, ``host``, ``alive``, ``revision`` (acknowledged), ``tunnel_ip``,
        ``physical_networks``, ``last_error``."""

    def links(self) -> Json:
        """``links``: one object per link between switches (``a``, ``b``: switch and port; ``state`` up or one-way;
        ``broadcast``: physical networks whose tree it is on; ``plan`` what the cable plan says of it);
        ``neighbours``: ordinary LLDP neighbours; ``differences`` from the cable plan: ``kind`` and ``text``."""

    def events(self, since: int) -> Json:
        """``events`` of the fabric after number ``since``, oldest first, and ``totals`` by kind."""

    def path(self, source: str, target: str) -> Json:
        """How frames go from one port to another: ``nodes`` in order, and ``by`` what the last ones are joined."""

    def trace(self, source: str, target: str | None, wanted: Wanted) -> Json:
        """What would become of a frame from one port (to another), by the compiled plans: ``outcome`` (delivered,
        answered, lost), ``result`` in words, ``received`` port ids, and every node that it comes to in ``hops``."""

    def node_plan(self, node_id: str) -> Json:
        """The node's compiled plan for reading: ``node``, ``revision``, ``kind``; for a switch ``flows`` (sentences)
        and ``groups``, for a host ``plan``."""

    def wait(self, revision: int | None, timeout: float) -> Json:
        """Wait until every live node acknowledged ``revision`` (None: the newest). ``{"revision": n, "done": bool,
        "waiting_for": [node id, ...]}``; ``done`` is false when the time was up first."""

    def port_evidence(self, port_id: str) -> Json:
        """Why a port has its status: ``id``, ``status``, ``reason``, ``node``, ``revision`` and ``acknowledged`` (node
        id -> revision, for every node that must know the port)."""

    def health(self) -> Json:
        """``{"healthy": bool, ...}`` with the parts behind it: revision, switches, hosts, failures."""
