"""The traffic matrix: these pairs talk, all others do not."""

from __future__ import annotations

import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import permutations
from typing import TypeVar

from tests.support import ethernet
from tests.support.datacentre import Vm
from tests.support.site import Site

KIND_PAIRS = (("OVS", "OVS"), ("OVS", "bridge"), ("bridge", "bridge"))
_TCP_PORT = 5001
_TCP_BYTES = 1 << 20
_SETTLE = 0.7
"""Seconds in which frames that should not come are waited for, once those that should have come."""

Pair = tuple[str, str]
Sent = Mapping[str, "tuple[Vm, Vm | None]"]
"""Frame in hex -> its sender and its receiver (None: everybody)."""

T = TypeVar("T")
_texts = itertools.count()
"""No two frames are the same, so that one that comes late is not taken for one of a later run."""


@dataclass
class Results:
    """What was heard. Pairs are ordered ``(sender, receiver)`` by VM name."""

    echo: dict[Pair, float | None] = field(default_factory=dict)
    unicast: Counter[Pair] = field(default_factory=Counter)
    broadcast: Counter[Pair] = field(default_factory=Counter)
    overheard: Counter[Pair] = field(default_factory=Counter)
    """Frames to somebody else on another network, or with a tag still on: must stay empty."""
    tcp: dict[Pair, str] = field(default_factory=dict)
    """``""`` when a transfer went well, else what went wrong."""


