"""The linuxbridge agent driver on a real kernel: bridges, tunnels, nftables, and frames that do or do not arrive."""

from __future__ import annotations

import itertools
import socket
import subprocess
from dataclasses import replace

import pytest

from legacy_agent.host_plan import bridge_name, device_name
from tests.kernel import frames
from tests.kernel.capabilities import in_guest, possible_types
from tests.kernel.lab import UNDERLAY, Lab, Net, Vm
from tests.support import ethernet, netns

TYPES = possible_types()

NETS = [
    Net(1, "flat", "physnet1"),
    Net(2, "vlan", "physnet1", 100),
    Net(3, "vlan", "physnet1", 101),
    Net(4, "vlan", "physnet2", 100),
    Net(5, "gre", None, 77),
    Net(6, "gre", None, 78),
    Net(7, "vxlan", None, 77),
    Net(8, "vxlan", None, 78),
]
BY_TYPE = {name: [net for net in NETS if net.network_type == name] for name in TYPES}


def test_guest_has_every_type() -> None:
    if in_guest():
        assert TYPES == ["flat", "vlan", "gre", "vxlan"]
    else:
        assert {"flat", "vxlan"} <= set(TYPES)


def test_matrix(lab: Lab) -> None:
    """On three hosts, two VMs on the first: within a network everybody hears everybody exactly once, broadcast and
    unicast; nothing crosses, though numbers are shared between types and between physical networks."""
    hosts = [lab.host() for _ in range(3)]
    for net in itertools.chain.from_iterable(BY_TYPE.values()):
        for host in (hosts[0], *hosts):
            lab.vm(net, host)
    lab.realise()
    sent = {(vm, vm.token(f"broadcast {vm.number}")): None for vm in lab.vms}
    sent |= {(a, a.token(f"{a.number} to {b.number}", b)): b for a, b in itertools.permutations(lab.vms, 2)}
    found = lab.deliveries(sent)
    senders = {ethernet.trimmed(frame): vm for vm, frame in sent}
    by_number = {vm.number: vm for vm in lab.vms}
    assert all(by_number[receiver].net == senders[frame].net for receiver, frame in found), "a frame crossed"
    assert set(found.values()) == {1}, "a frame arrived twice"
    for (sender, frame), target in sent.items():
        for vm in lab.vms:
            if vm is not sender and vm.net == sender.net and target in (None, vm):
                assert (vm.number, ethernet.trimmed(frame)) in found, f"{sender.number} did not reach {vm.number}"


@pytest.mark.parametrize("network_type", TYPES)
def test_restart_adopts(lab: Lab, network_type: str) -> None:
    """A driver with no memory finds everything right: no change, no new device."""
    host, _ = two_hosts(lab, network_type)
    before = host.links()
    host.restart()
    outcome = host.realise(lab.networks_of(host))
    assert not outcome.changed
    assert host.links() == before


@pytest.mark.parametrize("network_type", TYPES)
def test_removal_cleans_up(lab: Lab, network_type: str) -> None:
    host = lab.host()
    taps = {device_name(lab.vm(net, host).port.port_id) for net in BY_TYPE[network_type]}
    before = set(host.links())
    lab.realise()
    assert set(host.links()) > before
    host.restart()
    assert host.realise([]).errors == {}
    links = host.links()
    assert set(links) == before
    assert all(links[name].master is None for name in (*taps, "eth0", "eth2"))
    assert not host.run(lambda: host.driver.snapshot().detail.guards)


@pytest.mark.parametrize("network_type", TYPES)
def test_tampering_is_repaired(lab: Lab, network_type: str) -> None:
    """Whatever was deleted or changed by hand comes back, and traffic with it."""
    host, (a, b) = two_hosts(lab, network_type)
    for name, link in host.links().items():
        if link.alias:
            netns.delete_link(host.name, name)
    assert host.realise(lab.networks_of(host)).errors == {}
    assert_talk(lab, a, b)
    netns.set_link(host.name, bridge_name(a.net.id), up=False, mtu=1300)
    assert host.realise(lab.networks_of(host)).changed
    assert not host.realise(lab.networks_of(host)).changed
    assert_talk(lab, a, b)


@pytest.mark.parametrize("network_type", TYPES)
def test_admin_down_and_unbound_ports_carry_nothing(lab: Lab, network_type: str) -> None:
    host, (a, b) = two_hosts(lab, network_type)
    networks = lab.networks_of(host)
    down = [replace(net, ports=tuple(replace(port, admin_state_up=False) for port in net.ports)) for net in networks]
    for plan in (down, [replace(net, ports=()) for net in networks]):
        host.realise(plan)
        assert not lab.deliveries([(a, a.token("out", b)), (b, b.token("in", a))])
        host.realise(networks)
        assert_talk(lab, a, b)


