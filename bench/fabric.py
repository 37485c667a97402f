"""What a pulled cable costs: each of a ring of six with a chord, under 1,000 pings a second across it, with 100 and
with 10,000 flows that lead over it, with fast-failover groups and without: ``python -m bench.fabric`` (root).

Cables are veth pairs between bridges of one Open vSwitch; a lost ping is a millisecond without a way.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from bench.results import Result
from tests.fabric.bed import FabricBed, Vm

CABLES = ((1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 1), (1, 4))
TARGETS = (1, 3, 5)
"""One end of every cable: the flows are to ports there, so that those of the other end lead over the cable."""

FEW, MANY = 100, 10_000
PULLED, BACK, ALL = 400, 1200, 2000
"""Milliseconds at which the cable is pulled, put back, and the pings end."""

BAR = 10
"""Milliseconds that a pulled cable may cost with fast failover."""

NOTHING: Mapping[int, Callable[[], None]] = {}

SWITCH = "fast_failover = {}\n"


@dataclass(frozen=True, slots=True)
class Loss:
    """Milliseconds lost when a cable was pulled and when it was put back."""

    pulled: int
    back: int


def run() -> Result:
    """The figures."""
    result = Result("fabric", f"at most {BAR} ms lost per cable with fast failover, nothing when it is put back")
    bed = FabricBed(6, CABLES, hold=5.0, options=SWITCH.format(True))
    bed.start()
    network = bed.network("red", "vlan", 100, "10.1.0.0/16")
    vms = {vm.switch: vm for vm in bed.plug([(switch, network) for switch in bed.switches])}
    have = 0
    for count, order in ((FEW, (True, False)), (MANY, (False, True))):
        _fill(bed, network, count - have)
        have = count
        found = {fast: _pull_all(bed, vms, fast) for fast in order}
        _report(result, count, found[True], found[False], sum(_stream(vms[2], vms[1])))
    bed.stop_controller()
    result.notes.append(f"Per cable, in the order {', '.join(f'{a}-{b}' for a, b in CABLES)}.")
    return result


def _report(result: Result, count: int, fast: list[Loss], slow: list[Loss], noise: int) -> None:
    pulled, without = ([loss.pulled for loss in losses] for losses in (fast, slow))
    ratio = f"{sum(pulled) / max(1, sum(without)):.1f}"
    result.add(f"{count:,} flows, cable pulled, ms lost", f"without groups {_listed(without)}", _listed(pulled), ratio)
    back, back_without = ([loss.back for loss in losses] for losses in (fast, slow))
    reference = f"without groups {_listed(back_without)}; {noise} if nothing is touched"
    result.add(f"{count:,} flows, put back, ms lost", reference, _listed(back))
    result.judge(max(pulled) <= BAR and max(back) <= max(1, noise))


def _listed(values: list[int]) -> str:
    return " ".join(map(str, values))


def _fill(bed: FabricBed, network: str, count: int) -> None:
    """So many more ports on each of the targets."""
    for switch in TARGETS:
        row = {"network_id": network, "binding:host_id": f"{switch:016x}", "fixed_ips": []}
        for start in range(0, count, 1000):
            bed.api.request("POST", "ports", {"ports": [row] * min(1000, count - start)}, timeout=300)
    bed.wait_in_sync(180)


def _pull_all(bed: FabricBed, vms: dict[int, Vm], fast: bool) -> list[Loss]:
    if bed.options != SWITCH.format(fast):
        bed.stop_controller()
        bed.options = SWITCH.format(fast)
        bed.start_controller()
    bed.wait_for_links(len(CABLES), 30)
    time.sleep(1.5)
    bed.wait_in_sync(60)
    if fast != any("type=ff" in group for group in bed.ovs.groups("s1")):
        raise RuntimeError("the switches' groups are not those that were asked for")
    return [_pull(bed, vms, *cable) for cable in CABLES]


def _pull(bed: FabricBed, vms: dict[int, Vm], one: int, other: int) -> Loss:
    target, source = (one, other) if one in TARGETS else (other, one)
    touch = partial(bed.set_cable, one, other)
    lost = _stream(vms[source], vms[target], {PULLED: partial(touch, up=False), BACK: partial(touch, up=True)})
    bed.wait_for_links(len(CABLES))
    return Loss(*lost)


def _stream(source: Vm, target: Vm, events: Mapping[int, Callable[[], None]] = NOTHING) -> tuple[int, int]:
    """Pings in which something happens at those milliseconds: how many are lost in its first part and in the rest."""
    command = ["ping", "-n", "-i", "0.001", "-c", str(ALL), "-W", "1", target.ip]
    pings = subprocess.Popen(["ip", "netns", "exec", source.name, *command], stdout=subprocess.PIPE, text=True)
    began = time.monotonic()
    for at, happen in events.items():
        time.sleep(max(0.0, began + at / 1000 - time.monotonic()))
        happen()
    text, _ = pings.communicate(timeout=60)
    answered = {int(number) for number in re.findall(r"icmp_seq=(\d+)", text)}
    lost = [number for number in range(1, ALL + 1) if number not in answered]
    between = (PULLED + BACK) // 2
    return sum(number <= between for number in lost), sum(number > between for number in lost)


if __name__ == "__main__":
    from bench.all import single

    sys.exit(single("fabric", run))
