"""Mininet's switches, as strangers: OpenFlow 1.3, no OVSDB for us, ports bound by ``local_link_information``.

Two tenants on VLAN networks of one fabric, interleaved over the hosts: all pairs within a tenant, none across.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.fabric.bed import CONFIGURATION
from tests.ovs.switchbed import SwitchBed
from tests.support.client import Client, wait_until
from tests.support.process import Program
from tests.support.sandbox import BED_DIRECTORY

SYSTEM_PYTHON = "/usr/bin/python3"
TOPOLOGY = Path(__file__).with_name("mininet_topology.py")
TOPOLOGIES = ("torus,3,3", "tree,2,3", "linear,8", "mesh,5")


def has_mininet() -> bool:
    """Whether the system's Python can import it."""
    found = subprocess.run([SYSTEM_PYTHON, "-c", "import mininet.net"], capture_output=True, check=False)
    return found.returncode == 0


pytestmark = pytest.mark.skipif(not has_mininet(), reason="Mininet is not installed (Debian package mininet)")


class MininetBed:
    """One topology under the controller."""

    def __init__(self, topology: str) -> None:
        directory = BED_DIRECTORY / topology.replace(",", "-")
        directory.mkdir(parents=True)
        configuration = directory / "isthmus.conf"
        text = CONFIGURATION.format(directory=directory, hold=15.0)
        configuration.write_text(f"{text}[ovsdb]\nenabled = false\n")
        launcher = str(Path(sys.executable).with_name("osken-manager"))
        command = [launcher, "--config-file", str(configuration), "controller.app"]
        self.controller = Program("controller", command, directory / "controller.log")
        self.api = Client("http://127.0.0.1:9696")
        self.controller.start()
        wait_until(self._answers, 30, lambda: self.controller.tail())
        self._mininet = subprocess.Popen(
            [SYSTEM_PYTHON, str(TOPOLOGY), topology], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._mininet.stdout is not None
        self.found: dict[str, Any] = json.loads(self._mininet.stdout.readline())

    def stop(self) -> None:
        """End both."""
        self._mininet.communicate(timeout=60)
        self.controller.stop()

    def links(self) -> int:
        """How many links are found."""
        return sum(row["state"] == "up" for row in self.api.isthmus("links")["links"])

    def bind(self, tenants: int) -> list[list[dict[str, Any]]]:
        """A VLAN network per tenant; hosts take turns. Returns the hosts of each."""
        groups: list[list[dict[str, Any]]] = [[] for _ in range(tenants)]
        networks = []
        for tenant in range(tenants):
            network = self.api.create("network", **{"name": f"tenant{tenant}", "provider:network_type": "vlan",
                                      "provider:physical_network": "physnet1",
                                      "provider:segmentation_id": str(100 + tenant)})  # fmt: skip
            self.api.create("subnet", network_id=network["id"], ip_version=4, cidr=f"10.2.{tenant}.0/24")
            networks.append(network["id"])
        ids = []
        for place, host in enumerate(self.found["hosts"]):
            tenant = place % tenants
            link = {"switch_id": host["dpid"], "port_id": str(host["port"])}
            port = self.api.create("port", **{"network_id": networks[tenant], "mac_address": host["mac"],
                                   "binding:profile": {"local_link_information": [link]}})  # fmt: skip
            host["ip"] = port["fixed_ips"][0]["ip_address"]
            enter(host, "ip", "addr", "flush", "dev", host["device"])
            enter(host, "ip", "addr", "add", f"{host['ip']}/16", "dev", host["device"])
            groups[tenant].append(host)
            ids.append(port["id"])
        self.api.wait_for_status(ids, "ACTIVE")
        return groups

    def _answers(self) -> bool:
        try:
            self.api.request("GET", "extensions", timeout=2.0)
        except OSError:
            return False
        return True


def enter(host: dict[str, Any], *command: str) -> str:
    """Run a command on a Mininet host."""
    entered = ["nsenter", "-t", str(host["pid"]), "-n", *command]
    return subprocess.run(entered, capture_output=True, text=True, check=False).stdout


def ping(one: dict[str, Any], other: dict[str, Any], wanted: bool) -> str:
    """What is wrong between two hosts; empty if nothing is."""
    text = enter(one, "ping", "-n", "-c", "2", "-i", "0.2", "-W", "2" if wanted else "1", other["ip"])
    heard = " 0% packet loss" in text
    if heard != wanted or "DUP!" in text:
        return f"{one['name']} -> {other['name']}: wanted {wanted}, got {text}"
    return ""


def sent(devices: list[str]) -> dict[str, int]:
    """Packets that left by each switch port with a cable."""
    return {name: int(Path(f"/sys/class/net/{name}/statistics/tx_packets").read_text()) for name in devices}


@pytest.fixture(scope="module")
def ovs() -> SwitchBed:
    """Open vSwitch where Mininet looks for it; the sandbox has a /run of its own."""
    bed = SwitchBed(Path("/run/openvswitch"))
    bed.start()
    return bed


@pytest.mark.timeout(240)
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_two_tenants_interleaved(ovs: SwitchBed, topology: str) -> None:
    bed = MininetBed(topology)
    try:
        began = time.monotonic()
        wait_until(lambda: bed.links() == bed.found["links"], 30,
                   lambda: f"{bed.links()} of {bed.found['links']} links\n{bed.controller.tail()}")  # fmt: skip
        print(f"{topology}: {bed.found['links']} links of {bed.found['switches']} switches "
              f"after {time.monotonic() - began:.1f} s", flush=True)  # fmt: skip
        groups = bed.bind(tenants=2)
        before = sent(bed.found["devices"])
        pairs = [(one, other, mine is theirs) for mine in groups for theirs in groups
                 for one in mine for other in theirs if one is not other]  # fmt: skip
        with ThreadPoolExecutor(12) as pool:
            faults = [fault for fault in pool.map(lambda pair: ping(*pair), pairs) if fault]
        assert faults == []
        crossed = {name: count - before[name] for name, count in sent(bed.found["devices"]).items()}
        print(f"{topology}: {len(pairs)} pairs right; at most {max(crossed.values())} packets on a port", flush=True)
        assert max(crossed.values()) < 20 * len(pairs) + 200
    except (AssertionError, TimeoutError):
        print(bed.controller.tail(80))
        raise
    finally:
        bed.stop()
    assert ovs.directory.exists()
