"""Ports that say themselves where they are plugged in, on switches without OVSDB."""

from __future__ import annotations

from dataclasses import replace

from controller.local_links import link_on, linked
from controller.model import Attachment, Observation, PortView
from controller.southbound.bridge import Make, node_facts, observe
from tests.unit.controller.world import SWITCH_A, SWITCH_B, World, eventually, facts, port

P1 = "11111111-0000-0000-0000-000000000000"
PORTS = {1: PortView("uplink", True), 7: PortView("eth7", True), 8: PortView("eth8", False)}
LINK = (("00:00:00:00:00:00:00:0a", "eth7"),)


def test_links_name_ports_by_name_or_number() -> None:
    told = Observation(SWITCH_A, switch_ports=PORTS)
    by_name, by_number = (port(P1, SWITCH_A, local_links=(("a", name),)) for name in ("eth7", "8"))
    assert linked(told, [by_name]).attachments == {P1: Attachment(P1, "eth7", 7)}
    assert linked(told, [by_number]).attachments == {P1: Attachment(P1, "eth8", 8, link_up=False)}


def test_links_of_other_switches_and_to_missing_ports_attach_nothing() -> None:
    told = Observation(SWITCH_A, switch_ports=PORTS)
    elsewhere = port(P1, SWITCH_B, local_links=LINK)
    missing = port(P1, SWITCH_A, local_links=(("a", "eth9"),))
    unreadable = port(P1, SWITCH_A, local_links=(("switch one", "eth7"), ("b", "eth7")))
    endless = port(P1, SWITCH_A, local_links=(("a", "7" * 5000),))
    others = (elsewhere, missing, unreadable, endless, port(P1, None))
    assert all(linked(told, [item]).attachments == {} for item in others)
    assert link_on(unreadable, SWITCH_A) is None


def test_a_switch_that_says_what_is_plugged_in_is_believed() -> None:
    told = Observation(SWITCH_A, {P1: Attachment(P1, "tap", 3)})
    assert linked(told, [port(P1, SWITCH_A, local_links=LINK)]) is told


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
