"""The database goes away: the API says so, sessions and flows go on, and all is well by itself when it is back."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message

import pytest

from controller.db.engine import IDLE
from tests.faults.world import HEALTHY, World
from tests.support.client import Body
from tests.support.postgres import Cluster, cluster

AWAY = 5.0
PATIENCE = 2
"""Seconds that the database may take to let the controller in, and to answer on a connection that was idle."""


@pytest.fixture(scope="module")
def database() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.fixture(scope="module")
def world(database: Cluster) -> Iterator[World]:
    world = World(f"{database.url}?connect_timeout={PATIENCE}")
    try:
        world.start()
        network = world.api.create("network", name="net", **{"provider:network_type": "vlan"})
        world.api.create("subnet", network_id=network["id"], ip_version=4, cidr="10.1.0.0/24")
        world.networks = [network["id"]]
        yield world
    finally:
        world.end()


def answer(world: World, method: str, path: str, timeout: float = 10) -> tuple[int, Message]:
    """Status and headers of one request."""
    data = b'{"network": {}}' if method == "POST" else None
    request = urllib.request.Request(
        f"{world.api.url}{path}", data, {"Content-Type": "application/json"}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout) as found:
            return found.status, found.headers
    except urllib.error.HTTPError as error:
        return error.code, error.headers


def test_the_database_goes_away_and_comes_back(world: World, database: Cluster) -> None:
    ports: list[Body] = [world.new_port(switch) for switch in HEALTHY]
    world.api.wait_for_status([port["id"] for port in ports], "ACTIVE")
    world.wait(lambda: world.in_sync(*HEALTHY), "all is in force")
    world.healthy.do("reset")
    world.stalls.longest = 0.0
    flows = world.healthy.stats()["flows"]
    database.stop()
    began = time.monotonic()
    for method, path in (("GET", "/v2.0/networks"), ("POST", "/v2.0/networks"), ("GET", "/v2.0/ports")):
        status, headers = answer(world, method, path)
        assert status == 503, path
        assert int(headers["Retry-After"]) > 0
    world.healthy.do("disconnect", switches=[2])
    world.healthy.do("connect", switches=[2])
    time.sleep(max(0.0, AWAY - (time.monotonic() - began)))
    now = world.metrics()
    assert now["isthmus_feed_silence_seconds"] > AWAY / 2
    stats = world.healthy.stats()
    assert (stats["flows"], stats["flow_mods"]) == (flows, 0)
    assert stats["closed"] == 1  # the one that was asked for
    world.check_echoes(stats)
    assert len(stats["echoes"]) > AWAY / 0.05 / 2
    database.start()
    world.wait(lambda: answer(world, "GET", "/v2.0/networks")[0] == 200, "the API answers", 10)
    world.wait(lambda: world.in_sync(*HEALTHY), "the switch that came meanwhile is served")
    world.api.wait_for_status([port["id"] for port in ports], "ACTIVE")
    world.others_go_on()
    assert world.metrics()["isthmus_feed_silence_seconds"] < 3
    assert world.metrics()["isthmus_openflow_errors_total|internal"] == 0


def test_the_database_hangs_and_goes_on(world: World, database: Cluster) -> None:
    """Its connections stay open, and nobody answers on them."""
    port = world.new_port(HEALTHY[0])
    world.api.wait_for_status([port["id"]], "ACTIVE")
    world.wait(lambda: world.in_sync(*HEALTHY), "all is in force")
    world.healthy.do("reset")
    world.stalls.longest = 0.0
    with database.frozen():
        time.sleep(IDLE + 2)  # free connections are idle now, and tried before they are used
        for method, path in (("GET", "/v2.0/networks"), ("POST", "/v2.0/networks"), ("GET", "/v2.0/ports")):
            began = time.monotonic()
            status, headers = answer(world, method, path, 10 * PATIENCE)
            assert (status, int(headers["Retry-After"]) > 0) == (503, True), path
            assert time.monotonic() - began < 4 * PATIENCE, path
        assert world.metrics()["isthmus_feed_silence_seconds"] > PATIENCE
        stats = world.healthy.stats()
        assert (stats["closed"], stats["flow_mods"]) == (0, 0)
        world.check_echoes(stats)
    world.wait(lambda: answer(world, "GET", "/v2.0/networks")[0] == 200, "the API answers", 10)
    world.wait(lambda: world.metrics()["isthmus_feed_silence_seconds"] < 3, "the feed is followed")
    world.others_go_on()
    assert world.metrics()["isthmus_openflow_errors_total|internal"] == 0
