"""Legacy hosts in namespaces of this kernel, driven by the real agent driver in this process, with VMs that send and
read frames by hand. Works alike on the host and in a User Mode Linux guest."""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from legacy_agent.agent import Outcome, realise
from legacy_agent.drivers.api import AgentDriver, HostSettings
from legacy_agent.drivers.linuxbridge import LinuxBridgeAgentDriver
from legacy_agent.host_plan import (
    AllowedAddress,
    HostNetwork,
    HostPlan,
    HostPort,
    RemoteAddress,
    device_name,
)
from legacy_agent.netlink.fdb import FdbEntry
from legacy_agent.netlink.links import KernelLinks, Link
from tests.support import ethernet, netns

PHYSICAL_NETWORKS = {"physnet1": "eth0", "physnet2": "eth2"}
TUNNEL_NIC = "eth1"
UNDERLAY, VMS = "underlay", "vms"
_ETH_P_ALL = 3
_SO_RCVBUFFORCE = 33
_QUIET = 0.3
"""Seconds without a frame after which none is expected any more."""


@dataclass(frozen=True)
class Net:
    """A network of a test."""

    number: int
    network_type: str
    physical_network: str | None = None
    segmentation_id: int | None = None
    mtu: int = 1400

    @property
    def id(self) -> str:
        return f"{self.number:08x}-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class Vm:
    """A VM: a port on a network and its end of a veth, in the namespace of all VMs."""

    number: int
    net: Net
    host: str
    port: HostPort
    socket: socket.socket = field(compare=False, repr=False)

    @property
    def ip(self) -> str:
        return address(self.number)

    def send(self, *frames: bytes) -> None:
        for frame in frames:
            self.socket.send(frame)

    def token(self, text: str, to: Vm | None = None) -> bytes:
        """A frame that only a VM of the same network may see."""
        target = (to.port.mac, to.ip) if to else (ethernet.BROADCAST, "255.255.255.255")
        return ethernet.token((self.port.mac, self.ip), target, text)

    def received(self) -> list[bytes]:
        """What has come in since the last time."""
        frames = []
        with contextlib.suppress(OSError):  # nothing there, or unplugged
            while True:
                frame, where = self.socket.recvfrom(65536)
                if where[2] != socket.PACKET_OUTGOING:
                    frames.append(frame)
        return frames


def address(number: int) -> str:
    """The IPv4 address of VM ``number``."""
    return f"10.1.{number >> 8}.{number & 255}"


def mac(number: int) -> str:
    """Its MAC."""
    return f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}"


def make_port(number: int, **changes: object) -> HostPort:
    """A secured port that may use its own addresses."""
    allowed = (AllowedAddress(mac(number), address(number)),)
    values = {"macs": (mac(number),), "allowed": allowed, **changes}
    return HostPort(f"{number:08x}-aaaa-4000-8000-000000000000", mac(number), **values)  # type: ignore[arg-type]


class Host:
    """A legacy host. All kernel work happens in its own thread, which lives in its namespace."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.tunnel_ip = f"192.0.2.{number}"
        self.settings = HostSettings(name, PHYSICAL_NETWORKS, self.tunnel_ip)
        netns.create(name)
        for nic, bridge in (("eth0", "phys1"), ("eth2", "phys2"), (TUNNEL_NIC, "tunnels")):
            netns.veth((UNDERLAY, f"{name}-{nic}"), (name, nic))
            netns.enslave(UNDERLAY, f"{name}-{nic}", bridge)
            netns.set_link(name, nic, up=True, mtu=1600)
            netns.set_link(UNDERLAY, f"{name}-{nic}", up=True, mtu=1600)
        self._thread = ThreadPoolExecutor(1)
        self._stay = netns.inside(name)
        self.run(self._stay.__enter__)
        self.configure()
        self.restart()

    def configure(self) -> None:
        """What an administrator has done before the agent comes."""
        netns.add_address(self.name, TUNNEL_NIC, f"{self.tunnel_ip}/24")

    def restart(self) -> None:
        """A driver that remembers nothing."""
        self.driver: AgentDriver = LinuxBridgeAgentDriver(self.settings)

    def realise(self, networks: Sequence[HostNetwork]) -> Outcome:
        """Make the host look like these networks."""
        plan = HostPlan(self.name, 1, tuple(networks))
        return self.run(lambda: realise(plan, {self.driver.name: self.driver}))

    def run(self, work):
        """Do something in the host's namespace."""
        return self._thread.submit(work).result()

    def links(self) -> dict[str, Link]:
        return self.run(lambda: KernelLinks().links())

    def fdb(self) -> frozenset[FdbEntry]:
        def read() -> frozenset[FdbEntry]:
            kernel = KernelLinks()
            return kernel.fdb(kernel.links())

        return self.run(read)

    def close(self) -> None:
        self.run(self.driver.close)
        self.run(lambda: self._stay.__exit__(None, None, None))
        self._thread.shutdown()
        netns.remove(self.name)


