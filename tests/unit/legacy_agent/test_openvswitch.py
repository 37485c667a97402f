"""The openvswitch agent driver on an Open vSwitch in memory: whatever there was, afterwards there is what the plan
says."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legacy_agent.agent import Outcome, realise
from legacy_agent.drivers.api import OpenVSwitchSettings
from legacy_agent.drivers.openvswitch import OpenVSwitchAgentDriver
from legacy_agent.drivers.openvswitch.items import COOKIE_TAG, Template, port_numbers
from legacy_agent.host_plan import HostNetwork, HostPlan
from tests.unit.legacy_agent.memory import Killed, MemoryLinks
from tests.unit.legacy_agent.memory_ovs import MemoryOvs
from tests.unit.legacy_agent.plans import PEERS, PORT_IDS, TAPS, network, plans, port
from tests.unit.legacy_agent.plans import SETTINGS as PLAIN

SETTINGS = replace(
    PLAIN,
    open_vswitch=OpenVSwitchSettings(
        physical_interfaces={"physnet1": "eth0"}, bridge_mappings={"physnet2": "br-ex"}, datapath_type="netdev"
    ),
)
BRIDGE = "isthmus-int"
LEFT_ALONE = "cookie=0xabc,table=9,actions=drop"


def ours(networks: tuple[HostNetwork, ...]) -> tuple[HostNetwork, ...]:
    return tuple(replace(net, driver="openvswitch") for net in networks)


class World:
    """A host with a driver, and a bridge of the operator's."""

    def __init__(self, *taps: str) -> None:
        self.links = MemoryLinks("eth0", "eth1", *taps)
        self.ovs = MemoryOvs(self.links)
        self.ovs.vsctl("br-ex", ("eth2x", {}))
        self.ovs.flows[0xABC] = LEFT_ALONE

    def outcome(self, *networks: HostNetwork) -> Outcome:
        """With a driver that remembers nothing."""
        driver = OpenVSwitchAgentDriver(SETTINGS, self.ovs, self.ovs, self.links)  # type: ignore[arg-type]
        return realise(HostPlan("rack7", 1, ours(networks)), {"openvswitch": driver})

    def realise(self, *networks: HostNetwork) -> dict[str, str]:
        return dict(self.outcome(*networks).errors)

    def state(self) -> object:
        return self.ovs.named_flows(), self.ovs.wires(), {n: link.up for n, link in self.links.links().items()}


def fresh(taps: tuple[str, ...], *networks: HostNetwork) -> object:
    """The state that leads straight from an untouched host to these networks."""
    world = World(*taps)
    assert world.realise(*networks) == {}
    return world.state()


@settings(deadline=None, max_examples=60)
@given(st.lists(plans(), max_size=4), plans(), st.data())
def test_any_state_becomes_the_desired_one(past: list[tuple[HostNetwork, ...]], plan: tuple[HostNetwork, ...],
                                           data: st.DataObject) -> None:  # fmt: skip
    """History, lost flows, deleted bridges and agents that were killed leave no trace; the second time is quiet."""
    world = World(*TAPS)
    for networks in past:
        world.ovs.killed_at = world.ovs.changes + data.draw(st.integers(0, 3))
        with contextlib.suppress(Killed):
            world.realise(*networks)
        world.ovs.killed_at = 0
        for cookie in data.draw(st.lists(st.sampled_from(sorted(world.ovs.flows)), unique=True)):
            if cookie != 0xABC:
                del world.ovs.flows[cookie]
    world.realise(*plan)
    before = world.ovs.changes
    assert world.realise(*plan) == {}
    assert world.ovs.changes == before, "the second time is quiet"
    wanted_flows, wanted_wires, _ = fresh(TAPS, *plan)  # type: ignore[misc]
    assert (world.ovs.named_flows(), world.ovs.wires()) == (wanted_flows, wanted_wires)


@given(plans())
def test_order_of_networks_does_not_matter(plan: tuple[HostNetwork, ...]) -> None:
    assert fresh(TAPS, *plan) == fresh(TAPS, *reversed(plan))


