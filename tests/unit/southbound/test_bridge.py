"""What follows from a bridge as OVSDB describes it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.model import TUNNEL_TYPES, Attachment
from controller.southbound.bridge import (
    Bridge,
    Interface,
    Make,
    PortView,
    bridge_change,
    node_facts,
    observe,
    wanted_tunnels,
    with_links,
)

MAKE = Make(frozenset({"nicira", "bundles"}), 254, 8)
BARE = Bridge("br0", "secure", False, {"hostname": "rack1", "isthmus-tunnel-ip": "192.0.2.1"})


def with_tunnels(bridge: Bridge) -> Bridge:
    """The bridge after what it lacks has been made."""
    made = tuple(
        Interface(port.name, port.type, 10 + number, True, {"isthmus": "tunnel"}, port.options)
        for number, port in enumerate(wanted_tunnels(bridge).values())
    )
    return replace(bridge, interfaces=bridge.interfaces + made)


def test_a_bridge_as_it_should_be_needs_nothing() -> None:
    assert not bridge_change(with_tunnels(BARE))


def test_settings_and_tunnel_ports_are_made() -> None:
    change = bridge_change(replace(BARE, fail_mode="", in_band=True))
    assert change.settings
    assert {port.type for port in change.make} == TUNNEL_TYPES
    assert all(port.options == {"key": "flow", "remote_ip": "flow", "local_ip": "192.0.2.1"} for port in change.make)


def test_a_new_address_updates_and_no_address_removes() -> None:
    bridge = with_tunnels(BARE)
    moved = replace(bridge, host_ids={"isthmus-tunnel-ip": "192.0.2.9"})
    assert {port.options["local_ip"] for port in bridge_change(moved).update} == {"192.0.2.9"}
    change = bridge_change(replace(bridge, host_ids={}))
    assert (set(change.remove), change.make, change.update) == ({f"isthmus-{kind}" for kind in TUNNEL_TYPES}, (), ())


def test_ipv6_tunnels_have_the_address_as_it_is_always_written_and_checksums() -> None:
    bridge = with_tunnels(replace(BARE, host_ids={"isthmus-tunnel-ip": " 2001:DB8:0::1 "}))
    expected = {"key": "flow", "remote_ip": "flow", "local_ip": "2001:db8::1"}
    assert {item.type: item.options for item in bridge.interfaces} == {
        "gre": expected, "vxlan": {**expected, "csum": "true"}, "geneve": {**expected, "csum": "true"},
    }  # fmt: skip
    assert node_facts(1, bridge, MAKE, "").tunnel_ip == "2001:db8::1"
    assert node_facts(1, bridge, MAKE, "").limits == {}


@pytest.mark.parametrize("said", ["10.0.0.300", "rack1", "fe80::1", "ff02::1", "0.0.0.0"])
def test_what_cannot_be_an_endpoint_is_none_and_the_reason_is_told(said: str) -> None:
    bridge = replace(BARE, host_ids={"isthmus-tunnel-ip": said})
    assert not wanted_tunnels(bridge)
    assert node_facts(1, bridge, MAKE, "").tunnel_ip is None
    assert said in node_facts(1, bridge, MAKE, "").limits["vxlan"]


def test_ports_of_others_are_never_touched() -> None:
    theirs = Interface("isthmus-gre", "gre", 3)
    bridge = replace(BARE, interfaces=(theirs,))
    change = bridge_change(bridge)
    assert {port.type for port in change.make} == {"vxlan", "geneve"}
    assert not change.update
    assert not change.remove
    assert "not ours" in node_facts(1, bridge, MAKE, "").limits["gre"]


def test_facts_name_the_host_by_the_first_id_there_is() -> None:
    names = [{"hostname": "a", "system-id": "c"}, {"isthmus-host": "b", "system-id": "c"}, {"system-id": "c"}, {}]
    assert [node_facts(255, replace(BARE, host_ids=ids), MAKE, "").host for ids in names] == [
        "a", "b", "c", "00000000000000ff",
    ]  # fmt: skip


def test_limits_say_why() -> None:
    assert node_facts(1, with_tunnels(BARE), MAKE, "").limits == {}
    assert "no route" in node_facts(1, None, MAKE, "no route").limits["vxlan"]
    assert "isthmus-tunnel-ip" in node_facts(1, replace(BARE, host_ids={}), MAKE, "").limits["vxlan"]
    assert "Nicira" in node_facts(1, BARE, Make(frozenset(), 254, 8), "").limits["gre"]
    small = node_facts(1, BARE, Make(frozenset({"nicira"}), 1, 8), "")
    assert small.limits["flat"] == "the switch has 1 tables; 8 are needed"
    assert small.tunnel_types == frozenset()


def test_observation_takes_numbers_from_ovsdb_and_links_from_openflow() -> None:
    bridge = replace(
        BARE,
        interfaces=(
            Interface("tap1", "", 4, True, {"iface-id": "p1"}),
            Interface("tap2", "", None, True, {"iface-id": "p2"}),
            Interface("tap3", "", 5, False, {"iface-id": "p3"}),
            Interface("eth1", "", 6, True, {"physical-network": "physnet1, physnet2"}),
        ),
    )
    ports = {4: PortView("tap1", False), 5: PortView("another", True)}
    seen = observe(1, with_tunnels(bridge), ports)
    assert seen.attachments == {"p1": Attachment("p1", "tap1", 4, False), "p3": Attachment("p3", "tap3", 5, False)}
    assert seen.uplinks == {"physnet1": 6, "physnet2": 6}
    assert seen.tunnel_ports.keys() == TUNNEL_TYPES
    assert observe(1, None, ports).attachments == {}


def test_links_lead_into_a_physical_network_where_no_uplink_does() -> None:
    facts = with_links(node_facts(1, None, Make(uplinks={"physnet1": "eth1"}), "off", {1: PortView("eth1", True)}),
                       {"physnet1": (0, 99), "physnet2": (100, 199)})  # fmt: skip
    assert facts.physical_networks == {"physnet1": "eth1", "physnet2": "links between switches"}
    assert facts.link_tags == {"physnet2": (100, 199)}
