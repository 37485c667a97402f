"""Ports and nodes change: traffic and status follow."""

from __future__ import annotations

import time

import pytest

from tests.support.client import wait_until
from tests.support.datacentre import DataCentre, Vm
from tests.support.matrix import Matrix
from tests.support.underlay import CONTROLLER_IP

BOTH_KINDS = pytest.mark.parametrize("node", ["ovs1", "host1"])


def talk(a: Vm, b: Vm, timeout: float = 20.0) -> bool:
    """Whether they answer each other."""
    return all(one.site.echo([(one.name, other.ip)], timeout)[0] is not None for one, other in ((a, b), (b, a)))


def status(datacentre: DataCentre, vm: Vm) -> str:
    """The port's status."""
    return str(datacentre.api.show("port", vm.port_id)["status"])


@BOTH_KINDS
def test_a_port_that_is_set_down_carries_nothing(datacentre: DataCentre, matrix: Matrix, node: str) -> None:
    """Neither out nor in, neither unicast nor broadcast; and it says DOWN."""
    vm = matrix.vms[f"gre78-{node}"]
    others = [other for other in matrix.vms.values() if other.network == "gre78" and other is not vm]
    datacentre.api.update("port", vm.port_id, admin_state_up=False)
    datacentre.api.wait_for_status([vm.port_id], "DOWN")
    wait_until(lambda: not _heard_of(vm, others), 10, lambda: "the port still carries traffic")
    rest = Matrix(others)
    assert not rest.problems(rest.run(tcp=False)), "the others are not concerned"
    datacentre.api.update("port", vm.port_id, admin_state_up=True)
    datacentre.wait_active([vm])
    whole = Matrix([vm, *others])
    assert not whole.problems(whole.run(tcp=False))


def _heard_of(vm: Vm, others: list[Vm]) -> int:
    """How many frames pass between a VM and others, either way."""
    results_matrix = Matrix([vm, *others])
    results = results_matrix.run(timeout=0.5, tcp=False)
    counted = (results.unicast, results.broadcast)
    return sum(count for counter in counted for pair, count in counter.items() if vm.name in pair)


@BOTH_KINDS
def test_a_port_that_is_pulled_out_is_down(datacentre: DataCentre, matrix: Matrix, node: str) -> None:
    """And ACTIVE again once it is plugged in again."""
    vm = matrix.vms[f"vxlan78-{node}"]
    port = datacentre.api.show("port", vm.port_id)
    datacentre.unplug(vm)
    datacentre.api.wait_for_status([vm.port_id], "DOWN")
    again = datacentre.plug(port, vm.network, node)
    datacentre.wait_active([again])
    assert talk(again, matrix.vms["vxlan78-ovs2"])
    assert talk(again, matrix.vms["vxlan78-host2"])


@BOTH_KINDS
def test_a_port_nobody_plugged_in_is_down(datacentre: DataCentre, node: str) -> None:
    """Bound, but without an endpoint."""
    port = datacentre.api.create("port", network_id=datacentre.networks["flat"]["id"], **{"binding:host_id": node})
    shown = datacentre.api.show("port", port["id"])
    assert shown["status"] == "DOWN"
    assert shown["binding:vif_type"] not in ("unbound", "binding_failed")
    datacentre.api.delete("port", port["id"])


@BOTH_KINDS
def test_a_deleted_port_carries_nothing(datacentre: DataCentre, matrix: Matrix, node: str) -> None:
    """Although its VM is still plugged in."""
    vm = _extra(datacentre, "vlan101", node)
    others = [other for other in matrix.vms.values() if other.network == "vlan101"]
    assert talk(vm, others[0])
    datacentre.api.delete("port", vm.port_id)
    wait_until(lambda: not _heard_of(vm, others), 10, lambda: "the deleted port still carries traffic")
    datacentre.unplug(vm)


def _extra(datacentre: DataCentre, network: str, node: str, **attributes: object) -> Vm:
    body = {"network_id": datacentre.networks[network]["id"], "binding:host_id": node, **attributes}
    vm = datacentre.plug(datacentre.api.create("port", **body), network, node, f"extra-{network}-{node}")
    datacentre.wait_active([vm])
    return vm


