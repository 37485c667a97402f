"""Hosts that run Open vSwitch wired by the agent, and hosts with both agent drivers, beside the nodes of every other
kind: OpenFlow switches and Linux-bridge hosts."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pytest

from tests.matrix.networks import NETWORKS
from tests.matrix.test_3_security import FOREIGN_MAC, arriving, neighbour
from tests.support import ethernet
from tests.support.client import wait_until
from tests.support.datacentre import DataCentre, Vm
from tests.support.matrix import Matrix, Results
from tests.support.ovs_host import INTEGRATION_BRIDGE, OvsHostNode
from tests.support.underlay import Wiring

AGENT, BOTH = "host5", "host6"
NEIGHBOURS = ("ovs1", "host1")
"""An OpenFlow switch and a host with Linux bridges."""

DRIVERS = "linuxbridge:flat,vxlan openvswitch:vlan,gre"
VIF_TYPES = {"flat": "bridge", "vxlan": "bridge", "vlan": "ovs", "gre": "ovs"}
"""What ports on the host with both drivers are bound as."""


@pytest.fixture(scope="module")
def nodes(datacentre: DataCentre) -> Iterator[dict[str, OvsHostNode]]:
    """Two more nodes; they go again, so that other tests do not count them."""
    more = {
        AGENT: OvsHostNode(Wiring(AGENT, 5)),
        BOTH: OvsHostNode(Wiring(BOTH, 6), DRIVERS, shared=True),
    }
    datacentre.nodes.update(more)
    with ThreadPoolExecutor() as pool:
        list(pool.map(OvsHostNode.start, more.values()))
    wait_until(lambda: set(more) <= datacentre.known_hosts(), 20, lambda: f"known: {datacentre.known_hosts()}")
    yield more
    for node in more.values():
        node.machine.agent_stop(signal.SIGTERM)
        node.machine.ovs.stop_daemons()
        del datacentre.nodes[node.wiring.name]


@pytest.fixture(scope="module")
def mixed(datacentre: DataCentre, matrix: Matrix, nodes: dict[str, OvsHostNode]) -> Iterator[Matrix]:
    """A VM of every network on each of the new nodes, with those of one switch and one host."""
    vms = datacentre.create_vms([(spec.name, node) for spec in NETWORKS for node in nodes])
    datacentre.wait_active(vms)
    old = [vm for vm in matrix.vms.values() if vm.node.wiring.name in NEIGHBOURS]
    yield Matrix([*vms, *old])
    for vm in vms:
        datacentre.remove(vm)


def test_these_pairs_talk_and_all_others_do_not(mixed: Matrix) -> None:
    """Ping, unicast, broadcast exactly once within each network; nothing between any two."""
    assert not mixed.problems(mixed.run(tcp=False))


def test_tcp_between_the_kinds_of_node(mixed: Matrix) -> None:
    """Also from a kernel's tunnel to one in user space, where checksums are easily left undone."""
    networks, places = ("flat", "vlan101", "gre78", "vxlan78"), (AGENT, BOTH, "ovs1")
    some = Matrix([mixed.vms[f"{network}-{place}"] for network in networks for place in places])
    results = Results()
    some.probe_tcp(results, 10.0)
    assert len(results.tcp) == len(networks) * len(places) * (len(places) - 1)
    assert not {pair: error for pair, error in results.tcp.items() if error}


def test_each_driver_has_its_network_types(datacentre: DataCentre, mixed: Matrix) -> None:
    """And the binding says where Nova is to plug a VM in."""
    for spec in NETWORKS:
        agent = datacentre.api.show("port", mixed.vms[f"{spec.name}-{AGENT}"].port_id)
        assert agent["binding:vif_type"] == "ovs"
        assert agent["binding:vif_details"] == {
            "port_filter": True,
            "connectivity": "l2",
            "ovs_hybrid_plug": False,
            "datapath_type": "netdev",
            "bridge_name": INTEGRATION_BRIDGE,
        }
        both = datacentre.api.show("port", mixed.vms[f"{spec.name}-{BOTH}"].port_id)
        assert both["binding:vif_type"] == VIF_TYPES[spec.network_type]


