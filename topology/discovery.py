"""Which switch port is cabled to which: probes go out of one port and come in by another.

Time is an argument (seconds, monotonic); what shall be sent is returned; nothing here waits or sends. A link exists
while probes are heard both ways. A port that goes down takes its link with it at once; where nothing tells of a
failure, the link ends :data:`MISSED` turns after the last probe. While an end's switch has no session nobody can probe
there: such a link stays until one of its ports goes down, because the switch goes on forwarding.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from controller.model import switch_node_id
from topology import lldp
from topology.damping import Damper
from topology.events import EventLog
from topology.links import End, Link, PortState, Role, link
from topology.timerwheel import TimerWheel

MISSED = 3.5
"""Turns without a probe after which a direction of a link is held to be dead."""

WINDOW = 4
"""How many of a port's latest probes may still arrive: a late one is no forgery, an old one is a replay."""

MOST_NEIGHBOURS = 16
"""Ordinary neighbours that are shown of one port; a plain switch may pass on what many say."""

FLOOD_LIMIT = 20.0
"""Frames per second and port that are looked at; a burst may be twice that, the rest is ignored."""


RETRIED, STUCK = 1.0, 30.0
"""Seconds in which a probe that could not be sent is tried at every turn; and after which that begins anew, where a
switch still takes none."""


@dataclass(frozen=True, slots=True)
class Pace:
    """``period``: seconds between two probes of a port. ``rate``: probes a second at most, over all ports; with more
    ports the period grows."""

    period: float = 2.0
    rate: float = 1000.0


@dataclass
class _Heard:
    """The other end of a cable as last heard."""

    sender: End
    at: float


@dataclass(frozen=True, slots=True)
class Probing:
    """A probe to be sent out of a port."""

    end: End
    frame: bytes


@dataclass(frozen=True, slots=True)
class Stranger:
    """An ordinary LLDP neighbour (a legacy switch, a host that runs lldpd), seen at a port until ``until``."""

    end: End
    neighbour: lldp.Neighbour
    until: float


