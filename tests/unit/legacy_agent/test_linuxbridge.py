"""The linuxbridge agent driver on a kernel in memory: whatever there was, afterwards there is what the plan says."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.delta import difference
from legacy_agent.agent import realise
from legacy_agent.drivers.linuxbridge import LinuxBridgeAgentDriver, desired
from legacy_agent.host_plan import HostNetwork, HostPlan, bridge_name
from legacy_agent.netlink.fdb import FLOOD_MAC, FdbEntry
from legacy_agent.netlink.links import BridgeSpec, DeviceSpec, GretapSpec, VlanSpec, VxlanSpec
from tests.unit.legacy_agent.memory import Killed, MemoryLinks, MemoryNft
from tests.unit.legacy_agent.plans import PEERS, SETTINGS, TAPS, network, plans, port

NICS = ("eth0", "eth1", "eth2")


class World:
    """A host with a driver."""

    def __init__(self, *taps: str) -> None:
        self.links, self.nft = MemoryLinks(*NICS, *taps), MemoryNft()
        self.settings = SETTINGS

    def realise(self, *networks: HostNetwork) -> dict[str, str]:
        """With a driver that remembers nothing."""
        driver = LinuxBridgeAgentDriver(self.settings, self.links, self.nft)
        return dict(realise(HostPlan("rack7", 1, networks), {"linuxbridge": driver}).errors)

    def quiet(self, *networks: HostNetwork) -> bool:
        """Whether a second time changes nothing."""
        before = (self.links.changes, self.nft.transactions)
        self.realise(*networks)
        return before == (self.links.changes, self.nft.transactions)

    def state(self) -> object:
        """What is there, without the numbers of interfaces."""
        links = {name: replace(link, index=0) for name, link in self.links.links().items()}
        return links, self.links.fdb(links), self.nft.rule_comments("isthmus"), self.nft.map

    def masters(self) -> dict[str, str | None]:
        return {name: link.master for name, link in self.links.links().items()}


def fresh(taps: tuple[str, ...], *networks: HostNetwork) -> object:
    """The state that leads straight from an untouched host to these networks."""
    world = World(*taps)
    assert world.realise(*networks) == {}
    return world.state()


@settings(deadline=None)
@given(st.lists(plans(), max_size=4), plans(), st.data())
def test_any_state_becomes_the_desired_one(past: list[tuple[HostNetwork, ...]], plan: tuple[HostNetwork, ...],
                                           data: st.DataObject) -> None:  # fmt: skip
    """History, lost rules, deleted devices and taps that come and go leave no trace; the second time is quiet."""
    world = World(*TAPS)
    for networks in past:
        world.realise(*networks)
        ours = sorted(name for name, link in world.links.links().items() if link.alias)
        for name in data.draw(st.lists(st.sampled_from(ours), unique=True)) if ours else ():
            world.links.unplug(name)
        if data.draw(st.booleans()):
            world.nft = MemoryNft()
    for tap in data.draw(st.lists(st.sampled_from(TAPS), unique=True)):
        world.links.unplug(tap)
    remaining = tuple(tap for tap in TAPS if tap in world.links.links())
    assert world.realise(*plan) == {}
    expected = fresh(remaining, *plan)
    assert _without_up(world.state()) == _without_up(expected)
    assert world.quiet(*plan)


def _without_up(state: object) -> object:
    """Taps that were once plugged stay up, and their forwarding state is nobody's."""
    links, *others = state  # type: ignore[misc]
    return {name: link if link.alias else replace(link, up=False) for name, link in links.items()}, others


@settings(deadline=None)
@given(plans(), plans(), st.integers(1, 60))
def test_agent_may_be_killed_at_any_point(first: tuple[HostNetwork, ...], second: tuple[HostNetwork, ...],
                                          point: int) -> None:  # fmt: skip
    world = World(*TAPS)
    world.realise(*first)
    world.links.killed_at = world.links.changes + point
    with contextlib.suppress(Killed):
        world.realise(*second)
    assert world.realise(*second) == {}
    assert _without_up(world.state()) == _without_up(fresh(TAPS, *second))