def test_hosts_and_their_drivers_are_shown(datacentre: DataCentre, nodes: dict[str, OvsHostNode]) -> None:
    """As agents, and with what each driver serves."""
    agents = {agent["host"]: agent for agent in datacentre.api.list("agent")}
    assert [agents[name]["agent_type"] for name in nodes] == ["Open vSwitch agent", "Linux bridge agent"]
    divided = {"linuxbridge": ["flat", "vxlan"], "openvswitch": ["gre", "vlan"]}
    assert agents[BOTH]["configurations"]["network_types"] == divided
    hosts = {host["host"]: host for host in datacentre.api.request("GET", "isthmus/hosts")["hosts"]}
    assert hosts[BOTH]["network_types"] == divided
    assert hosts[BOTH]["in_sync"]


@pytest.mark.parametrize("sender", [f"{network}-{AGENT}" for network in ("flat", "vlan100", "gre77", "vxlan77")])
def test_spoofed_frames_do_not_leave(mixed: Matrix, sender: str) -> None:
    vm = mixed.vms[sender]
    listener = mixed.vms[f"{vm.network}-{NEIGHBOURS[1]}"]
    lie = neighbour(vm.ip, ".77")
    honest = {
        "IPv4": ethernet.token(vm.source, listener.source, "honest"),
        "ARP": ethernet.arp_request(vm.mac, vm.source, neighbour(vm.ip)),
    }
    spoofed = {
        "source MAC": ethernet.token((FOREIGN_MAC, vm.ip), listener.source, "spoofed"),
        "IPv4 source": ethernet.broadcast_token((vm.mac, lie), "spoofed"),
        "ARP sender": ethernet.arp_request(vm.mac, (vm.mac, lie), neighbour(vm.ip)),
    }
    assert arriving(vm, listener, honest | spoofed) == set(honest)


def test_agents_killed_and_started(datacentre: DataCentre, mixed: Matrix, nodes: dict[str, OvsHostNode]) -> None:
    """SIGKILL, then start, with a ping of 100 per second: 0 lost, no flow written anew."""
    pairs = [
        (mixed.vms[f"{network}-{node}"], mixed.vms[f"{network}-{other}"])
        for network, node, other in (
            ("vlan100", AGENT, "ovs1"),
            ("vxlan77", AGENT, "host1"),
            ("gre77", BOTH, "ovs1"),
            ("vxlan77", BOTH, "ovs1"),
        )
    ]
    flows = {name: node.flows() for name, node in nodes.items()}
    for vm, other in pairs:
        vm.site.ping_start(vm.name, vm.name, other.ip, 100.0)
    time.sleep(0.5)
    for node in nodes.values():
        node.machine.agent_stop(signal.SIGKILL)
        node.machine.agent_start_again()
    time.sleep(1.0)
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda pair: pair[0].site.ping_stop(pair[0].name), pairs))
    print(results)
    assert all(result["sent"] > 100 and result["lost"] == [] and not result["duplicates"] for result in results)
    datacentre.wait_active([vm for vm, _ in pairs])
    assert {name: node.flows() for name, node in nodes.items()} == flows


def test_a_vm_that_nova_plugs_in(datacentre: DataCentre, mixed: Matrix, nodes: dict[str, OvsHostNode]) -> None:
    """By ``iface-id``, under another name than the port's; it binds a port that names no host."""
    port = datacentre.api.create("port", network_id=datacentre.networks["vxlan78"]["id"])
    node, ip = nodes[AGENT], port["fixed_ips"][0]["ip_address"]
    mtu = datacentre.networks["vxlan78"]["mtu"]
    node.plug_by_nova("nova", port["id"], port["mac_address"], [f"{ip}/24"], mtu)
    vm = Vm("nova", node, "vxlan78", port["id"], port["mac_address"], ip)
    datacentre.vms["nova"] = vm
    try:
        datacentre.wait_active([vm])
        assert datacentre.api.show("port", vm.port_id)["binding:host_id"] == AGENT
        others = [mixed.vms[f"vxlan78-{name}"] for name in (*NEIGHBOURS, BOTH)]
        assert None not in chain.from_iterable(vm.site.echo([(vm.name, other.ip)], 20.0) for other in others)
    finally:
        datacentre.remove(vm)
