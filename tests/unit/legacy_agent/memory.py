"""A kernel in memory: links, forwarding entries and nftables as the agent's driver uses them, with the kernel's rules
that matter (names are unique, only ports can be isolated, a bridge that goes takes its ports' membership along)."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from legacy_agent.netlink import nft
from legacy_agent.netlink.errors import KernelError
from legacy_agent.netlink.fdb import FLOOD_MAC, FdbEntry
from legacy_agent.netlink.links import KINDS, OUR_GROUP, BridgeSpec, DeviceSpec, GretapSpec, Link, VlanSpec, VxlanSpec
from legacy_agent.netlink.messages import attributes


class Killed(BaseException):
    """SIGKILL in the middle of something."""


def _same(one: DeviceSpec | None, other: DeviceSpec) -> bool:
    """Whether the kernel has only one of them."""
    if isinstance(one, VxlanSpec) and isinstance(other, VxlanSpec):
        return (one.vni, one.port) == (other.vni, other.port)
    return one == other


def _each(entries: Sequence[FdbEntry], action: Callable[[FdbEntry], None]) -> dict[FdbEntry, KernelError]:
    failed = {}
    for entry in entries:
        try:
            action(entry)
        except KernelError as error:
            failed[entry] = error
    return failed


class MemoryLinks:
    """``changes`` counts everything that was written; ``killed_at`` is the change before which the agent is killed.
    ``broken`` names refuse every change."""

    def __init__(self, *interfaces: str) -> None:
        self._links: dict[str, Link] = {}
        self._fdb: set[FdbEntry] = set()
        self._numbers = itertools.count(1)
        self.addressed: dict[str, frozenset[str]] = {}
        self.changes = 0
        self.broken: set[str] = set()
        self.killed_at = 0
        for name in interfaces:
            self.plug(name)

    def plug(self, name: str, spec: DeviceSpec | None = None) -> None:
        """An interface that somebody else makes."""
        kind = "veth" if spec is None else KINDS[type(spec)]
        self._links[name] = Link(next(self._numbers), name, kind, 1500, False, spec=spec)

    def unplug(self, name: str) -> None:
        """It goes, and what hangs on it."""
        gone = {name} | {link.name for link in self._links.values()
                         if isinstance(link.spec, VlanSpec) and link.spec.parent == name}  # fmt: skip
        for link in list(self._links.values()):
            if link.name in gone:
                del self._links[link.name]
            elif link.master in gone:
                self._links[link.name] = replace(link, master=None, isolated=False)
        self._fdb = {entry for entry in self._fdb if entry.device not in gone}

    def links(self) -> dict[str, Link]:
        return dict(self._links)

    def addresses(self) -> dict[str, frozenset[str]]:
        return self.addressed

    def fdb(self, links: Mapping[str, Link]) -> frozenset[FdbEntry]:
        return frozenset(entry for entry in self._fdb if entry.device in links)

    def create(self, name: str, spec: DeviceSpec, alias: str, mtu: int) -> None:
        self._check(name)
        if name in self._links:
            raise KernelError(f"{name} exists", errno.EEXIST)
        if isinstance(spec, VlanSpec):
            self._need(spec.parent)
        if not isinstance(spec, BridgeSpec) and any(_same(link.spec, spec) for link in self._links.values()):
            raise KernelError(f"{name}: there is such a tunnel", errno.EEXIST)
        self._links[name] = Link(next(self._numbers), name, KINDS[type(spec)], 1500, False, "", OUR_GROUP, spec=spec)
        self.set(name, alias=alias)
        self.set(name, mtu=mtu)

    def modify(self, name: str, spec: DeviceSpec) -> None:
        self._change(name, spec=spec)

    def set(self, name: str, *, alias: str | None = None, mtu: int | None = None, up: bool | None = None) -> None:
        given = {"alias": alias, "mtu": mtu, "up": up}
        self._change(name, **{key: value for key, value in given.items() if value is not None})

    def enslave(self, name: str, bridge: str | None) -> None:
        if bridge is not None:
            self._need(bridge)
        self._change(name, master=bridge, isolated=False)
        self._fdb = {entry for entry in self._fdb if entry.device != name or entry.remote is not None}

    def isolate(self, name: str, isolated: bool) -> None:
        if self._need(name).master is None:
            raise KernelError(f"{name} is no bridge port", errno.EINVAL)
        self._change(name, isolated=isolated)

    def delete(self, name: str) -> None:
        self._check(name)
        if name in self._links:
            self.unplug(name)

    def quiet_ipv6(self, name: str) -> None:
        """Nothing to be seen here."""

    def add_fdb(self, entries: Sequence[FdbEntry]) -> dict[FdbEntry, KernelError]:
        return _each(entries, self._add_entry)

    def remove_fdb(self, entries: Sequence[FdbEntry]) -> dict[FdbEntry, KernelError]:
        return _each(entries, self._remove_entry)

    def _add_entry(self, entry: FdbEntry) -> None:
        self._check(entry.device)
        link = self._need(entry.device)
        if entry.remote is None:
            if link.master is None:
                raise KernelError(f"{entry.device} is no bridge port", errno.EINVAL)
            same = {name for name, other in self._links.items() if other.master == link.master}
            self._fdb = {old for old in self._fdb
                         if (old.device not in same or old.mac != entry.mac or old.remote is not None)}  # fmt: skip
        elif entry.mac != FLOOD_MAC:
            self._fdb = {old for old in self._fdb
                         if (old.device, old.mac) != (entry.device, entry.mac) or old.remote is None}  # fmt: skip
        self._fdb.add(entry)

    def _remove_entry(self, entry: FdbEntry) -> None:
        self._check(entry.device)
        self._fdb.discard(entry)

    def tunnels(self) -> list[Link]:
        """For assertions: every tunnel device."""
        return [link for link in self._links.values() if isinstance(link.spec, VxlanSpec | GretapSpec)]

    def _change(self, name: str, **values: object) -> None:
        self._check(name)
        self._links[name] = replace(self._need(name), **values)  # type: ignore[arg-type]

    def _need(self, name: str) -> Link:
        if name not in self._links:
            raise KernelError(f"interface {name} does not exist", errno.ENODEV)
        return self._links[name]

    def _check(self, name: str) -> None:
        self.changes += 1
        if self.changes == self.killed_at:
            raise Killed
        if name in self.broken:
            raise KernelError(f"{name} is broken", errno.EIO)


class MemoryNft:
    """Executes the requests' own bytes. A transaction with a request that fails changes nothing."""

    def __init__(self) -> None:
        self.chains: dict[str, list[str]] = {}
        self.map: dict[str, str] = {}
        self.broken: set[str] = set()
        self.transactions = 0

    def transaction(self, requests: Sequence[nft.Request]) -> None:
        self.transactions += 1
        chains, elements = {name: list(rules) for name, rules in self.chains.items()}, dict(self.map)
        for request in requests:
            self._execute(request.message, dict(attributes(request.payload)), chains, elements)
        self.chains, self.map = chains, elements

    def rule_comments(self, table: str) -> dict[str, list[str]]:
        assert table == "isthmus"
        return {name: list(rules) for name, rules in self.chains.items() if rules}

    def interface_map(self, table: str, name: str) -> dict[str, str]:
        assert (table, name) == ("isthmus", "ports")
        return dict(self.map)

    def _execute(self, message: nft.Message, parts: dict[int, bytes], chains: dict[str, list[str]],
                 elements: dict[str, str]) -> None:  # fmt: skip
        if message is nft.Message.DELETE_TABLE:
            chains.clear()
            elements.clear()
        elif message in (nft.Message.NEW_CHAIN, nft.Message.DELETE_CHAIN):
            self._chain(message, _text(parts[3]), chains, elements)
        elif message is nft.Message.NEW_RULE:
            chains[_text(parts[2])].append(parts[7][2:].rstrip(b"\0").decode())
        elif message is nft.Message.DELETE_RULE:
            chains[_text(parts[2])].clear()
        elif message in (nft.Message.NEW_ELEMENT, nft.Message.DELETE_ELEMENT):
            self._element(message, parts[3], chains, elements)

    def _chain(self, message: nft.Message, name: str, chains: dict[str, list[str]], elements: dict[str, str]) -> None:
        if name in self.broken:
            raise KernelError(f"{name} is broken", errno.EIO)
        if message is nft.Message.NEW_CHAIN:
            chains.setdefault(name, [])
        elif chains.pop(name) or name in elements.values():
            raise KernelError(f"{name} is in use", errno.EBUSY)

    @staticmethod
    def _element(message: nft.Message, data: bytes, chains: dict[str, list[str]], elements: dict[str, str]) -> None:
        parts = dict(attributes(dict(attributes(data))[1]))
        interface = _text(dict(attributes(parts[1]))[1])
        if message is nft.Message.DELETE_ELEMENT:
            del elements[interface]
            return
        verdict = dict(attributes(dict(attributes(parts[2]))[2]))
        assert _text(verdict[2]) in chains
        elements[interface] = _text(verdict[2])


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode()