@settings(deadline=None)
@given(plans(), plans())
def test_nothing_is_left(first: tuple[HostNetwork, ...], second: tuple[HostNetwork, ...]) -> None:
    world = World(*TAPS)
    world.realise(*first)
    world.realise(*second)
    world.realise()
    assert set(world.links.links()) == {*NICS, *TAPS}
    assert set(world.masters().values()) == {None}
    assert not world.links.fdb(world.links.links())
    assert (world.nft.chains, world.nft.map) == ({}, {})


def test_what_each_type_needs() -> None:
    world = World(TAPS[0])
    assert world.realise(network(1, "flat", "physnet1", None), network(2, "vlan", "physnet1", 100),
                         network(3, "gre", None, 77, port(0)), network(4, "vxlan", None, 77)) == {}  # fmt: skip
    masters, links = world.masters(), world.links.links()
    flat, vlan, gre, vxlan = (bridge_name(network(number).network_id) for number in range(1, 5))
    assert {masters[name] for name in NICS} == {None, flat}
    assert masters["eth0"] == flat
    assert masters["eth0.100"] == vlan
    assert masters["vxlan-77"] == vxlan
    assert masters[TAPS[0]] == gre
    assert links["eth0.100"].spec == VlanSpec("eth0", 100)
    assert links["vxlan-77"].spec == VxlanSpec(77, "192.0.2.1", 4789)
    tunnels = world.links.tunnels()
    assert {link.spec for link in tunnels if isinstance(link.spec, GretapSpec)} == {
        GretapSpec(77, "192.0.2.1", peer) for peer in PEERS
    }
    assert all(link.isolated for link in tunnels)
    assert not any(link.isolated for link in links.values() if link not in tunnels)
    assert all(link.up for link in links.values() if link.alias or link.name in ("eth0", TAPS[0]))
    assert {link.mtu for link in links.values() if link.alias} == {1450}
    entries = world.links.fdb(links)
    assert {entry for entry in entries if entry.device == "vxlan-77"} == {
        *(FdbEntry("vxlan-77", FLOOD_MAC, peer) for peer in PEERS),
        FdbEntry("vxlan-77", "fa:16:3e:00:01:01", PEERS[0]),
        FdbEntry("vxlan-77", "fa:16:3e:00:01:01"),
    }


def test_device_that_is_made_anew_gets_its_entries_at_once() -> None:
    """The host was given another tunnel address: what goes with the old devices is not in force until it is back."""
    world = World(*TAPS)
    plan = (network(1, "vxlan", None, 77, port(0)), network(2, "gre", None, 77, port(1)))
    world.realise(*plan)
    moved = World(*TAPS)
    world.settings = moved.settings = replace(SETTINGS, local_ip="192.0.2.9")
    moved.realise(*plan)
    assert world.realise(*plan) == {}
    assert world.state() == moved.state()


def test_uplink_that_cannot_be_used_stays_alone() -> None:
    world = World(*TAPS)
    world.links.broken = {"eth0"}
    assert world.realise(network(1, "vlan", "physnet2", 100)) == {"": "eth0 is broken"}
    assert world.links.links()["eth2"].up


def test_tap_that_somebody_takes_down_comes_up_again() -> None:
    """It is reported as plugged in, so frames must get through."""
    world = World(*TAPS)
    plan = network(1, "vxlan", None, 77, port(0))
    world.realise(plan)
    world.links.set(TAPS[0], up=False)
    assert world.realise(plan) == {}
    assert world.links.links()[TAPS[0]].up
    assert world.quiet(plan)


