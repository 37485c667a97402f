"""The openvswitch agent driver on real Open vSwitch (userspace datapath), beside a host with Linux bridges."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

from legacy_agent.drivers.openvswitch import OpenVSwitchAgentDriver
from legacy_agent.drivers.openvswitch.ofctl import Ofctl
from legacy_agent.host_plan import device_name
from tests.kernel.lab import Lab, Net, Vm, make_port
from tests.kernel.ovs_host import BRIDGE, PROVIDER_BRIDGE, OvsHost
from tests.kernel.test_port_security import (
    ALLOWED,
    ALWAYS_DROPPED,
    DROP,
    ME,
    PAIR,
    PASS,
    SERVICES,
    change,
    passed,
)
from tests.support import ethernet, netns

EVERYWHERE = [Net(1, "flat", "physnet2"), Net(2, "vxlan", None, 77), Net(3, "vxlan", None, 78)]
"""What a Linux-bridge host of any kernel can carry too."""

ON_OVS = [
    Net(4, "flat", "physnet1"),
    Net(5, "vlan", "physnet1", 100),
    Net(6, "vlan", "physnet1", 101),
    Net(7, "gre", None, 77),
    Net(8, "gre", None, 78),
    Net(9, "geneve", None, 77),
]


@pytest.fixture
def host(lab: Lab) -> OvsHost:
    """A host with Open vSwitch."""
    return ovs_host(lab)


def ovs_host(lab: Lab) -> OvsHost:
    made = lab.host(OvsHost)
    assert isinstance(made, OvsHost)
    return made


def two_hosts(lab: Lab, net: Net) -> tuple[OvsHost, Vm, Vm]:
    """Two hosts with Open vSwitch, a VM of the network on each, talking."""
    first, second = ovs_host(lab), ovs_host(lab)
    a, b = lab.vm(net, first), lab.vm(net, second)
    lab.realise()
    assert_talk(lab, a, b)
    return first, a, b


def talk(lab: Lab, a: Vm, b: Vm, patience: int = 5) -> bool:
    there, back = a.token("there", b), b.token("back", a)
    for _ in range(patience):  # a userspace tunnel resolves its peer first
        found = lab.deliveries([(a, there), (b, back)])
        if found[b.number, ethernet.trimmed(there)] == found[a.number, ethernet.trimmed(back)] == 1:
            return True
    return False


def assert_talk(lab: Lab, a: Vm, b: Vm) -> None:
    assert talk(lab, a, b)


def test_matrix(lab: Lab) -> None:
    """Two hosts with Open vSwitch and one with Linux bridges, two VMs on the first: within a network everybody hears
    everybody exactly once; nothing crosses, though numbers are shared between types and physical networks."""
    ovs, other, bridges = ovs_host(lab), ovs_host(lab), lab.host()
    for net in EVERYWHERE:
        for place in (ovs, ovs, other, bridges):
            lab.vm(net, place)
    for net in ON_OVS:
        for place in (ovs, ovs, other):
            lab.vm(net, place)
    lab.realise()
    sent = {(vm, vm.token(f"broadcast {vm.number}")): None for vm in lab.vms}
    sent |= {(a, a.token(f"{a.number} to {b.number}", b)): b for a, b in itertools.permutations(lab.vms, 2)}
    expected = {(vm.number, ethernet.trimmed(frame)) for (sender, frame), target in sent.items() for vm in lab.vms
                if vm is not sender and vm.net == sender.net and target in (None, vm)}  # fmt: skip
    senders = {ethernet.trimmed(frame): vm for vm, frame in sent}
    nets = {vm.number: vm.net for vm in lab.vms}
    for _ in range(5):  # a userspace tunnel resolves its peer first
        found = lab.deliveries(sent)
        assert all(nets[receiver] == senders[frame].net for receiver, frame in found), "a frame crossed"
        assert set(found.values()) == {1}, "a frame arrived twice"
        if found.keys() >= expected:
            return
    pytest.fail(f"{len(expected - found.keys())} frames did not arrive")


@pytest.mark.parametrize("net", [ON_OVS[1], EVERYWHERE[1]], ids=lambda net: net.network_type)
def test_restart_adopts_and_removal_cleans_up(lab: Lab, net: Net) -> None:
    """A driver with no memory finds everything right; without networks only the bridge stays."""
    host, a, b = two_hosts(lab, net)
    ports, flows, numbers = host.ports(), host.flows(), host.links()
    host.restart()
    assert not host.realise(lab.networks_of(host)).changed
    assert (host.ports(), host.flows(), host.links()) == (ports, flows, numbers)
    host.restart()
    assert host.realise([]).errors == {}
    assert host.ports() == set()
    assert len(host.flows()) == 1, "only link-local control frames are still dropped by name"
    assert not lab.deliveries([(a, a.token("out", b)), (b, b.token("in", a))])
    assert not host.realise([]).changed
    assert host.realise(lab.networks_of(host)).errors == {}
    assert_talk(lab, a, b)


def test_patch_of_the_operators_bridge_goes_when_unused(lab: Lab, host: OvsHost) -> None:
    """And nothing else of it is touched."""
    before = set(host.ovs.vsctl("list-ports", PROVIDER_BRIDGE).split())
    lab.vm(EVERYWHERE[0], host)
    lab.realise()
    assert len(set(host.ovs.vsctl("list-ports", PROVIDER_BRIDGE).split()) - before) == 1
    host.realise([])
    assert set(host.ovs.vsctl("list-ports", PROVIDER_BRIDGE).split()) == before


def test_tampering_is_repaired(lab: Lab) -> None:
    """Whatever was deleted or changed by hand comes back, and traffic with it; also after a restart of Open vSwitch,
    which loses flows."""
    host, a, b = two_hosts(lab, EVERYWHERE[1])
    flows = host.flows()
    tap = device_name(a.port.port_id)
    for tamper in (
        lambda: host.ovs.ofctl("del-flows", BRIDGE),
        lambda: host.ovs.ofctl("del-flows", BRIDGE, "table=3"),
        lambda: host.ovs.vsctl("del-port", BRIDGE, tap),
        lambda: host.ovs.vsctl("del-port", BRIDGE, "agent-vxlan"),
        lambda: host.ovs.vsctl("set", "Interface", "agent-vxlan", "options:remote_ip=192.0.2.77"),
        lambda: host.ovs.vsctl("set-fail-mode", BRIDGE, "standalone"),
        lambda: netns.set_link(host.name, tap, up=False),
        lambda: host.ovs.vsctl("del-br", BRIDGE),
        host.ovs.restart_vswitchd,
    ):
        tamper()
        while host.realise(lab.networks_of(host)).changed:
            pass
        assert_talk(lab, a, b)
        assert len(host.flows()) == len(flows)


def test_admin_down_and_unbound_ports_carry_nothing(lab: Lab) -> None:
    host, a, b = two_hosts(lab, ON_OVS[1])
    networks = lab.networks_of(host)
    down = [replace(net, ports=tuple(replace(port, admin_state_up=False) for port in net.ports)) for net in networks]
    for plan in (down, [replace(net, ports=()) for net in networks]):
        host.realise(plan)
        assert not lab.deliveries([(a, a.token("out", b)), (b, b.token("in", a))])
        host.realise(networks)
        assert_talk(lab, a, b)


def test_plugged_in_by_nova(lab: Lab, host: OvsHost) -> None:
    """By ``iface-id``, under any name, before or after the plan; the port stays Nova's."""
    net = EVERYWHERE[1]
    first, second = lab.vm(net, host, plugged=False), lab.vm(net, host)
    lab.realise()
    near = f"vnet{first.number}"
    plugged = lab.plug(first)
    with netns.route(host.name) as handle:
        index = netns.index(handle, device_name(first.port.port_id))
        handle.link("set", index=index, state="down")
        handle.link("set", index=index, ifname=near)
        handle.link("set", index=index, state="up")
    host.realise(lab.networks_of(host))
    assert not talk(lab, plugged, second, 1)
    host.ovs.vsctl(*f"add-port {BRIDGE} {near} -- set Interface {near}".split(),
                   f"external_ids:iface-id={first.port.port_id}")  # fmt: skip
    host.realise(lab.networks_of(host))
    assert host.realise(lab.networks_of(host)).endpoints[first.port.port_id] == near
    assert_talk(lab, plugged, second)
    host.realise([])
    assert host.ports() == {near}
    assert not talk(lab, plugged, second, 1)


