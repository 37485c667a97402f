"""Statuses are decided per node that acknowledges, written many at a time, and BUILD only if it lasts."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from controller import status_writer
from tests.unit.controller.test_reconciler import seen
from tests.unit.controller.world import SWITCH_A, SWITCH_B, World, eventually, facts, port

P1, P2 = (f"{number}" * 8 + "-0000-0000-0000-000000000000" for number in (1, 2))


def two_switches(world: World) -> None:
    world.store.commit(ports={P1: port(P1, SWITCH_A), P2: port(P2, SWITCH_B)})
    world.reconciler.switch_ready(facts(SWITCH_A), seen(SWITCH_A, P1))
    world.reconciler.switch_ready(facts(SWITCH_B), seen(SWITCH_B, P2))
    eventually(lambda: (world.status(P1), world.status(P2)) == ("ACTIVE", "ACTIVE"))


def test_a_peer_that_fails_holds_the_port_back_and_is_named_until_it_is_well() -> None:
    with World() as world:
        two_switches(world)
        world.switches.broken.add(SWITCH_B)
        world.store.commit(ports={P1: port(P1, SWITCH_A, revision=2)})
        eventually(lambda: "table 4 is full" in world.reason(P1))
        assert world.status(P1) == "BUILD"
        world.switches.broken.clear()
        eventually(lambda: world.status(P1) == "ACTIVE")


def test_a_short_build_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    with World() as world:
        two_switches(world)
        written: list[str] = []
        record = world.store.set_port_statuses

        def note(statuses: dict[str, tuple[str, str]], revisions: dict[str, int] | None = None) -> None:
            written.extend(status for status, _ in statuses.values())
            record(statuses, revisions)

        monkeypatch.setattr(status_writer, "PATIENCE", 30.0)
        world.store.set_port_statuses = note  # type: ignore[method-assign]
        third = "3" * 8 + "-0000-0000-0000-000000000000"
        world.store.commit(ports={third: port(third, SWITCH_A)})
        world.reconciler.switch_ready(facts(SWITCH_A), seen(SWITCH_A, P1, third))
        eventually(lambda: world.status(third) == "ACTIVE")
        assert "BUILD" not in written


def test_a_peer_that_never_answers_is_named_in_time() -> None:
    with World() as world:
        two_switches(world)
        world.switches.blocked.add(SWITCH_B)
        try:
            world.store.commit(ports={P1: port(P1, SWITCH_A, revision=2)})
            eventually(lambda: world.status(P1) == "BUILD")
            assert "waiting for node" in world.reason(P1)
        finally:
            world.switches.blocked.clear()
        eventually(lambda: world.status(P1) == "ACTIVE")


def test_what_changes_while_it_is_written_is_written_again() -> None:
    """A port was ACTIVE and is being written BUILD when the acknowledgement comes: ACTIVE is news then."""
    with World() as world:
        two_switches(world)
        record = world.store.set_port_statuses

        def acknowledged_meanwhile(
            statuses: dict[str, tuple[str, str]], revisions: dict[str, int] | None = None
        ) -> None:
            if any(status == "BUILD" for status, _ in statuses.values()):
                world.switches.blocked.clear()
                eventually(lambda: not any(state.pending for state in world.reconciler.board.states()))
                time.sleep(0.05)  # until the writer has heard of it
            record(statuses, revisions)

        world.store.set_port_statuses = acknowledged_meanwhile  # type: ignore[method-assign]
        world.switches.blocked.add(SWITCH_A)
        world.reconciler.switch_ready(facts(SWITCH_A), replace(seen(SWITCH_A, P1), uplinks={"physnet1": 7}))
        eventually(lambda: not world.switches.blocked)
        time.sleep(0.1)
        eventually(lambda: world.status(P1) == "ACTIVE")


def test_ports_of_a_node_that_came_or_went_are_counted_once_each() -> None:
    with World() as world:
        two_switches(world)
        board = world.reconciler.board
        writer = status_writer.StatusWriter(board, world.store, lambda _thread: None)
        assert writer.waiting == 0
        writer.node_moved(SWITCH_A, board.tick)
        assert writer.waiting == 1
        writer.plugged({P1, P2}, board.tick)
        assert writer.waiting == 2
