"""Where legacy hosts are cabled to: the switch port at which the LLDP of a host's agent is heard.

Time is an argument. A host stays where it was heard while its agent is silent. Behind a port there may be several
hosts: a plain switch between passes LLDP on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from topology.events import EventLog
from topology.links import End
from topology.lldp import Announcement, Neighbour, genuine_announcement

Speaker = tuple[str, str]
"""A host by name, and the interface that it speaks by."""


@dataclass(frozen=True, slots=True)
class Host:
    """A legacy host: node id, its uplink interfaces by physical network, and the key of its announcements (empty: it
    is not known yet, nothing that is said in its name counts)."""

    node_id: str
    interfaces: Mapping[str, str]
    key: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class _Heard:
    end: End | None
    sequence: int
    at: float


class Attachments:
    """The hosts that there are, and where they were heard."""

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self._hosts: dict[str, Host] = {}
        self._heard: dict[Speaker, _Heard] = {}
        self._came_up: dict[End, float] = {}

    @property
    def places(self) -> dict[Speaker, End]:
        """Who is at which port."""
        return {speaker: heard.end for speaker, heard in self._heard.items() if heard.end is not None}

    def place(self, places: Mapping[Speaker, End]) -> None:
        """Where hosts were before a restart: they are there until they are heard elsewhere."""
        self._heard = {who: _Heard(end, 0, float("-inf")) for who, end in places.items()} | self._heard

    def host(self, name: str, host: Host) -> bool:
        """A host, by the name that its agent announces; whether anything is new. With another key its agent has begun
        to count anew."""
        old = self._hosts.get(name)
        if old == host:
            return False
        self._hosts[name] = host
        if old is not None and old.key != host.key:
            self._heard = {who: _Heard(heard.end, 0, heard.at) if who[0] == name else heard
                           for who, heard in self._heard.items()}  # fmt: skip
        return True

    def believes(self, seen: Neighbour) -> bool:
        """Whether it is an agent of ours that speaks."""
        host = self._hosts.get(seen.system_name)
        return host is not None and seen.announcement is not None and _is_of(host, seen.announcement)

    def heard(self, end: End, seen: Neighbour, said: Announcement, now: float) -> bool:
        """An agent of ours may have spoken at a port; whether a host is at another port than before."""
        who = (seen.system_name, seen.port)
        host, before = self._hosts.get(seen.system_name), self._heard.get(who, _Heard(None, 0, now))
        if host is None or not host.key or (said.sequence, end) == (before.sequence, before.end):
            return False
        if said.sequence <= before.sequence or not _is_of(host, said):
            self._events.add(now, "forged", f"announcement of host '{seen.system_name}' at {end}")
            return False
        self._heard[who] = _Heard(end, said.sequence, now)
        if before.end == end:
            return False
        self._make_room(end, who)
        self._events.add(now, "attached", f"host '{seen.system_name}' by its {seen.port} at {end}")
        return True

    def came_up(self, end: End, now: float) -> None:
        """The link of a port came up: another cable may be plugged in now."""
        if end in self.places.values():
            self._came_up[end] = now

    def ports(self, node_id: str) -> set[int]:
        """The ports of a switch at which hosts were heard."""
        return {end.port for end in self.places.values() if end.node_id == node_id}

    def behind(self, physical_network: str) -> dict[End, set[str]]:
        """Switch port -> node ids of the hosts that have their uplink into a physical network there."""
        found: dict[End, set[str]] = {}
        for (name, interface), end in self.places.items():
            host = self._hosts.get(name)
            if host is not None and host.interfaces.get(physical_network) == interface:
                found.setdefault(end, set()).add(host.node_id)
        return found

    def _make_room(self, end: End, newcomer: Speaker) -> None:
        """Who has not been heard since the port came up had the cable that was pulled out of it."""
        since = self._came_up.get(end, float("-inf"))
        for who, heard in list(self._heard.items()):
            if who != newcomer and heard.end == end and heard.at < since:
                del self._heard[who]


def _is_of(host: Host, said: Announcement) -> bool:
    return bool(host.key) and genuine_announcement(said, host.key)


def clouds(hosts: Mapping[End, Iterable[str]]) -> list[tuple[End, str]]:
    """What is behind each port with hosts, as a name: the host, if there is one; of several the port itself, behind
    which there must be a switch that nobody manages."""
    found = []
    for end, behind in hosts.items():
        nodes = sorted(behind)
        found.append((end, nodes[0] if len(nodes) == 1 else str(end)))
    return found