class Matrix:
    """Probes between VMs; which of them should talk follows from their networks alone."""

    def __init__(self, vms: Sequence[Vm]) -> None:
        self.vms = {vm.name: vm for vm in vms}

    def run(self, timeout: float = 10.0, tcp: bool = True) -> Results:
        """Everything: echo and TCP within networks, unicast and broadcast frames between all pairs."""
        results = Results()
        self.probe_echo(results, timeout)
        self.probe_frames(results, timeout)
        if tcp:
            self.probe_tcp(results, timeout)
        return results

    def within(self) -> list[tuple[Vm, Vm]]:
        """The ordered pairs that should talk."""
        return [(a, b) for a, b in permutations(self.vms.values(), 2) if a.network == b.network]

    def probe_echo(self, results: Results, timeout: float) -> None:
        """Ping every pair that should talk."""
        by_site: dict[Site, list[tuple[Vm, Vm]]] = defaultdict(list)
        for a, b in self.within():
            by_site[a.site].append((a, b))

        def ask(site: Site) -> list[float | None]:
            return site.echo([(a.name, b.ip) for a, b in by_site[site]], timeout)

        for site, answers in self._on_all(ask, list(by_site)).items():
            for (a, b), answer in zip(by_site[site], answers, strict=True):
                results.echo[a.name, b.name] = answer

    def probe_frames(self, results: Results, timeout: float) -> None:
        """From every VM one broadcast and one frame to each other VM, on whatever network: who hears what?

        Those that should be heard have ``timeout`` to come.
        """
        sent: dict[str, tuple[Vm, Vm | None]] = {}
        by_site: dict[Site, list[tuple[str, str]]] = {site: [] for site in self._sites()}
        for a in self.vms.values():
            for b in (None, *(other for other in self.vms.values() if other is not a)):
                text = f"{next(_texts):x}"
                frame = (
                    ethernet.broadcast_token(a.source, text) if b is None else ethernet.token(a.source, b.source, text)
                )
                sent[ethernet.trimmed(frame).hex()] = (a, b)
                by_site[a.site].append((a.name, frame.hex()))
        self._on_all(lambda site: site.forget(), list(by_site))
        self._on_all(lambda site: site.inject(by_site[site]), list(by_site))
        end = time.monotonic() + timeout
        while not self._complete(self._heard(list(by_site), sent)) and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(_SETTLE)
        heard = self._heard(list(by_site), sent)
        results.unicast, results.broadcast, results.overheard = heard.unicast, heard.broadcast, heard.overheard

    def _complete(self, results: Results) -> bool:
        pairs = [(a.name, b.name) for a, b in self.within()]
        return all(results.unicast[pair] and results.broadcast[pair] for pair in pairs)

    def _heard(self, sites: Sequence[Site], sent: Sent) -> Results:
        results = Results()
        for heard in self._on_all(lambda site: site.heard(), sites).values():
            self._note(results, heard, sent)
        return results

    def _note(self, results: Results, heard: Mapping[str, Mapping[str, int]], sent: Sent) -> None:
        for listener, frames in heard.items():
            if listener not in self.vms:
                continue
            for text, count in frames.items():
                tagged = text[24:28] == "8100"
                origin = sent.get(text[:24] + text[32:] if tagged else text)
                if origin is None:
                    continue
                sender, receiver = origin
                pair = (sender.name, listener)
                if tagged or sender.network != self.vms[listener].network:
                    results.overheard[pair] += count
                elif receiver is None:
                    results.broadcast[pair] += count
                elif receiver.name == listener:
                    results.unicast[pair] += count

    def probe_tcp(self, results: Results, timeout: float) -> None:
        """One transfer per network and pair of node kinds, both ways where the kinds differ."""
        for a, b in self._tcp_pairs():
            b.site.tcp_serve(b.name, _TCP_PORT)
            answer = a.site.tcp_send(a.name, b.ip, _TCP_PORT, _TCP_BYTES, timeout)
            results.tcp[a.name, b.name] = "" if answer["ok"] else answer["error"]

    def _tcp_pairs(self) -> list[tuple[Vm, Vm]]:
        chosen: dict[tuple[str, str, str], tuple[Vm, Vm]] = {}
        for a, b in self.within():
            chosen.setdefault((a.network, a.node.kind, b.node.kind), (a, b))
        return list(chosen.values())

    def _sites(self) -> list[Site]:
        return list({id(vm.site): vm.site for vm in self.vms.values()}.values())

    @staticmethod
    def _on_all(work: Callable[[Site], T], sites: Sequence[Site]) -> dict[Site, T]:
        with ThreadPoolExecutor(len(sites) or 1) as pool:
            return dict(zip(sites, pool.map(work, sites), strict=True))

    # Judgement

    def problems(self, results: Results) -> list[str]:
        """Every deviation from "these pairs talk, all others do not", in words."""
        found = []
        for a, b in self.within():
            pair, name = (a.name, b.name), f"{a.name} -> {b.name}"
            if results.echo.get(pair) is None:
                found.append(f"{name}: no answer to ping")
            if results.unicast[pair] != 1:
                found.append(f"{name}: a unicast frame arrived {results.unicast[pair]} times")
            if results.broadcast[pair] != 1:
                found.append(f"{name}: a broadcast arrived {results.broadcast[pair]} times")
        found += [f"{a} -> {b}: {count} frames crossed" for (a, b), count in results.overheard.items()]
        found += [f"{a} -> {b}: TCP: {error}" for (a, b), error in results.tcp.items() if error]
        return found

    def table(self, results: Results, networks: Mapping[str, str]) -> str:
        """For people: a row per network, a column per pair of node kinds. ``networks`` maps name -> description."""
        header = f"{'network':24}" + "".join(f"{'–'.join(kinds):>28}" for kinds in KIND_PAIRS) + f"{'isolated':>12}"
        below = " " * 24 + f"{'unicast  broadcast  TCP':>28}" * len(KIND_PAIRS)
        rows = [
            f"{description:24}"
            + "".join(f"{self._cell(results, name, kinds):>28}" for kinds in KIND_PAIRS)
            + f"{self._isolation(results, name):>12}"
            for name, description in networks.items()
        ]
        return "\n".join([header, below, *rows])

    def _cell(self, results: Results, network: str, kinds: tuple[str, str]) -> str:
        pairs = [
            (a.name, b.name)
            for a, b in self.within()
            if a.network == network and sorted((a.node.kind, b.node.kind)) == sorted(kinds)
        ]
        unicast = sum(results.echo.get(pair) is not None and results.unicast[pair] == 1 for pair in pairs)
        broadcast = sum(results.broadcast[pair] == 1 for pair in pairs)
        transfers = [results.tcp[pair] for pair in pairs if pair in results.tcp]
        done = sum(not error for error in transfers)
        marks = ((unicast, len(pairs), 7), (broadcast, len(pairs), 10), (done, len(transfers), 4))
        return " ".join(f"{f'{good}/{total}':>{width}}" for good, total, width in marks)

    def _isolation(self, results: Results, network: str) -> str:
        crossed = sum(
            count
            for (a, b), count in results.overheard.items()
            if network in (self.vms[a].network, self.vms[b].network)
        )
        return "yes" if not crossed else f"{crossed} leaked"
