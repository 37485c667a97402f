"""What must be true once all is quiet again; every deviation in words."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mechanisms.openflow import stamp
from tests.soak.world import World
from tests.support import ethernet
from tests.support.client import ApiFault
from tests.support.datacentre import HostNode, Vm
from tests.support.matrix import Matrix
from tests.support.sandbox import BED_DIRECTORY

SETTLED = 45.0
"""Seconds within which all must be in force."""

FOREIGN_MAC = "02:00:5e:00:53:01"
SAMPLE, LATEST = 16, 5.0
_numbers = itertools.count()
_COOKIE, _GROUP = re.compile(r"cookie=0x([0-9a-f]+)"), re.compile(r"group_id=(\d+)")


def settle(world: World) -> tuple[float, list[str]]:
    """Wait until statuses, acknowledgements, flows and hosts are as they should be: seconds, and what is not."""
    began = time.monotonic()
    found: list[str] = ["nothing was looked at"]
    for check in (_acknowledged, _statuses, _flows, _hosts):
        while found := _tried(world, check):
            if time.monotonic() > began + SETTLED:
                return time.monotonic() - began, found
            time.sleep(0.5)
    return time.monotonic() - began, found


def _tried(world: World, check: Callable[[World], Iterator[str]]) -> list[str]:
    try:
        return list(check(world))
    except (ApiFault, OSError, RuntimeError) as error:
        return [f"{check.__name__}: {error}"]


def _acknowledged(world: World) -> Iterator[str]:
    known = world.site.known_hosts()
    if known != set(world.site.nodes):
        yield f"only {sorted(known)} are alive"
    answer = world.site.api.isthmus("wait?timeout=5")
    if not answer["done"]:
        yield f"wait: {answer}"
    health = world.site.api.isthmus("health")
    if not health["healthy"] or health["nodes_behind"] or health["ports_undecided"]:
        yield f"health: {health}"


def _statuses(world: World) -> Iterator[str]:
    shown = {port["id"]: port for port in world.site.api.list("port")}
    for port in world.ports.values():
        found = shown.pop(port.id, None)
        status, reason = world.expected(port)
        if found is None:
            yield f"{port.name} is gone"
        elif found["status"] != status or not found.get("status_reason", "").startswith(reason):
            evidence = world.site.api.isthmus(f"ports/{port.id}")
            yield (f"{port.name} ({port}) is {found['status']} '{found.get('status_reason')}', should be {status} "
                   f"'{reason}'; evidence: {evidence}")  # fmt: skip
    for found in shown.values():
        if not found["name"].startswith("quiet-"):
            yield f"there is a port {found['name']} {found['id']} that should not be there"
        elif found["status"] != "ACTIVE":
            yield f"{found['name']} is {found['status']} {found.get('status_reason')}"


def _flows(world: World) -> Iterator[str]:
    """Cookies are hashes of the flows, so equal sets are equal flows (but for actions altered by hand)."""
    for node in world.site.switches:
        plan = world.site.api.isthmus(f"nodes/switch:{node.ovs.datapath_id}/plan")["plan"]
        wanted = {int(flow["cookie"], 16) for flow in plan["flows"]}
        there = {int(_COOKIE.search(line)[1], 16): line for line in node.ovs.flows()}  # type: ignore[index]
        stamps = {cookie for cookie, line in there.items() if f"table={stamp.TABLE}," in line}
        for cookie in wanted - there.keys():
            why = [flow["why"] for flow in plan["flows"] if int(flow["cookie"], 16) == cookie]
            yield f"{node.wiring.name} lacks flow {cookie:#x}: {why}"
        for cookie in there.keys() - wanted - stamps:
            yield f"{node.wiring.name} has a flow too many: {there[cookie]}"
        groups = {int(found[1]) for line in node.ovs.groups() if (found := _GROUP.search(line))}
        if groups != (needed := {group["id"] for group in plan["groups"]}):
            yield f"{node.wiring.name} has groups {groups - needed} too many and lacks {needed - groups}"


def _hosts(world: World) -> Iterator[str]:
    for node in world.site.hosts:
        conf = str(_directory(node) / "agent.conf")
        said = node.host.machine.execute([sys.executable, "-m", "tests.soak.host_audit", conf])
        if said["status"] or said["output"].strip():
            yield from (f"{node.wiring.name}: {line}" for line in said["output"].strip().splitlines()[-8:])


def _directory(node: HostNode) -> Path:
    return BED_DIRECTORY / node.wiring.name


def traffic(world: World) -> list[str]:
    """Who talks with whom, of a sample of all VMs; and whether port security is as it was asked for."""
    vms = world.plugged()
    chosen = world.dice.sample(vms, min(SAMPLE, len(vms)))
    matrix = Matrix(chosen)
    world.site.wait_active([vm for vm in chosen if not vm.network.startswith("alone")])
    problems = matrix.problems(matrix.run(timeout=12.0, tcp=False))
    return problems + _spoofing(world, matrix)


def _spoofing(world: World, matrix: Matrix) -> list[str]:
    found = []
    asked = [(port, a, b) for a, b in matrix.within() for port in world.ports.values() if port.vm == a.name]
    for port, a, b in asked[:6]:
        lies = {(FOREIGN_MAC, "192.168.9.251"): not port.security}
        if port.pair is not None:
            lies[port.pair] = True
        for number, (source, passes) in enumerate(lies.items()):
            if _heard(a, b, ethernet.token(source, b.source, f"lie{number}")) != passes:
                found.append(f"a frame from {source} by {port.name} {'does not pass' if passes else 'passes'}: {port}")
    return found


def _heard(a: Vm, b: Vm, frame: bytes) -> bool:
    """Whether a frame gets from a VM to another, by the time that one does which nothing keeps back."""
    last = ethernet.token(a.source, b.source, f"last {next(_numbers)}")
    b.site.forget()
    a.site.inject([(a.name, sent.hex()) for sent in (frame, last)])
    end = time.monotonic() + LATEST
    while ethernet.trimmed(last).hex() not in b.site.heard()[b.name] and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.1)
    return ethernet.trimmed(frame).hex() in b.site.heard()[b.name]


def store(world: World) -> list[str]:
    """``isthmus check``."""
    program = str(Path(sys.executable).with_name("isthmus"))
    command = [program, "check", "--config-file", str(world.site.controller.configuration)]
    done = subprocess.run(command, capture_output=True, text=True)
    return [] if done.returncode == 0 else [f"isthmus check: {done.stdout} {done.stderr}"]
