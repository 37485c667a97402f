"""The fabric at run time: one thread that takes what switches tell, sends probes when they are due, and asks those
switches to follow whose view of the fabric changed. All decisions are in ``topology``."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from controller.intent import Intent
from controller.model import PHYSICAL_TYPES, Cable, Fabric, Observation, Plug, PortView, Segment
from controller.switches import Spawn
from topology import cables, memory
from topology.cabling import Cabling
from topology.events import EventLog
from topology.fabric import Topology
from topology.links import End, Link, PortState, Role
from topology.plan_watch import PlanWatch

LOG = logging.getLogger(__name__)

TURN = 0.05
"""Seconds between two looks at what is due."""

YOUNG = 1.0
"""Seconds that a switch that was never seen waits for its first program: its links are found meanwhile. So long also a
port that was never seen is left alone, unless it is known what it is for: what tenants plug in is no cable."""

REMEMBERED = 1.0
"""Seconds between two looks at what must be remembered over a restart."""

COMPARED = 1.0
"""Seconds between two comparisons of the links with the cable plan."""

MOST_SOURCES = 1000
"""Addresses that wait to be learned."""

FIRST_RESERVED = 0xFFFFFF00
"""OpenFlow port numbers from here on are no cables."""

Send = Callable[[str, int, bytes], bool]
Follows = Callable[[str, int], bool]
Job = Callable[[float], set[str]]


class Touch(Protocol):
    """Asks switches to follow: node id -> networks concerned (None: everything)."""

    def __call__(self, nodes: Mapping[str, Collection[str] | None]) -> int: ...


class Keeper(Protocol):
    """Keeps a value of JSON over a restart."""

    def load(self) -> Any:
        """What was saved; None if nothing was."""

    def save(self, content: Any) -> None:
        """May block, and may raise what the database raises."""


class FabricControl:
    """Guards a :class:`Topology`; a :class:`controller.switches.SwitchPorts`. ``hold``: see :meth:`expect`.
    ``planned``: the cable plan that counts while none is stored."""

    def __init__(
        self, topology: Topology, events: EventLog, hold: float, spawn: Spawn,
        clock: Callable[[], float] = time.monotonic, planned: tuple[Cable, ...] = (),
    ) -> None:  # fmt: skip
        self._topology, self._events, self._spawn, self._clock = topology, events, spawn, clock
        self._open_at = clock() + hold
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._ports: dict[str, Mapping[int, PortView]] = {}
        self._observations: dict[str, Observation] = {}
        self._since: dict[str, float] = {}
        self._missing: set[str] = set()
        self._appeared: dict[End, float] = {}
        """Ports that are left alone yet, with the time when they were first seen."""
        self._saved: memory.Memory | None = None
        self._stopped = threading.Event()
        self._planned = self._cables = planned
        self._plan_watch = PlanWatch(events)
        self._compare_at = clock()
        self.names: Callable[[], Mapping[str, str]] = dict
        """Name -> node id of the switches, as the cable plan may call them. Must not block."""
        self.owner: Callable[[int, str], tuple[str, str | None] | None] = lambda _key, _mac: None
        """See :class:`controller.owners.Owners`. Must not block."""
        self._sources: dict[tuple[str, int, int, str], None] = {}
        self._send: Send = lambda _node, _port, _frame: False
        self._touch: Touch = lambda _nodes: 0
        self._follows: Follows = lambda _node, _tick: True
        self._ticks: dict[str, int] = {}
        """When each switch was last asked to follow the fabric."""

    def recall(self, keeper: Keeper) -> None:
        """Begin with what was remembered, and have it remembered from now on. Call before :meth:`start`."""
        self._saved = memory.from_json(keeper.load())
        self._topology.recall(self._saved)
        self._spawn(partial(self._remember, keeper))

    def start(self, send: Send, touch: Touch, follows: Follows) -> None:
        """Start; ``send(node id, port, frame)`` and ``follows(node id, tick)`` must not block. The latter is whether a
        switch has in force what it was asked at that tick, or cannot be asked."""
        self._send, self._touch, self._follows = send, touch, follows
        self._spawn(self._run)

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()

    # -- what switches tell --------------------------------------------------------------------------------------

    def switch_introduced(self, node_id: str, ports: Mapping[int, PortView]) -> None:
        """A session with a switch began."""
        self._jobs.put(partial(self._take_introduction, node_id, dict(ports)))

    def ports_seen(self, node_id: str, ports: Mapping[int, PortView]) -> None:
        """The OpenFlow ports of a switch; a link that went down counts at once."""
        self._jobs.put(partial(self._take_ports, node_id, dict(ports)))

    def frame_seen(self, node_id: str, port: int, frame: bytes) -> None:
        """A frame came to the controller."""
        self._jobs.put(lambda now: self._topology.frame(End(node_id, port), frame, now))

    def source_seen(self, node_id: str, port: int, network_key: int, mac: str) -> None:
        """A switch showed a frame from an address that it does not know at that port; taken up at the next turn. More
        than can be learned in a turn are not kept: the next frame comes too."""
        if len(self._sources) < MOST_SOURCES:
            self._sources[node_id, port, network_key, mac] = None

    def observed(self, observation: Observation) -> None:
        """What is plugged into a switch; its ports are probed from the first time on."""
        self._jobs.put(partial(self._take_observation, observation))

    def host_seen(self, node_id: str, name: str, interfaces: Mapping[str, str], key: bytes) -> None:
        """A legacy host with its uplinks by physical network; its agent's LLDP, whose digests are made with ``key``,
        tells where it is cabled to."""
        self._jobs.put(lambda now: self._topology.host(node_id, name, interfaces, key, now))

    def expect(self, node_ids: Iterable[str]) -> None:
        """The switches that are known from before: until they are back (``hold`` seconds at most), nobody's program
        changes, because the links to those that are missing are not known."""
        self._missing = set(node_ids)

    def plan(self, stored: tuple[Cable, ...]) -> None:
        """The stored cable plan; without one (empty) the one that was given at the start counts."""
        with self._lock:
            self._cables = stored or self._planned

    def lost(self, node_id: str) -> None:
        """The session with a switch ended."""
        self._jobs.put(lambda now: self._topology.switch_lost(node_id, now))

    def uplinks_before(self, node_id: str) -> Mapping[str, int]:
        """The uplinks by physical network that a switch had in use before a restart."""
        return self._topology.uplinks_before(node_id)

    # -- what others ask -----------------------------------------------------------------------------------------

    def view(self, node_id: str) -> Fabric | None:
        """What a switch sees of the fabric; None while it is too early to know its links."""
        with self._lock:
            now = self._clock()
            return None if self._too_early(node_id, now) else self._topology.view(node_id)

    def _too_early(self, node_id: str, now: float) -> bool:
        """Whether links of a switch may not be known yet: it is young, or the controller is and others are missing."""
        if node_id not in self._since or now < self._since[node_id] + YOUNG:
            return True
        if now < self._open_at:
            self._missing = {each for each in self._missing if now < self._since.get(each, now) + YOUNG}
        return now < self._open_at and (bool(self._missing) or self._topology.awaits_links())

    def passing(
        self, intent: Intent, touched: Mapping[str, Collection[str]], networks: Collection[str] = ()
    ) -> dict[str, set[str]]:
        """Switches that carry networks of ``touched``, or ``networks``, for others: node id -> network ids."""
        found: dict[str, set[str]] = {}
        with self._lock:
            for node_id, network_ids in touched.items():
                members = self._topology.view(node_id).members
                mine = {each for each in network_ids if self._carried(intent, each)} if len(members) > 1 else set()
                for member in members if mine else ():
                    found.setdefault(member, set()).update(mine)
            everything = {*networks, *(each for network_ids in touched.values() for each in network_ids)}
            physical = {each for each in everything if self._carried(intent, each)}
            for node_id in self._topology.between_clouds() if physical else ():
                found.setdefault(node_id, set()).update(physical)
        return found

    def members(self, node_ids: Iterable[str]) -> frozenset[str]:
        """The switches that links reach from these."""
        with self._lock:
            return frozenset().union(*{self._topology.view(node_id).members for node_id in node_ids})

    def links(self) -> list[dict[str, Any]]:
        """The links as the API shows them; ``plan`` is what the cable plan says of each, None without one."""
        with self._lock:
            rows, findings = self._topology.rows(), self._findings()
            said = {each: str(finding.kind) for finding in findings for each in finding.found}
            if self._cables:
                for row in rows:
                    row["plan"] = said.get(_link_of(row), "planned" if row["state"] == "up" else None)
            return rows

    def differences(self) -> list[dict[str, Any]]:
        """How the links differ from the cable plan, as the API shows it; nothing without a plan."""
        with self._lock:
            return [_difference(finding) for finding in self._findings()]

    def _findings(self) -> list[cables.Finding]:
        if not self._cables:
            return []
        return cables.compare(self._cables, self._topology.discovery.links, cables.Names(self.names(), self._ports))

    def neighbours(self) -> list[dict[str, Any]]:
        """Ordinary LLDP neighbours as the API shows them."""
        with self._lock:
            return [{"switch": seen.end.node_id, "port": seen.end.port, "system_name": seen.neighbour.system_name,
                     "chassis": seen.neighbour.chassis, "neighbour_port": seen.neighbour.port,
                     "port_description": seen.neighbour.port_description}
                    for seen in self._topology.discovery.strangers]  # fmt: skip

    def events(self, since: int = 0) -> dict[str, Any]:
        """Events after number ``since``, and how many there were of each kind."""
        with self._lock:
            rows = [{"number": event.number, "time": event.time, "kind": event.kind, "text": event.text,
                     "count": event.count} for event in self._events.since(since)]  # fmt: skip
            return {"events": rows, "totals": dict(sorted(self._events.totals.items()))}

    def path(self, source: str, target: str) -> list[str]:
        """The nodes from one to the other that unicast takes; empty if links do not join them."""
        with self._lock:
            return self._topology.path(source, target)

    def cabling(self) -> Cabling:
        """What is cabled to what, and which ports are down."""
        with self._lock:
            down = {node_id: frozenset(number for number, view in ports.items() if not view.link_up)
                    for node_id, ports in self._ports.items()}  # fmt: skip
            return replace(self._topology.cabling(), down=down)

    def carries(self, segment: Segment) -> bool:
        """Whether links carry a segment."""
        return self._topology.carries(segment)

    # -- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        due = self._clock()
        while not self._stopped.is_set():
            try:
                job = self._jobs.get(timeout=max(0.0, due - self._clock()))
            except queue.Empty:
                due = self._clock() + TURN
                self._do(self._turn)
            else:
                self._do(job)
                if self._clock() >= due:
                    due = self._clock() + TURN
                    self._do(self._turn)

    def _do(self, job: Job) -> None:
        try:
            with self._lock:
                changed = job(self._clock())
            if changed:
                self._ticks |= dict.fromkeys(changed, self._touch(dict.fromkeys(changed)))
        except Exception:
            LOG.exception("fabric")

    def _learn(self, now: float) -> None:
        sources, self._sources = self._sources, {}
        for node_id, port, network_key, mac in list(sources):  # one may still be added
            found = self.owner(network_key, mac)
            if found is not None:
                self._topology.source(End(node_id, port), found[0], mac, found[1], now)

    def _turn(self, now: float) -> set[str]:
        self._learn(now)
        changed = self._grow_up(now) if self._appeared else set()
        probes, by_time = self._topology.turn(now, self._behind(now))
        changed |= by_time
        for probe in probes:
            if not self._send(probe.end.node_id, probe.end.port, probe.frame):
                self._topology.discovery.unsent(probe.end, now)
        if now >= self._compare_at:
            self._compare_at = now + COMPARED
            self._plan_watch.look(self._findings(), now)
        return changed

    def _behind(self, now: float) -> set[str] | None:
        """Of the switches that the topology waits for, those that have yet to follow; None before anybody has a
        program from here."""
        if all(self._too_early(node_id, now) for node_id in self._since):
            return None
        return {
            node_id for node_id in self._topology.awaited if not self._follows(node_id, self._ticks.get(node_id, 0))
        }

    def _take_ports(self, node_id: str, ports: Mapping[int, PortView], now: float) -> set[str]:
        before = self._ports.get(node_id, {})
        self._ports[node_id] = ports
        if node_id in self._observations:
            self._appeared |= {End(node_id, number): now for number in ports.keys() - before.keys()}
        return self._take(node_id, now)

    def _take_observation(self, observation: Observation, now: float) -> set[str]:
        self._observations[observation.node_id] = observation
        self._since.setdefault(observation.node_id, now)
        return self._take(observation.node_id, now)

    def _take_introduction(self, node_id: str, ports: Mapping[int, PortView], now: float) -> set[str]:
        """Ports may be for something else than in the session before, whatever their numbers: nothing is taken before
        the switch has said what they are for."""
        self._observations.pop(node_id, None)
        self._ports[node_id] = ports
        return self._topology.switch_lost(node_id, now)

    def _take(self, node_id: str, now: float) -> set[str]:
        ports, seen = self._ports.get(node_id), self._observations.get(node_id)
        if ports is None or seen is None:
            return set()
        states = {number: PortState(view.link_up, _role(number, seen), view.name)
                  for number, view in ports.items() if number < FIRST_RESERVED}  # fmt: skip
        for number in [number for number, state in states.items() if state.role is Role.FREE]:
            if now < self._appeared.get(End(node_id, number), now - YOUNG) + YOUNG:
                del states[number]
        return self._topology.switch(node_id, states, seen.uplinks, now)

    def _grow_up(self, now: float) -> set[str]:
        """Take ports that were new for long enough, or that are gone."""
        grown = [end for end, since in self._appeared.items() if now >= since + YOUNG]
        for end in grown:
            del self._appeared[end]
        return set().union(*(self._take(node_id, now) for node_id in {end.node_id for end in grown}))

    def _remember(self, keeper: Keeper) -> None:
        """Save what must be remembered when it is new; where that fails the next look tries again."""
        failed = False
        while not self._stopped.wait(REMEMBERED):
            with self._lock:
                newest = self._topology.memory
            if newest is None or newest == self._saved:
                continue
            try:
                keeper.save(memory.to_json(newest))
                self._saved, failed = newest, False
            except Exception as error:
                if not failed:
                    LOG.warning("fabric: what is in use cannot be remembered over a restart just now: %s", error)
                failed = True

    def _carried(self, intent: Intent, network_id: str) -> bool:
        network = intent.networks.get(network_id)
        segments: Iterable[Any] = network.segments if network is not None else ()
        return network is None or any(each.network_type in PHYSICAL_TYPES for each in segments)


def _role(number: int, seen: Observation) -> Role:
    if number in seen.tunnel_ports.values():
        return Role.TUNNEL
    if number in seen.uplinks.values() or number in seen.standby_uplinks:
        return Role.UPLINK
    return Role.TENANT if any(item.ofport == number for item in seen.attachments.values()) else Role.FREE


def _link_of(row: Mapping[str, Any]) -> Link:
    ends = [End(row[side]["switch"], row[side]["port"]) for side in ("a", "b")]
    return Link(*sorted(ends))


def _difference(finding: cables.Finding) -> dict[str, Any]:
    planned = finding.planned
    return {
        "kind": str(finding.kind),
        "text": str(finding),
        "planned": planned and {"a": _plug(planned.a), "b": _plug(planned.b)},
        "found": [{"a": _end(each.a), "b": _end(each.b)} for each in finding.found],
    }


def _plug(plug: Plug) -> dict[str, Any]:
    return {"switch": plug.switch, "port": plug.port}


def _end(end: End) -> dict[str, Any]:
    return {"switch": end.node_id, "port": end.port}
