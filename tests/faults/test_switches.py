"""Switches that misbehave cost only themselves, and come right again as soon as they can."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import bed
from controller.cli.main import main
from tests.faults.world import (
    ECHO_INTERVAL,
    HEALTHY,
    OTHER,
    OWN,
    RETRY_MAX,
    SPARE,
    VICTIM,
    World,
    mac_of,
)

MANY = 30


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    world = World()
    try:
        world.start()
        yield world
    finally:
        world.end()


@pytest.fixture(autouse=True)
def _sound(world: World) -> Iterator[None]:
    """After every test the controller has met no error that it did not expect, and serves the healthy switches."""
    before = world.metrics()["isthmus_openflow_errors_total|internal"]
    yield
    assert world.metrics()["isthmus_openflow_errors_total|internal"] == before
    assert world.controller.program.running
    world.wait(lambda: world.in_sync(*HEALTHY), "the healthy switches are in sync")
    assert not world.log("Traceback")


def test_a_stuck_switch_costs_only_itself(world: World) -> None:
    with world.victim("--window", "4096") as victim:
        victim.do("faults", deaf=True)
        ports = [world.new_port(VICTIM, OWN) for _ in range(3)]
        world.others_go_on()
        world.wait(lambda: not world.connected(VICTIM), "the stuck switch is given up")
        world.wait(lambda: {world.status(port)[0] for port in ports} == {"DOWN"}, "its ports are DOWN")
        victim.do("faults", deaf=False)
        world.api.wait_for_status([port["id"] for port in ports], "ACTIVE")


def test_a_slow_switch_is_served_at_its_own_pace(world: World) -> None:
    with world.victim() as victim:
        victim.do("faults", delay=0.4)
        port = world.new_port(VICTIM, OWN)
        world.others_go_on()
        world.api.wait_for_status([port["id"]], "ACTIVE")
        assert world.metrics()["isthmus_openflow_echo_seconds_bucket|+Inf"] > 0
        assert victim.stats()["closed"] == 0


def test_a_refused_flow_is_told_and_tried_again(world: World) -> None:
    before = world.metrics()
    with world.victim() as victim:
        good, bad = world.new_port(VICTIM, OTHER), world.new_port(VICTIM, OWN)
        world.api.wait_for_status([good["id"], bad["id"]], "ACTIVE")
        world.api.update("port", bad["id"], admin_state_up=False)
        world.wait(lambda: world.status(bad)[0] == "DOWN" and world.in_sync(VICTIM), "the port is taken away")
        victim.do("faults", refuse_with=mac_of(bad))
        world.api.update("port", bad["id"], admin_state_up=True)
        world.wait(lambda: "refused" in world.status(bad)[1], "the refusal is on the port")
        assert world.status(bad)[0] != "ACTIVE"
        assert "BAD_ARGUMENT" in str(world.switch(VICTIM)) or "argument" in str(world.switch(VICTIM)).lower()
        assert world.log("refused flow")
        world.others_go_on()
        attempts = len(world.log("refused flow"))
        time.sleep(2 * RETRY_MAX + 0.5)
        assert 1 <= len(world.log("refused flow")) - attempts <= 6  # with back-off, not as fast as it can
        victim.do("faults", refuse_with="")
        world.api.wait_for_status([bad["id"]], "ACTIVE")
        assert world.in_sync(VICTIM)
    now = world.metrics()
    assert now["isthmus_openflow_errors_total|refused"] > before["isthmus_openflow_errors_total|refused"]
    assert now["isthmus_switch_sync_seconds_count|failed"] > before["isthmus_switch_sync_seconds_count|failed"]


def test_a_connection_that_ends_within_a_bundle(world: World) -> None:
    with world.victim() as victim:
        done = victim.stats()["flow_mods"]
        victim.do("faults", drop_after_flows=done + 2)
        port = world.new_port(VICTIM, OWN)
        world.api.wait_for_status([port["id"]], "ACTIVE")
        assert victim.stats()["closed"] == 1
        flows = victim.stats()["flows"]
        world.api.delete("port", port["id"])
        world.wait(lambda: victim.stats()["flows"] < flows, "its flows are gone")


def test_a_commit_that_fails_is_tried_again(world: World) -> None:
    with world.victim() as victim:
        victim.do("faults", fail_commits=2)
        port = world.new_port(VICTIM, OWN)
        world.wait(lambda: len(world.log("refused a request")) >= 2, "two attempts fail")
        world.api.wait_for_status([port["id"]], "ACTIVE")
        assert victim.stats()["closed"] == 0
        assert world.switch(VICTIM)["last_error"] == ""


def test_garbage_ends_that_one_connection(world: World) -> None:
    source = random.Random(7)
    with world.victim() as victim:
        for number in range(1, 5):
            noise = bytes(source.randrange(256) for _ in range(3_000))
            victim.do("say", data=noise.hex())
            world.wait(lambda number=number: victim.stats()["closed"] >= number, "the connection is closed")
            world.wait(lambda: victim.stats()["introduced"] and world.in_sync(VICTIM), "it is back")
        world.others_go_on()


def test_answers_that_are_garbage_within_a_bundle(world: World) -> None:
    with world.victim() as victim:
        victim.do("faults", garbage_after_flows=victim.stats()["flow_mods"] + 1)
        port = world.new_port(VICTIM, OWN)
        world.others_go_on()
        world.api.wait_for_status([port["id"]], "ACTIVE")


def test_two_switches_of_one_datapath_id(world: World) -> None:
    with world.victim("--reconnect", "0") as first:
        began = world.metrics()["isthmus_openflow_sessions_total|replaced"]
        with world.fleet(options=("--reconnect", "0")) as second:
            world.wait(lambda: first.stats()["open"] == 0, "the older connection is closed")
            port = world.new_port(VICTIM, OWN)
            world.api.wait_for_status([port["id"]], "ACTIVE")
            assert second.stats()["open"] == 1
            assert second.stats()["least_flows"] > 0
            assert world.metrics()["isthmus_openflow_sessions_total|replaced"] == began + 1
            assert world.log("connected again")


def test_two_switches_that_fight_for_one_datapath_id(world: World) -> None:
    with world.victim("--reconnect", "0.1") as first:
        second = bed.Fleet(1, SPARE, 1, VICTIM, ("--reconnect", "0.1"))
        try:
            second.do("connect")
            world.wait(lambda: first.stats()["closed"] + second.stats()["closed"] >= 6, "they replace each other")
            world.others_go_on()
        finally:
            second.end()
        port = world.new_port(VICTIM, OWN)
        world.api.wait_for_status([port["id"]], "ACTIVE")
        assert first.stats()["least_flows"] > 0


@pytest.mark.parametrize("version", ["1.0", "1.5"])
def test_a_version_that_is_not_spoken(world: World, version: str) -> None:
    with world.fleet(first=40, options=("--openflow", version, "--reconnect", "0.2")) as fleet:
        world.wait(lambda: fleet.stats()["closed"] >= 2, "the connection is closed")
        assert not world.connected(40)
        world.others_go_on()


@pytest.mark.parametrize("version", ["1.3", "1.4"])
def test_switches_without_bundles(world: World, version: str) -> None:
    with world.fleet(options=("--openflow", version, "--no-bundles")) as fleet:
        world.wait(lambda: world.in_sync(VICTIM), "it is in sync")
        fleet.do("faults", drop_after_flows=fleet.stats()["flow_mods"] + 2)
        port = world.new_port(VICTIM, OWN)
        world.api.wait_for_status([port["id"]], "ACTIVE")
        assert fleet.stats()["closed"] == 1


def test_a_storm_of_reconnections(world: World) -> None:
    with world.fleet(MANY, first=50) as fleet:
        numbers = range(50, 50 + MANY)
        world.wait(lambda: world.in_sync(*numbers), "all are in sync")
        threads, adopted = _threads(world), world.metrics()["isthmus_switch_sync_seconds_count|adopted"]
        for _ in range(5):
            fleet.do("disconnect")
            time.sleep(0.15)
            fleet.do("connect")
            time.sleep(0.15)
        fleet.do("reset")
        world.others_go_on()
        world.wait(lambda: world.in_sync(*numbers) and fleet.stats()["open"] == MANY, "all are in sync again")
        fleet.do("disconnect")
        fleet.do("reset")
        fleet.do("connect")
        world.wait(lambda: len(fleet.stats()["introduced"]) == MANY and world.in_sync(*numbers), "and once more")
        assert fleet.stats()["flow_mods"] == 0
        assert world.metrics()["isthmus_switch_sync_seconds_count|adopted"] >= adopted + MANY
        assert _threads(world) <= threads + 5


def _threads(world: World) -> int:
    text = Path(f"/proc/{world.controller.pid}/status").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("Threads:")))


def test_a_switch_whose_master_is_another_controller(world: World) -> None:
    with world.victim() as victim:
        victim.do("slave", generation=5)
        port = world.new_port(VICTIM, OWN)
        world.wait(lambda: "slave" in world.switch(VICTIM).get("last_error", "").lower(), "the refusal is shown")
        assert world.status(port)[0] != "ACTIVE"
        world.others_go_on()
        victim.do("equal")
        world.api.wait_for_status([port["id"]], "ACTIVE")


def test_echoes_without_an_answer_end_the_session(world: World) -> None:
    with world.victim("--reconnect", "0") as victim:
        victim.do("faults", no_echo=True)
        began = time.monotonic()
        world.wait(lambda: victim.stats()["open"] == 0, "the session ends")
        assert time.monotonic() - began > 2 * ECHO_INTERVAL
        world.wait(lambda: not world.connected(VICTIM), "the switch is not connected")
        world.others_go_on()


def test_a_switch_that_only_listens_meets_the_deadline(world: World) -> None:
    with world.victim() as victim:
        timeouts = world.metrics()["isthmus_openflow_errors_total|timeout"]
        victim.do("faults", mute=True, no_echo=False)
        port = world.new_port(VICTIM, OWN)
        world.others_go_on()
        world.wait(lambda: world.status(port)[0] != "ACTIVE" and victim.stats()["closed"] > 0, "it is given up")
        victim.do("faults", mute=False)
        world.api.wait_for_status([port["id"]], "ACTIVE")
        assert world.metrics()["isthmus_openflow_errors_total|timeout"] >= timeouts


def test_peers_that_say_nothing_are_counted_and_closed(world: World) -> None:
    silent = world.metrics()["isthmus_openflow_errors_total|silent"]
    with socket.create_connection(("127.0.0.1", bed.OPENFLOW_PORT)) as peer:
        peer.settimeout(10)
        assert peer.recv(8)[1] == 0  # the controller's hello
        while peer.recv(4096):
            pass
    world.wait(lambda: world.metrics()["isthmus_openflow_errors_total|silent"] == silent + 1, "it is counted")


def test_metrics_of_a_real_run(world: World) -> None:
    with world.victim() as victim:
        before = world.metrics()
        port = world.new_port(VICTIM, OWN)
        world.api.wait_for_status([port["id"]], "ACTIVE")
        time.sleep(2 * ECHO_INTERVAL)
        now = world.metrics()
        for name in (
            "isthmus_openflow_modifications_sent_total|flow_add",
            "isthmus_switch_sync_seconds_count|programmed",
            "isthmus_switch_compile_seconds_count",
            "isthmus_openflow_echo_seconds_count",
            "isthmus_hub_lag_seconds_count",
            "isthmus_feed_lag_seconds_count",
            "isthmus_intent_revision",
            "process_cpu_seconds_total",
        ):
            assert now[name] > before[name], name
        assert now["isthmus_switches_connected"] == 3
        assert now[f"isthmus_node_plan_age_seconds|switch:{VICTIM:016x}"] == 0
        victim.do("faults", mute=True)
        world.new_port(VICTIM, OWN)
        age = f"isthmus_node_plan_age_seconds|switch:{VICTIM:016x}"
        world.wait(lambda: world.metrics()[age] > 0.2, "the plan grows old")
    assert world.metrics()["isthmus_switches_connected"] == 2


def test_a_trace_tells_where_a_frame_would_go_and_disturbs_nothing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the command, in the running controller."""
    near, far = world.new_port(HEALTHY[0]), world.new_port(HEALTHY[1])
    world.api.update("port", near["id"], name="trace-near")
    world.api.wait_for_status([near["id"], far["id"]], "ACTIVE")
    before = world.metrics()

    def trace(*arguments: str) -> tuple[int, str]:
        status = main(["--url", world.api.url, "trace", *arguments])
        said = capsys.readouterr()
        return status, said.out + said.err

    status, said = trace("trace-near", far["id"])
    assert status == 0
    assert f"1. switch:{HEALTHY[0]:016x}" in said
    assert f"2. switch:{HEALTHY[1]:016x}, out of physical network" in said
    assert f"result: port {far['id']} would get it\n" in said
    status, said = trace(near["id"], far["id"], "--eth-src", "fa:16:3e:99:99:99")
    assert status == 1
    assert f"port security of port {near['id']}: it may not send as fa:16:3e:99:99:99" in said
    heard = world.api.isthmus(f"trace?port={near['id']}")["trace"]
    assert far["id"] in heard["received"]
    assert near["id"] not in heard["received"]
    assert trace("no-such-port")[0] == 2
    after = world.metrics()
    for name in ("isthmus_openflow_modifications_sent_total|flow_add", "isthmus_switch_sync_seconds_count|programmed"):
        assert after[name] == before[name], name