def test_a_port_without_a_host_is_bound_where_it_is_plugged_in(datacentre: DataCentre, matrix: Matrix) -> None:
    """By ``iface-id`` alone."""
    port = datacentre.api.create("port", network_id=datacentre.networks["gre77"]["id"])
    assert port["binding:vif_type"] == "unbound"
    vm = datacentre.plug(port, "gre77", "ovs2", "found")
    datacentre.wait_active([vm])
    assert datacentre.api.show("port", vm.port_id)["binding:host_id"] == "ovs2"
    assert talk(vm, matrix.vms["gre77-host1"])
    datacentre.remove(vm)


def test_a_port_moves_between_the_kinds_of_node(datacentre: DataCentre, matrix: Matrix) -> None:
    """From Open vSwitch to a Linux bridge: same port, same address, the others find it."""
    vm = _extra(datacentre, "vxlan77", "ovs1")
    peers = [matrix.vms["vxlan77-ovs2"], matrix.vms["vxlan77-host2"]]
    assert all(talk(vm, peer) for peer in peers)
    datacentre.unplug(vm)
    port = datacentre.api.update("port", vm.port_id, **{"binding:host_id": "host1"})
    moved = datacentre.plug(port, "vxlan77", "host1", "moved")
    datacentre.wait_active([moved])
    assert all(talk(moved, peer) for peer in peers)
    datacentre.remove(moved)


@pytest.mark.parametrize(("node", "other"), [("ovs1", "10.200.0.41"), ("host1", "10.200.0.43")])
def test_a_node_that_changes_its_tunnel_address_is_found_again(
    datacentre: DataCentre, matrix: Matrix, node: str, other: str
) -> None:
    """All tunnel networks heal, from all nodes; and back."""
    tunnelled = Matrix([vm for vm in matrix.vms.values() if vm.network in ("gre77", "vxlan77")])
    for address in (other, datacentre.nodes[node].wiring.tunnel_ip):
        datacentre.nodes[node].change_tunnel_address(address)
        began = time.monotonic()
        wait_until(lambda: _healed(tunnelled), 30, lambda: str(tunnelled.problems(tunnelled.run(2.0, tcp=False))))
        print(f"{node} at {address}: healed after {time.monotonic() - began:.1f} s")
        datacentre.wait_active()


def _healed(matrix: Matrix) -> bool:
    return not matrix.problems(matrix.run(timeout=3.0, tcp=False))


def test_a_switch_that_is_gone_and_back(datacentre: DataCentre, matrix: Matrix) -> None:
    """Without its controller a switch's ports are not ACTIVE; with it they are, and no flow was touched."""
    node = datacentre.switches[1]
    ports = [vm.port_id for vm in matrix.vms.values() if vm.node is node]
    before = node.ovs.flow_ages()
    node.ovs.send_to(f"tcp:{CONTROLLER_IP}:6699")
    datacentre.api.wait_for_status(ports, "DOWN", 20)
    assert talk(matrix.vms["gre77-ovs2"], matrix.vms["gre77-host1"]), "the dataplane goes on"
    node.ovs.send_to()
    datacentre.api.wait_for_status(ports, "ACTIVE", 20)
    after = node.ovs.flow_ages()
    assert after.keys() == before.keys()
    assert all(after[flow][0] > before[flow][0] for flow in before)


def test_tampered_flows_come_back_after_a_reconnect(datacentre: DataCentre, matrix: Matrix) -> None:
    """A switch that lost its flows (and hence its stamp) gets exactly what is missing."""
    node = datacentre.switches[0]
    before = set(node.ovs.flow_ages())
    node.ovs.ofctl("del-flows", "br-int")
    node.ovs.vsctl("del-controller", "br-int")
    node.ovs.send_to()
    wait_until(lambda: set(node.ovs.flow_ages()) == before, 15, lambda: "the flows are not back")
    assert talk(matrix.vms["vxlan77-ovs1"], matrix.vms["vxlan77-host2"])
