"""Legacy hosts are where their agents' LLDP comes in; nobody else can say so."""

from __future__ import annotations

from controller.model import Segment
from legacy_agent.announce import announcement
from tests.unit.topology.cabling import Cabling, end, ring
from topology.links import PortState, Role

KEY = b"host key"
NIC = {"physnet1": "eth1"}


def said(sequence: int, key: bytes = KEY, host: str = "lb1", interface: str = "eth1") -> bytes:
    return announcement(host, interface, bytes(6), sequence, key)


def bed() -> Cabling:
    made = ring(3)
    made.port(end(1, 7), Role.FREE)
    made.port(end(2, 7), Role.FREE)
    made.port(end(3, 7), Role.TENANT)
    made.connect()
    made.run(1)
    made.topology.host("host:lb1", "lb1", NIC, KEY, made.now)
    return made


def places(made: Cabling) -> set[tuple[int, ...]]:
    return {made.topology.view(end(number, 1).node_id).hosts.get("host:lb1", ()) for number in (1, 2, 3)}


def test_a_host_is_found_and_stays_when_its_agent_falls_silent() -> None:
    made = bed()
    assert places(made) == {()}
    assert made.topology.frame(end(1, 7), said(5), made.now)
    assert made.topology.view(end(1, 1).node_id).hosts == {"host:lb1": (7,)}
    assert made.topology.view(end(1, 1).node_id).trees["physnet1"].uplinks == (7,)
    assert made.topology.view(end(2, 1).node_id).hosts["host:lb1"][0] == 2
    assert made.run(300) == set()
    assert made.topology.view(end(1, 1).node_id).hosts == {"host:lb1": (7,)}
    assert made.events.totals["attached"] == 1


def test_forged_replayed_and_unknown_announcements_place_nobody() -> None:
    made = bed()
    made.topology.frame(end(2, 7), said(5, key=b"guessed"), made.now)
    made.topology.frame(end(2, 7), said(6, host="lb9"), made.now)
    made.topology.frame(end(3, 7), said(7), made.now)
    assert places(made) == {()}
    assert made.events.totals["forged"] == 1
    made.topology.frame(end(1, 7), said(8), made.now)
    made.topology.frame(end(2, 7), said(8), made.now)
    made.topology.frame(end(2, 7), said(2), made.now)
    assert made.topology.view(end(1, 1).node_id).hosts == {"host:lb1": (7,)}
    assert made.events.totals["forged"] == 3


def test_a_host_that_moves_is_at_its_new_port_only() -> None:
    made = bed()
    made.topology.frame(end(1, 7), said(5), made.now)
    made.topology.frame(end(2, 7), said(6), made.now)
    assert made.topology.view(end(2, 1).node_id).hosts == {"host:lb1": (7,)}
    assert made.topology.trees["physnet1"].uplinks == {end(2, 7)}


def test_two_hosts_and_a_cloud_are_three_ways_out() -> None:
    made = bed()
    made.ports[end(3, 1).node_id][8] = made.ports[end(3, 1).node_id][7]
    made.port(end(3, 8), Role.UPLINK, "physnet1")
    made.connect()
    made.topology.host("host:lb2", "lb2", NIC, b"other", made.now)
    made.topology.frame(end(1, 7), said(5), made.now)
    made.topology.frame(end(2, 7), said(5, key=b"other", host="lb2"), made.now)
    assert made.topology.trees["physnet1"].uplinks == {end(1, 7), end(2, 7), end(3, 8)}
    assert {made.topology.view(end(number, 1).node_id).trees["physnet1"].exits for number in (1, 2, 3)} == {3}
    assert sorted(made.topology.between_clouds()) == [end(number, 1).node_id for number in (1, 2, 3)]


def test_a_bystander_that_claims_the_name_of_a_host_changes_nothing() -> None:
    """Ordinary lldpd frames are shown and never trusted."""
    made = bed()
    frame = said(5)
    plain = frame[: frame.index(bytes.fromhex("0a157102")) - 2] + b"\0\0"
    made.topology.frame(end(2, 7), plain, made.now)
    assert [each.neighbour.system_name for each in made.topology.discovery.strangers] == ["lb1"]
    assert places(made) == {()}


def test_an_announcement_that_came_before_the_report_counts_when_the_report_is_there() -> None:
    """An agent speaks at its start, and its key is known a little later."""
    made = bed()
    made.topology.frame(end(1, 7), said(5, key=b"new"), made.now)
    assert places(made) == {()}
    assert made.topology.host("host:lb1", "lb1", NIC, b"new", made.now)
    assert made.topology.view(end(1, 1).node_id).hosts == {"host:lb1": (7,)}


