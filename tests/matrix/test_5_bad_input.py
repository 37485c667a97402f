"""Nonsense from every side gets a clear answer, and everything else goes on."""

from __future__ import annotations

import os
import socket

import pytest

from tests.support.client import ApiFault, wait_until
from tests.support.datacentre import DataCentre, NetworkSpec
from tests.support.matrix import Matrix
from tests.support.underlay import CONTROLLER_IP

OPENFLOW = (CONTROLLER_IP, 6653)

GARBAGE = {
    "text": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "noise": bytes(range(256)) * 64,
    "header with length 0": b"\x04\x00\x00\x00\x00\x00\x00\x01" * 10,
    "header with length 65535": b"\x04\x00\xff\xff\x00\x00\x00\x01",
    "version 99 hello": b"\x63\x00\x00\x08\x00\x00\x00\x01",
    "hello, then noise": b"\x04\x00\x00\x08\x00\x00\x00\x01" + os.urandom(4096),
    "hello, then nothing": b"\x04\x00\x00\x08\x00\x00\x00\x01",
    "truncated features reply": b"\x04\x00\x00\x08\x00\x00\x00\x01\x04\x06\x00\x0c\x00\x00\x00\x02\x00\x00\x00\x00",
}


@pytest.fixture
def unharmed(datacentre: DataCentre, matrix: Matrix):
    """After the test all traffic flows, all switches are connected, and a new port becomes ACTIVE."""
    yield
    assert datacentre.controller.program.running
    # Open vSwitch writes down every five seconds whether it is connected.
    wait_until(lambda: all(node.ovs.connected() for node in datacentre.switches), 10, lambda: "a switch lost us")
    wait_until(lambda: datacentre.known_hosts() >= set(datacentre.nodes), 10, lambda: str(datacentre.known_hosts()))
    body = {"network_id": datacentre.networks["flat"]["id"], "binding:host_id": "ovs1"}
    vm = datacentre.plug(datacentre.api.create("port", **body), "flat", "ovs1", "afterwards")
    datacentre.wait_active([vm])
    assert vm.site.echo([(vm.name, matrix.vms["flat-host1"].ip)], 20.0)[0] is not None
    datacentre.remove(vm)


@pytest.mark.usefixtures("unharmed")
def test_garbage_where_switches_connect() -> None:
    """Every kind of garbage, several times, some connections left open."""
    channels = []
    for _ in range(3):
        for data in GARBAGE.values():
            channel = socket.create_connection(OPENFLOW, 5)
            channel.sendall(data)
            channels.append(channel)
    for channel in channels:
        channel.close()


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    "report",
    [
        {"host": "host1", "applied_revision": -1},
        {"host": "host1", "applied_revision": "soon"},
        {"host": "host1", "devices": ["tap"]},
        {"host": "host1", "nonsense": 1},
        {"host": "elsewhere"},
        {},
    ],
    ids=str,
)
def test_an_agent_that_reports_nonsense(datacentre: DataCentre, report: dict[str, object]) -> None:
    """A 400 that names the field."""
    with pytest.raises(ApiFault) as refusal:
        datacentre.api.request("PUT", "isthmus/hosts/host1/report", report)
    assert refusal.value.status == 400


def test_a_port_on_an_unknown_host(datacentre: DataCentre) -> None:
    """It exists, its binding failed, and the API says why."""
    body = {"network_id": datacentre.networks["flat"]["id"], "binding:host_id": "nowhere"}
    port = datacentre.api.create("port", **body)
    assert port["binding:vif_type"] == "binding_failed"
    assert port["status"] == "DOWN"
    assert "nowhere" in datacentre.api.show("port", port["id"]).get("status_reason", "")
    datacentre.api.delete("port", port["id"])


@pytest.mark.parametrize(
    ("kind", "where", "number", "status"),
    [
        ("vlan", "physnet9", 5, 400),
        ("vlan", "physnet1", 4095, 400),
        ("vlan", "physnet1", 100, 409),
        ("gre", None, 77, 409),
        ("vxlan", None, 1 << 24, 400),
        ("flat", "physnet1", None, 409),
        ("carrier-pigeon", None, None, 400),
    ],
)
def test_networks_that_cannot_be(
    datacentre: DataCentre, kind: str, where: str | None, number: int | None, status: int
) -> None:
    """Unknown physical network, number out of range, number in use, unknown type."""
    with pytest.raises(ApiFault) as refusal:
        datacentre.api.create("network", **NetworkSpec("wrong", kind, where, number, "").attributes())
    assert refusal.value.status == status


def test_ports_and_subnets_that_cannot_be(datacentre: DataCentre) -> None:
    """A wrong MAC, a pool that overlaps, an address outside the subnet."""
    network = datacentre.networks["flat"]["id"]
    for kind, body in (
        ("port", {"network_id": network, "mac_address": "not-a-mac"}),
        ("port", {"network_id": network, "fixed_ips": [{"ip_address": "10.99.0.1"}]}),
        ("subnet", {"network_id": network, "ip_version": 4, "cidr": "10.1.0.0/25"}),
    ):
        with pytest.raises(ApiFault) as refusal:
            datacentre.api.create(kind, **body)
        assert refusal.value.status == 400
