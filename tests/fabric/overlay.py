"""Everything at once, for a sandbox: a fabric in a ring with a chord, hypervisors and Linux-bridge hosts cabled to it,
a legacy cloud behind two uplinks; tunnels between hypervisors and hosts whose IP network is a network of the fabric.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.fabric.bed import CLOUD, FabricBed
from tests.support import ethernet, netns, underlay
from tests.support.client import wait_until
from tests.support.datacentre import HostNode, Node, SwitchNode, Vm, device_name
from tests.support.ovs import INTEGRATION_BRIDGE
from tests.support.site import Site
from tests.support.underlay import PHYSICAL_NETWORKS, TUNNEL_NIC, Wiring

CABLES = ((1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 1), (1, 4))
FABRIC_NIC = PHYSICAL_NETWORKS["physnet1"]


class FabricNode:
    """A switch of the fabric: ``iface-id`` names the port."""

    kind = "fabric"

    def __init__(self, bed: FabricBed, number: int, site: Site) -> None:
        self.wiring, self.site = Wiring(f"s{number}", number), site
        self._bed = bed

    def plug(self, name: str, port_id: str, mac: str, cidrs: list[str], mtu: int) -> None:
        """A veth pair into the switch."""
        self.site.add_vm(name, None, device_name(port_id), mac, cidrs, mtu)
        self.add_port(device_name(port_id), port_id)

    def add_port(self, device: str, port_id: str = "") -> None:
        """An interface of the root namespace; with a port of the API on it, or a cable."""
        quiet(device)
        says = ["--", "set", "Interface", device, f"external_ids:iface-id={port_id}"] if port_id else []
        self._bed.ovs.vsctl("add-port", self.wiring.name, device, *says)


class CloudNode:
    """The legacy cloud: who is plugged in there is managed by nobody."""

    kind = "cloud"
    wiring = Wiring(CLOUD, 89)

    def __init__(self, site: Site) -> None:
        self.site = site

    def plug(self, name: str, port_id: str, mac: str, cidrs: list[str], mtu: int) -> None:
        """A veth pair into the bridge."""
        self.site.add_vm(name, None, f"{name}-c", mac, cidrs, mtu)
        netns.enslave(None, f"{name}-c", CLOUD)


class Overlay:
    """``cabled`` maps hypervisors and hosts -> switches that their fabric NIC and their tunnel NIC are cabled to."""

    def __init__(self, cabled: dict[str, tuple[int, int]]) -> None:
        self.bed = FabricBed(6, CABLES)
        self.api, site = self.bed.api, Site()
        names = {name: Wiring(name, 40 + place) for place, name in enumerate(cabled)}
        self.hypervisors = [SwitchNode(wiring) for name, wiring in names.items() if name.startswith("hv")]
        self.hosts = [HostNode(wiring) for name, wiring in names.items() if name.startswith("lb")]
        self.fabric = {number: FabricNode(self.bed, number, site) for number in self.bed.switches}
        every = (*self.hypervisors, *self.hosts, *self.fabric.values(), CloudNode(site))
        self.nodes: dict[str, Any] = {node.wiring.name: node for node in every}
        self.networks: dict[str, dict[str, Any]] = {}
        self.vms: dict[str, Vm] = {}
        self._cabled = cabled

    def start(self) -> None:
        """Start everything; returns when all nodes are known, all links found and all hosts placed."""
        underlay.build()
        self.bed.start()
        self.bed.add_cloud((3, 6))
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda node: node.start(), [*self.hypervisors, *self.hosts]))
        for node in self.hypervisors:
            for nic in PHYSICAL_NETWORKS.values():
                node.ovs.vsctl("remove", "Interface", nic, "external_ids", "physical-network")
        self.network("underlay", "vlan", 150, "10.200.0.0/24", underlay=True)
        for node in (*self.hypervisors, *self.hosts):
            self._cable(node, *self._cabled[node.wiring.name])
        self.bed.wait_for_links(len(CABLES) + len(self.hypervisors), 30)
        attached = lambda: self.api.isthmus("events")["totals"].get("attached", 0)  # noqa: E731
        wait_until(lambda: attached() >= len(self.hosts), 30, lambda: f"{attached()} hosts placed\n{self.diagnosis()}")
        for node in self.hypervisors:
            peers = [other for other in self._cabled if other != node.wiring.name]
            answers = node.site.echo([(node.wiring.name, self.nodes[other].wiring.tunnel_ip) for other in peers], 20.0)
            assert None not in answers, f"{node.wiring.name}: {dict(zip(peers, answers, strict=True))}"

    def _cable(self, node: Node, fabric: int, tunnel: int) -> None:
        """The fabric NIC into a port that nobody configured, the tunnel NIC as a port of the underlay's network."""
        wiring = node.wiring
        for nic in (FABRIC_NIC, TUNNEL_NIC):
            subprocess.run(["ip", "link", "set", "dev", wiring.far_end(nic), "nomaster"], check=True)
        self.fabric[fabric].add_port(wiring.far_end(FABRIC_NIC))
        network, address = self.networks["underlay"]["id"], [{"ip_address": wiring.tunnel_ip}]
        mac = self._endpoint_mac(node)
        port = self.api.create("port", network_id=network, mac_address=mac, fixed_ips=address)
        self.fabric[tunnel].add_port(wiring.far_end(TUNNEL_NIC), port["id"])

    def _endpoint_mac(self, node: Node) -> str:
        if not isinstance(node, SwitchNode):
            return node.wiring.mac(TUNNEL_NIC)
        with netns.route(node.wiring.name) as handle:
            return str(handle.get_links(netns.index(handle, "br-ul"))[0].get_attr("IFLA_ADDRESS"))

    def network(self, name: str, kind: str, number: int | None, cidr: str, underlay: bool = False) -> None:
        """A network with a subnet; that of the underlay hands out no address that a node might have."""
        provider: dict[str, Any] = {"provider:network_type": kind}
        if kind in ("flat", "vlan"):
            provider["provider:physical_network"] = "physnet1"
        if number is not None:
            provider["provider:segmentation_id"] = number
        self.networks[name] = self.api.create("network", name=name, **provider)
        self.api.create("subnet", network_id=self.networks[name]["id"], ip_version=4, cidr=cidr, enable_dhcp=False,
                        **({"gateway_ip": None} if underlay else {}))  # fmt: skip

    def plug(self, places: Iterable[tuple[str, str]]) -> None:
        """A VM per (network, node); returns when their ports are ACTIVE."""
        made = []
        for network, node_name in places:
            node, spec = self.nodes[node_name], self.networks[network]
            wanted: dict[str, Any] = {"network_id": spec["id"], "name": f"{network}-{node_name}"}
            if node.kind == "bridge":
                wanted["binding:host_id"] = node_name
            port = self.api.create("port", **wanted)
            name, ip = f"{network}-{node_name}", port["fixed_ips"][0]["ip_address"]
            vm = Vm(name, node, network, port["id"], port["mac_address"], ip)
            node.plug(name, vm.port_id, vm.mac, [f"{ip}/24"], spec["mtu"])
            self.vms[name] = vm
            made += [] if node.kind == "cloud" else [vm]
        self.api.wait_for_status([vm.port_id for vm in made], "ACTIVE", 40)
        for vm in self.vms.values():
            vm.site.inject([(vm.name, ethernet.arp_request(vm.mac, vm.source, vm.ip).hex())])

    def flows(self, number: int) -> list[str]:
        """The flows of a switch of the fabric."""
        return self.bed.ovs.flows(f"s{number}")

    def diagnosis(self) -> str:
        """Logs."""
        hosts = [node.diagnosis() for node in self.hosts]
        switches = [node.ovs.ofctl("show", INTEGRATION_BRIDGE) for node in self.hypervisors]
        return "\n".join([self.bed.log(), *hosts, *switches])


def quiet(device: str) -> None:
    """No IPv6 of the bed's own on an interface, and up."""
    Path(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6").write_text("1")
    netns.set_link(None, device, up=True)
