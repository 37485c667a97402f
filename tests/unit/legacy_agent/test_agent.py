"""The agent's worker and what it reports, with drivers that do as they are told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import pytest

from controller.delta import Delta
from controller.errors import IsthmusError
from legacy_agent import facts
from legacy_agent.agent import Agent, Timing
from legacy_agent.drivers.api import Desired, HostSettings, Item, ItemKey, Snapshot
from legacy_agent.facts import Capabilities, HostFacts
from legacy_agent.host_plan import HostNetwork, HostPlan, HostReport
from legacy_agent.watch import ControllerGone
from tests.unit.legacy_agent.plans import SETTINGS, network


class FakeDriver:
    """Its items are the ids of its networks. ``sick`` ones fail to apply."""

    network_types = ("vxlan", "vlan")

    def __init__(self, name: str = "linuxbridge") -> None:
        self.name = name
        self.items: dict[str, str] = {}
        self.sick: dict[str, str] = {}
        self.limits: dict[str, str] = {}
        self.unreadable = ""
        self.stubborn = False

    def probe(self) -> Mapping[str, str]:
        return self.limits

    def desired(self, networks: Sequence[HostNetwork], snapshot: Snapshot) -> Desired:
        return Desired({network.network_id: network.network_type for network in networks})

    def snapshot(self) -> Snapshot:
        if self.unreadable:
            raise IsthmusError(self.unreadable)
        return Snapshot(self.items, frozenset())

    def apply(self, delta: Delta[ItemKey, Item], snapshot: Snapshot) -> Mapping[str, str]:
        wanted = {**self.items, **delta.add, **delta.change}
        if not self.stubborn:
            self.items = {key: value for key, value in wanted.items() if key not in {*delta.remove, *self.sick}}
        return self.sick

    def close(self) -> None:
        """Nothing is open."""


INTERFACES = frozenset({"eth0", "tap00000001-00", "tapshort", "brq00000001-aa", "tap00000001-00x"})


def make(*drivers: FakeDriver, read_facts=lambda: HostFacts(INTERFACES, frozenset({"192.0.2.1"}))) -> Agent:
    named = {driver.name: driver for driver in drivers}
    return Agent(SETTINGS, named, read_facts, Timing(audit=60, report=10, retry_max=30), "1.0")


def test_plan_is_applied_and_reported() -> None:
    driver = FakeDriver()
    agent = make(driver)
    agent.accept(HostPlan("rack7", 5, (network(1),)))
    assert agent.step() == 60
    assert set(driver.items) == {network(1).network_id}
    report = agent.current_report()
    assert (report.applied_revision, report.errors) == (5, {})
    assert report.devices == {"00000001-00": "tap00000001-00"}
    assert (report.version, report.tunnel_ip, report.physical_networks) == ("1.0", "192.0.2.1", {"physnet1": "eth0"})


def test_without_a_plan_nothing_is_touched() -> None:
    driver = FakeDriver()
    driver.items = {"left by an earlier agent": "vxlan"}
    agent = make(driver)
    agent.step()
    assert driver.items
    assert agent.current_report().applied_revision == 0


def test_sick_network_is_reported_and_tried_again_soon() -> None:
    driver = FakeDriver()
    driver.sick = {network(1).network_id: "no"}
    agent = make(driver)
    agent.accept(HostPlan("rack7", 5, (network(1), network(2))))
    assert agent.step() < 1
    report = agent.current_report()
    assert report.errors == driver.sick
    assert report.applied_revision == 5
    driver.sick = {}
    assert agent.step() == 60
    assert agent.current_report().errors == {}


def test_new_trouble_is_tried_again_soon_beside_old_trouble() -> None:
    driver = FakeDriver()
    driver.sick = {network(1).network_id: "no"}
    agent = make(driver)
    agent._plan_came.wait = lambda pause: True  # type: ignore[assignment,method-assign]
    agent.accept(HostPlan("rack7", 5, (network(1), network(2))))
    assert max(agent.step() for _ in range(12)) > 10
    driver.items.clear()
    driver.sick = {network(1).network_id: "no", network(2).network_id: "busy"}
    assert agent.step() < 1


def test_host_that_cannot_be_read_keeps_the_old_revision() -> None:
    """And says why nothing is done: its ports are not well."""
    driver = FakeDriver()
    agent = make(driver)
    agent.accept(HostPlan("rack7", 5))
    agent.step()
    driver.unreadable = "no netlink today"
    agent.accept(HostPlan("rack7", 6, (network(1),)))
    assert agent.step() < 1
    report = agent.current_report()
    assert (report.applied_revision, report.errors) == (5, {network(1).network_id: "no netlink today"})
    agent.accept(HostPlan("rack7", 7))
    assert agent.step() < 2
    assert agent.current_report().applied_revision == 5
    driver.unreadable = ""
    assert agent.step() == 60
    assert (agent.current_report().applied_revision, agent.current_report().errors) == (7, {})


def test_driver_that_cannot_read_the_host_leaves_the_other_alone() -> None:
    """Its networks say why; the other's are in force."""
    sick, well = FakeDriver("openvswitch"), FakeDriver("linuxbridge")
    sick.unreadable = "Open vSwitch is away"
    agent = make(sick, well)
    mine, other = network(1), replace(network(2), driver="openvswitch")
    agent.accept(HostPlan("rack7", 5, (mine, other)))
    assert agent.step() < 1
    report = agent.current_report()
    assert (report.applied_revision, report.errors) == (5, {other.network_id: "Open vSwitch is away"})
    assert set(well.items) == {mine.network_id}
    sick.unreadable = ""
    assert agent.step() == 60
    assert agent.current_report().errors == {}


