"""A cable plan is read strictly, compared with what is found, and told about when it lasts."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.model import Cable, Plug, PortView
from tests.unit.topology.cabling import end
from topology.cables import CablePlanError, Names, compare, parse, read_plan
from topology.events import EventLog
from topology.links import link
from topology.plan_watch import PlanWatch

PORTS = {end(number, 1).node_id: {port: PortView(f"eth{port}", True) for port in range(1, 5)}
         for number in range(1, 5)}  # fmt: skip
NAMES = Names({"leaf1": end(1, 1).node_id}, PORTS)


def cable(a: tuple[str, str], b: tuple[str, str]) -> Cable:
    return Cable(Plug(*a), Plug(*b))


PLAN = (cable(("leaf1", "eth1"), ("2", "2")), cable(("0x2", "1"), ("0000000000000003", "eth2")))
FIRST, SECOND = link(end(1, 1), end(2, 2)), link(end(2, 1), end(3, 2))


def kinds(plan: tuple[Cable, ...], *links: object) -> list[str]:
    return [f"{found.kind}: {found}" for found in compare(plan, links, NAMES)]  # type: ignore[arg-type]


def test_nothing_to_say_when_the_cabling_is_as_planned() -> None:
    assert kinds(PLAN, FIRST, SECOND) == []


def test_missing_miswired_unexpected() -> None:
    wrong = link(end(2, 1), end(4, 2))
    stray = link(end(3, 4), end(4, 4))
    assert kinds(PLAN, wrong, stray) == [
        "missing: planned leaf1 port eth1 - 2 port 2, not found",
        f"miswired: planned 0x2 port 1 - 0000000000000003 port eth2, found {wrong}",
        f"unexpected: {stray} is not in the cable plan",
    ]
    swapped = link(end(1, 1), end(3, 2)), link(end(2, 1), end(2, 2))
    assert [text.split(":")[0] for text in kinds(PLAN, *swapped)] == ["miswired", "miswired"]


def test_what_is_not_known_is_said() -> None:
    plan = (cable(("spine", "eth1"), ("1", "2")), cable(("leaf1", "eth9"), ("2", "3")))
    assert kinds(plan) == [
        "missing: planned leaf1 port eth9 - 2 port 3, not found: leaf1 has no port 'eth9'",
        "missing: planned spine port eth1 - 1 port 2, not found: switch 'spine' has not connected",
    ]


def test_yaml(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text('cables:\n  - {a: {switch: leaf1, port: eth1}, b: {switch: "2", port: 2}}\n')
    assert read_plan(str(path)) == PLAN[:1]
    for text in ("cables: [", "cables: 7", "- 1", "cables: []\nmore: 1", "cables: [{a: {switch: 2, port: 1}, b: {}}]"):
        path.write_text(text)
        with pytest.raises(CablePlanError, match=r"cable_plan .*plan\.yaml"):
            read_plan(str(path))
    with pytest.raises(CablePlanError, match="cannot be read"):
        read_plan(str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "must be a list"),
        ([{"a": {"switch": "x", "port": 1}}], "cable 1 must be of the form"),
        ([{"a": {"switch": "x", "port": 1}, "b": {"switch": "y", "port": True}}], "cable 1: port must be"),
        ([{"a": {"switch": "x", "port": 1}, "b": {"switch": 7, "port": 1}}], "in quotes"),
        ([{"a": {"switch": "x", "port": 1}, "b": {"switch": "x", "port": 1}}], "has a cable already, number 1"),
    ],
)
def test_bad_plans_name_the_cable(value: object, message: str) -> None:
    with pytest.raises(CablePlanError, match=message):
        parse(value)


def test_only_what_lasts_is_an_event_and_its_end_is_one() -> None:
    events = EventLog()
    watch = PlanWatch(events)
    missing = compare(PLAN, [FIRST], NAMES)
    watch.look(missing, 0.0)
    watch.look(missing, 9.0)
    watch.look([], 9.5)
    watch.look(missing, 10.0)
    watch.look(missing, 19.9)
    assert events.totals == {}
    watch.look(missing, 20.0)
    watch.look(missing, 30.0)
    watch.look([], 31.0)
    assert [event.kind for event in events.since()] == ["cable-missing", "cable-right"]
