"""A switch without OVSDB is what it says and what is declared of it."""

from __future__ import annotations

from controller.declared import described, elected, problems
from controller.model import TUNNEL_TYPES, DeclaredSwitch, NodeFacts, NodeKind, Observation, PortView

ID = "switch:000000000000000a"
PORTS = {1: PortView("eth1", True), 2: PortView("eth2", True), 3: PortView("2", True), 4: PortView("vx", True)}
NO_OVSDB = "no tunnel ports can be made: OVSDB is switched off"


def facts(*capabilities: str, **changes: object) -> NodeFacts:
    limits = dict.fromkeys(TUNNEL_TYPES, NO_OVSDB)
    own = {"physical_networks": {"physnet0": "links between switches"}, "limits": limits, **changes}
    return NodeFacts(ID, NodeKind.SWITCH, "000000000000000a", ("openflow",), capabilities=frozenset(capabilities),
                     **own)  # type: ignore[arg-type]  # fmt: skip


def seen(ports: dict[int, PortView] | None = None) -> Observation:
    return Observation(ID, uplinks={"physnet0": 1}, switch_ports=PORTS if ports is None else ports)


SAID = DeclaredSwitch(ID, "leaf1", {"physnet1": ("eth1", "2"), "physnet2": ("9",)}, "192.0.2.1", {"vxlan": "vx"})


def test_names_come_before_numbers_and_the_first_uplink_that_is_up_is_used() -> None:
    _, now = described(facts("nicira"), seen(), SAID)
    assert (now.uplinks, now.standby_uplinks) == ({"physnet0": 1, "physnet1": 1}, {3})
    _, now = described(facts("nicira"), seen({**PORTS, 1: PortView("eth1", False)}), SAID)
    assert (now.uplinks, now.standby_uplinks) == ({"physnet0": 1, "physnet1": 3}, {1})
    assert described(facts(), seen(), SAID, now.uplinks)[1].uplinks["physnet1"] == 3
    everything_down = {number: PortView(view.name, False) for number, view in PORTS.items()}
    assert described(facts(), seen(everything_down), SAID)[1].uplinks["physnet1"] == 1


def test_facts() -> None:
    now, observed = described(facts("nicira"), seen(), SAID)
    assert (now.host, now.tunnel_ip, now.tunnel_types) == ("leaf1", "192.0.2.1", {"vxlan"})
    assert now.physical_networks == {"physnet0": "links between switches", "physnet1": "eth1,2"}
    assert observed.tunnel_ports == {"vxlan": 4}
    assert now.limits == {kind: f"OVSDB is not used, and no port for {kind} tunnels is declared for the switch"
                          for kind in ("gre", "geneve")}  # fmt: skip


def test_without_what_tunnels_take_there_are_none_and_the_reason_stays() -> None:
    now, observed = described(facts(), seen(), SAID)
    assert (now.tunnel_types, dict(observed.tunnel_ports)) == (frozenset(), {})
    assert now.limits["vxlan"] == NO_OVSDB
    assert problems(SAID, facts(), seen()) == [
        "the switch has no port '9', which is declared as an uplink into physnet2",
        f"no vxlan tunnels: {NO_OVSDB}",
    ]
    gone = {number: view for number, view in PORTS.items() if number != 4}
    now, observed = described(facts("nicira"), seen(gone), SAID)
    assert now.limits["vxlan"] == "the switch has no port 'vx', which is declared for vxlan tunnels"
    assert observed.tunnel_ports == {}


def test_ovsdb_counts_where_it_speaks() -> None:
    told = facts("nicira", "ovsdb"), seen()
    assert described(*told, SAID) == told
    assert described(facts(), seen(), None) == (facts(), seen())
    assert problems(SAID, *told) == ["OVSDB says what this switch is; the declaration is not used"]


def test_election_takes_numbers_without_a_port_for_alive() -> None:
    assert elected({"a": [7, 8], "b": []}, {8: PortView("x", True)}) == ({"a": 7}, frozenset({8}))
