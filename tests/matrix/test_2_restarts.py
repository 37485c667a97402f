"""Controller and agents die and come back while a ping of 100 per second runs: nobody notices."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.client import wait_until
from tests.support.controller_process import Controller
from tests.support.datacentre import DataCentre
from tests.support.matrix import Matrix

RATE = 100.0
MIXED = [
    ("flat", "ovs1", "host1"),
    ("vlan100", "ovs2", "host2"),
    ("gre77", "ovs1", "host2"),
    ("vxlan77", "host1", "ovs2"),
]
"""Network, from, to: across the kinds of node, both ways."""


def ping_during(matrix: Matrix, action: Callable[[], Any], seconds: float) -> None:
    """Ping along :data:`MIXED` while ``action`` runs and ``seconds`` longer; nothing may be lost or doubled."""
    runs = [(matrix.vms[f"{network}-{a}"], matrix.vms[f"{network}-{b}"]) for network, a, b in MIXED]
    for one, other in runs:
        assert one.site.echo([(one.name, other.ip)], 20.0)[0] is not None
        one.site.ping_start(one.name, one.name, other.ip, RATE)
    time.sleep(0.5)
    try:
        action()
        time.sleep(seconds)
    finally:
        with ThreadPoolExecutor() as pool:
            ended = list(pool.map(lambda run: run[0].site.ping_stop(run[0].name), runs))
        results = {f"{one.name} -> {other.name}": result for (one, other), result in zip(runs, ended, strict=True)}
    print(results)
    for name, result in results.items():
        assert result["sent"] > 100, name
        assert result["lost"] == [], name
        assert result["duplicates"] == 0, name


def flow_ages(datacentre: DataCentre) -> list[dict[str, tuple[float, int]]]:
    """Of each switch, flow -> (seconds, packets)."""
    return [node.ovs.flow_ages() for node in datacentre.switches]


def assert_flows_lived_on(datacentre: DataCentre, before: list[dict[str, tuple[float, int]]], elapsed: float) -> None:
    """The same flows, none of them newer, every counter at least what it was, some of them more."""
    for old, new in zip(before, flow_ages(datacentre), strict=True):
        assert new.keys() == old.keys()
        for flow, (age, packets) in old.items():
            assert new[flow][0] >= age + elapsed - 0.5, f"rewritten: {flow}"
            assert new[flow][1] >= packets, f"counter fell: {flow}"
        assert sum(packets for _, packets in new.values()) > sum(packets for _, packets in old.values())


@pytest.mark.parametrize("launcher", ["osken-manager", "isthmus-controller"])
def test_controller_killed_and_started(datacentre: DataCentre, matrix: Matrix, launcher: str) -> None:
    """SIGKILL: 0 lost. Start, by either launcher: 0 lost, no flow rewritten, ports ACTIVE again."""
    flows, began = flow_ages(datacentre), time.monotonic()
    ping_during(matrix, datacentre.controller.kill, 2)
    datacentre.controller = Controller(launcher)

    def start() -> None:
        datacentre.controller.start()
        datacentre.wait_in_force()
        datacentre.wait_active()

    ping_during(matrix, start, 2)
    assert_flows_lived_on(datacentre, flows, time.monotonic() - began)
    wait_until(lambda: all(node.ovs.connected() for node in datacentre.switches), 10, lambda: "a switch is missing")


def test_controller_ends_within_two_seconds(datacentre: DataCentre, matrix: Matrix) -> None:
    """SIGTERM with switches, agents' watches and clients connected. A busy machine may have its moment, not three."""
    seconds = []
    while not seconds or (seconds[-1] >= 2.0 and len(seconds) < 3):
        seconds.append(datacentre.controller.stop())
        assert datacentre.controller.program.exit_status == 0
        datacentre.controller = Controller()
        ping_during(matrix, datacentre.controller.start, 1)
        datacentre.wait_in_force()
        datacentre.wait_active()
    assert min(seconds) < 2.0, seconds


