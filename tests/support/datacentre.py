"""A small data centre: two Open vSwitch nodes, two Linux-bridge hosts, an underlay, the controller and the agents.

Everything runs as real processes in the sandbox; the test is a client of the API and plugs VMs in.
"""

from __future__ import annotations

import contextlib
import ipaddress
import signal
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from tests.support import ethernet, underlay
from tests.support.client import ApiFault, Client, wait_until
from tests.support.controller_process import Controller
from tests.support.linux_host import LinuxHost, UmlHost, make_host
from tests.support.ovs import OpenVSwitch
from tests.support.site import Site
from tests.support.underlay import Wiring

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A network to be made, with one IPv4 subnet."""

    name: str
    network_type: str
    physical_network: str | None
    segmentation_id: int | None
    cidr: str

    def attributes(self) -> dict[str, Any]:
        """What the API is asked for."""
        provider = {
            "provider:network_type": self.network_type,
            "provider:physical_network": self.physical_network,
            "provider:segmentation_id": self.segmentation_id,
        }
        return {"name": self.name, **{name: value for name, value in provider.items() if value is not None}}

    def __str__(self) -> str:
        number = "" if self.segmentation_id is None else f" {self.segmentation_id}"
        where = "" if self.physical_network is None else f" on {self.physical_network}"
        return f"{self.network_type.upper() if self.network_type != 'flat' else 'flat'}{number}{where}"


@dataclass(frozen=True, slots=True)
class Vm:
    """A VM that is plugged in: a namespace ``name`` with the port's MAC and address on its only interface."""

    name: str
    node: Node
    network: str
    port_id: str
    mac: str
    ip: str

    @property
    def site(self) -> Site:
        """Where its probes run."""
        return self.node.site

    @property
    def source(self) -> tuple[str, str]:
        """(MAC, address), as the frame builders want it."""
        return (self.mac, self.ip)


class Node(Protocol):
    """Where VMs are plugged in."""

    kind: str
    wiring: Wiring
    site: Site

    def start(self) -> None:
        """Power on."""

    def plug(self, name: str, port_id: str, mac: str, cidrs: list[str], mtu: int) -> None:
        """A VM by the node's ordinary conventions."""

    def unplug(self, name: str, port_id: str) -> None:
        """Pull the VM out."""

    def change_tunnel_address(self, address: str) -> None:
        """Renumber the node on the tunnel network."""

    def diagnosis(self) -> str:
        """What is worth reading when something went wrong."""


class SwitchNode:
    """An Open vSwitch node: ``iface-id`` names the port."""

    kind = "OVS"

    def __init__(self, wiring: Wiring) -> None:
        self.wiring, self.site, self.ovs = wiring, Site(), OpenVSwitch(wiring)

    def start(self) -> None:
        """Start the daemons."""
        self.ovs.start()

    def plug(self, name: str, port_id: str, mac: str, cidrs: list[str], mtu: int) -> None:
        """A veth pair into the integration bridge."""
        self.site.add_vm(name, self.wiring.name, device_name(port_id), mac, cidrs, mtu)
        self.ovs.add_port(device_name(port_id), port_id, mac)

    def unplug(self, name: str, port_id: str) -> None:
        """Out of the bridge, and gone."""
        self.ovs.delete_port(device_name(port_id))
        self.site.remove_vm(name)

    def change_tunnel_address(self, address: str) -> None:
        """Renumber."""
        self.ovs.change_tunnel_address(address)

    def diagnosis(self) -> str:
        """Configuration, flows and log."""
        return "\n".join([self.ovs.vsctl("show"), *self.ovs.flows(), *self.ovs.groups(), self.ovs.log_tail()])


