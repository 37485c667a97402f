"""Tunnels over IPv6 (``overlay_ip_version = 6``): the same nodes, renumbered, and one more that its agent wires."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.support.client import wait_until
from tests.support.datacentre import DataCentre, NetworkSpec
from tests.support.matrix import Matrix, Results
from tests.support.ovs_host import OvsHostNode
from tests.support.underlay import Wiring

NETWORKS = (
    NetworkSpec("gre6", "gre", None, 906, "10.61.0.0/24"),
    NetworkSpec("vxlan6", "vxlan", None, 906, "10.62.0.0/24"),
)
AGENT = "host7"
_VERSION = "overlay_ip_version = 6\n"


def with_overlay(datacentre: DataCentre, version: int) -> None:
    """The controller, started again with that option."""
    controller = datacentre.controller
    text = controller.configuration.read_text().replace(_VERSION, "")
    controller.configuration.write_text(text.replace("[ml2]\n", f"[ml2]\n{_VERSION}") if version == 6 else text)
    controller.stop()
    controller.start()


def renumber(datacentre: DataCentre, ipv6: bool) -> None:
    """Every node's tunnel address becomes one of that version."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda node: node.change_tunnel_address(replace(node.wiring, ipv6=ipv6).tunnel_ip),
                      [*datacentre.switches, *datacentre.hosts]))  # fmt: skip


@pytest.fixture(scope="module")
def refusals(datacentre: DataCentre) -> Iterator[list[str]]:
    """What a tunnel port on each node is told before the nodes are renumbered; the bed is put back in the end."""
    with_overlay(datacentre, 6)
    try:
        ports = [
            datacentre.api.create("port", network_id=datacentre.networks["vxlan77"]["id"], **{"binding:host_id": node})
            for node in datacentre.nodes
        ]

        def reasons() -> list[str]:
            return [datacentre.api.show("port", port["id"])["status_reason"] for port in ports]

        wait_until(lambda: all("overlay_ip_version" in text for text in reasons()), 20, lambda: str(reasons()))
        found = reasons()
        for port in ports:
            datacentre.api.delete("port", port["id"])
        renumber(datacentre, ipv6=True)
        yield found
    finally:
        renumber(datacentre, ipv6=False)
        with_overlay(datacentre, 4)
        datacentre.wait_in_force()


@pytest.fixture(scope="module")
def over_ipv6(datacentre: DataCentre, refusals: list[str]) -> Iterator[Matrix]:
    """A VM of each network on every node."""
    more = OvsHostNode(Wiring(AGENT, 7, ipv6=True))
    datacentre.nodes[AGENT] = more
    more.start()
    meet(datacentre)
    wait_until(lambda: {*datacentre.nodes} <= datacentre.known_hosts(), 20, lambda: str(datacentre.known_hosts()))
    datacentre.create_networks(NETWORKS)
    vms = datacentre.create_vms([(spec.name, node) for spec in NETWORKS for node in datacentre.nodes])
    datacentre.wait_active(vms)
    yield Matrix(vms)
    for vm in vms:
        datacentre.remove(vm)
    datacentre.delete_networks(NETWORKS)
    more.machine.agent_stop(signal.SIGTERM)
    more.machine.ovs.stop_daemons()
    del datacentre.nodes[AGENT]


def meet(datacentre: DataCentre) -> None:
    """Switches learn the neighbours' MAC addresses while nothing else is sent, as for IPv4."""
    pairs = [(name, replace(other.wiring, ipv6=True).tunnel_ip) for name in ("ovs1", "ovs2", AGENT)
             for other in datacentre.nodes.values() if other.wiring.name != name]  # fmt: skip

    def answers(pair: tuple[str, str]) -> bool:
        command = ["ip", "netns", "exec", pair[0], "ping", "-6", "-c", "1", "-W", "1", pair[1]]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    for pair in pairs:
        wait_until(lambda pair=pair: answers(pair), 10, lambda pair=pair: f"{pair[0]} does not reach {pair[1]}")


def test_nodes_of_the_other_version_are_refused(refusals: list[str], datacentre: DataCentre) -> None:
    for text, node in zip(refusals, [name for name in datacentre.nodes if name != AGENT], strict=True):
        assert f"node '{node}' cannot carry vxlan networks: its tunnel address 10.200.0." in text


def test_tunnels_leave_room_for_the_longer_header(over_ipv6: Matrix, datacentre: DataCentre) -> None:
    old, new = (datacentre.networks[name]["mtu"] for name in ("vxlan77", "vxlan6"))
    assert new == old - 20


def test_these_pairs_talk_and_all_others_do_not(over_ipv6: Matrix) -> None:
    """Ping, unicast, broadcast exactly once; nothing crosses."""
    assert len({vm.node.kind for vm in over_ipv6.vms.values()}) == 3
    assert not over_ipv6.problems(over_ipv6.run(tcp=False))


@pytest.mark.parametrize("network", ["gre6", "vxlan6"])
def test_tcp_between_the_kinds_of_node(over_ipv6: Matrix, network: str) -> None:
    """Also from a kernel's tunnel to one in user space; segments as large as the MTU lets them be."""
    some = Matrix([vm for vm in over_ipv6.vms.values() if vm.network == network])
    results = Results()
    some.probe_tcp(results, 5.0)
    assert not {pair: error for pair, error in results.tcp.items() if error}
    assert len(results.tcp) == 8


def test_a_restarted_agent_adopts_its_tunnels(over_ipv6: Matrix, datacentre: DataCentre) -> None:
    """No device is made anew, and traffic goes on."""
    node = datacentre.hosts[0]
    before = [node.host.machine.link_numbers() for node in datacentre.hosts]
    datacentre.kill_agents()
    datacentre.start_agents()
    assert [node.host.machine.link_numbers() for node in datacentre.hosts] == before
    vm = over_ipv6.vms[f"gre6-{node.wiring.name}"]
    assert vm.site.echo([(vm.name, over_ipv6.vms["gre6-ovs1"].ip)], 20.0) != [None]
