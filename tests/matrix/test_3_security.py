"""Anti-spoofing on both kinds of node: what leaves a port is what its address says."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping

import pytest

from tests.support import ethernet
from tests.support.client import wait_until
from tests.support.datacentre import DataCentre, Vm
from tests.support.matrix import Matrix

FOREIGN_MAC = "02:00:5e:00:53:01"
NOBODY = ".250"
"""Last part of an address nobody has: ARP for it must be flooded to be heard."""

_numbers = itertools.count()

SENDERS = [f"{network}-{node}" for network in ("flat", "vlan100", "gre77", "vxlan77") for node in ("ovs1", "host1")]


def listener_of(matrix: Matrix, vm: Vm) -> Vm:
    """A VM of the same network on the other kind of node."""
    same_network = (other for other in matrix.vms.values() if other.network == vm.network)
    return next(other for other in same_network if other.node.kind != vm.node.kind)


def neighbour(ip: str, last: str = NOBODY) -> str:
    """Another address of the same subnet."""
    return ip.rsplit(".", 1)[0] + last


def arriving(vm: Vm, listener: Vm, frames: Mapping[str, bytes]) -> set[str]:
    """Which of the frames that ``vm`` sends are heard by ``listener``: by the time that a last frame is, which nothing
    keeps back, and a little longer."""
    last = ethernet.token(vm.source, listener.source, f"last {next(_numbers)}")
    listener.site.forget()
    vm.site.inject([(vm.name, frame.hex()) for frame in (*frames.values(), last)])

    def heard() -> Mapping[str, int]:
        return listener.site.heard()[listener.name]

    wait_until(
        lambda: ethernet.trimmed(last).hex() in heard(), 10, lambda: f"{listener.name} hears nothing of {vm.name}"
    )
    time.sleep(0.2)
    return {name for name, frame in frames.items() if ethernet.trimmed(frame).hex() in heard()}


def arrives(vm: Vm, listener: Vm, frame: bytes) -> bool:
    """Whether a frame that ``vm`` sends is heard by ``listener``."""
    return bool(arriving(vm, listener, {"it": frame}))


@pytest.mark.parametrize("sender", SENDERS)
def test_honest_frames_pass_and_spoofed_ones_do_not(matrix: Matrix, sender: str) -> None:
    """Source MAC, ARP sender (MAC and address) and IPv4 source."""
    vm = matrix.vms[sender]
    other, lie = listener_of(matrix, vm), neighbour(vm.ip, ".77")
    everybody = (ethernet.BROADCAST, "255.255.255.255")
    honest = {
        "IPv4": ethernet.token(vm.source, other.source, "honest"),
        "broadcast": ethernet.token(vm.source, everybody, "honest"),
        "ARP": ethernet.arp_request(vm.mac, vm.source, neighbour(vm.ip)),
        "ARP announcement": ethernet.arp_request(vm.mac, vm.source, vm.ip),
        "ARP probe": ethernet.arp_request(vm.mac, (vm.mac, "0.0.0.0"), vm.ip),
    }
    spoofed = {
        "source MAC, unicast": ethernet.token((FOREIGN_MAC, vm.ip), other.source, "spoofed"),
        "source MAC, broadcast": ethernet.token((FOREIGN_MAC, vm.ip), everybody, "spoofed"),
        "IPv4 source, unicast": ethernet.token((vm.mac, lie), other.source, "spoofed"),
        "IPv4 source, broadcast": ethernet.token((vm.mac, lie), everybody, "spoofed"),
        "ARP sender address": ethernet.arp_request(vm.mac, (vm.mac, lie), neighbour(vm.ip)),
        "ARP sender MAC": ethernet.arp_request(vm.mac, (FOREIGN_MAC, vm.ip), neighbour(vm.ip)),
        "everything": ethernet.arp_request(FOREIGN_MAC, (FOREIGN_MAC, lie), neighbour(vm.ip)),
    }
    vm.site.forget()
    assert arriving(vm, other, honest | spoofed) == set(honest)
    # An answer to its own probe would tell the VM that somebody else has its address (RFC 5227).
    answers = [frame for frame in vm.site.heard()[vm.name] if frame[24:28] == "0806" and frame[40:44] == "0002"]
    assert answers == []


@pytest.mark.parametrize("sender", ["vlan101-ovs1", "vlan101-host1"])
def test_an_allowed_address_pair_passes(datacentre: DataCentre, matrix: Matrix, sender: str) -> None:
    """Once it is allowed, and no longer once it is not."""
    vm = matrix.vms[sender]
    other, pair = listener_of(matrix, vm), (FOREIGN_MAC, neighbour(vm.ip, ".77"))
    frames = {
        "IPv4": ethernet.token(pair, other.source, "pair"),
        "ARP": ethernet.arp_request(pair[0], pair, neighbour(vm.ip)),
    }
    assert not arriving(vm, other, frames)
    allow = [{"mac_address": pair[0], "ip_address": pair[1]}]
    datacentre.api.update("port", vm.port_id, allowed_address_pairs=allow)
    wait_until(lambda: arriving(vm, other, frames) == set(frames), 10, lambda: "the pair does not pass")
    assert arrives(vm, other, ethernet.token(vm.source, other.source, "own"))
    datacentre.api.update("port", vm.port_id, allowed_address_pairs=[])
    wait_until(lambda: not arriving(vm, other, frames), 10, lambda: "the pair still passes")


@pytest.mark.parametrize("sender", ["vxlan78-ovs1", "vxlan78-host1"])
def test_port_security_can_be_off(datacentre: DataCentre, matrix: Matrix, sender: str) -> None:
    """Then everything leaves the port."""
    vm = matrix.vms[sender]
    other = listener_of(matrix, vm)
    frame = ethernet.token((FOREIGN_MAC, neighbour(vm.ip, ".78")), other.source, "free")
    assert not arrives(vm, other, frame)
    datacentre.api.update("port", vm.port_id, port_security_enabled=False)
    wait_until(lambda: arrives(vm, other, frame), 10, lambda: "port security is off, and yet nothing passes")
    datacentre.api.update("port", vm.port_id, port_security_enabled=True)
    wait_until(lambda: not arrives(vm, other, frame), 10, lambda: "port security is on, and yet everything passes")