class Lab:
    """Hosts, an underlay that is transparent to tags, and VMs."""

    def __init__(self) -> None:
        netns.create(UNDERLAY)
        netns.create(VMS)
        for bridge in ("phys1", "phys2", "tunnels"):
            netns.bridge(UNDERLAY, bridge)
        self.hosts: dict[str, Host] = {}
        self.vms: list[Vm] = []
        self._numbers = itertools.count(1)

    def host(self, kind: type[Host] = Host) -> Host:
        """One more host."""
        number = len(self.hosts) + 1
        host = kind(f"host{number}", number)
        self.hosts[host.name] = host
        return host

    def vm(self, net: Net, host: Host, plugged: bool = True, **changes: object) -> Vm:
        """One more VM, plugged in as Nova does; it is on its network once the plan is realised."""
        number = next(self._numbers)
        port = make_port(number, **changes)
        vm = Vm(number, net, host.name, port, socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        if plugged:
            vm = self.plug(vm)
        self.vms.append(vm)
        return vm

    def plug(self, vm: Vm) -> Vm:
        """Make the tap."""
        end = f"vm{vm.number}"
        netns.veth((vm.host, device_name(vm.port.port_id)), (VMS, end), vm.port.mac)
        with netns.inside(VMS):
            opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
            opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 8 << 20)  # streams are read at their end
            opened.bind((end, 0))
        opened.setblocking(False)
        plugged = Vm(vm.number, vm.net, vm.host, vm.port, opened)
        self.vms = [plugged if other is vm else other for other in self.vms]
        return plugged

    def networks_of(self, host: Host, vms: Iterable[Vm] | None = None) -> list[HostNetwork]:
        """What the controller would compile for a host."""
        everybody = list(self.vms if vms is None else vms)
        nets = {vm.net for vm in everybody if vm.host == host.name}
        return [self._network(net, host, everybody) for net in sorted(nets, key=lambda net: net.number)]

    def _network(self, net: Net, host: Host, everybody: list[Vm]) -> HostNetwork:
        here = tuple(vm.port for vm in everybody if vm.net == net and vm.host == host.name)
        away = [vm for vm in everybody if vm.net == net and vm.host != host.name]
        tunnel = net.network_type in ("gre", "vxlan", "geneve")
        peers = sorted({self.hosts[vm.host].tunnel_ip for vm in away}) if tunnel else []
        remotes = sorted(RemoteAddress(vm.port.mac, self.hosts[vm.host].tunnel_ip) for vm in away) if tunnel else []
        return HostNetwork(net.id, host.driver.name, net.network_type, net.physical_network, net.segmentation_id,
                           net.mtu, here, tuple(peers), tuple(remotes))  # fmt: skip

    def realise(self) -> None:
        """Bring every host to what its VMs need; no network may fail."""
        for host in self.hosts.values():
            errors = host.realise(self.networks_of(host)).errors
            assert errors == {}, errors

    def deliveries(self, sent: Iterable[tuple[Vm, bytes]]) -> Counter[tuple[int, bytes]]:
        """Send frames; (VM number, frame) -> how often it arrived."""
        for vm in self.vms:
            vm.received()
        for vm, frame in sent:
            vm.send(frame)
        return self.gather()

    def gather(self, quiet: float = _QUIET) -> Counter[tuple[int, bytes]]:
        """What arrives until nothing more does."""
        found: Counter[tuple[int, bytes]] = Counter()
        sockets = {vm.socket: vm for vm in self.vms}
        last = time.monotonic()
        while time.monotonic() - last < quiet:
            ready, _, _ = select.select(list(sockets), [], [], 0.05)
            for source in ready:
                for frame in sockets[source].received():
                    found[sockets[source].number, ethernet.trimmed(frame)] += 1
                    last = time.monotonic()
        return found

    def close(self) -> None:
        """Give everything back; the sandbox would too."""
        for vm in self.vms:
            vm.socket.close()
        for host in self.hosts.values():
            host.close()
        for name in (VMS, UNDERLAY):
            netns.remove(name)
