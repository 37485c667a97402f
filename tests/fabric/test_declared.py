"""A line of three switches without OVSDB, described by the API. The one in the middle is a stranger that has neither
indirect nor fast-failover groups and cannot look into ARP; the first has two uplinks into a legacy cloud."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from controller.cli.main import main
from controller.dataplane.fields import FIELDS
from controller.dataplane.values import Meter
from mechanisms.openflow import meters
from tests.fabric import bed as beds
from tests.fabric.bed import CLOUD, FabricBed, Vm, device, ping
from tests.fabric.stranger import FLOW_MOD, GROUP_MOD, Refusal, Stranger
from tests.support import netns
from tests.support.client import ApiFault, wait_until

CABLES = ((1, 2), (2, 3))
UPLINKS = ("up-a", "up-b")
RELAY = 6700
FLOOD = """
import socket, sys, time
channel = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
channel.bind(("eth0", 0))
frame, count, until = bytes.fromhex(sys.argv[1]), 0, time.monotonic() + 5
while time.monotonic() < until:
    channel.send(frame)
    count += 1
print(count)
"""
ARP_SENDER = (FIELDS["arp_spa"].header() >> 8).to_bytes(3, "big")


def refuses(message: bytes) -> Refusal | None:
    """Groups but ALL, and matches on ARP senders; to delete them is no harm."""
    if message[1] == GROUP_MOD and message[9] != 2 and message[10] != 0:
        return 6, 10
    return (4, 6) if message[1] == FLOW_MOD and message[25] == 0 and ARP_SENDER in message[48:] else None


class DeclaredBed(FabricBed):
    """Nobody but OpenFlow speaks of these switches."""

    def start_controller(self) -> None:
        """Without OVSDB."""
        kept, beds.CONFIGURATION = beds.CONFIGURATION, beds.CONFIGURATION + "[ovsdb]\nenabled = false\n"
        try:
            super().start_controller()
        finally:
            beds.CONFIGURATION = kept

    def declare(self, number: int, **said: Any) -> dict[str, Any]:
        """``PUT switches/{dpid}``"""
        return self.api.request("PUT", f"isthmus/switches/{number:x}", {"switch": said})

    def add_uplinks(self, number: int) -> None:
        """Two cables from a switch into the cloud."""
        netns.bridge(None, CLOUD)
        Path(f"/proc/sys/net/ipv6/conf/{CLOUD}/disable_ipv6").write_text("1")
        for near in UPLINKS:
            subprocess.run(["ip", "link", "add", near, "type", "veth", "peer", "name", f"{near}-c"], check=True)
            for name in (near, f"{near}-c"):
                Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
                netns.set_link(None, name, up=True)
            netns.enslave(None, f"{near}-c", CLOUD)
            self.ovs.vsctl("add-port", f"s{number}", near)

    def bind(self, switch: int, network: str, **more: Any) -> Vm:
        """A VM whose port says where it is plugged in."""
        name = f"v{len(self.vms) + 1}"
        link = {"switch_id": f"{switch:x}", "port_id": name}
        port = self.api.create("port", network_id=network, **more,
                               **{"binding:profile": {"local_link_information": [link]}})  # fmt: skip
        vm = Vm(name, switch, network, port["id"], port["mac_address"], port["fixed_ips"][0]["ip_address"])
        netns.create(name)
        netns.veth((None, name), (name, "eth0"), vm.mac)
        netns.add_address(name, "eth0", f"{vm.ip}/16")
        self.ovs.vsctl("add-port", f"s{switch}", name)
        self.vms.append(vm)
        return vm

    def row(self, number: int) -> dict[str, Any]:
        """A switch as it is listed."""
        return next(row for row in self.api.isthmus("switches")["switches"] if row["id"].endswith(f"{number:016x}"))


@pytest.fixture(scope="module")
def bed() -> Iterator[DeclaredBed]:
    stranger = Stranger(RELAY, refuses)
    made = DeclaredBed(3, CABLES)
    connect = made.ovs.connect
    made.ovs.connect = lambda name="br0", port=6653: connect(name, RELAY if name == "s2" else port)  # type: ignore[method-assign]
    made.start()
    made.add_uplinks(1)
    yield made
    print(made.log())
    stranger.stop()


def say(*arguments: str) -> tuple[int, str]:
    """The ``isthmus`` command."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = main(["--url", "http://127.0.0.1:9696", *arguments])
    return status, out.getvalue()


