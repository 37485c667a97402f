"""Plans of legacy hosts that cannot be compiled: shown, tried again, and nobody else's trouble."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from controller import host_plans
from controller.errors import CompileError
from controller.host_plans import FIRST_RETRY, HostPlans
from controller.intent import Change, Intent
from controller.model import Node, NodeKind, Observation
from controller.node_state import Board
from legacy_agent.host_plan import HostNetwork, HostPlan
from tests.unit.controller.world import NET, port

ONE, TWO = (Node(f"host:h{number}", number, NodeKind.HOST, f"h{number}", ("linuxbridge",)) for number in (1, 2))


class Troubled:
    """Lists a host's networks, or fails for the hosts that have an ``error``."""

    def __init__(self) -> None:
        self.errors: dict[str, Exception] = {}
        self.asked: list[str] = []

    def compile(
        self, intent: Intent, node: Node, observation: Observation, changed_networks: frozenset[str] | None = None
    ) -> HostPlan:
        self.asked.append(node.id)
        if node.id in self.errors:
            raise self.errors[node.id]
        names = sorted(intent.networks_of(node.id))
        return HostPlan(node.host, intent.revision, tuple(
            HostNetwork(name, "linuxbridge", "vlan", "physnet1", 100, 1500) for name in names))  # fmt: skip


class Scene:
    """Two hosts on a board whose clock is the test's."""

    def __init__(self) -> None:
        self.now, self.compiler, self.told = 0.0, Troubled(), list[str]()
        self.board = Board(lambda: self.now)
        self.plans = HostPlans(self.board, self.compiler, self.told.append, retry_max=3.0)
        self.change(Change.of(1, networks={"net": NET}, nodes={ONE.id: ONE, TWO.id: TWO}))

    def change(self, change: Change) -> None:
        touched = self.board.intent.apply(change).nodes
        self.board.touch(touched)
        self.plans.compile(touched)

    def plug(self, revision: int, *nodes: Node) -> None:
        self.change(Change.of(revision, ports={f"p-{node.id}": port(f"p-{node.id}", node.id) for node in nodes}))

    @contextmanager
    def trouble(self, node: Node, error: Exception) -> Iterator[None]:
        self.compiler.errors[node.id] = error
        yield
        del self.compiler.errors[node.id]

    def error(self, node: Node) -> str:
        return self.board.state(node.id).error


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_plan_that_cannot_be_compiled_is_shown_and_holds_up_nobody(scene: Scene) -> None:
    with scene.trouble(ONE, CompileError("port p has an address that cannot be read")):
        scene.plug(2, ONE, TWO)
    assert scene.error(ONE) == "cannot compile its plan: port p has an address that cannot be read"
    assert ONE.id in scene.told
    assert scene.board.state(ONE.id).pending
    assert scene.error(TWO) == ""
    second = scene.board.state(TWO.id).host_plan
    assert second is not None
    assert [network.network_id for network in second.networks] == ["net"]


def test_it_is_tried_again_though_nothing_changes_and_less_and_less_often(scene: Scene) -> None:
    with scene.trouble(ONE, RuntimeError("a bug")):
        scene.plug(2, ONE)
        scene.compiler.asked.clear()
        tried = []
        for tenth in range(1, 120):
            scene.now = tenth / 10
            scene.plans.retry()
            if scene.compiler.asked:
                tried.append(scene.now)
                scene.compiler.asked.clear()
    gaps = [round(later - sooner, 1) for sooner, later in zip([0.0, *tried], tried, strict=False)]
    assert gaps == [FIRST_RETRY, 2.0, 3.0, 3.0]
    scene.now += 3.0
    scene.plans.retry()
    assert scene.error(ONE) == ""
    plan = scene.board.state(ONE.id).host_plan
    assert plan is not None
    assert (plan.revision, [network.network_id for network in plan.networks]) == (2, ["net"])
    scene.compiler.asked.clear()
    scene.now += 100
    scene.plans.retry()
    assert not scene.compiler.asked


def test_a_report_of_the_older_plan_does_not_hide_the_error(scene: Scene) -> None:
    scene.plans.applied(ONE.id, 1, {})
    assert not scene.board.state(ONE.id).pending
    with scene.trouble(ONE, RuntimeError("a bug")):
        scene.plug(2, ONE)
        for _ in range(2):
            scene.plans.applied(ONE.id, 1, {})
            assert scene.error(ONE) == "cannot compile its plan: RuntimeError('a bug')"
            assert scene.board.state(ONE.id).pending
    scene.now += 10
    scene.plans.retry()
    scene.plans.applied(ONE.id, 2, {})
    assert not scene.board.state(ONE.id).pending


def test_the_same_trouble_is_logged_once(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    with scene.trouble(ONE, CompileError("no")), caplog.at_level(logging.WARNING):
        scene.plug(2, ONE)
        for _ in range(5):
            scene.now += 10
            scene.plans.retry()
    assert [record.getMessage() for record in caplog.records] == [f"{ONE.id}: cannot compile its plan: no"]


def test_a_host_that_is_gone_is_not_tried(scene: Scene) -> None:
    with scene.trouble(ONE, CompileError("no")):
        scene.plug(2, ONE)
        scene.change(Change.of(3, nodes={ONE.id: None}))
        scene.compiler.asked.clear()
        scene.now += 10
        scene.plans.retry()
    assert not scene.compiler.asked


def test_the_board_is_free_between_two_hosts(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand hosts may carry a network; nobody waits for all of them."""
    free: list[bool] = []

    def noted(items: Iterable[str]) -> Iterator[str]:
        for item in items:
            free.append(_others_can_take(scene.board))
            yield item

    monkeypatch.setattr(host_plans, "in_turns", noted)
    scene.plug(2, ONE, TWO)
    assert free == [True, True]


def _others_can_take(board: Board) -> bool:
    got: list[bool] = []

    def try_it() -> None:
        got.append(board.changed.acquire(blocking=False))
        if got[0]:
            board.changed.release()

    other = threading.Thread(target=try_it)
    other.start()
    other.join()
    return got[0]