def test_bridge_made_by_os_vif_is_adopted(lab: Lab, host: OvsHost) -> None:
    """Nova may plug the first VM in before the agent has made the bridge; it then forwards like any switch."""
    net = EVERYWHERE[1]
    a, b = lab.vm(net, host), lab.vm(net, host)
    tap = device_name(a.port.port_id)
    host.ovs.vsctl(*f"add-br {BRIDGE} -- set Bridge {BRIDGE} datapath_type=netdev -- add-port {BRIDGE} {tap} -- set "
                    f"Interface {tap} external_ids:iface-id={a.port.port_id}".split())  # fmt: skip
    lab.realise()
    assert not host.realise(lab.networks_of(host)).changed
    assert_talk(lab, a, b)
    assert "NORMAL" not in "".join(host.flows())


@pytest.mark.parametrize(("first", "word"), [
    (f"add-br {BRIDGE} -- add-port {BRIDGE} eth0", "has ports that are not VMs: eth0"),
    (f"add-br {BRIDGE} -- set-controller {BRIDGE} tcp:192.0.2.99:6653", "has an OpenFlow controller"),
])  # fmt: skip
def test_foreign_bridge_is_left_alone(lab: Lab, host: OvsHost, first: str, word: str) -> None:
    host.ovs.vsctl(*first.split(), *f"-- set Bridge {BRIDGE} datapath_type=netdev".split())
    before = host.ovs.vsctl("--columns=name,ports,fail_mode,external_ids", "list", "Bridge")
    vm = lab.vm(EVERYWHERE[1], host)
    [reason] = host.realise(lab.networks_of(host)).errors.values()
    assert word in reason
    assert "integration_bridge" in reason
    assert host.ovs.vsctl("--columns=name,ports,fail_mode,external_ids", "list", "Bridge") == before
    assert vm.port


