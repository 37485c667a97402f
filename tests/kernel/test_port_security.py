"""Anti-spoofing on a real kernel: a port sends only as itself and its address pairs."""

from __future__ import annotations

import select
import subprocess
from dataclasses import replace

import pytest

from legacy_agent.drivers.senders import link_local
from legacy_agent.host_plan import AllowedAddress, device_name
from legacy_agent.netlink import events
from tests.kernel import frames
from tests.kernel.capabilities import in_guest
from tests.kernel.lab import Lab, Net, Vm, address, mac
from tests.support import ethernet

NET = Net(7, "vxlan", None, 77)
ME, OTHER = mac(1), mac(2)
PAIR = "00:00:5e:00:01:07"
MINE, THEIRS, NOBODY = address(1), address(2), "0.0.0.0"
MINE6, THEIRS6, OWN_LL = "2001:db8::1", "2001:db8::2", link_local(ME)
ALLOWED = (
    AllowedAddress(ME, MINE),
    AllowedAddress(ME, MINE6),
    AllowedAddress(ME, "10.9.0.0/24"),
    AllowedAddress(PAIR, "10.8.0.8"),
)

PASS = {
    "IPv4": frames.udp4((ME, MINE), (1000, 2000)),
    "IPv4 in a range": frames.udp4((ME, "10.9.0.200"), (1000, 2000)),
    "IPv4 of a pair": frames.udp4((PAIR, "10.8.0.8"), (1000, 2000)),
    "IPv6": frames.udp6((ME, MINE6), (1000, 2000)),
    "IPv6 link-local": frames.udp6((ME, OWN_LL), (1000, 2000)),
    "ARP request": frames.arp(ME, (ME, MINE), THEIRS),
    "ARP reply": frames.arp(ME, (ME, MINE), THEIRS, operation=2),
    "gratuitous ARP of a pair": frames.arp(PAIR, (PAIR, "10.8.0.8"), "10.8.0.8"),
    "ARP probe": frames.arp(ME, (ME, NOBODY), MINE),
    "RARP": frames.arp(ME, (ME, NOBODY), NOBODY, 3, frames.RARP),
    "DHCP client": frames.udp4((ME, NOBODY), (68, 67)),
    "DHCPv6 client": frames.udp6((ME, OWN_LL), (546, 547)),
    "neighbour solicitation": frames.icmpv6((ME, MINE6), 135, THEIRS6),
    "duplicate address detection": frames.icmpv6((ME, "::"), 135, MINE6),
    "neighbour advertisement": frames.icmpv6((ME, MINE6), 136, MINE6),
    "neighbour advertisement, link-local": frames.icmpv6((ME, OWN_LL), 136, OWN_LL),
    "router solicitation": frames.icmpv6((ME, "::"), 133),
    "listener report": frames.listener_report((ME, "::")),
}

DROP = {
    "MAC of another": frames.udp4((OTHER, MINE), (1000, 2000)),
    "IPv4 of another": frames.udp4((ME, THEIRS), (1000, 2000)),
    "IPv4 of a pair with the wrong MAC": frames.udp4((ME, "10.8.0.8"), (1000, 2000)),
    "IPv4 beside the range": frames.udp4((ME, "10.9.1.1"), (1000, 2000)),
    "IPv4 from nowhere": frames.udp4((ME, NOBODY), (1000, 2000)),
    "IPv6 of another": frames.udp6((ME, THEIRS6), (1000, 2000)),
    "IPv6 link-local of another": frames.udp6((ME, link_local(OTHER)), (1000, 2000)),
    "ARP sender IP of another": frames.arp(ME, (ME, THEIRS), MINE),
    "ARP sender MAC of another": frames.arp(ME, (OTHER, MINE), THEIRS),
    "ARP from the MAC of another": frames.arp(OTHER, (ME, MINE), THEIRS),
    "ARP reply for another": frames.arp(ME, (ME, THEIRS), MINE, operation=2),
    "ARP probe for the address of another": frames.arp(ME, (ME, NOBODY), THEIRS),
    "RARP from the MAC of another": frames.arp(OTHER, (OTHER, NOBODY), NOBODY, 3, frames.RARP),
    "DHCP answer": frames.udp4((ME, MINE), (67, 68)),
    "DHCP answer from another port": frames.udp4((ME, MINE), (1067, 68)),
    "DHCPv6 answer": frames.udp6((ME, OWN_LL), (547, 546)),
    "router advertisement": frames.icmpv6((ME, OWN_LL), 134),
    "redirect": frames.icmpv6((ME, OWN_LL), 137),
    "neighbour advertisement for another": frames.icmpv6((ME, MINE6), 136, THEIRS6),
    "duplicate address detection for another": frames.icmpv6((ME, "::"), 135, THEIRS6),
    "unknown ethertype": ethernet.ethernet(ME, ethernet.BROADCAST, 0x88B5, b"experiment"),
    "IEEE 802.3 length": ethernet.ethernet(ME, ethernet.BROADCAST, 38, b"\x42\x42\x03"),
    "802.1Q tag": frames.tagged(frames.udp4((ME, MINE), (1000, 2000)), 100),
    "priority tag": frames.tagged(frames.udp4((ME, MINE), (1000, 2000)), 0),
    "802.1ad tag": frames.tagged(frames.udp4((ME, MINE), (1000, 2000)), 100, 0x88A8),
    "spanning tree": frames.control(ME, 0x00),
    "pause": frames.control(ME, 0x01),
    "LLDP": frames.control(ME, 0x0E),
}

