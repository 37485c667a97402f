"""Open vSwitch bridges cabled to each other by veth pairs, VMs in namespaces, the real controller; for a sandbox."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.ovs.switchbed import SwitchBed
from tests.support import ethernet, netns
from tests.support.client import Client, wait_until
from tests.support.process import Program
from tests.support.sandbox import BED_DIRECTORY

CONFIGURATION = """\
[database]
connection = sqlite:///{directory}/isthmus.sqlite
[api]
bind_host = 0.0.0.0
[openflow]
listen_host = 0.0.0.0
[ml2]
type_drivers = flat,vlan,gre,vxlan
mechanism_drivers = openflow,linuxbridge
[ml2_type_vlan]
network_vlan_ranges = physnet1:100:199
[topology]
physical_networks = physnet1
hold_time = {hold}
"""


AGENT = """\
[agent]
host = {name}
controller_url = http://192.168.200.1:9696
report_interval = 1
[linux_bridge]
physical_interface_mappings = physnet1:eth1
"""


@dataclass(frozen=True, slots=True)
class Vm:
    """A VM on a switch; its namespace has the name of the device on the switch."""

    name: str
    switch: int
    network: str
    port_id: str
    mac: str
    ip: str


def device(one: int, other: int) -> str:
    """Name of the port of switch ``one`` that is cabled to ``other``."""
    return f"c{one}-{other}"


CLOUD = "cloud"


def uplink(number: int) -> str:
    """Name of a switch's port into the cloud."""
    return f"u{number}"