def test_a_declared_switch_is_known_by_its_name_and_uplinks(bed: DeclaredBed) -> None:
    bed.declare(1, name="leaf1", uplinks={"physnet1": [*UPLINKS, "up-c"]})
    bed.declare(9, name="later")
    uplinks = {"physnet1": "up-a,up-b"}
    wait_until(lambda: bed.row(1)["physical_networks"] == uplinks, 10, lambda: str(bed.row(1)))
    assert bed.row(1)["host"] == "leaf1"
    assert bed.row(1)["problems"] == ["the switch has no port 'up-c', which is declared as an uplink into physnet1"]
    status, out = say("switches")
    assert status == 0
    assert "leaf1: the switch has no port 'up-c'" in out
    assert "never seen" in out


def test_the_stranger_is_known_for_what_it_is(bed: DeclaredBed) -> None:
    row = bed.row(2)
    assert set(row["limits"]) >= {"indirect", "fast_failover", "port_security", "vxlan"}
    assert "arp_spa" in row["limits"]["port_security"]
    assert not [line for line in bed.ovs.flows("s2") if "in_port=21474836" in line], "samples were left behind"
    assert "nicira" in bed.row(1)["capabilities"]
    assert not {"nicira", "ovsdb"} & set(row["capabilities"])
    with pytest.raises(ApiFault, match="extensions") as caught:
        bed.declare(2, tunnel={"ip": "192.0.2.2", "ports": {"vxlan": "vx"}})
    assert caught.value.status == 409


def test_traffic_passes_the_stranger_and_the_declared_uplink(bed: DeclaredBed) -> None:
    plain = bed.network("plain", "flat", None, "10.1.0.0/24")
    red = bed.network("red", "vlan", 100, "10.1.1.0/24")
    for network in (plain, red):
        bed.bind(1, network)
        bed.bind(3, network)
    bed.bind(2, red, port_security_enabled=False)
    bed.add_stranger("legacy1", plain, "10.1.0.201/16")
    bed.api.wait_for_status([vm.port_id for vm in bed.vms], "ACTIVE")
    assert bed.matrix() == []
    assert all("type=all" in line for line in bed.ovs.groups("s2"))
    assert bed.row(2)["rejections"] == []


def test_a_secured_port_is_refused_by_the_stranger_with_the_reason(bed: DeclaredBed) -> None:
    link = {"switch_id": "2", "port_id": "none"}
    port = bed.api.create("port", network_id=bed.vms[0].network,
                          **{"binding:profile": {"local_link_information": [link]}})  # fmt: skip
    assert port["binding:vif_type"] == "binding_failed"
    assert "arp_spa" in bed.api.isthmus(f"ports/{port['id']}")["port"]["reason"]
    bed.api.delete("port", port["id"])


def test_the_second_uplink_takes_over_and_nothing_is_heard_twice(bed: DeclaredBed) -> None:
    for name, up in ((UPLINKS[0], False), (UPLINKS[0], True), (UPLINKS[1], False), (UPLINKS[1], True)):
        netns.set_link(None, name, up=up)
        time.sleep(1.5)
        text = ping(bed.strangers[0], bed.vms[1].ip, "-c", "3", "-i", "0.2", "-W", "2")
        assert " 0% packet loss" in text, f"{name} up: {up}\n{text}"
        assert "DUP" not in text