def test_our_bridge_given_to_a_controller_is_left_to_it(lab: Lab) -> None:
    """Open vSwitch itself drops our flows then; two masters would only fight. All is well once it is taken away."""
    host, a, b = two_hosts(lab, ON_OVS[1])
    ports = host.ports()
    host.ovs.vsctl("set-controller", BRIDGE, "tcp:192.0.2.99:6653")
    outcome = host.realise(lab.networks_of(host))
    assert "has an OpenFlow controller" in outcome.errors[a.net.id]
    assert (outcome.changed, host.ports(), host.flows()) == ({}, ports, [])
    host.ovs.vsctl("del-controller", BRIDGE)
    assert host.realise(lab.networks_of(host)).errors == {}
    assert_talk(lab, a, b)


def test_foreign_things_stay(lab: Lab, host: OvsHost) -> None:
    """Other bridges, other flows, what an operator put on our bridge, taps nobody knows."""
    lab.vm(EVERYWHERE[1], host)
    lab.realise()
    for name in ("spare", "tapfffffffffff"):
        netns.veth((host.name, name), (host.name, f"{name[:4]}-peer"))
    host.ovs.vsctl(*f"add-port {BRIDGE} spare -- add-br virt -- set Bridge virt datapath_type=netdev".split())
    host.ovs.ofctl("add-flow", BRIDGE, "cookie=0xabc,table=7,priority=7,actions=drop")
    before = host.ports()
    host.restart()
    assert not host.realise(lab.networks_of(host)).changed
    host.realise([])
    assert host.ports() == {"spare"} < before
    assert any("cookie=0xabc" in flow for flow in host.flows())
    assert "virt" in host.ovs.vsctl("list-br")


def test_trouble_of_one_network_is_its_own(lab: Lab, host: OvsHost) -> None:
    """Each with a reason: an interface that is not there, one with addresses, one that is a port of another bridge."""
    good, flat = lab.vm(EVERYWHERE[1], host), lab.vm(ON_OVS[0], host)
    peer, stolen = lab.vm(EVERYWHERE[1], host), lab.vm(EVERYWHERE[2], host)
    netns.add_address(host.name, "eth0", "198.51.100.1/24")
    tap = device_name(stolen.port.port_id)
    host.ovs.vsctl("add-port", PROVIDER_BRIDGE, tap)
    errors = host.realise(lab.networks_of(host)).errors
    assert set(errors) == {flat.net.id, stolen.net.id}
    assert "eth0 carries 198.51.100.1" in errors[flat.net.id]
    assert f"{tap} is a port of bridge {PROVIDER_BRIDGE}" in errors[stolen.net.id]
    assert_talk(lab, good, peer)
    netns.remove_address(host.name, "eth0", "198.51.100.1/24")
    host.ovs.vsctl("del-port", PROVIDER_BRIDGE, tap)
    assert host.realise(lab.networks_of(host)).errors == {}


