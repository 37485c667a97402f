"""The use cases as their callers see them: what the northbound API, the switches' events and the agents may ask.

Resources at this boundary are dictionaries in the shape of the Networking API v2.0; behind it are typed models.
Every call is one transaction with at most one revision in the change feed. Faults are ``neutron_lib.exceptions``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from controller.intent import Change, Intent
from controller.model import Node, NodeFacts
from controller.plugin.context import RequestContext

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """A list request. ``filters`` maps attribute -> accepted values (any of them); ``sorts`` is
    ``((attribute, ascending), ...)``; ``marker`` is the id after which the page starts; ``limit`` None is no limit.
    ``fields`` are the attributes that the caller will look at (none: all); others may be missing if they cost much."""

    filters: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    sorts: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None
    marker: str | None = None
    page_reverse: bool = False
    fields: frozenset[str] = frozenset()


class Resources(Protocol):
    """Create, read, update, delete. ``resource`` is a name of :mod:`controller.plugin.registry`.

    Parts of resources are reached the same way: a ``port_binding`` has the id ``<port id>/<host>``, is listed by the
    filter ``port_id`` and activated by an update to ``status`` ACTIVE; a ``quota`` (also ``quota_default``,
    ``quota_details``) has its project's id; tags are changed by an update of ``tags``, ``add_tags`` or
    ``remove_tags``, the prefixes of a subnet pool by ``add_prefixes`` or ``remove_prefixes``.

    Bodies for create have every attribute (defaults filled by the API layer from neutron-lib's definitions, with
    ``neutron_lib.constants.ATTR_NOT_SPECIFIED`` for what the caller left out); bodies for update only what changes.
    """

    def create(self, context: RequestContext, resource: str, body: Body) -> Body: ...

    def create_bulk(self, context: RequestContext, resource: str, bodies: Sequence[Body]) -> list[Body]:
        """All or none, in one transaction."""

    def get(self, context: RequestContext, resource: str, resource_id: str) -> Body: ...

    def list(self, context: RequestContext, resource: str, query: Query) -> list[Body]: ...

    def update(
        self, context: RequestContext, resource: str, resource_id: str, body: Body, if_match: int | None = None
    ) -> Body:
        """``if_match``: the revision_number the caller expects; another is a 412 (RevisionNumberConstraintFailed)."""

    def delete(self, context: RequestContext, resource: str, resource_id: str, if_match: int | None = None) -> None:
        """``if_match`` as in :meth:`update`, in the same transaction."""


class Nodes(Protocol):
    """What switches and agents tell; idempotent, and without a commit when nothing changed."""

    def node_seen(self, facts: NodeFacts) -> Node:
        """Record a node's facts; bindings of ports on its host are decided anew in the same transaction."""

    def node_heartbeat(self, node_id: str) -> None:
        """The node is alive now (never in the change feed)."""

    def node_heartbeats(self, node_ids: Sequence[str]) -> None:
        """:meth:`node_heartbeat` of many, in one transaction; unknown ones are left out."""

    def node_lost(self, node_id: str) -> None:
        """The node's session ended or its reports stopped."""

    def long_away(self) -> frozenset[str]:
        """Nodes that were lost, and had been for a minute when the newest of all nodes was heard last: before a
        restart of the controller they were away already."""

    def port_plugged(self, port_id: str, node_id: str) -> None:
        """The endpoint of a port appeared on a node; a port without a host is bound there. An unknown port or one
        that belongs to another host is left alone."""

    def port_unplugged(self, port_id: str, node_id: str) -> bool:
        """The endpoint went away; a port that was bound because it was plugged loses its host and binding. Whether it
        did."""

    def find_port(self, id_prefix: str) -> str | None:
        """The one port whose id starts so (tap names carry eleven characters), None if none or several."""

    def port_statuses(self) -> Mapping[str, tuple[str, str]]:
        """Port id -> (status, reason), of all ports."""

    def set_port_statuses(
        self, statuses: Mapping[str, tuple[str, str]], revisions: Mapping[str, int] | None = None
    ) -> None:
        """Record ACTIVE, BUILD or DOWN with the reason that the API shows (port id -> (status, reason)), in one
        transaction. It is no change of intent. ``revisions``: port id -> the revision of the port from which this was
        decided; one that has changed since is left as it is, because it is about to be decided anew."""


class Feed(Protocol):
    """The change feed as the controller follows it."""

    def load(self) -> Intent:
        """The whole intent at the newest revision."""

    def since(self, revision: int) -> list[Change]:
        """All later changes of intent, in order; objects are as they are now."""

    def subscribe(self, callback: Callable[[int], None]) -> None:
        """Call back (cheaply, from any thread) after every commit of this process with its revision, and of another
        one where the database tells."""

    def latest(self) -> int:
        """The newest committed revision."""