def test_tunnel_ports_are_used_as_declared(bed: DeclaredBed) -> None:
    for number in (1, 3):
        tunnel = ("type=vxlan", "options:key=flow", "options:remote_ip=flow", f"options:local_ip=192.0.2.{number}")
        bed.ovs.vsctl("add-port", f"s{number}", f"vx{number}", "--", "set", "Interface", f"vx{number}", *tunnel)
        said = {"ip": f"192.0.2.{number}", "ports": {"vxlan": f"vx{number}"}}
        uplinks = {"physnet1": [*UPLINKS]} if number == 1 else {}
        bed.declare(number, name=f"leaf{number}", tunnel=said, uplinks=uplinks)
        wait_until(lambda number=number: bed.row(number)["tunnel_types"] == ["vxlan"], 10,
                   lambda number=number: str(bed.row(number)))  # type: ignore[misc]  # fmt: skip
    overlay = bed.api.create("network", **{"provider:network_type": "vxlan", "provider:segmentation_id": "77"})
    bed.api.create("subnet", network_id=overlay["id"], ip_version=4, cidr="10.3.0.0/24", enable_dhcp=False)
    ends = [bed.bind(number, overlay["id"]) for number in (1, 3)]
    bed.api.wait_for_status([vm.port_id for vm in ends], "ACTIVE")
    del bed.vms[-2:]
    number = bed.ovs.vsctl("get", "Interface", "vx1", "ofport").strip()
    hops = [line for line in bed.ovs.groups("s1") if f"output:{number}" in line.replace('"vx1"', number)]
    assert any("192.0.2.3" in line or "0xc0000203" in line for line in hops), bed.ovs.groups("s1")
    link = {"switch_id": "2", "port_id": "none"}
    refused = bed.api.create("port", network_id=overlay["id"],
                             **{"binding:profile": {"local_link_information": [link]}})  # fmt: skip
    assert "no Nicira extensions" in bed.api.isthmus(f"ports/{refused['id']}")["port"]["reason"]


def test_the_cable_plan_is_held_against_the_links(bed: DeclaredBed) -> None:
    right = {"a": {"switch": "leaf1", "port": device(1, 2)}, "b": {"switch": "2", "port": device(2, 1)}}
    wrong = {"a": {"switch": "2", "port": device(2, 3)}, "b": {"switch": "leaf1", "port": UPLINKS[1]}}
    absent = {"a": {"switch": "leaf4", "port": 1}, "b": {"switch": "3", "port": "x"}}
    bed.api.request("PUT", "isthmus/cables", {"cables": [right, wrong, absent]})
    wait_until(lambda: len(bed.api.isthmus("links")["differences"]) == 2, 5,
               lambda: str(bed.api.isthmus("links")))  # fmt: skip
    assert sorted(row["plan"] for row in bed.links()) == ["miswired", "planned"]
    status, out = say("links")
    assert status == 1
    assert "switch 'leaf4' has not connected" in out
    wait_until(lambda: {"cable-missing", "cable-miswired"} <= bed.api.isthmus("events")["totals"].keys(), 15,
               lambda: str(bed.api.isthmus("events")["totals"]))  # fmt: skip
    status, out = say("topology", "--svg")
    assert status == 0
    assert "miswired" in {title.text.rpartition(", ")[2] for title in ElementTree.fromstring(out).iter()
                          if title.tag.endswith("title") and title.text}  # fmt: skip
    bed.api.request("DELETE", "isthmus/cables")
    wait_until(lambda: bed.api.isthmus("links")["differences"] == [], 5, lambda: "")
    assert say("links")[0] == 0


def test_taken_back_the_switch_is_what_it_says_itself(bed: DeclaredBed) -> None:
    bed.api.request("DELETE", "isthmus/switches/1")
    wait_until(lambda: bed.row(1)["host"] == f"{1:016x}", 10, lambda: str(bed.row(1)))
    assert bed.row(1)["physical_networks"] == {"physnet1": "links between switches"}


def test_a_flapping_cable_is_damped_and_each_flap_is_on_record(bed: DeclaredBed) -> None:
    seen = max(event["number"] for event in bed.api.isthmus("events")["events"])
    for _ in range(6):
        for up in (False, True):
            netns.set_link(None, device(2, 3), up=up)
            time.sleep(0.3)
    wait_until(lambda: "damped" in bed.api.isthmus("events")["totals"], 5, lambda: str(bed.api.isthmus("events")))
    kinds = [event["kind"] for event in bed.api.isthmus(f"events?since={seen}")["events"]]
    assert kinds.count("link-down") >= 4
    assert abs(kinds.count("link-up") - kinds.count("link-down")) <= 1
    time.sleep(1.0)
    assert len(bed.links()) == 1