def test_driver_that_is_broken_leaves_the_other_alone(caplog: pytest.LogCaptureFixture) -> None:
    """It may be somebody else's."""

    class Broken(FakeDriver):
        def probe(self) -> Mapping[str, str]:
            raise ZeroDivisionError("probe")

        def snapshot(self) -> Snapshot:
            raise KeyError("snapshot")

    well = FakeDriver("linuxbridge")
    agent = make(Broken("openvswitch"), well)
    mine, other = network(1), replace(network(2), driver="openvswitch")
    worker = threading.Thread(target=agent.work, daemon=True)
    worker.start()
    agent.accept(HostPlan("rack7", 5, (mine, other)))
    until(lambda: agent.current_report().applied_revision == 5)
    agent.stop()
    worker.join(5)
    assert "internal error of agent driver openvswitch: KeyError" in agent.current_report().errors[other.network_id]
    assert set(well.items) == {mine.network_id}
    assert "Traceback" in caplog.text


def test_endpoints_and_details_of_drivers_are_reported() -> None:
    """VMs of which only a driver knows, its uplinks, and where it wants VMs to be plugged in."""

    class Knowing(FakeDriver):
        uplinks: ClassVar = {"physnet9": "eth0", "physnet8": "eth8"}
        vif_details: ClassVar = {"bridge_name": "br-vm"}

        def snapshot(self) -> Snapshot:
            return Snapshot(self.items, frozenset(), endpoints={"00000007-0000-4000-8000-000000000000": "vnet3"})

    driver = Knowing("openvswitch")
    found = facts.capabilities_of({"openvswitch": driver}, {}, SETTINGS)
    assert found.uplinks == driver.uplinks
    agent = make(driver)
    agent.accept(HostPlan("rack7", 5))
    agent.step()
    agent.stop()
    agent.work()
    report = agent.current_report()
    assert report.devices == {"00000001-00": "tap00000001-00", "00000007-00": "vnet3"}
    assert report.physical_networks == {"physnet9": "eth0"}
    assert report.vif_details == {"openvswitch": {"bridge_name": "br-vm"}}
    assert HostReport.from_dict(json.loads(json.dumps(report.to_dict()))).vif_details == report.vif_details


def test_what_the_host_cannot_do_is_asked_again_at_audits() -> None:
    driver = FakeDriver()
    driver.limits = {"vlan": "not yet"}
    agent = Agent(SETTINGS, {driver.name: driver}, lambda: HostFacts(INTERFACES), Timing(audit=0.05), "1.0")
    worker = threading.Thread(target=agent.work, daemon=True)
    worker.start()
    agent.accept(HostPlan("rack7", 1))
    end = time.monotonic() + 5
    while "vlan" not in agent.current_report().limits and time.monotonic() < end:
        time.sleep(0.01)
    assert agent.current_report().limits["vlan"] == "not yet"
    driver.limits = {}
    while "vlan" in agent.current_report().limits and time.monotonic() < end:
        time.sleep(0.01)
    assert "vlan" not in agent.current_report().limits
    agent.stop()
    worker.join(5)


def test_driver_that_is_not_enabled_is_an_error_of_the_network() -> None:
    agent = make(FakeDriver("openvswitch"))
    agent.accept(HostPlan("rack7", 5, (network(1),)))
    agent.step()
    [reason] = agent.current_report().errors.values()
    assert "agent driver 'linuxbridge' is not enabled on this host ([agent] drivers: openvswitch)" in reason


def test_fight_with_somebody_else_slows_down() -> None:
    """A change that never lasts must not become a loop at full speed."""
    driver = FakeDriver()
    driver.stubborn = True
    agent = make(driver)
    agent.accept(HostPlan("rack7", 5, (network(1),)))
    pauses: list[float] = []
    agent._plan_came.wait = pauses.append  # type: ignore[assignment,method-assign]
    for _ in range(12):
        agent.step()
    assert pauses == sorted(pauses)
    assert pauses[-1] == 1.0


