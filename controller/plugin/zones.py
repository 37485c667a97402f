"""Availability zones: nodes are in one each, networks are where their ports' nodes are, and may say where they want to
be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from neutron_lib.exceptions.availability_zone import AvailabilityZoneNotFound
from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.db.models import BindingRow, NodeRow, SegmentRow
from controller.plugin.agents import Agents
from controller.plugin.api import Body, Query
from controller.plugin.context import RequestContext, system_context
from controller.plugin.use_cases import Computed
from controller.plugin.zone_map import ZoneMap

CHUNK = 500


class Zones(ZoneMap):
    """The zones of the configuration, and of networks."""

    def checked(self, session: Session, wanted: Sequence[str] | None) -> list[str]:
        """Hints that name zones with nodes in them. Raises AvailabilityZoneNotFound."""
        if not wanted:
            return []
        known = set(map(self.of_host, session.scalars(select(NodeRow.host).distinct())))
        for name in wanted:
            if name not in known:
                raise AvailabilityZoneNotFound(availability_zone=name)
        return list(wanted)

    def of_networks(self, session: Session, network_ids: Sequence[str]) -> Mapping[str, list[str]]:
        """Network -> the zones of the nodes where its ports are bound."""
        found: dict[str, set[str]] = defaultdict(set)
        for start in range(0, len(network_ids), CHUNK):
            chosen = SegmentRow.network_id.in_(network_ids[start : start + CHUNK])
            places = (
                select(SegmentRow.network_id, BindingRow.node_id)
                .join(BindingRow, BindingRow.segment_id == SegmentRow.id)
                .where(chosen)
                .distinct()
                .subquery()
            )
            statement = select(places.c.network_id, NodeRow.host).join(NodeRow, NodeRow.id == places.c.node_id)
            for network_id, host in session.execute(statement):
                found[network_id].add(self.of_host(host))
        return {network_id: sorted(zones) for network_id, zones in found.items()}


class AvailabilityZones(Computed):
    """The availability_zone resource: the zones that have nodes; one is available while one of its nodes is."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    def all(self, session: Session, context: RequestContext, query: Query) -> list[Body]:  # noqa: ARG002
        """All zones."""
        states: dict[str, bool] = {}
        for agent in self._agents.all(session, system_context(), Query()):
            name = agent["availability_zone"]
            states[name] = states.get(name, False) or bool(agent["alive"] and agent["admin_state_up"])
        return [
            {"id": name, "name": name, "resource": "network", "state": "available" if up else "unavailable"}
            for name, up in sorted(states.items())
        ]

    def find(self, session: Session, context: RequestContext, name: str, lock: bool = False) -> Any:  # noqa: ARG002
        """Zones are listed only."""
        raise AvailabilityZoneNotFound(availability_zone=name)
