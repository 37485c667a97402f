"""Which addresses can be endpoints, and what becomes of nodes whose endpoint is of the other IP version."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.endpoints import endpoint, within_overlay
from controller.errors import ReportError
from controller.hosts import Hosts
from controller.model import TUNNEL_TYPES, NodeFacts, NodeKind, Observation
from legacy_agent.host_plan import HostReport
from tests.unit.controller.world import World, facts

HOST = "host:lb1"
FACTS = NodeFacts("host:rack1", NodeKind.HOST, "rack1", ("linuxbridge",), "2001:db8::1", frozenset({"vxlan"}),
                  limits={"gre": "no ip6gretap"})  # fmt: skip


@pytest.mark.parametrize(("text", "written"), [
    ("192.0.2.1", "192.0.2.1"), (" 2001:DB8:0:0::1 ", "2001:db8::1"), ("169.254.1.1", "169.254.1.1"),
])  # fmt: skip
def test_an_address_has_one_way_of_being_written(text: str, written: str) -> None:
    assert endpoint(text) == written


@pytest.mark.parametrize("text", [
    "", "rack1", "192.0.2.1/24", "::", "fe80::1", "ff02::1", "224.0.0.1", "fe80::1%eth0", "2001:db8::1%eth0",
])  # fmt: skip
def test_what_cannot_be_an_endpoint(text: str) -> None:
    with pytest.raises(ValueError, match=r"no IP address|cannot be a tunnel's endpoint"):
        endpoint(text)


@pytest.mark.parametrize("text", ["2001:db8::1%eth0", "224.0.0.1", "rack1"])
def test_an_agent_that_reports_no_endpoint_is_told_and_spoils_nobodys_plans(text: str) -> None:
    """All nodes on a tunnel network compile the endpoints of all others."""
    with World() as world:
        with pytest.raises(ReportError, match=r"field 'tunnel_ip': .*(no IP address|cannot be a tunnel's endpoint)"):
            Hosts(world.reconciler, world.store).report(HostReport("lb1", tunnel_ip=text, tunnel_types=("vxlan",)))
        assert not world.reconciler.board.intent.nodes


def test_tunnels_of_the_overlays_version_are_left_alone() -> None:
    assert within_overlay(FACTS, 6) is FACTS
    nothing = replace(FACTS, tunnel_ip=None, tunnel_types=frozenset())
    assert within_overlay(nothing, 4) is nothing


def test_tunnels_of_the_other_version_are_limited_with_the_reason() -> None:
    limited = within_overlay(FACTS, 4)
    assert limited.tunnel_types == frozenset()
    assert limited.tunnel_ip == "2001:db8::1"
    assert limited.limits.keys() == TUNNEL_TYPES
    assert limited.limits["gre"] == "no ip6gretap"
    assert limited.limits["vxlan"] == (
        "its tunnel address 2001:db8::1 is IPv6, and [ml2] overlay_ip_version of the controller is 4"
    )


def test_the_store_hears_of_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[NodeFacts] = []
    with World() as world:
        seen = world.store.node_seen
        monkeypatch.setattr(world.store, "node_seen", lambda told: heard.append(told) or seen(told))
        said = replace(facts(HOST), tunnel_ip="2001:db8::1", tunnel_types=frozenset({"vxlan"}))
        world.reconciler.node_observed(said, Observation(HOST))
    assert heard == [within_overlay(said, 4)]
    assert heard != [said]