class Snoop:
    """Listens to what a bridge and the controller say to each other."""

    def __init__(self, bed: DeclaredBed, bridge: str) -> None:
        self._log = (bed.directory / f"{bridge}.said").open("w+")
        self._process = subprocess.Popen(["ovs-ofctl", "--no-names", "snoop", bridge], stderr=self._log,
                                         env={**os.environ, "OVS_RUNDIR": str(bed.directory)})  # fmt: skip
        time.sleep(0.3)

    def count(self) -> tuple[Counter[int], Counter[int]]:
        """End; how many frames came in by each port, and how many went out."""
        self._process.terminate()
        self._process.wait()
        self._log.seek(0)
        lines = self._log.read().splitlines()
        return _ports(lines, "PACKET_IN", r"in_port=(\d+)"), _ports(lines, "PACKET_OUT", r"output:(\d+)")


def _ports(lines: list[str], message: str, port: str) -> Counter[int]:
    return Counter(int(found[1]) for line in lines if message in line and (found := re.search(port, line)))


def flood(bed: DeclaredBed, namespace: str) -> tuple[int, float]:
    """Five seconds of as much LLDP as can be sent: frames, and the slowest answer of the API meanwhile, in seconds."""
    frame = bytes.fromhex("0180c200000e 020000000001 88cc 0203074141 0403054142 06020078 0000".replace(" ", ""))
    command = ["ip", "netns", "exec", namespace, sys.executable, "-c", FLOOD, frame.hex()]
    flooding = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    slowest = 0.0
    while flooding.poll() is None:
        asked = time.monotonic()
        bed.api.isthmus("health")
        slowest = max(slowest, time.monotonic() - asked)
        time.sleep(0.1)
    return int(flooding.stdout.read()) if flooding.stdout else 0, slowest


@pytest.mark.parametrize("limit", [meters.TENANTS, meters.OTHERS], ids=["tenant", "free port"])
def test_a_flood_of_lldp_takes_nothing_from_the_others(bed: DeclaredBed, limit: Meter) -> None:
    """Links stay and none of their probes is lost, the API answers, the flood is on record, and no more of it comes to
    the controller than the switch's meter lets pass."""
    before, links, switch = bed.api.isthmus("events")["totals"], bed.links(), bed.vms[0].switch
    sender = bed.vms[0].name
    if limit is meters.OTHERS:
        sender = "free"
        netns.create(sender)
        netns.veth((None, sender), (sender, "eth0"))
        bed.ovs.vsctl("add-port", f"s{switch}", sender)
        time.sleep(1.5)  # new ports are left alone at first
    other = next(one if other == switch else other for one, other in CABLES if switch in (one, other))
    number = {name: int(bed.ovs.vsctl("get", "Interface", name, "ofport"))
              for name in (sender, device(switch, other), device(other, switch))}  # fmt: skip
    began = time.monotonic()
    here, there = Snoop(bed, f"s{switch}"), Snoop(bed, f"s{other}")
    sent, slowest = flood(bed, sender)
    time.sleep(0.5)
    heard, seconds = here.count()[0], time.monotonic() - began
    probes = there.count()[1][number[device(other, switch)]]
    totals = bed.api.isthmus("events")["totals"]
    print(f"{sent} frames, {heard[number[sender]]} came to the controller in {seconds:.1f} s; "
          f"{heard[number[device(switch, other)]]} of {probes} probes heard; "
          f"slowest answer {slowest * 1000:.0f} ms", flush=True)  # fmt: skip
    assert sent > 10_000
    assert 0 < heard[number[sender]] <= limit.rate * seconds + limit.burst
    assert probes >= 2
    assert abs(heard[number[device(switch, other)]] - probes) <= 1  # one may be on its way at either end
    assert bed.links() == links
    assert totals.get("link-down") == before.get("link-down")
    assert totals.get("silent") == before.get("silent")
    assert totals.get("too-many", 0) > before.get("too-many", 0)
    assert slowest < 1.0