class FabricBed:
    """Switches 1..n of one Open vSwitch; cables are pairs of them. ``options`` are lines for ``[topology]``."""

    def __init__(
        self, switches: int, cables: Iterable[tuple[int, int]], hold: float = 15.0, options: str = ""
    ) -> None:
        self.directory = BED_DIRECTORY / "fabric"
        self.ovs = SwitchBed(self.directory)
        self.switches, self.cables = range(1, switches + 1), list(cables)
        self.api = Client("http://127.0.0.1:9696")
        self.vms: list[Vm] = []
        self.strangers: list[Vm] = []
        self.hosts: dict[str, Program] = {}
        self._hold, self.options = hold, options
        self._program: Program | None = None

    def start(self) -> None:
        """Start switches and controller, and wait until every cable is found."""
        self.ovs.start()
        for number in self.switches:
            self.ovs.add_bridge(f"s{number}", number)
            self.ovs.vsctl("set", "bridge", f"s{number}", "fail_mode=secure", "other_config:disable-in-band=true")
        for one, other in self.cables:
            self._cable(one, other)
        self.start_controller()
        for number in self.switches:
            self.ovs.connect(f"s{number}")
        self.wait_for_links(len(self.cables))

    def start_controller(self) -> None:
        """Start the controller (again)."""
        configuration = self.directory / "isthmus.conf"
        configuration.write_text(CONFIGURATION.format(directory=self.directory, hold=self._hold) + self.options)
        launcher = str(Path(sys.executable).with_name("osken-manager"))
        command = [launcher, "--config-file", str(configuration), "controller.app"]
        self._program = Program("controller", command, self.directory / "controller.log")
        self._program.start()
        wait_until(self._answers, 30.0, lambda: f"the API does not answer\n{self.log()}")

    def stop_controller(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the controller by a signal."""
        if self._program is not None:
            self._program.stop(how)

    def restart_controller(self, how: signal.Signals) -> list[str]:
        """End it, start it again, and wait until it knows everything; what has changed in the switches meanwhile."""
        before = self._installed()
        self.stop_controller(how)
        time.sleep(1.0)
        self.start_controller()
        self.wait_for_links(len(self.cables))
        self.wait_in_sync()
        after = self._installed()
        return [f"s{number}: {sorted(before[number] ^ after[number])}" for number in self.switches
                if before[number] != after[number]]  # fmt: skip

    def _installed(self) -> dict[int, frozenset[str]]:
        """Flows and groups of each switch."""
        return {number: frozenset([*self.ovs.flows(f"s{number}"), *self.ovs.groups(f"s{number}")])
                for number in self.switches}  # fmt: skip

    def log(self) -> str:
        """The end of the controller's log."""
        return self._program.tail(60) if self._program is not None else ""

    def links(self) -> list[dict[str, object]]:
        """The links that work both ways, as the API shows them."""
        return [row for row in self.api.isthmus("links")["links"] if row["state"] == "up"]

    def wait_for_links(self, count: int, timeout: float = 20.0) -> None:
        """Wait until that many links are there."""
        wait_until(lambda: len(self.links()) == count, timeout, lambda: f"links: {self.links()}\n{self.log()}")

    def add_cloud(self, switches: Iterable[int]) -> None:
        """A legacy layer-2 cloud (a Linux bridge that learns) that these switches have an uplink into."""
        netns.bridge(None, CLOUD)
        Path(f"/proc/sys/net/ipv6/conf/{CLOUD}/disable_ipv6").write_text("1")
        for number in switches:
            near, far = uplink(number), f"{CLOUD}-{number}"
            subprocess.run(["ip", "link", "add", near, "type", "veth", "peer", "name", far], check=True)
            for name in (near, far):
                Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
                netns.set_link(None, name, up=True)
            netns.enslave(None, far, CLOUD)
            self.ovs.vsctl("add-port", f"s{number}", near, "--", "set", "Interface", near,
                           "external_ids:physical-network=physnet1")  # fmt: skip

    def add_host(self, name: str, switch: int) -> None:
        """A Linux host with an agent, cabled to a switch; nothing tells the controller where it is."""
        if not self.hosts:
            netns.bridge(None, "mgmt")
            netns.add_address(None, "mgmt", "192.168.200.1/24")
        netns.create(name)
        netns.veth((None, f"{name}-m"), (name, "eth0"))
        netns.enslave(None, f"{name}-m", "mgmt")
        netns.add_address(name, "eth0", f"192.168.200.{10 + len(self.hosts)}/24")
        netns.veth((None, f"{name}-s"), (name, "eth1"))
        Path(f"/proc/sys/net/ipv6/conf/{name}-s/disable_ipv6").write_text("1")
        self.ovs.vsctl("add-port", f"s{switch}", f"{name}-s")
        configuration = self.directory / f"{name}.conf"
        configuration.write_text(AGENT.format(name=name))
        agent = str(Path(sys.executable).with_name("isthmus-agent"))
        command = ["ip", "netns", "exec", name, agent, "--config-file", str(configuration)]
        self.hosts[name] = Program(name, command, self.directory / f"{name}.log")
        self.hosts[name].start()

    def plug_into_host(self, host: str, network: str) -> Vm:
        """A VM on a legacy host, by the name of its tap."""
        port = self.api.create("port", network_id=network, **{"binding:host_id": host})
        name = f"v{len(self.vms) + 1}"
        vm = Vm(name, 0, network, port["id"], port["mac_address"], port["fixed_ips"][0]["ip_address"])
        netns.create(name)
        netns.veth((host, f"tap{vm.port_id[:11]}"), (name, "eth0"), vm.mac)
        netns.add_address(name, "eth0", f"{vm.ip}/16")
        self.vms.append(vm)
        return vm

    def add_stranger(self, name: str, network: str, cidr: str) -> Vm:
        """A host in the cloud that nobody manages."""
        mac = f"02:00:00:00:00:{len(self.strangers) + 1:02x}"
        netns.create(name)
        netns.veth((None, f"{name}-c"), (name, "eth0"), mac)
        netns.enslave(None, f"{name}-c", CLOUD)
        netns.add_address(name, "eth0", cidr)
        self.strangers.append(Vm(name, 0, network, "", mac, cidr.partition("/")[0]))
        return self.strangers[-1]

    def wait_in_sync(self, timeout: float = 30.0) -> None:
        """Wait until every switch follows."""
        rows = lambda: self.api.isthmus("switches")["switches"]  # noqa: E731
        wait_until(lambda: len(rows()) == len(self.switches) and all(row["in_sync"] for row in rows()), timeout,
                   lambda: f"{[(row['id'], row['last_error']) for row in rows() if not row['in_sync']]}")  # fmt: skip

    def network(self, name: str, network_type: str, number: int | None, cidr: str) -> str:
        """A network on physnet1; returns its id."""
        provider = {"provider:network_type": network_type, "provider:physical_network": "physnet1"}
        if number is not None:
            provider["provider:segmentation_id"] = str(number)
        network = self.api.create("network", name=name, **provider)
        self.api.create("subnet", network_id=network["id"], ip_version=4, cidr=cidr, enable_dhcp=False)
        return str(network["id"])

    def plug(self, places: Iterable[tuple[int, str]]) -> list[Vm]:
        """A VM per (switch, network id), by the convention of ``iface-id``."""
        made = []
        for switch, network in places:
            port = self.api.create("port", network_id=network)
            name = f"v{len(self.vms) + 1}"
            vm = Vm(name, switch, network, port["id"], port["mac_address"], port["fixed_ips"][0]["ip_address"])
            netns.create(name)
            netns.veth((None, name), (name, "eth0"), vm.mac)
            netns.add_address(name, "eth0", f"{vm.ip}/16")
            self.ovs.vsctl("add-port", f"s{switch}", name, "--", "set", "Interface", name,
                           f"external_ids:iface-id={vm.port_id}")  # fmt: skip
            self.vms.append(vm)
            made.append(vm)
        self.api.wait_for_status([vm.port_id for vm in made], "ACTIVE")
        return made

    def broadcast(self, vm: Vm, count: int) -> None:
        """Gratuitous ARP, which everybody of the network must hear."""
        frame = ethernet.arp_request(vm.mac, (vm.mac, vm.ip), vm.ip)
        for _ in range(count):
            self.inject(vm, frame)

    def inject(self, vm: Vm, frame: bytes) -> None:
        """A frame from the VM's interface, whatever is in it."""
        with netns.inside(vm.name):
            channel = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        with channel:
            channel.bind(("eth0", 0))
            channel.send(frame)

    def set_cable(self, one: int, other: int, up: bool) -> None:
        """Pull a cable, or put it back: the link of one end goes down, so the other loses its carrier."""
        netns.set_link(None, device(one, other), up=up)

    def block_cable(self, one: int, other: int, blocked: bool) -> None:
        """Let a cable swallow everything, or not any more; its ports stay up."""
        for name in (device(one, other), device(other, one)):
            verb = ["add", "dev", name, "root", "handle", "77:", "tbf", "rate", "8bit", "burst", "1", "limit", "1"]
            command = ["tc", "qdisc", *(verb if blocked else ["del", "dev", name, "root"])]
            subprocess.run(command, check=True)

    def matrix(self, among: list[Vm] | None = None) -> list[str]:
        """Every pair of VMs: what is wrong. Same network: one answer, no duplicate; else silence."""
        everybody = self.vms + self.strangers if among is None else among
        pairs = [(one, other) for one in everybody for other in everybody if one is not other]
        with ThreadPoolExecutor(16) as pool:
            return [fault for fault in pool.map(lambda pair: self._pair(*pair), pairs) if fault]

    def _pair(self, one: Vm, other: Vm) -> str:
        wanted = one.network == other.network
        text = ping(one, other.ip, "-c", "1", "-W", "2" if wanted else "1")
        heard = " 0% packet loss" in text
        if heard != wanted or "DUP!" in text or "duplicates" in text:
            return f"{one.name}@s{one.switch} -> {other.name}@s{other.switch}: wanted {wanted}, got {text.strip()}"
        return ""

    def traffic(self) -> dict[str, tuple[int, int]]:
        """Port of a cable -> packets received and sent."""
        found = {}
        for one, other in self.cables:
            for name in (device(one, other), device(other, one)):
                rx, tx = (int(Path(f"/sys/class/net/{name}/statistics/{which}_packets").read_text())
                          for which in ("rx", "tx"))  # fmt: skip
                found[name] = (rx, tx)
        return found

    def _cable(self, one: int, other: int) -> None:
        ends = (device(one, other), device(other, one))
        subprocess.run(["ip", "link", "add", ends[0], "type", "veth", "peer", "name", ends[1]], check=True)
        for switch, name in zip((one, other), ends, strict=True):
            Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
            netns.set_link(None, name, up=True)
            self.ovs.vsctl("add-port", f"s{switch}", name)

    def _answers(self) -> bool:
        try:
            self.api.request("GET", "extensions", timeout=2.0)
        except OSError:
            return False
        return True


def ping(vm: Vm, target: str, *options: str) -> str:
    """What ``ping`` says."""
    command = ["ip", "netns", "exec", vm.name, "ping", "-n", *options, target]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


class Stream:
    """1,000 pings a second from one VM to another: each that is lost is a millisecond without a way."""

    def __init__(self, vm: Vm, target: str, seconds: float) -> None:
        self._count = int(seconds * 1000)
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", vm.name, "ping", "-nq", "-i", "0.001", "-c", str(self._count), "-W", "1", target],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def lost(self) -> int:
        """Wait for the end: pings without an answer."""
        text, _ = self._process.communicate(timeout=120)
        line = next(line for line in text.splitlines() if "packets transmitted" in line)
        sent, received = (int(part.split()[0]) for part in line.split(",")[:2])
        assert "duplicates" not in line, line
        return sent - received