class Discovery:
    """The links between the switches that :meth:`switch` named.

    Probes are numbered from ``first`` on. With a ``key`` that was used before it must be beyond every number that was:
    what was captured then is of no use now.
    """

    def __init__(self, key: bytes, pace: Pace, events: EventLog, first: int = 0) -> None:
        self.events = events
        self._key = key
        self._wheel: TimerWheel[End] = TimerWheel(pace.period, pace.rate)
        self._ports: dict[str, dict[int, PortState]] = {}
        self._away: set[str] = set()
        self._heard: dict[End, _Heard] = {}
        self._sent: dict[End, deque[int]] = {}
        self._seen: dict[End, int] = {}
        self._sequence = first
        self._links: frozenset[Link] = frozenset()
        self._strangers: dict[End, dict[str, Stranger]] = {}
        self._allowance: dict[End, tuple[float, float]] = {}
        self._unsent: dict[End, float] = {}
        """Since when probes of a port are not sent."""
        self._damper = Damper()
        self._stale = False

    @property
    def links(self) -> frozenset[Link]:
        """The links as of the last call of anything."""
        return self._links

    @property
    def strangers(self) -> list[Stranger]:
        """Ordinary neighbours, ordered by the port they are seen at."""
        everybody = (stranger for seen in self._strangers.values() for stranger in seen.values())
        return sorted(everybody, key=lambda stranger: (stranger.end, stranger.neighbour.chassis))

    @property
    def away(self) -> Collection[str]:
        """Switches that were seen and have no session now."""
        return self._away

    def state(self, end: End) -> PortState | None:
        """A port as it was told last."""
        return self._ports.get(end.node_id, {}).get(end.port)

    def peer(self, end: End) -> End | None:
        """From where probes come in by a port."""
        heard = self._heard.get(end)
        return heard.sender if heard is not None else None

    def ports(self, node_id: str) -> dict[int, PortState]:
        """The ports of a switch as they were told last."""
        return dict(self._ports.get(node_id, {}))

    def one_way(self) -> list[tuple[End, End]]:
        """Directions (sender, receiver) in which probes are heard, but not back."""
        return sorted((heard.sender, end) for end, heard in self._heard.items() if not self._both_ways(end))

    def switch(self, node_id: str, ports: Mapping[int, PortState], now: float) -> None:
        """A connected switch has exactly these ports now."""
        known = self._ports.get(node_id, {})
        if node_id in self._away:
            self._away.discard(node_id)
            self._refresh(node_id, now)
            self.events.add(now, "switch-up", f"{node_id} is connected again")
        for number in known.keys() - ports.keys():
            self._drop(End(node_id, number), now, "was removed")
        self._ports[node_id] = dict(ports)
        for number, state in ports.items():
            self._take(End(node_id, number), known.get(number), state, now)
        self._settle(now)

    def switch_lost(self, node_id: str, now: float) -> None:
        """The session with a switch ended; what it forwards it goes on forwarding."""
        if node_id in self._ports and node_id not in self._away:
            self._away.add(node_id)
            for number in self._ports[node_id]:
                self._wheel.remove(End(node_id, number))
            self.events.add(now, "switch-down", f"{node_id} is not connected")

    def port(self, end: End, up: bool, now: float) -> None:
        """A port's link went up or down (PORT_STATUS)."""
        state = self._ports.get(end.node_id, {}).get(end.port)
        if state is None or state.up == up:
            return
        new = PortState(up, state.role, state.name)
        self._ports[end.node_id][end.port] = new
        self._take(end, state, new, now)
        self._settle(now)

    def frame(self, end: End, data: bytes, now: float) -> lldp.Neighbour | None:
        """An LLDP frame came in by a port; what it says, if it is of an ordinary neighbour that may be there."""
        state = self._ports.get(end.node_id, {}).get(end.port)
        if state is None or not self._may_speak(end, now):
            return None
        try:
            said = lldp.decode(data)
        except lldp.LldpError as error:
            self.events.add(now, "malformed", f"LLDP at {end}: {error}", str(end))
            return None
        if said.probe is not None:
            self._probe(end, state, said.probe, now)
            self._settle(now)
            return None
        self._stranger(end, said, state, now)
        return said if state.role is not Role.TENANT else None

    def due(self, now: float) -> list[Probing]:
        """The probes to be sent now; also ends links that were not heard for too long."""
        self._age(now)
        return [self._next_probe(end) for end in self._wheel.due(now)]

    def unsent(self, end: End, now: float) -> None:
        """The latest probe of a port was not sent, its switch has too much to do: it is due again at once, but not for
        ever."""
        self._sent[end].pop()
        since = self._unsent.get(end, now)
        if now >= since + STUCK:
            since = now
        self._unsent[end] = since
        if now < since + RETRIED:
            self._wheel.soon(end)

    # -- ports ---------------------------------------------------------------------------------------------------

    def _take(self, end: End, old: PortState | None, new: PortState, now: float) -> None:
        if old is not None and old.up and not new.up and old.role is Role.FREE:
            self._fell(end, now)
        if new.up and new.role is not Role.TENANT and new.role is not Role.TUNNEL and not self._damper.suppresses(end):
            if end in self._wheel and (old is None or not old.up):
                self._wheel.soon(end)
            self._wheel.add(end)
        else:
            self._wheel.remove(end)
        if not new.up or new.role is not Role.FREE:
            self._forget(end)

    def _fell(self, end: End, now: float) -> None:
        if self._damper.fell(end, now):
            self.events.add(now, "damped", f"{end} flaps; it carries no link until it is calm")

    def _drop(self, end: End, now: float, why: str) -> None:
        self._wheel.remove(end)
        self._unsent.pop(end, None)
        if end in self._heard:
            self.events.add(now, "port-down", f"{end} {why}")
        self._forget(end)

    def _forget(self, end: End) -> None:
        """What was heard at the port, and what was heard from it: a cable without one end is none."""
        self._strangers.pop(end, None)
        gone = self._heard.pop(end, None)
        self._stale = self._stale or gone is not None
        if gone is not None and (back := self._heard.get(gone.sender)) is not None and back.sender == end:
            del self._heard[gone.sender]

    def _refresh(self, node_id: str, now: float) -> None:
        """A switch came back: its links get the time they need to be heard again."""
        for end, heard in self._heard.items():
            if node_id in (end.node_id, heard.sender.node_id):
                heard.at = now

    # -- frames --------------------------------------------------------------------------------------------------

    def _may_speak(self, end: End, now: float) -> bool:
        left, then = self._allowance.get(end, (2 * FLOOD_LIMIT, now))
        left = min(left + (now - then) * FLOOD_LIMIT, 2 * FLOOD_LIMIT)
        self._allowance[end] = (left - 1.0 if left >= 1.0 else left, now)
        if left < 1.0:
            self.events.add(now, "too-many", f"more than {FLOOD_LIMIT:g} LLDP frames a second at {end}; ignored")
        return left >= 1.0

    def _stranger(self, end: End, said: lldp.Neighbour, state: PortState, now: float) -> None:
        if state.role is Role.TENANT:
            name = said.system_name or said.chassis
            self.events.add(now, "foreign", f"LLDP of '{name}' at tenant port {end}", str(end))
            return
        seen = self._strangers.setdefault(end, {})
        if said.ttl == 0:
            seen.pop(said.chassis, None)
        elif said.chassis in seen or len(seen) < MOST_NEIGHBOURS:
            if said.chassis not in seen:
                name = said.system_name or said.chassis
                self.events.add(now, "neighbour", f"'{name}' port {said.port} at {end}", str(end))
            seen[said.chassis] = Stranger(end, said, now + said.ttl)

    def _probe(self, end: End, state: PortState, probe: lldp.Probe, now: float) -> None:
        sender = End(switch_node_id(probe.datapath_id), probe.port)
        if not lldp.genuine(probe, self._key):
            self.events.add(now, "forged", f"probe that claims to be of {sender}, at {end}: wrong digest", str(end))
            return
        if probe.sequence not in self._sent.get(sender, ()) or probe.sequence <= self._seen.get(sender, 0):
            self.events.add(now, "replayed", f"old probe of {sender} at {end}", str(end))
            return
        self._seen[sender] = probe.sequence
        if state.role is not Role.FREE:
            kind = "replayed" if state.role is Role.TENANT else "through-cloud"
            self.events.add(now, kind, f"probe of {sender} at {end}, which is no port for links ({state.role.value})")
        elif sender.node_id == end.node_id:
            self.events.add(now, "looped", f"{sender} and {end} are cabled to each other; neither is used")
        elif self._usable(sender) and not self._damper.suppresses(end):
            self._hear(end, sender, now)

    def _usable(self, end: End) -> bool:
        state = self._ports.get(end.node_id, {}).get(end.port)
        return state is not None and state.up and state.role is Role.FREE and not self._damper.suppresses(end)

    def _hear(self, end: End, sender: End, now: float) -> None:
        known = self._heard.get(end)
        if known is not None and known.sender != sender:
            self.events.add(now, "moved", f"{end}: cabled to {sender} now, was {known.sender}")
            self._forget(end)
        if known is None or known.sender != sender:
            self._wheel.soon(end)
            self._stale = True
        self._heard[end] = _Heard(sender, now)

    def _next_probe(self, end: End) -> Probing:
        self._sequence += 1
        self._sent.setdefault(end, deque(maxlen=WINDOW)).append(self._sequence)
        datapath_id = int(end.node_id.removeprefix("switch:"), 16)
        probe = lldp.Probe(datapath_id, end.port, self._sequence)
        return Probing(end, lldp.encode(probe, self._key, lldp.source_of(datapath_id, end.port)))

    # -- links ---------------------------------------------------------------------------------------------------

    def _both_ways(self, end: End) -> bool:
        heard = self._heard[end]
        back = self._heard.get(heard.sender)
        return back is not None and back.sender == end

    def _age(self, now: float) -> None:
        oldest = now - MISSED * self._wheel.period
        dead = [end for end, heard in self._heard.items()
                if heard.at < oldest and not self._away & {end.node_id, heard.sender.node_id}]  # fmt: skip
        for end in dead:
            self.events.add(now, "silent", f"no probe of {self._heard[end].sender} heard at {end} any more")
            del self._heard[end]
            self._stale = True
        for end, seen in list(self._strangers.items()):
            for chassis in [chassis for chassis, stranger in seen.items() if stranger.until < now]:
                del seen[chassis]
            if not seen:
                del self._strangers[end]
        for end in self._damper.relieve(now):
            self.events.add(now, "calm", f"{end} is used again")
            state = self._ports.get(end.node_id, {}).get(end.port)
            if state is not None:
                self._take(end, None, state, now)
        self._settle(now)

    def _settle(self, now: float) -> None:
        if not self._stale:
            return
        self._stale = False
        links = frozenset(link(end, heard.sender) for end, heard in self._heard.items() if self._both_ways(end))
        for gone in sorted(self._links - links):
            self.events.add(now, "link-down", str(gone))
        for new in sorted(links - self._links):
            self.events.add(now, "link-up", str(new))
        self._links = links