def test_killed_between_ports_and_flows(lab: Lab, host: OvsHost) -> None:
    """The next agent finds ports of its own that carry nothing, and goes on."""
    a, b = lab.vm(ON_OVS[1], host), lab.vm(ON_OVS[1], host)

    class Killed(BaseException):
        pass

    class Dying(Ofctl):
        def change(self, add: Iterable[str], remove: Iterable[int]) -> None:
            raise Killed

    host.driver = OpenVSwitchAgentDriver(host.settings, flows=Dying(f"{host.ovs.directory}/{BRIDGE}.mgmt"))
    with pytest.raises(Killed):
        host.realise(lab.networks_of(host))
    assert host.ports() >= {device_name(a.port.port_id), "eth0"}
    assert not lab.deliveries([(a, a.token("out", b))])
    host.restart()
    assert host.realise(lab.networks_of(host)).errors == {}
    assert_talk(lab, a, b)


def test_thousands_of_peers(lab: Lab) -> None:
    """More than one flow can name: broadcast still reaches those who are there, once."""
    host, a, b = two_hosts(lab, EVERYWHERE[1])
    crowd = tuple(f"192.0.3.{number}" if number < 256 else f"198.18.{number >> 8}.{number & 255}"
                  for number in range(2500))  # fmt: skip
    networks = [replace(net, peers=(*net.peers, *crowd)) for net in lab.networks_of(host)]
    assert host.realise(networks).errors == {}
    assert not host.realise(networks).changed
    frame = a.token("to everybody")
    assert lab.deliveries([(a, frame)])[b.number, ethernet.trimmed(frame)] == 1
    assert_talk(lab, a, b)


def test_virtual_addresses_reach_all_that_share_them(lab: Lab) -> None:
    """A MAC in the address pairs of several ports (VRRP) is known to be at each of them."""
    first, second = ovs_host(lab), ovs_host(lab)
    net = EVERYWHERE[1]
    shared = {"macs": (PAIR,)}
    client, here, there = lab.vm(net, first), lab.vm(net, first, **shared), lab.vm(net, second, **shared)
    bystander = lab.vm(net, first)
    lab.realise()
    assert_talk(lab, client, there)
    frame = ethernet.token((client.port.mac, client.ip), (PAIR, "10.8.0.8"), "to all that share it")
    heard = {number for number, _ in lab.deliveries([(client, frame)])}
    assert heard == {here.number, there.number}
    assert bystander.number not in heard


# Port security: the frames of test_port_security.py


@pytest.fixture
def watcher(lab: Lab, host: OvsHost) -> Vm:
    """A second, unsecured port beside the one that is tested; the frames that reach it have passed."""
    sender = lab.vm(EVERYWHERE[1], host, macs=(ME, PAIR), allowed=ALLOWED)
    assert sender.port.mac == ME
    other = lab.vm(EVERYWHERE[1], host, port_security=False)
    lab.realise()
    return other


CASES: Mapping[str, tuple[Mapping[str, object], set[str]]] = {
    "secured": ({}, set(PASS)),
    "open": ({"port_security": False, "macs": (), "allowed": ()}, {*PASS, *DROP} - set(ALWAYS_DROPPED)),
}


@pytest.mark.parametrize("case", CASES)
def test_what_may_leave_a_port(lab: Lab, watcher: Vm, case: str) -> None:
    changes, expected = CASES[case]
    change(lab, **changes)
    assert passed(lab, watcher, PASS | DROP) == expected


def test_services_may_come_from_ports_that_may(lab: Lab, watcher: Vm) -> None:
    change(lab, may_serve_dhcp=True)
    came = passed(lab, watcher, PASS | DROP)
    assert came >= {*PASS, *SERVICES}
    assert not came & {"MAC of another", "IPv4 of another", "ARP sender IP of another"}


def test_everything_may_be_allowed(lab: Lab, watcher: Vm) -> None:
    wide = [replace(address, cidr=cidr) for address in ALLOWED[:1] for cidr in ("0.0.0.0/0", "::/0")]
    change(lab, allowed=tuple(wide))
    names = ("IPv4 of another", "IPv6 of another", "ARP sender IP of another", "neighbour advertisement for another")
    assert passed(lab, watcher, {name: DROP[name] for name in names}) == set(names)
    assert make_port(1).port_security