def test_tap_that_is_unplugged_meanwhile_is_no_failure() -> None:
    world = World(*TAPS)
    driver = LinuxBridgeAgentDriver(SETTINGS, world.links, world.nft)
    snapshot = driver.snapshot()
    plan = network(1, "vxlan", None, 77, port(0), port(1))
    delta = difference(driver.desired([plan], snapshot).items, snapshot.items)
    world.links.unplug(TAPS[0])
    assert driver.apply(delta, snapshot) == {}
    assert world.masters()[TAPS[1]] == bridge_name(plan.network_id)


def test_tap_of_an_operator_is_no_port() -> None:
    world = World(*TAPS, "tap0")
    plan = network(1, "vxlan", None, 77, port(0))
    world.realise(plan)
    world.links.enslave("tap0", bridge_name(plan.network_id))
    assert world.realise(plan) == {}
    assert world.masters()["tap0"] == bridge_name(plan.network_id)


@pytest.mark.parametrize(("plan", "spec"), [
    (network(1, "vlan", "physnet1", 100), VlanSpec("eth0", 100)),
    (network(1, "vxlan", None, 77), VxlanSpec(77, "192.0.2.200", 4789)),
    (network(1, "gre", None, 77), GretapSpec(77, "192.0.2.1", PEERS[0])),
])  # fmt: skip
def test_interface_of_an_operator_that_is_what_we_need_is_named(plan: HostNetwork, spec: DeviceSpec) -> None:
    world = World(*TAPS)
    world.links.plug("theirs", spec)
    [reason] = world.realise(plan).values()
    assert "interface theirs is that already" in reason
    assert "theirs" in world.links.links()


def test_broken_network_stays_alone() -> None:
    """Its own error, and its tap stays out; the other network is whole."""
    world = World(*TAPS)
    sick, well = network(1, "vxlan", None, 77, port(0)), network(2, "gre", None, 77, port(1))
    world.links.broken = {"vxlan-77"}
    assert world.realise(sick, well) == {sick.network_id: "vxlan-77 is broken"}
    masters = world.masters()
    assert masters[TAPS[0]] is None
    assert masters[TAPS[1]] == bridge_name(well.network_id)
    world.links.broken = set()
    assert world.realise(sick, well) == {}
    assert world.masters()[TAPS[0]] == bridge_name(sick.network_id)


def test_rules_that_cannot_be_put_in_force_keep_the_tap_out() -> None:
    """Fail closed, also when the tap was in the bridge already and its rules have vanished; others are connected."""
    world = World(*TAPS)
    sick, well = network(1, "vxlan", None, 77, port(0)), network(2, "gre", None, 77, port(1))
    assert world.realise(sick, well) == {}
    world.nft = MemoryNft()
    world.nft.broken = {f"port-{TAPS[0]}"}
    assert list(world.realise(sick, well)) == [sick.network_id]
    assert world.masters()[TAPS[0]] is None
    assert world.masters()[TAPS[1]] == bridge_name(well.network_id)


def test_old_rules_in_force_keep_the_tap_connected() -> None:
    world = World(*TAPS)
    plan = network(1, "vxlan", None, 77, port(0))
    world.realise(plan)
    world.nft.broken = {f"port-{TAPS[0]}"}
    errors = world.realise(replace(plan, ports=(port(0, may_serve_dhcp=True),)))
    assert list(errors) == [plan.network_id]
    assert world.masters()[TAPS[0]] == bridge_name(plan.network_id)


@pytest.mark.parametrize("stp", [False, True])
def test_bridge_made_by_os_vif_is_adopted(stp: bool) -> None:
    """With its settings put right; afterwards nothing shows that the agent did not make it."""
    world = World(*TAPS)
    plan = network(1, "vxlan", None, 77, port(0), port(1))
    bridge = bridge_name(plan.network_id)
    world.links.plug(bridge, BridgeSpec(stp=stp))
    world.links.enslave(TAPS[0], bridge)
    assert world.realise(plan) == {}
    assert world.quiet(plan)
    links = {name: replace(link, index=0, group=0) for name, link in world.links.links().items()}
    other = World(*TAPS)
    other.realise(plan)
    assert links == {name: replace(link, index=0, group=0) for name, link in other.links.links().items()}