def test_mac_that_moves_is_followed(lab: Lab) -> None:
    """A remote VM migrates: one entry changes, no other device is touched."""
    for network_type in [name for name in TYPES if name in ("gre", "vxlan")]:
        hosts = list(lab.hosts.values()) or [lab.host() for _ in range(3)]
        net = BY_TYPE[network_type][0]
        a, b, c = (lab.vm(net, host) for host in hosts)
        lab.realise()
        before = hosts[0].links()
        swapped = [replace(port, endpoint=hosts[2].tunnel_ip) for port in lab.networks_of(hosts[0])[-1].remotes]
        networks = [replace(network, remotes=tuple(swapped)) for network in lab.networks_of(hosts[0])]
        assert hosts[0].realise(networks).errors == {}
        assert hosts[0].links() == before
        found = lab.deliveries([(a, a.token("moved", b))])
        assert found[b.number, ethernet.trimmed(a.token("moved", b))] == 0
        lab.realise()
        assert_talk(lab, a, b)
        assert_talk(lab, a, c)


def test_mtu(lab: Lab) -> None:
    """The network's MTU is that of its bridge and of what connects it; one that cannot be is refused with a reason."""
    host = lab.host()
    vms = [lab.vm(replace(BY_TYPE[name][0], mtu=1300), host) for name in TYPES]
    lab.realise()
    assert {link.mtu for link in host.links().values() if link.alias} == {1300}
    if "vlan" in TYPES:
        wide = [replace(network, mtu=9000) for network in lab.networks_of(host)]
        [vlan] = [network for network in wide if network.network_type == "vlan"]
        errors = host.realise(wide).errors
        assert "larger than that of eth0 (1600)" in errors[vlan.network_id]
    assert vms


def test_foreign_bridge_of_that_name_is_left_alone(lab: Lab) -> None:
    host = lab.host()
    one, other = Net(1, "flat", "physnet1"), Net(7, "vxlan", None, 77)
    taken, free = lab.vm(one, host), lab.vm(other, host)
    netns.bridge(host.name, bridge_name(one.id))
    netns.veth((host.name, "spare"), (host.name, "cable"))
    netns.enslave(host.name, "spare", bridge_name(one.id))
    before = host.links()[bridge_name(one.id)]
    errors = host.realise(lab.networks_of(host)).errors
    assert list(errors) == [one.id]
    assert "was not made by this agent (no alias isthmus:...) and has ports that are not VMs (spare)" in errors[one.id]
    links = host.links()
    assert links[bridge_name(one.id)] == before
    assert links[device_name(taken.port.port_id)].master is None
    assert links["eth0"].master is None
    assert links[device_name(free.port.port_id)].master == bridge_name(other.id)


def test_bridge_made_by_os_vif_is_adopted(lab: Lab) -> None:
    """Nova may plug the first VM in before the agent has made the bridge: name and ports say that it is for us. Not
    one with an address, which somebody uses."""
    host = lab.host()
    net, used = BY_TYPE["vxlan"][0], BY_TYPE["vxlan"][1]
    a, b, other = lab.vm(net, host), lab.vm(net, host), lab.vm(used, host)
    for vm in (a, other):
        netns.bridge(host.name, bridge_name(vm.net.id))
        netns.enslave(host.name, device_name(vm.port.port_id), bridge_name(vm.net.id))
    netns.add_address(host.name, bridge_name(used.id), "198.51.100.1/24")
    number = host.links()[bridge_name(net.id)].index
    errors = host.realise(lab.networks_of(host)).errors
    assert list(errors) == [used.id]
    assert "carries 198.51.100.1" in errors[used.id]
    assert host.links()[bridge_name(net.id)].index == number
    assert_talk(lab, a, b)
    netns.remove_address(host.name, bridge_name(used.id), "198.51.100.1/24")
    assert host.realise(lab.networks_of(host)).errors == {}
    assert not host.realise(lab.networks_of(host)).changed
    host.restart()
    host.realise([])
    assert bridge_name(net.id) not in host.links()


def test_interface_with_addresses_is_not_taken(lab: Lab) -> None:
    host = lab.host()
    net = Net(1, "flat", "physnet1")
    lab.vm(net, host)
    netns.add_address(host.name, "eth0", "198.51.100.1/24")
    errors = host.realise(lab.networks_of(host)).errors
    assert "carries 198.51.100.1" in errors[net.id]
    assert host.links()["eth0"].master is None
    netns.remove_address(host.name, "eth0", "198.51.100.1/24")
    assert host.realise(lab.networks_of(host)).errors == {}
    assert host.links()["eth0"].master == bridge_name(net.id)


