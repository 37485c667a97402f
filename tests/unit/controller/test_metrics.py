"""What ``/metrics`` tells: values that move, labels that go with their node, names as Prometheus wants them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from controller.api.metrics import ApiMetrics
from controller.errors import SwitchError, SwitchGone, SwitchTimeout
from controller.measures import LAG_PERIOD, Measures, kind_of
from controller.metrics import StateCollector
from controller.model import Observation
from tests.unit.controller.world import HOST, SWITCH_A, World, eventually, facts, port

OPERATIONS = Path(__file__).resolve().parents[3] / "docs" / "operations.md"
FOREIGN = ("process_",)
"""Families of prometheus_client itself."""


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds + 0.75


def read(registry: CollectorRegistry) -> dict[str, float]:
    """``name{label=value}`` -> value, by the library's own parser."""
    text = generate_latest(registry).decode()
    return {
        sample.name + "".join(f"|{value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_nodes_queues_and_ages() -> None:
    with World() as world:
        registry = CollectorRegistry()
        registry.register(StateCollector(world.reconciler, lambda: {"switch_frames": 3}))
        world.switches.blocked.add(SWITCH_A)
        world.reconciler.switch_ready(facts(SWITCH_A), Observation(SWITCH_A))
        world.reconciler.node_observed(facts(HOST), Observation(HOST))
        eventually(lambda: read(registry).get("isthmus_switches_connected") == 1)
        now = read(registry)
        assert (now["isthmus_agents_up"], now["isthmus_queue_length|switch_frames"]) == (1, 3)
        assert {"isthmus_queue_length|node_events", "isthmus_queue_length|port_statuses"} <= now.keys()
        eventually(lambda: read(registry)[f"isthmus_node_plan_age_seconds|{SWITCH_A}"] > 0.05)
        world.switches.blocked.clear()
        eventually(lambda: read(registry)[f"isthmus_node_plan_age_seconds|{SWITCH_A}"] == 0)
        world.reconciler.node_lost(SWITCH_A)
        assert read(registry)["isthmus_switches_connected"] == 0
        world.store.commit(nodes={SWITCH_A: None})
        eventually(lambda: not any(SWITCH_A in name for name in read(registry)))


def test_the_age_is_that_of_the_oldest_change_that_is_not_in_force() -> None:
    world, clock = World(), Clock()
    board = world.reconciler.board
    board.clock = clock
    state = board.state(SWITCH_A)
    board.touch({SWITCH_A: None})
    work = board.take(SWITCH_A)
    clock.now = 105.0
    board.touch({SWITCH_A: ["net"]})
    clock.now = 107.0
    board.touch({SWITCH_A: ["net"]})
    assert state.waiting_since == 100.0
    board.acknowledge(SWITCH_A, work.tick, 1)
    assert state.waiting_since == 105.0
    work = board.take(SWITCH_A)
    board.give_back(SWITCH_A, work, "no")
    assert state.waiting_since == 105.0
    board.acknowledge(SWITCH_A, board.take(SWITCH_A).tick, 2)
    assert state.waiting_since is None


def test_a_feed_that_cannot_be_read_shows() -> None:
    with World() as world:
        registry = CollectorRegistry()
        registry.register(StateCollector(world.reconciler, dict))
        eventually(lambda: read(registry)["isthmus_feed_lag_revisions"] == 0)
        world.store.failures = 1_000
        world.store.commit(ports={"p": port("p", None)})
        assert read(registry)["isthmus_feed_lag_revisions"] == 1
        world.store.failures = 0
        eventually(lambda: read(registry)["isthmus_feed_lag_revisions"] == 0)
        assert 0 <= read(registry)["isthmus_feed_silence_seconds"] < 5


def test_measures_time_and_count() -> None:
    clock = Clock()
    measures = Measures(clock=clock)

    def fail() -> str:
        clock.now += 2.0
        raise SwitchTimeout("no answer")

    with pytest.raises(SwitchTimeout):
        measures.synced(fail, str)
    assert measures.synced(lambda: "adopted", str) == "adopted"
    measures.sent(5, 2, 1)
    measures.echo(0.003)
    ends = iter([False, False, True])
    measures.watch_lag(clock.sleep, lambda: next(ends))
    now = read(measures.registry)
    assert now["isthmus_openflow_errors_total|timeout"] == 1
    assert now["isthmus_openflow_errors_total|refused"] == 0  # there before anything happened
    assert now["isthmus_switch_sync_seconds_sum|failed"] == 2.0
    assert now["isthmus_switch_sync_seconds_count|adopted"] == 1
    assert now["isthmus_openflow_modifications_sent_total|flow_add"] == 5
    assert now["isthmus_openflow_echo_seconds_count"] == 1
    assert now["isthmus_hub_lag_seconds_sum"] == pytest.approx(1.5)
    assert now["isthmus_hub_lag_seconds_bucket|0.5"] == 0
    assert LAG_PERIOD < 1


def test_kinds_of_errors() -> None:
    errors = (SwitchTimeout(""), SwitchGone(""), SwitchError(""), ValueError())
    assert [kind_of(error) for error in errors] == ["timeout", "gone", "refused", "internal"]


def documented() -> dict[str, str]:
    """Name -> type of the table in the operations page."""
    rows = re.findall(r"^\| `(isthmus_\w+)` \| (\w+) \|", OPERATIONS.read_text(), re.M)
    return dict(rows)


def test_every_metric_is_in_the_operations_page_under_its_name_and_type() -> None:
    measures = Measures()
    measures.registry.register(StateCollector(World().reconciler, dict))
    ApiMetrics(measures.registry)
    families = {
        metric.name + ("_total" if metric.type == "counter" else ""): metric
        for metric in measures.registry.collect()
        if not metric.name.startswith(FOREIGN)
    }
    assert documented() == {name: metric.type for name, metric in families.items()}
    for name, metric in families.items():
        assert metric.documentation.endswith("."), name
        assert metric.type != "histogram" or name.endswith("_seconds"), name
        assert re.fullmatch(r"isthmus_[a-z_]+", name)
