"""What the reconciler asks of the southbound, and what the southbound tells the reconciler."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from controller.dataplane.values import Program
from controller.model import NodeFacts, Observation, PortView


@dataclass(frozen=True, slots=True)
class Applied:
    """How an apply ended: acknowledged by the switch (barrier or bundle reply).

    ``adopted`` tells that the switch already had the program (its stamp was equal) and nothing was read or sent.
    ``groups_changed`` counts meters too.
    """

    revision: int
    adopted: bool = False
    flows_added: int = 0
    flows_removed: int = 0
    groups_changed: int = 0
    foreign_flows: int = 0


@dataclass(frozen=True, slots=True)
class Rejection:
    """A flow, group or meter (which has neither number) that the switch refused: the OpenFlow error in words, and what
    it was for."""

    cookie: int | None
    group_id: int | None
    error: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class SwitchState:
    """A session as an operator sees it. ``state`` is one of: handshake, waiting (for OVSDB facts), ready, in-sync,
    failed, gone."""

    node_id: str
    state: str
    address: str = ""
    openflow_version: str = ""
    capabilities: frozenset[str] = frozenset()
    ports: Mapping[int, str] = field(default_factory=dict)
    last_error: str = ""
    rejections: Sequence[Rejection] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


class SwitchEvents(Protocol):
    """Called by the southbound; every method only enqueues."""

    def switch_ready(self, facts: NodeFacts, observation: Observation) -> None:
        """A switch finished its handshake and its facts are known (also called again whenever the facts or what is
        plugged in changed; then with the whole new observation)."""

    def switch_lost(self, node_id: str) -> None:
        """The session ended."""

    def switch_rejected(self, node_id: str, rejection: Rejection) -> None:
        """The switch refused a flow or group."""


class SwitchPorts(Protocol):
    """Told by the southbound at once, for the discovery of links; every method only enqueues."""

    def switch_introduced(self, node_id: str, ports: Mapping[int, PortView]) -> None:
        """A session begins: a switch has exactly these OpenFlow ports. What they are for may not be as it was."""

    def ports_seen(self, node_id: str, ports: Mapping[int, PortView]) -> None:
        """A switch has exactly these OpenFlow ports."""

    def uplinks_before(self, node_id: str) -> Mapping[str, int]:
        """The uplinks that a switch had in use before a restart of the controller. Never blocks."""

    def frame_seen(self, node_id: str, port: int, frame: bytes) -> None:
        """A frame came to the controller."""

    def source_seen(self, node_id: str, port: int, network_key: int, mac: str) -> None:
        """A switch showed a frame from an address that it does not know at that port."""


class Switches(Protocol):
    """The southbound as the reconciler sees it. Calls block the calling green thread only, with a deadline."""

    def apply(self, node_id: str, program: Program) -> Applied:
        """Make the switch hold exactly ``program`` (of ours). The first apply of a session reads the stamp: equal
        means adopted; else dump, delta, ordered apply, stamp. Raises :class:`controller.errors.SwitchError`."""

    def may_hold(self, node_id: str) -> bool:
        """Whether the switch has just shown a stamp, so that :meth:`adopt` may find it to be right."""

    def adopt(self, node_id: str, program: Program) -> Applied | None:
        """The first part of :meth:`apply`, as far as it never blocks: None if the switch has shown another stamp than
        the program's, or none of late. Raises :class:`controller.errors.SwitchError`."""

    def audit(self, node_id: str, program: Program) -> Applied:
        """Read everything back, repair what differs, whatever the stamp says."""

    def state(self, node_id: str) -> SwitchState | None:
        """The session's state, None if the switch never connected."""

    def states(self) -> Sequence[SwitchState]:
        """All sessions."""


Spawn = Callable[[Callable[[], None]], None]
"""Starts a callable in a thread of its own (green under eventlet)."""