def test_agents_killed_and_started(datacentre: DataCentre, matrix: Matrix) -> None:
    """SIGKILL: 0 lost. Start: 0 lost, the devices are the same ones."""
    before = [node.host.machine.link_numbers() for node in datacentre.hosts]
    ping_during(matrix, datacentre.kill_agents, 2)

    def start() -> None:
        datacentre.start_agents()
        datacentre.wait_in_force()
        datacentre.wait_active()

    ping_during(matrix, start, 2)
    assert [node.host.machine.link_numbers() for node in datacentre.hosts] == before


def test_agents_end_within_two_seconds(datacentre: DataCentre, matrix: Matrix) -> None:
    """SIGTERM, during the agent's long poll. A busy machine may have its moment, not three."""
    seconds = []
    while not seconds or (seconds[-1] >= 2.0 and len(seconds) < 3):
        seconds.append(max(node.host.machine.agent_stop(signal.SIGTERM) for node in datacentre.hosts))
        ping_during(matrix, datacentre.start_agents, 2)
        datacentre.wait_active()
    assert min(seconds) < 2.0, seconds


def test_changes_while_the_controller_was_away_are_caught_up(datacentre: DataCentre, matrix: Matrix) -> None:
    """VMs that were plugged in meanwhile talk after the start."""
    network, nodes = datacentre.networks["vxlan78"]["id"], ("ovs1", "host1")
    ports = datacentre.api.create_all("port", [{"network_id": network, "binding:host_id": node} for node in nodes])
    datacentre.controller.kill()
    vms = [datacentre.plug(port, "vxlan78", node, f"late-{node}") for port, node in zip(ports, nodes, strict=True)]
    datacentre.controller = Controller()
    datacentre.controller.start()
    try:
        datacentre.wait_in_force()
        datacentre.wait_active()
        both = Matrix([*vms, matrix.vms["vxlan78-ovs2"], matrix.vms["vxlan78-host2"]])
        assert not both.problems(both.run(tcp=False))
    finally:
        for vm in vms:
            datacentre.remove(vm)


DELETE = """
import sys
from controller.api.standalone import from_environment
from webob import Request

print(Request.blank(f"/v2.0/ports/{sys.argv[1]}", method="DELETE").get_response(from_environment()).status_int)
"""


def test_a_port_deleted_by_another_process_meanwhile_goes_from_the_switches(
    datacentre: DataCentre, matrix: Matrix
) -> None:
    """The switches are not taken to be right only because they were; flows that are right are not written again."""
    network = datacentre.networks["vxlan78"]["id"]
    (port,) = datacentre.api.create_all("port", [{"network_id": network, "binding:host_id": "ovs1"}])
    vm, mac = datacentre.plug(port, "vxlan78", "ovs1", "doomed"), port["mac_address"]
    datacentre.wait_active([vm])

    def carriers() -> int:
        return sum(any(mac in line for line in node.ovs.flows()) for node in datacentre.switches)

    assert carriers() == len(datacentre.switches)
    datacentre.controller.kill()
    environment = {**os.environ, "ISTHMUS_CONFIG": str(datacentre.controller.configuration)}
    said = subprocess.run([sys.executable, "-c", DELETE, port["id"]], env=environment, capture_output=True, text=True)
    assert said.stdout.strip() == "204", said.stderr
    before, began = flow_ages(datacentre), time.monotonic()
    assert carriers() == len(datacentre.switches)
    datacentre.controller = Controller()
    datacentre.controller.start()
    wait_until(lambda: not carriers(), 20, lambda: f"{mac} is still on {carriers()} switches")
    datacentre.unplug(vm)
    datacentre.wait_in_force()
    datacentre.wait_active()
    elapsed, after = time.monotonic() - began, flow_ages(datacentre)
    for old, new in zip(before, after, strict=True):
        gone = old.keys() - new.keys()
        assert gone, "nothing was taken away"
        assert len(gone) < 60, gone
        kept = [flow for flow in old.keys() & new.keys() if new[flow][0] < old[flow][0] + elapsed - 2]
        assert not kept, f"{len(kept)} written again: {kept[:5]}"