class HostNode:
    """A legacy host: the name of the tap names the port."""

    kind = "bridge"

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        self.host: LinuxHost = make_host(wiring)
        self.site: Site = self.host.machine

    @property
    def is_guest(self) -> bool:
        """Whether it has a kernel of its own, so that its namespaces are not ours."""
        return isinstance(self.host, UmlHost)

    def start(self) -> None:
        """Boot, then start the agent."""
        self.host.start()
        self.host.machine.agent_start()

    def plug(self, name: str, port_id: str, mac: str, cidrs: list[str], mtu: int) -> None:
        """A device of the right name; the agent does the rest."""
        self.host.machine.plug(name, device_name(port_id), mac, cidrs, mtu)

    def unplug(self, name: str, port_id: str) -> None:
        """Gone."""
        self.site.remove_vm(name)

    def change_tunnel_address(self, address: str) -> None:
        """Renumber."""
        self.host.machine.change_tunnel_address(address)

    def diagnosis(self) -> str:
        """Logs."""
        return self.host.diagnosis()


def device_name(port_id: str) -> str:
    """The interface of a port on its node, by Nova's convention."""
    return "tap" + port_id[:11]


class DataCentre:
    """The whole of it. ``nodes`` are ``ovs1``, ``ovs2``, ``host1``, ``host2``."""

    def __init__(self, say: Say = lambda _: None, launcher: str = "osken-manager") -> None:
        self.say = say
        self.controller = Controller(launcher)
        self.api: Client = self.controller.api
        self.switches = [SwitchNode(Wiring("ovs1", 1)), SwitchNode(Wiring("ovs2", 2))]
        self.hosts = [HostNode(Wiring("host1", 3)), HostNode(Wiring("host2", 4))]
        self.nodes: dict[str, Node] = {node.wiring.name: node for node in (*self.switches, *self.hosts)}
        self.networks: dict[str, dict[str, Any]] = {}
        self.cidrs: dict[str, str] = {}
        self.vms: dict[str, Vm] = {}

    def start(self) -> None:
        """Build and start everything; returns when the controller knows all nodes."""
        underlay.build()
        self.say("underlay: 2 physical networks, a tunnel and a management network")
        with ThreadPoolExecutor() as pool:
            booting = [pool.submit(self._start, node) for node in self.hosts]
            # Open vSwitch backs off to 8 s before its first connection, whatever max_backoff says: so not too early.
            self.controller.start()
            self.say(f"controller ({self.controller.launcher}) is up")
            for part in [*booting, *(pool.submit(self._start, node) for node in self.switches)]:
                part.result()
        self._check_tunnel_network()
        wait_until(self._all_known, 30, lambda: f"the controller knows only {self.known_hosts()}")
        self.say("all nodes known to the controller")

    def _start(self, node: Node) -> None:
        node.start()
        self.say(f"{node.wiring.name} ({node.kind}) is up")

    def _check_tunnel_network(self) -> None:
        """Every switch reaches every other node's tunnel address.

        It also lets Open vSwitch learn the nodes' MAC addresses while nothing else is sent: when its very first ARP
        exchange is overtaken by tunnelled traffic it may miss the answer, and then takes seconds to ask again.
        """
        for node in self.switches:
            others = [other.wiring.tunnel_ip for other in self.nodes.values() if other is not node]
            answers = node.site.echo([(node.wiring.name, address) for address in others], 10.0)
            silent = [address for address, answer in zip(others, answers, strict=True) if answer is None]
            if silent:
                raise RuntimeError(f"{node.wiring.name} does not reach {', '.join(silent)} on the tunnel network")

    def _all_known(self) -> bool:
        return set(self.nodes) <= self.known_hosts()

    def known_hosts(self) -> set[str]:
        """Names that ports may be bound to just now."""
        return {agent["host"] for agent in self.api.list("agent") if agent["alive"]}

    def wait_in_force(self) -> None:
        """Wait until the controller is in touch with every node and all is in force there.

        That ports are ACTIVE does not say so: after a restart of the controller they are until a node says otherwise.
        """
        wait_until(lambda: not self._behind(), 30, lambda: f"not in force on {', '.join(self._behind())}")

    def _behind(self) -> list[str]:
        rows = [row for kind in ("switches", "hosts") for row in self.api.isthmus(kind)[kind]]
        right = {row["host"] for row in rows if row.get("alive") and row.get("in_sync")}
        return sorted(set(self.nodes) - right)

    def create_networks(self, specs: Iterable[NetworkSpec]) -> None:
        """Networks with a subnet each."""
        for spec in specs:
            network = self.api.create("network", **spec.attributes())
            self.api.create("subnet", network_id=network["id"], ip_version=4, cidr=spec.cidr, enable_dhcp=False)
            self.networks[spec.name], self.cidrs[spec.name] = network, spec.cidr

    def delete_networks(self, specs: Iterable[NetworkSpec]) -> None:
        """Networks with their subnets; no ports may be left on them."""
        for spec in specs:
            self.api.delete("network", self.networks.pop(spec.name)["id"])
            del self.cidrs[spec.name]

    def create_vms(self, places: Sequence[tuple[str, str]], **attributes: Any) -> list[Vm]:
        """A port and a VM called ``network-node`` for each ``(network, node)``, made as a client would.

        ``attributes`` go into every port. Returns when the VMs are plugged in, not when the ports are ACTIVE.
        """
        ports = self.api.create_all(
            "port",
            [
                {
                    "network_id": self.networks[network]["id"],
                    "name": f"{network}-{node}",
                    "binding:host_id": node,
                    "device_owner": "compute:isthmus",
                    **attributes,
                }
                for network, node in places
            ],
        )
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda item: self.plug(item[0], *item[1]), zip(ports, places, strict=True)))

    def plug(self, port: dict[str, Any], network: str, node: str, name: str = "") -> Vm:
        """A VM for a port."""
        ip = port["fixed_ips"][0]["ip_address"]
        vm = Vm(name or f"{network}-{node}", self.nodes[node], network, port["id"], port["mac_address"], ip)
        length = ipaddress.ip_network(self.cidrs[network]).prefixlen
        vm.node.plug(vm.name, vm.port_id, vm.mac, [f"{ip}/{length}"], self.networks[network]["mtu"])
        self.vms[vm.name] = vm
        return vm

    def unplug(self, vm: Vm) -> None:
        """Pull a VM out; its port stays."""
        vm.node.unplug(vm.name, vm.port_id)
        del self.vms[vm.name]

    def remove(self, vm: Vm) -> None:
        """Pull a VM out and delete its port."""
        self.unplug(vm)
        self.api.delete("port", vm.port_id)

    def wait_active(self, vms: Iterable[Vm] | None = None, timeout: float = 30.0) -> float:
        """Wait until the ports of the VMs (None: of all) are ACTIVE: seconds. The VMs then announce their addresses,
        as machines do at start; who knew another owner of an address would keep it otherwise."""
        wanted = list(self.vms.values() if vms is None else vms)
        seconds = self.api.wait_for_status([vm.port_id for vm in wanted], "ACTIVE", timeout)
        for vm in wanted:
            vm.site.inject([(vm.name, ethernet.arp_request(vm.mac, vm.source, vm.ip).hex())])
        return seconds

    def put_back(self, names: Collection[str]) -> None:
        """After a test that may have failed halfway: controller and agents run, and of the VMs only these are there,
        the others' ports are gone."""
        if not self.controller.program.running:
            self.controller.start()
        for node in self.hosts:
            if not node.host.machine.agent_running():
                node.host.machine.agent_start()
        for vm in [vm for name, vm in self.vms.items() if name not in names]:
            self.unplug(vm)
            with contextlib.suppress(ApiFault):
                self.api.delete("port", vm.port_id)

    def kill_agents(self) -> None:
        """SIGKILL to the agents of all hosts."""
        for node in self.hosts:
            node.host.machine.agent_stop(signal.SIGKILL)

    def start_agents(self) -> None:
        """Start the agents again; returns when each has read its kernel and put its plan into force."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda node: node.host.machine.agent_start_again(), self.hosts))

    def diagnosis(self) -> str:
        """The logs of everything, for a failed test."""
        parts = [f"== controller\n{self.controller.program.tail(60, without='controller.api.wsgi: req-')}"]
        for name, node in self.nodes.items():
            try:
                parts.append(f"== {name}\n{node.diagnosis()}")
            except Exception as error:  # a node that cannot be asked must not hide the others
                parts.append(f"== {name}\n{error}")
        return "\n".join(parts)