def test_one_network_that_cannot_be_realised_does_not_hold_up_plans() -> None:
    """However often it has been tried in vain."""
    driver = FakeDriver()
    driver.sick = {network(1).network_id: "no"}
    agent = make(driver)
    worker = threading.Thread(target=agent.work, daemon=True)
    worker.start()
    agent.accept(HostPlan("rack7", 5, (network(1),)))
    until(lambda: agent.current_report().applied_revision == 5)
    for _ in range(12):
        agent._churn.next()
    agent.wake()
    time.sleep(0.2)
    agent.accept(HostPlan("rack7", 6, (network(1), network(2))))
    until(lambda: network(2).network_id in driver.items, 0.5)
    agent.stop()
    worker.join(5)


def test_events_that_are_nothing_to_us_take_half_of_the_time_at_most() -> None:
    """Other programs change interfaces all the time on some hosts, and a comparison of a large host is long."""
    comparisons: list[float] = []

    def read_facts() -> HostFacts:
        comparisons.append(time.monotonic())
        time.sleep(0.1)
        return HostFacts(INTERFACES)

    agent = make(FakeDriver(), read_facts=read_facts)
    worker = threading.Thread(target=agent.work, daemon=True)
    worker.start()
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        agent.wake()
        time.sleep(0.005)
    assert 3 <= len(comparisons) <= 9
    agent.accept(HostPlan("rack7", 5, (network(1),)))
    until(lambda: agent.current_report().applied_revision == 5, 1.0)
    agent.stop()
    worker.join(5)


def until(condition: Callable[[], bool], timeout: float = 5.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.01)


class Target:
    """Takes reports, fails at first."""

    def __init__(self, agent: Agent, failures: int) -> None:
        self.agent, self.failures, self.reports = agent, failures, []

    def report(self, report: HostReport) -> None:
        if self.failures:
            self.failures -= 1
            raise ControllerGone("not yet")
        self.reports.append(report)
        self.agent.stop()


def test_report_is_tried_until_it_arrives() -> None:
    agent = make(FakeDriver())
    agent.in_touch()
    target = Target(agent, 2)
    thread = threading.Thread(target=agent.report_loop, args=(target,), daemon=True)
    thread.start()
    thread.join(5)
    assert len(target.reports) == 1


def test_limits_of_kernel_and_configuration() -> None:
    """What is missing is left out and explained."""
    capabilities = facts.combine({"linuxbridge": (("flat", "vlan", "gre", "vxlan"), {"gre": "no gretap"})})
    report = facts.report(SETTINGS, HostFacts(frozenset({"eth2"}), frozenset({"192.0.2.1"})), capabilities, 1, {}, "")
    assert report.tunnel_types == ("vxlan",)
    assert report.limits == {"gre": "no gretap"}
    assert report.physical_networks == {"physnet2": "eth2"}
    report = facts.report(SETTINGS, HostFacts(), capabilities, 1, {}, "")
    assert (report.tunnel_ip, report.tunnel_types) == (None, ())
    assert "192.0.2.1 ([vxlan] local_ip) is on no interface" in report.limits["vxlan"]
    assert report.limits["gre"] == "no gretap"
    assert "physnet1 -> eth0" in report.limits["flat"]
    report = facts.report(HostSettings("h"), HostFacts(), capabilities, 1, {}, "")
    assert "local_ip is not set" in report.limits["vxlan"]
    assert "flat" not in report.limits


def test_type_is_limited_when_every_driver_says_so() -> None:
    offers = {"a": (("gre", "vxlan"), {"gre": "no gretap"}), "b": (("gre",), {})}
    assert facts.combine(offers) == Capabilities({"a": ("gre", "vxlan"), "b": ("gre",)}, {})
    offers["b"] = (("gre",), {"gre": "no switch"})
    assert facts.combine(offers).limits == {"gre": "no gretap; no switch"}


def test_the_worker_outlives_errors_that_nobody_thought_of() -> None:
    """Else the agent would report for ever, and never do anything again."""
    surprises = [KeyError("tap"), OSError(24, "too many open files")]

    def read_facts() -> HostFacts:
        if surprises:
            raise surprises.pop()
        return HostFacts(INTERFACES, frozenset({"192.0.2.1"}))

    agent = make(FakeDriver(), read_facts=read_facts)
    agent.accept(HostPlan("rack7", 5, (network(1),)))
    worker = threading.Thread(target=agent.work, daemon=True)
    worker.start()
    end = time.monotonic() + 10
    while agent.current_report().applied_revision != 5 and time.monotonic() < end:
        time.sleep(0.01)
    agent.stop()
    worker.join(5)
    assert agent.current_report().applied_revision == 5
    assert not surprises


def test_the_reporter_outlives_errors_that_nobody_thought_of() -> None:
    surprises, reported = [ValueError("no such thing")], threading.Event()

    class Target:
        def report(self, report: HostReport) -> None:
            if surprises:
                raise surprises.pop()
            reported.set()

    agent = make(FakeDriver())
    agent.in_touch()
    threading.Thread(target=agent.report_loop, args=(Target(),), daemon=True).start()
    assert reported.wait(10)
    agent.stop()