SERVICES = ("DHCP answer", "DHCPv6 answer", "router advertisement")
ALWAYS_DROPPED = ("802.1Q tag", "priority tag", "802.1ad tag", "spanning tree", "pause", "LLDP")


@pytest.fixture
def watcher(lab: Lab) -> Vm:
    """A second, unsecured port beside the one that is tested; the frames that reach it have passed."""
    host = lab.host()
    sender = lab.vm(NET, host, macs=(ME, PAIR), allowed=ALLOWED)
    assert sender.port.mac == ME
    other = lab.vm(NET, host, port_security=False)
    lab.realise()
    return other


def passed(lab: Lab, watcher: Vm, cases: dict[str, bytes]) -> set[str]:
    """The names of the frames that reach the watcher when the first VM sends them."""
    found = lab.deliveries((lab.vms[0], frame) for frame in cases.values())
    return {name for name, frame in cases.items() if found[watcher.number, ethernet.trimmed(frame)]}


def change(lab: Lab, **changes: object) -> None:
    """Give the first port other properties."""
    lab.vms[0] = replace(lab.vms[0], port=replace(lab.vms[0].port, **changes))
    lab.realise()


def test_own_traffic_passes_and_spoofed_does_not(lab: Lab, watcher: Vm) -> None:
    assert passed(lab, watcher, PASS | DROP) == set(PASS)


def test_services_may_come_from_ports_that_may(lab: Lab, watcher: Vm) -> None:
    change(lab, may_serve_dhcp=True)
    cases = PASS | DROP
    assert passed(lab, watcher, cases) >= {*PASS, *SERVICES}
    assert not passed(lab, watcher, cases) & {"MAC of another", "IPv4 of another", "ARP sender IP of another"}


def test_without_port_security_all_but_tags_and_control_frames_pass(lab: Lab, watcher: Vm) -> None:
    change(lab, port_security=False, macs=(), allowed=())
    assert passed(lab, watcher, PASS | DROP) == {*PASS, *DROP} - set(ALWAYS_DROPPED)


def test_a_pair_that_is_added_passes_at_once_and_no_longer_when_removed(lab: Lab, watcher: Vm) -> None:
    case = {"new": frames.udp4((ME, THEIRS), (1, 2))}
    assert not passed(lab, watcher, case)
    change(lab, allowed=(*ALLOWED, AllowedAddress(ME, THEIRS)))
    assert passed(lab, watcher, case)
    change(lab, allowed=ALLOWED)
    assert not passed(lab, watcher, case)


def test_everything_may_be_allowed(lab: Lab, watcher: Vm) -> None:
    change(lab, allowed=(AllowedAddress(ME, "0.0.0.0/0"), AllowedAddress(ME, "::/0")))
    names = ("IPv4 of another", "IPv6 of another", "ARP sender IP of another", "neighbour advertisement for another")
    cases = {name: DROP[name] for name in names}
    assert passed(lab, watcher, cases) == set(names)


def test_rules_that_vanish_are_put_back(lab: Lab, watcher: Vm) -> None:
    """As after another program's ``nft flush ruleset``; and when a single rule was deleted."""
    host = lab.hosts["host1"]
    for command in (["flush", "ruleset"], ["flush", "chain", "bridge", "isthmus", _chain(lab)]):
        host.run(lambda command=command: command_output(["nft", *command]))
        assert host.realise(lab.networks_of(host)).changed
        assert not host.realise(lab.networks_of(host)).changed
        assert passed(lab, watcher, PASS | DROP) == set(PASS)


def test_nft_can_list_the_rules(lab: Lab, watcher: Vm) -> None:
    text = lab.hosts["host1"].run(lambda: command_output(["nft", "list", "table", "bridge", "isthmus"]))
    assert f'"{device_name(lab.vms[0].port.port_id)}" : goto {_chain(lab)}' in text
    assert f"ether saddr {ME} ip saddr {MINE} accept" in text


def test_only_rules_of_bridges_are_heard_of(lab: Lab) -> None:
    host = lab.host()
    heard = host.run(events.open_nftables_events)
    heard.settimeout(5)
    for family in ("bridge",) if in_guest() else ("inet", "bridge"):  # the guest's kernel has no other
        host.run(lambda family=family: command_output(["nft", "add", "table", family, "somebody"]))
        assert events.of_bridges(heard.recv(65536)) == (family == "bridge")
        while select.select([heard], [], [], 0.1)[0]:
            heard.recv(65536)
    heard.close()


def _chain(lab: Lab) -> str:
    return f"port-{device_name(lab.vms[0].port.port_id)}"


def command_output(arguments: list[str]) -> str:
    """Run a command in the namespace of this thread."""
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