def test_foreign_things_stay(lab: Lab) -> None:
    """Taps nobody knows, bridges and interfaces of others, and what an operator put into our bridge."""
    host = lab.host()
    net = Net(7, "vxlan", None, 77)
    lab.vm(net, host)
    netns.bridge(host.name, "virbr0")
    netns.veth((host.name, "tapfffffffffff"), (host.name, "spare"))
    netns.enslave(host.name, "tapfffffffffff", "virbr0")
    lab.realise()
    netns.enslave(host.name, "spare", bridge_name(net.id))
    host.restart()
    assert not host.realise(lab.networks_of(host)).changed
    links = host.links()
    assert links["tapfffffffffff"].master == "virbr0"
    assert links["spare"].master == bridge_name(net.id)


def test_device_of_an_agent_that_was_killed_is_adopted(lab: Lab) -> None:
    """Killed between creating a device and writing its alias: still ours."""
    host = lab.host()
    net = Net(7, "vxlan", None, 77)
    lab.vm(net, host)
    lab.realise()
    with netns.route(host.name) as handle:
        handle.link("set", index=netns.index(handle, bridge_name(net.id)), ifalias="")
    host.restart()
    assert host.realise(lab.networks_of(host)).errors == {}
    assert host.links()[bridge_name(net.id)].alias.endswith(net.id)


def test_tagged_frames_do_not_reach_a_flat_network(lab: Lab) -> None:
    """Not even those of a VLAN that this host does not carry, which nobody takes out before the bridge sees them; the
    rules are put back like all others."""
    host = lab.host()
    vm = lab.vm(Net(1, "flat", "physnet1"), host)
    lab.realise()
    sender = lab.vm(Net(1, "flat", "physnet1"), lab.host(), port_security=False)
    lab.realise()
    assert_talk(lab, vm, sender)
    plain = sender.token("flat")
    with netns.inside(UNDERLAY), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as cable:
        cable.bind((f"{host.name}-eth0", 0))
        for ethertype in (0x8100, 0x88A8):
            cable.send(frames.tagged(plain, 100, ethertype))
    assert not lab.gather(), "a tagged frame crossed"
    host.run(lambda: subprocess.run(["nft", "flush", "ruleset"], check=True))
    assert host.realise(lab.networks_of(host)).changed
    assert not host.realise(lab.networks_of(host)).changed


def test_plug_after_plan(lab: Lab) -> None:
    """The tap comes later: until then only its rules are there."""
    host = lab.host()
    net = BY_TYPE["vxlan"][0]
    waiting = lab.vm(net, host, plugged=False)
    other = lab.vm(net, host)
    lab.realise()
    assert not host.realise(lab.networks_of(host)).changed
    here = lab.plug(waiting)
    assert host.realise(lab.networks_of(host)).changed
    assert_talk(lab, here, other)


def test_interfaces_are_read_as_pyroute2_reads_them(lab: Lab) -> None:
    host = lab.host()
    for name in TYPES:
        lab.vm(BY_TYPE[name][0], host)
        lab.vm(BY_TYPE[name][0], lab.host())
    lab.realise()
    with netns.route(host.name) as handle:
        messages = list(handle.get_links())
    names = {message["index"]: message.get_attr("IFLA_IFNAME") for message in messages}
    expected = {
        names[message["index"]]: (
            message["index"],
            message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or "",
            message.get_attr("IFLA_MTU"),
            bool(message["flags"] & 1),
            message.get_attr("IFLA_IFALIAS") or "",
            message.get_attr("IFLA_GROUP"),
            names.get(message.get_attr("IFLA_MASTER")),
            bool(message.get_nested("IFLA_LINKINFO", "IFLA_INFO_SLAVE_DATA", "IFLA_BRPORT_ISOLATED")),
        )
        for message in messages
    }
    assert {name: (link.index, link.kind, link.mtu, link.up, link.alias, link.group, link.master, link.isolated)
            for name, link in host.links().items()} == expected  # fmt: skip


def two_hosts(lab: Lab, network_type: str):
    """The first host, and a VM on each of two."""
    hosts = [lab.host(), lab.host()]
    net = BY_TYPE[network_type][0]
    vms = [lab.vm(net, host) for host in hosts]
    lab.realise()
    assert_talk(lab, *vms)
    return hosts[0], vms


def assert_talk(lab: Lab, a: Vm, b: Vm) -> None:
    there, back = a.token("there", b), b.token("back", a)
    found = lab.deliveries([(a, there), (b, back)])
    assert found[b.number, ethernet.trimmed(there)] == 1
    assert found[a.number, ethernet.trimmed(back)] == 1