def test_nothing_planned_leaves_the_bridge_alone() -> None:
    world = World(*TAPS)
    assert world.realise(network(1, "vxlan", None, 77, port(1))) == {}
    assert world.realise() == {}
    assert world.ovs.wires() == {BRIDGE: (BRIDGE,), "br-ex": ("eth2x",)}
    assert sum(cookie >> 48 == COOKIE_TAG for cookie in world.ovs.flows) == 1
    assert world.ovs.flows[0xABC] == LEFT_ALONE


def test_each_type_leaves_the_host_its_own_way() -> None:
    world = World(*TAPS)
    plan = [
        network(1, "vlan", "physnet1", 100, port(0)),
        network(2, "flat", "physnet2", None, port(1)),
        network(3, "gre", None, 77, port(2)),
        network(4, "vxlan", None, 77, port(3)),
    ]
    assert world.realise(*plan) == {}
    flows = "\n".join(world.ovs.named_flows())
    assert "in_port=eth0,dl_vlan=100,actions=pop_vlan" in flows
    assert "push_vlan:0x8100,set_field:4196->vlan_vid,output:eth0" in flows
    [near] = [name for name in world.ovs.wires()[BRIDGE] if name.startswith("agi-")]
    assert f"in_port={near},vlan_tci=0x0000/0x1000" in flows
    assert "in_port=agent-gre,tun_id=0x4d" in flows
    to_all = ",".join(f"set_field:{peer}->tun_dst,output:agent-vxlan" for peer in PEERS)
    assert "set_field:0x4d->tun_id,set_field:0->reg0,resubmit(,4)" in flows
    assert f"reg0=0,actions={to_all}" in flows
    assert len(world.ovs.wires()["br-ex"]) == 2


def test_a_peer_among_thousands() -> None:
    """Each gets one copy, no flow is too large for a message, and a new peer changes one flow."""
    world = World(*TAPS)
    peers = [f"10.200.{number >> 8}.{number & 255}" for number in range(2001)]
    before = network(1, "vxlan", None, 77, port(0), peers=tuple(peers[:-1]), remotes=())
    assert world.realise(before) == {}
    copies = [flow for flow in world.ovs.named_flows() if "->tun_dst" in flow]
    assert max(flow.count("->tun_dst") for flow in copies) < 1000
    assert sorted(re.findall(r"set_field:([\d.]+)->tun_dst", "".join(copies))) == sorted(peers[:-1])
    assert all("resubmit" not in flow for flow in copies)
    flows = dict(world.ovs.flows)
    assert world.realise(replace(before, peers=tuple(peers))) == {}
    assert len(world.ovs.flows.keys() - flows.keys()) == 1


def test_two_networks_on_one_segment() -> None:
    world = World(*TAPS)
    errors = world.realise(network(1, "vlan", "physnet1", 100, port(0)), network(2, "vlan", "physnet1", 100, port(1)))
    assert list(errors) == [network(2).network_id]
    assert network(1).network_id in errors[network(2).network_id]


@pytest.mark.parametrize(("net", "word"), [
    (network(1, "flat", "physnet9", None), "'physnet9' is not mapped on host 'rack7'"),
    (network(1, "vlan", "physnet1", None), "has no segmentation id"),
    (network(1, "carrier-pigeon", None, 1), "does not serve carrier-pigeon"),
])  # fmt: skip
def test_reasons(net: HostNetwork, word: str) -> None:
    assert word in World().realise(net)[net.network_id]


def test_missing_things_are_named() -> None:
    world = World(*TAPS)
    world.links.unplug("eth0")
    del world.ovs.tables["Bridge"]["br-ex"]
    errors = world.realise(network(1, "flat", "physnet1", None), network(2, "flat", "physnet2", None))
    assert "eth0, which does not exist" in errors[network(1).network_id]
    assert "bridge br-ex, which Open vSwitch does not have" in errors[network(2).network_id]


