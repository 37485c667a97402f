"""IPv6 on the wire: neighbours find and reach each other across kinds of node, and nobody takes a foreign address."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.support.client import wait_until
from tests.support.datacentre import DataCentre, HostNode, NetworkSpec, Vm

DUAL = NetworkSpec("dual", "vxlan", None, 606, "10.66.0.0/24")
PREFIX = "fd00:66::"
ON_OVS, ON_HOST, FOREIGN = f"{PREFIX}11", f"{PREFIX}12", f"{PREFIX}99"


def in_vm(vm: Vm, *command: str) -> tuple[int, str]:
    """Run a command in a VM: (status, output)."""
    arguments = ["ip", "netns", "exec", vm.name, *command]
    if isinstance(vm.node, HostNode):
        done = vm.node.host.machine.execute(arguments)
        return int(done["status"]), str(done["output"])
    result = subprocess.run(arguments, capture_output=True, text=True, check=False)
    return result.returncode, result.stdout + result.stderr


def has(vm: Vm, address: str, word: str = "add") -> None:
    """Give a VM an IPv6 address, or take it away (``del``)."""
    nodad = ["nodad"] if word == "add" else []
    for command in (
        ["sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=0"],
        ["ip", "address", word, f"{address}/64", "dev", "eth0", *nodad],
    ):
        status, output = in_vm(vm, *command)
        assert status == 0, output


def answers(vm: Vm, source: str, address: str, count: int = 3, wait: int = 5) -> int:
    """How many of ``count`` echo requests are answered within ``wait`` seconds, counting each answer."""
    _, output = in_vm(vm, "ping", "-6", "-c", str(count), "-i", "0.2", "-W", str(wait), "-I", source, address)
    assert "transmitted" in output, output
    return output.count("bytes from")


@pytest.fixture(scope="module")
def vms(datacentre: DataCentre) -> Iterator[dict[str, Vm]]:
    """Two VMs with both kinds of address, one on each kind of node."""
    datacentre.create_networks([DUAL])
    network = datacentre.networks["dual"]
    datacentre.api.create(
        "subnet", network_id=network["id"], ip_version=6, cidr=f"{PREFIX}/64", gateway_ip=None, enable_dhcp=False
    )
    places = {"ovs1": ON_OVS, "host1": ON_HOST}
    found = {}
    for node, address in places.items():
        fixed = [{"ip_address": f"10.66.0.{address[-2:]}"}, {"ip_address": address}]
        port = datacentre.api.create(
            "port", network_id=network["id"], fixed_ips=fixed, **{"binding:host_id": node, "device_owner": "compute:x"}
        )
        found[node] = datacentre.plug(port, "dual", node)
    datacentre.wait_active(found.values())
    for node, address in places.items():
        has(found[node], address)
    yield found
    for vm in found.values():
        datacentre.remove(vm)
    datacentre.delete_networks([DUAL])


def test_neighbours_reach_each_other(vms: dict[str, Vm]) -> None:
    wait_until(lambda: answers(vms["ovs1"], ON_OVS, ON_HOST, 1) == 1, 10, lambda: "no first answer")
    assert answers(vms["ovs1"], ON_OVS, ON_HOST) == 3
    assert answers(vms["host1"], ON_HOST, ON_OVS) == 3


@pytest.mark.parametrize(("thief", "own", "other"), [("ovs1", ON_OVS, ON_HOST), ("host1", ON_HOST, ON_OVS)])
def test_a_foreign_address_carries_nothing(vms: dict[str, Vm], thief: str, own: str, other: str) -> None:
    has(vms[thief], FOREIGN)
    try:
        assert answers(vms[thief], FOREIGN, other, 2, wait=1) == 0
        assert answers(vms[thief], own, other) == 3
    finally:
        has(vms[thief], FOREIGN, "del")  # the other VM would take it for its own, and answer nobody
