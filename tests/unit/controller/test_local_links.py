"""Ports that say themselves where they are plugged in, on switches without OVSDB."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

from controller.intent import Change, Intent
from controller.local_links import link_on, linked, numbers_of
from controller.model import Attachment, Observation, Port, PortView
from controller.southbound.bridge import Make, node_facts, observe
from tests.unit.controller.world import SWITCH_A, SWITCH_B, World, eventually, facts, port

P1, P2, P3 = (f"{number}" * 8 + "-0000-0000-0000-000000000000" for number in (1, 2, 3))
PORTS = {1: PortView("uplink", True), 7: PortView("eth7", True), 8: PortView("eth8", False)}
LINK = (("00:00:00:00:00:00:00:0a", "eth7"),)


def attached(*ports: Port, intent: Intent | None = None) -> Mapping[str, Attachment]:
    """The endpoints on switch A of these ports, in an intent that may know them from before."""
    intent = intent or Intent()
    intent.apply(Change.of(1, ports={each.id: each for each in ports}))
    return linked(Observation(SWITCH_A, switch_ports=PORTS), intent.links_on(SWITCH_A), numbers_of(PORTS))


def test_links_name_ports_by_name_or_number() -> None:
    by_name, by_number = (port(P1, SWITCH_A, local_links=(("a", name),)) for name in ("eth7", "8"))
    assert attached(by_name) == {P1: Attachment(P1, "eth7", 7)}
    assert attached(by_number) == {P1: Attachment(P1, "eth8", 8, link_up=False)}


def test_of_ports_with_the_same_name_the_lowest_counts() -> None:
    assert numbers_of({9: PortView("eth", True), 7: PortView("eth", True)}) == {"eth": 7}


def test_links_of_other_switches_and_to_missing_ports_attach_nothing() -> None:
    elsewhere = port(P1, SWITCH_B, local_links=LINK)
    missing = port(P1, SWITCH_A, local_links=(("a", "eth9"),))
    unreadable = port(P1, SWITCH_A, local_links=(("switch one", "eth7"), ("b", "eth7")))
    endless = port(P1, SWITCH_A, local_links=(("a", "7" * 5000),))
    others = (elsewhere, missing, unreadable, endless, port(P1, None))
    assert all(attached(item) == {} for item in others)
    assert link_on(unreadable, SWITCH_A) is None


def test_what_ports_said_before_is_forgotten() -> None:
    intent, here = Intent(), port(P1, SWITCH_A, local_links=LINK)
    assert attached(here, intent=intent) == {P1: Attachment(P1, "eth7", 7)}
    for other in (port(P1, SWITCH_A), port(P1, SWITCH_B, local_links=LINK), port(P1, None, local_links=LINK)):
        assert attached(other, intent=intent) == {}
        assert attached(here, intent=intent) == {P1: Attachment(P1, "eth7", 7)}
    intent.apply(Change.of(2, ports={P1: None}))
    assert intent.links_on(SWITCH_A) == {}


def test_a_switch_that_says_what_is_plugged_in_is_believed() -> None:
    told = Observation(SWITCH_A, {P1: Attachment(P1, "tap", 3)})
    with World() as world:
        world.store.commit(ports={P1: port(P1, SWITCH_A, local_links=LINK)})
        world.reconciler.node_observed(facts(SWITCH_A), told)
        state = world.reconciler.board.state(SWITCH_A)
        assert state.observation == told
        world.store.commit(ports={P1: port(P1, SWITCH_A, local_links=(("a", "3"),))})
        world.reconciler.catch_up()
        assert state.observation == told


def test_attachments_are_replaced_and_nothing_else() -> None:
    every = {field.name: object() for field in fields(Observation)}
    other = {P1: Attachment(P1, "tap", 3)}
    assert Observation(**every).plugged(other) == Observation(**{**every, "attachments": other})  # type: ignore[arg-type]


def test_uplinks_by_name() -> None:
    make = Make(frozenset(), 254, 8, {"physnet1": "uplink", "physnet2": "elsewhere"})
    seen = observe(10, None, PORTS, make)
    assert (seen.uplinks, seen.switch_ports) == ({"physnet1": 1}, PORTS)
    assert node_facts(10, None, make, "", PORTS).physical_networks == {"physnet1": "uplink"}


def test_such_a_port_becomes_active_and_follows_its_link() -> None:
    told = Observation(SWITCH_A, switch_ports=PORTS)
    with World() as world:
        world.store.commit(ports={P1: port(P1, SWITCH_A, local_links=(("a", "eth9"),))})
        world.reconciler.switch_ready(facts(SWITCH_A), told)
        eventually(lambda: "has no port 'eth9'" in world.reason(P1))
        world.store.commit(ports={P1: port(P1, SWITCH_A, local_links=LINK)})
        eventually(lambda: world.status(P1) == "ACTIVE")
        down = replace(told, switch_ports={**PORTS, 7: PortView("eth7", False)})
        world.reconciler.switch_ready(facts(SWITCH_A), down)
        eventually(lambda: "link of eth7" in world.reason(P1))
        world.reconciler.switch_ready(facts(SWITCH_A), told)
        eventually(lambda: world.status(P1) == "ACTIVE")
        assert world.store.plugged == world.store.unplugged == []


def test_one_change_may_move_several_ports_and_leaves_the_others_where_they_are() -> None:
    one, two, three = (port(P, SWITCH_A, local_links=(("a", name),)) for P, name in ((P1, "1"), (P2, "7"), (P3, "8")))
    with World() as world:
        world.store.commit(ports={P1: one, P2: two, P3: three})
        world.reconciler.node_observed(facts(SWITCH_A), Observation(SWITCH_A, switch_ports=PORTS))
        state = world.reconciler.board.state(SWITCH_A)
        world.store.commit(ports={P1: replace(one, local_links=(("a", "eth7"),)), P2: port(P2, None)})
        eventually(lambda: state.observation is not None and P2 not in state.observation.attachments)
        expected = {P1: Attachment(P1, "eth7", 7), P3: Attachment(P3, "eth8", 8, link_up=False)}
        assert state.observation is not None
        assert state.observation.attachments == expected
        world.reconciler.node_observed(facts(SWITCH_A), Observation(SWITCH_A, switch_ports=PORTS))
        assert state.observation.attachments == expected