def test_refused_flows_stay_with_their_network() -> None:
    world = World(*TAPS)
    world.ovs.broken = {"tun_id=0x4d"}
    good, bad = network(1, "vlan", "physnet1", 100, port(0)), network(2, "gre", None, 77, port(1))
    assert world.realise(good, bad) == {bad.network_id: "refused"}
    assert any("dl_vlan=100" in flow for flow in world.ovs.named_flows())
    world.ovs.broken = set()
    assert world.realise(good, bad) == {}
    assert world.state() == fresh(TAPS, good, bad)


def test_tap_that_vanishes_and_comes_back() -> None:
    world = World(*TAPS)
    net = network(1, "vxlan", None, 77, port(0), port(1))
    world.realise(net)
    before = world.state()
    world.links.unplug(TAPS[0])
    world.ovs.transact([])
    assert world.outcome(net).errors == {}
    assert TAPS[0] not in world.ovs.wires()[BRIDGE]
    assert not any(TAPS[0] in flow or "gone" in flow for flow in world.ovs.named_flows())
    world.links.plug(TAPS[0])
    assert world.realise(net) == {}
    assert world.state() == before


@pytest.mark.parametrize("name", [TAPS[0], "agent-vxlan"])
def test_interface_that_open_vswitch_cannot_open(name: str) -> None:
    """Then the network says so, until it can; the other network goes on."""
    world = World(*TAPS)
    sick, well = network(1, "vxlan", None, 77, port(0)), network(2, "vlan", "physnet1", 100, port(1))
    world.ovs.stuck = {name}
    for _ in range(2):  # at once, and when nothing changes any more
        errors = world.realise(sick, well)
        assert list(errors) == [sick.network_id]
        assert f"cannot use interface {name}: could not open" in errors[sick.network_id]
    assert any("dl_vlan=100" in flow for flow in world.ovs.named_flows())
    world.ovs.stuck = set()
    world.ovs.transact([])
    assert world.realise(sick, well) == {}
    assert world.state() == fresh(TAPS, sick, well)


def test_endpoints_are_what_is_on_the_bridge() -> None:
    world = World("vnet7", *TAPS[1:])
    world.ovs.vsctl(BRIDGE, ("vnet7", {"iface-id": PORT_IDS[0]}), ("vnet8", {"iface-id": PORT_IDS[1]}))
    world.realise(network(1, "vxlan", None, 77, port(0)))
    outcome = world.outcome(network(1, "vxlan", None, 77, port(0)))
    assert outcome.endpoints == {PORT_IDS[0]: "vnet7"}
    assert "in_port=vnet7" in "".join(world.ovs.named_flows())
    assert "vnet7" in world.ovs.wires()[BRIDGE], "Nova's port stays Nova's"


def test_open_vswitch_away() -> None:
    world = World(*TAPS)
    world.ovs.away = True
    assert world.realise(network(1)) == {network(1).network_id: "nobody answers"}
    driver = OpenVSwitchAgentDriver(SETTINGS, world.ovs, world.ovs, world.links)  # type: ignore[arg-type]
    assert all("Open vSwitch is not there" in reason for reason in driver.probe().values())


def test_open_vswitch_that_was_never_initialised_says_so() -> None:
    world = World(*TAPS)
    world.ovs.tables["Open_vSwitch"].clear()
    assert "ovs-vsctl init" in world.realise(network(1, "vxlan", None, 77, port(0)))[network(1).network_id]


def test_templates() -> None:
    template = Template(3, 10, "in_port={a}", ("output:{b}", "output:{c}", "goto_table:4"))
    assert template.references() == {"a", "b", "c"}
    assert template.resolve({"b": "2"}) is None
    assert template.resolve({"a": "1", "c": "3"}) == "table=3,priority=10,in_port=1,actions=output:3,goto_table:4"
    assert Template(0, 1, "in_port={a}", ("output:{b}",)).resolve({"a": "1"}) == (
        "table=0,priority=1,in_port=1,actions=drop"
    )
    coming = [template.resolve(port_numbers({"b": 2, "c": 3}, frozenset({name}))) for name in ("a", "x")]
    assert coming[0] is not None
    assert coming[1] is None
