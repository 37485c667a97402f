"""Where addresses are that nobody manages: learned from the frames that come in, forgotten when those stop.

Time is an argument (seconds, monotonic). A switch sends a frame here whose source it does not know at that port. Then
the source is put on the list of what the switch knows there, so that no further frame of it comes; after half its age
it is taken off that list again, so that the next frame says that the address is still there. After the whole age
without a frame it is forgotten. An address is at the port where it was heard last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from topology.events import EventLog
from topology.links import End

MUTED = 10.0
"""Seconds in which no address is learned at a port where there were too many."""

SCAN = 1.0
"""Seconds between two looks at what has become old."""

Places = Mapping[str, End]
"""MAC address -> switch port behind which it is."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``age``: seconds without a frame after which an address is forgotten (IEEE 802.1Q, 8.8.3, recommends 300).
    ``rate``: new addresses a second and switch port, a burst may have twice as many; ``most``: addresses per network.
    """

    age: float = 300.0
    rate: float = 100.0
    most: int = 4096


@dataclass(slots=True)
class _Entry:
    """``learned`` is False for an address of a port of ours: it is known there, and stays where the port is."""

    end: End
    at: float
    learned: bool
    known: bool = True


_Key = tuple[str, End | None]
"""MAC address; with the port too for an address of ours, which may be heard anywhere."""


class Learning:
    """What was learned on all networks; :meth:`flush` makes it visible."""

    def __init__(self, events: EventLog, limits: Limits) -> None:
        self._events, self._limits = events, limits
        self._entries: dict[str, dict[_Key, _Entry]] = {}
        self._behind: Counter[End] = Counter()
        self._allowance: dict[End, tuple[float, float]] = {}
        self._muted: dict[End, float] = {}
        self._scanned = 0.0
        self._changed: set[str] = set()
        self._hushed = False
        self._learned: dict[str, Places] = {}
        self._homes: frozenset[str] = frozenset()
        self._known: dict[str, dict[str, frozenset[tuple[int, str]]]] = {}
        self._silent: dict[str, frozenset[int]] = {}

    def heard(self, network_id: str, mac: str, end: End, owned: bool, now: float) -> None:
        """A frame with this source came in; ``owned``: the address is that of a port of ours on the network."""
        if end in self._muted:
            return
        entries = self._entries.setdefault(network_id, {})
        key: _Key = (mac, end if owned else None)
        entry = entries.get(key)
        if entry is not None and entry.end == end:
            entry.at = now
            if entry.known:
                return
            entry.known = True
        elif self._may_learn(network_id, end, entry is None and len(entries) >= self._limits.most, now):
            if entry is not None:
                self._events.add(now, "address-moved", f"{mac} of network {network_id}: from {entry.end} to {end}")
                self._left(entry.end)
            entries[key] = _Entry(end, now, not owned)
            self._behind[end] += 1
        else:
            return
        self._changed.add(network_id)

    def is_behind(self, end: End) -> bool:
        """Whether an address is known at a port."""
        return end in self._behind

    def keep(self, usable: Callable[[End], bool]) -> None:
        """Forget what is behind ports that no longer are ways in."""
        gone = {end for end in self._behind if not usable(end)}
        for network_id, entries in self._entries.items() if gone else ():
            self._forget(network_id, [key for key, entry in entries.items() if entry.end in gone])

    def flush(self, now: float, away: Collection[str] = ()) -> bool:
        """Let time pass and make changes visible; whether there are any. What switches without a session know does
        not grow old: they can tell nothing."""
        if now >= self._scanned + SCAN:
            self._scanned = now
            self._age(now, away)
        if not self._changed and not self._hushed:
            return False
        self._learned = dict(self._learned)  # what was handed out stays as it is
        for network_id in sorted(self._changed):
            self._show(network_id)
        self._homes = frozenset(end.node_id for places in self._learned.values() for end in places.values())
        self._silent = {end.node_id: frozenset(other.port for other in self._muted if other.node_id == end.node_id)
                        for end in self._muted}  # fmt: skip
        self._changed, self._hushed = set(), False
        return True

    def learned(self, members: Collection[str]) -> Mapping[str, Places]:
        """Network id -> places, of what is behind these switches."""
        if self._homes.issubset(members):
            return self._learned
        mine = {network_id: {mac: end for mac, end in places.items() if end.node_id in members}
                for network_id, places in self._learned.items()}  # fmt: skip
        return {network_id: places for network_id, places in mine.items() if places}

    def known(self, node_id: str) -> Mapping[str, frozenset[tuple[int, str]]]:
        """Network id -> (port, MAC address) of frames that the switch need not show."""
        return self._known.get(node_id, {})

    def muted(self, node_id: str) -> frozenset[int]:
        """The switch's ports at which nothing is learned now."""
        return self._silent.get(node_id, frozenset())

    def _show(self, network_id: str) -> None:
        """Make visible what is known of one network."""
        entries = self._entries.get(network_id, {})
        self._learned.pop(network_id, None)
        places = {mac: entry.end for (mac, _), entry in entries.items() if entry.learned}
        if places:
            self._learned[network_id] = places
        pairs: dict[str, set[tuple[int, str]]] = {}
        for (mac, _), entry in entries.items():
            if entry.known:
                pairs.setdefault(entry.end.node_id, set()).add((entry.end.port, mac))
        for node_id in self._known.keys() | pairs.keys():
            rest = {key: its for key, its in self._known.get(node_id, {}).items() if key != network_id}
            if node_id in pairs:
                rest[network_id] = frozenset(pairs[node_id])
            self._known[node_id] = rest
        if not entries:
            self._entries.pop(network_id, None)

    def _may_learn(self, network_id: str, end: End, full: bool, now: float) -> bool:
        rate = self._limits.rate
        left, then = self._allowance.get(end, (2 * rate, now))
        left = min(left + (now - then) * rate, 2 * rate)
        self._allowance[end] = (left - 1.0 if left >= 1.0 else left, now)
        if left >= 1.0 and not full:
            return True
        why = f"network {network_id} has {self._limits.most}" if full else f"more than {rate:g} new ones a second"
        self._events.add(now, "too-many-addresses", f"{end}: {why}; none is learned there for {MUTED:g} s")
        self._muted[end] = now + MUTED
        self._hushed = True
        return False

    def _age(self, now: float, away: Collection[str]) -> None:
        age = self._limits.age
        for network_id, entries in list(self._entries.items()):
            old = []
            for key, entry in entries.items():
                if entry.end.node_id in away:
                    entry.at = max(entry.at, now - age / 2)
                elif entry.at + age <= now:
                    old.append(key)
                elif entry.known and entry.at + age / 2 <= now:
                    entry.known = False
                    self._changed.add(network_id)
            self._forget(network_id, old)
        for end in [end for end, until in self._muted.items() if until <= now]:
            del self._muted[end]
            self._hushed = True

    def _forget(self, network_id: str, keys: Collection[_Key]) -> None:
        for key in keys:
            self._left(self._entries[network_id].pop(key).end)
            self._changed.add(network_id)

    def _left(self, end: End) -> None:
        self._behind[end] -= 1
        if not self._behind[end]:
            del self._behind[end]
