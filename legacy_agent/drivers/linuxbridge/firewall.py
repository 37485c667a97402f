"""The table ``bridge isthmus``: one chain per tap, found by a map from interface name. One transaction per few taps,
so that no frame ever meets half a rule set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from legacy_agent.drivers.linuxbridge.items import Guard
from legacy_agent.netlink import nft
from legacy_agent.netlink.errors import KernelError
from legacy_agent.netlink.nft import Request

TABLE, ENTRY, MAP = "isthmus", "prerouting", "ports"
_ENTRY_MARKER = "isthmus entry"
_GUARDS_PER_TRANSACTION = 32


class Nft(Protocol):
    """What the firewall asks of nftables; :class:`legacy_agent.netlink.nft.NftSocket` is the real one."""

    def transaction(self, requests: Sequence[Request]) -> None: ...
    def rule_comments(self, table: str) -> dict[str, list[str]]: ...
    def interface_map(self, table: str, name: str) -> dict[str, str]: ...


@dataclass(frozen=True, slots=True)
class NoNftables:
    """Stands for nftables where the kernel has none: nothing is in force and nothing can be put in force."""

    reason: str

    def transaction(self, requests: Sequence[Request]) -> None:
        if requests:
            raise KernelError(self.reason)

    def rule_comments(self, table: str) -> dict[str, list[str]]:  # noqa: ARG002
        return {}

    def interface_map(self, table: str, name: str) -> dict[str, str]:  # noqa: ARG002
        return {}


def installed(kernel: Nft) -> dict[str, Guard]:
    """Guards in force, by tap. A chain that packets do not reach is not in force, and comes with no markers."""
    comments = kernel.rule_comments(TABLE)
    entered = comments.get(ENTRY) == [_ENTRY_MARKER]
    reached = kernel.interface_map(TABLE, MAP) if entered else {}
    guards = {
        tap: Guard(tap, tuple(markers))
        for chain, markers in comments.items()
        if (tap := _tap(chain)) and reached.get(tap) == chain
    }
    leftovers = {tap for chain in comments if (tap := _tap(chain))} | set(reached)
    return {tap: guards.get(tap, Guard(tap, ())) for tap in leftovers}


def install(kernel: Nft, guards: Iterable[Guard]) -> None:
    """Put the guards in force, replacing what they had; raises ``KernelError``."""
    for some in _batches(guards):
        kernel.transaction([*_frame(), *(request for item in some for request in _ensure(item))])


def remove(kernel: Nft, taps: Iterable[str]) -> None:
    """Forget taps; what is partly gone already is cleaned up. Raises ``KernelError``."""
    reached, chains, gone = kernel.interface_map(TABLE, MAP), kernel.rule_comments(TABLE), set(taps)
    if not (set(reached) | {_tap(chain) for chain in chains}) - gone - {""}:
        kernel.transaction([nft.new_table(TABLE), nft.delete_table(TABLE)])
        return
    for tap in sorted(gone):
        requests = [nft.remove_interface(TABLE, MAP, tap)] if tap in reached else []
        if _chain(tap) in chains:
            requests += [nft.flush_chain(TABLE, _chain(tap)), nft.delete_chain(TABLE, _chain(tap))]
        if requests:
            kernel.transaction(requests)


def _frame() -> list[Request]:
    """What all guards share; making it again changes nothing, and its only rule is replaced in the transaction."""
    return [
        nft.new_table(TABLE),
        nft.new_interface_map(TABLE, MAP),
        nft.new_chain(TABLE, ENTRY, nft.HOOK_PREROUTING),
        nft.flush_chain(TABLE, ENTRY),
        nft.append_rule(TABLE, ENTRY, nft.interface_lookup(MAP), _ENTRY_MARKER),
    ]


def _ensure(item: Guard) -> list[Request]:
    chain = _chain(item.interface)
    rules = zip(item.rules, item.markers, strict=True)
    return [
        nft.new_chain(TABLE, chain),
        nft.flush_chain(TABLE, chain),
        *(nft.append_rule(TABLE, chain, rule, marker) for rule, marker in rules),
        nft.add_interface(TABLE, MAP, item.interface, chain),
    ]


def _batches(guards: Iterable[Guard]) -> Iterator[list[Guard]]:
    rest = iter(guards)
    while some := list(islice(rest, _GUARDS_PER_TRANSACTION)):
        yield some


def _chain(tap: str) -> str:
    return f"port-{tap}"


def _tap(chain: str) -> str:
    return chain.removeprefix("port-") if chain.startswith("port-") else ""