def test_foreign_devices_are_not_touched() -> None:
    world = World(*TAPS)
    plan = network(1, "vxlan", None, 77, port(0))
    bridge = bridge_name(plan.network_id)
    world.links.plug(bridge, BridgeSpec(stp=True))
    world.links.plug("docker0", BridgeSpec())
    world.links.enslave(TAPS[1], "docker0")
    world.links.enslave("eth1", bridge)
    before = world.links.links()
    [reason] = world.realise(plan).values()
    assert f"interface {bridge} exists, was not made by this agent" in reason
    after = world.links.links()
    assert after[bridge] == before[bridge]
    assert after[TAPS[1]].master == "docker0"
    assert after[TAPS[0]].master is None


def test_tap_in_a_foreign_bridge_is_left_there() -> None:
    world = World(*TAPS)
    plan = network(1, "vxlan", None, 77, port(0))
    world.links.plug("virbr0", BridgeSpec())
    world.links.enslave(TAPS[0], "virbr0")
    assert "is a port of virbr0" in world.realise(plan)[plan.network_id]
    assert world.masters()[TAPS[0]] == "virbr0"


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (network(1, "flat", "physnet9", None), "physical network 'physnet9' is not mapped on host 'rack7'; mapped "),
        (network(1, "geneve", None, 5), "does not serve geneve networks"),
        (network(1, "vlan", "physnet1", None), "has no segmentation id"),
    ],
)
def test_what_cannot_be_realised_says_why(plan: HostNetwork, words: str) -> None:
    assert words in World().realise(plan)[plan.network_id]


def test_missing_interface_and_missing_tunnel_address_say_so() -> None:
    view = desired.HostView(replace(SETTINGS, local_ip=None), frozenset({"eth2"}))
    errors = desired.desired([network(1, "flat", "physnet1", None), network(2, "gre", None, 5)], view).errors
    first, second = errors.values()
    assert "mapped to eth0, which does not exist on host 'rack7'" in first
    assert "set [vxlan] local_ip" in second


def test_interface_with_addresses_is_refused_until_it_has_none() -> None:
    world = World()
    plan = network(1, "flat", "physnet1", None)
    world.links.addressed = {"eth0": frozenset({"198.51.100.7"})}
    assert "carries 198.51.100.7" in world.realise(plan)[plan.network_id]
    world.links.addressed = {}
    assert world.realise(plan) == {}


def test_two_networks_on_one_segment_collide() -> None:
    """The first by id keeps it."""
    world = World()
    errors = world.realise(network(2, "vlan", "physnet1", 100), network(1, "vlan", "physnet1", 100))
    assert list(errors) == [network(2).network_id]
    assert f"needed by network {network(1).network_id} too" in errors[network(2).network_id]


def test_segment_that_goes_to_another_network_takes_its_device_along() -> None:
    world = World(*TAPS)
    world.realise(network(1, "vlan", "physnet1", 100, port(0)))
    world.realise(network(2, "vlan", "physnet1", 100, port(1)))
    assert world.masters()["eth0.100"] == bridge_name(network(2).network_id)
    assert world.links.links()["eth0.100"].alias.endswith(network(2).network_id)


@given(st.text("abcdefgh0123", min_size=1, max_size=15), st.integers(1, 4094))
def test_names_fit_the_kernel(interface: str, vlan_id: int) -> None:
    name = desired.vlan_name(interface, vlan_id)
    assert len(name) <= 15
    assert name.endswith(f".{vlan_id}")
    assert len(desired.gre_name(interface, PEERS[0])) <= 15


def test_what_is_right_gives_no_delta() -> None:
    world = World(*TAPS)
    plan = network(1, "vxlan", None, 77, port(0))
    world.realise(plan)
    driver = LinuxBridgeAgentDriver(SETTINGS, world.links, world.nft)
    snapshot = driver.snapshot()
    assert not difference(driver.desired([plan], snapshot).items, snapshot.items)