def test_a_host_whose_clock_went_back_is_found_when_its_agent_starts_again() -> None:
    made = bed()
    made.topology.frame(end(1, 7), said(100), made.now)
    made.topology.host("host:lb1", "lb1", NIC, b"new", made.now)
    assert made.events.totals["forged"] == 0
    made.topology.frame(end(2, 7), said(50, key=b"new"), made.now)
    assert made.topology.view(end(2, 1).node_id).hosts == {"host:lb1": (7,)}


def test_two_hosts_behind_one_port_are_both_there() -> None:
    """A plain switch between passes LLDP on. Whoever else is behind it may be heard there too."""
    made = bed()
    made.topology.host("host:lb2", "lb2", NIC, b"other", made.now)
    made.topology.frame(end(1, 7), said(5), made.now)
    assert made.topology.view(end(1, 1).node_id).trees["physnet1"].wild_exits == 0
    for sequence in (6, 7, 8):
        made.topology.frame(end(1, 7), said(sequence), made.now)
        made.topology.frame(end(1, 7), said(sequence, key=b"other", host="lb2"), made.now)
        assert made.topology.view(end(1, 1).node_id).hosts == {"host:lb1": (7,), "host:lb2": (7,)}
        made.run(10)
    assert made.topology.view(end(1, 1).node_id).trees["physnet1"].wild_uplinks == (7,)
    assert made.events.totals["attached"] == 2
    assert {each.neighbour.system_name for each in made.topology.discovery.strangers} == {"lb1", "lb2"}


def test_a_host_that_took_the_cable_of_another_is_alone_there() -> None:
    made = bed()
    made.topology.host("host:lb2", "lb2", NIC, b"other", made.now)
    made.topology.frame(end(1, 7), said(5), made.now)
    for up in (False, True):
        made.topology.port(end(1, 7), up, made.now)
        made.run(1)
    assert made.topology.view(end(1, 1).node_id).hosts == {"host:lb1": (7,)}, "put back is as before"
    made.topology.frame(end(1, 7), said(6, key=b"other", host="lb2"), made.now)
    assert made.topology.view(end(1, 1).node_id).hosts == {"host:lb2": (7,)}
    assert made.topology.view(end(1, 1).node_id).trees["physnet1"].wild_exits == 0


def test_a_port_that_became_a_tenants_leads_to_no_host() -> None:
    """Port numbers are used again. What was a trunk to a host must not be one to a tenant."""
    made = bed()
    made.topology.frame(end(1, 7), said(5), made.now)
    made.ports[end(1, 1).node_id][7] = PortState(True, Role.TENANT)
    made.connect()
    assert made.topology.view(end(1, 1).node_id).trees["physnet1"].uplinks == ()
    assert places(made) == {()}


def test_an_agent_that_is_heard_by_uplinks_is_in_the_cloud() -> None:
    """The cloud passes LLDP on: its uplinks still lead into one and the same cloud."""
    made = bed()
    for number in (1, 3):
        made.port(end(number, 9), Role.UPLINK, "physnet1")
    made.connect()
    made.run(1)
    before = made.topology.trees["physnet1"].uplinks
    assert len(before) == 1
    for number in (1, 3):
        made.topology.frame(end(number, 9), said(5), made.now)
    made.run(2)
    assert made.topology.trees["physnet1"].uplinks == before
    assert made.events.totals["forged"] == 0


def test_the_path_of_a_host_begins_at_the_host() -> None:
    made = bed()
    switches = [end(number, 1).node_id for number in (1, 2, 3)]
    assert made.topology.path("host:lb1", switches[2]) == []
    made.topology.frame(end(1, 7), said(5), made.now)
    assert made.topology.path("host:lb1", switches[2]) == ["host:lb1", switches[0], switches[2]]
    assert made.topology.path(switches[0], "host:lb1") == [switches[0], "host:lb1"]
    assert made.topology.path("host:lb9", "host:lb9") == []
    assert made.topology.path(switches[1], switches[2]) == switches[1:]


def test_segments_that_links_carry() -> None:
    made = bed().topology
    assert made.carries(Segment("s", "vlan", "physnet1", 100))
    assert made.carries(Segment("s", "flat", "physnet1", None))
    assert not made.carries(Segment("s", "vlan", "physnet2", 100))
    assert not made.carries(Segment("s", "vxlan", None, 100))
