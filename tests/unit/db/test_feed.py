"""The change feed: one revision per write, in order, with objects as they are now."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select, update

from controller.db import transaction
from controller.db.models import FeedRow, FeedState
from controller.errors import FeedExpired
from controller.intent import Intent
from controller.plugin.api import Query
from tests.support.store import ADMIN, World, host_facts, new_world, switch_facts


def writes(world: World) -> list[Callable[[], Any]]:
    """One of every kind of write, in an order that works."""
    made: dict[str, Any] = {}

    def keep(name: str, value: Any) -> None:
        made[name] = value

    def agent() -> str:
        return str(world.plugin.list(ADMIN, "agent", Query(filters={"host": ["h1"]}))[0]["id"])

    six = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    return [
        lambda: keep("net", world.network()),
        lambda: keep(
            "seg", world.plugin.create(ADMIN, "segment", {"network_id": made["net"]["id"], "network_type": "gre"})
        ),
        lambda: world.plugin.update(ADMIN, "segment", made["seg"]["id"], {"name": "s"}),
        lambda: keep("sub", world.subnet(made["net"])),
        lambda: keep("port", world.port(made["net"], "h1")),
        lambda: world.plugin.create_bulk(ADMIN, "port", [{"network_id": made["net"]["id"]}] * 3),
        lambda: world.plugin.node_seen(host_facts(1)),
        lambda: world.plugin.node_seen(host_facts(1, tunnel_types=frozenset())),
        lambda: world.plugin.node_seen(switch_facts(1)),
        lambda: keep("free", world.port(made["net"])),
        lambda: world.plugin.port_plugged(made["free"]["id"], "switch:0000000000000001"),
        lambda: world.plugin.set_port_statuses({made["free"]["id"]: ("ACTIVE", "")}),
        lambda: world.plugin.port_unplugged(made["free"]["id"], "switch:0000000000000001"),
        lambda: keep("six", world.subnet(made["net"], "2001:db8::/64", **six)),
        lambda: world.update("port", made["port"], fixed_ips=[{"ip_address": "10.0.0.9"}]),
        lambda: world.update("port", made["port"], **{"binding:host_id": ""}),
        lambda: world.update("network", made["net"], name="n"),
        lambda: world.update("subnet", made["sub"], name="s"),
        lambda: world.plugin.update(ADMIN, "agent", agent(), {"description": "d"}),
        lambda: world.plugin.node_lost("host:h1"),
        lambda: world.plugin.delete(ADMIN, "agent", agent()),
        lambda: world.delete("subnet", made["six"]),
        lambda: [world.delete("port", port) for port in world.plugin.list(ADMIN, "port", Query(limit=1))],
        lambda: world.delete("segment", made["seg"]),
    ]


def test_every_write_is_one_revision_and_is_announced_once(world: World) -> None:
    announced: list[int] = []
    world.feed.subscribe(announced.append)
    for number, write in enumerate(writes(world), start=1):
        write()
        assert world.feed.latest() == number
        assert announced == list(range(1, number + 1))


def test_following_ends_where_loading_begins(world: World) -> None:
    follower = Intent()
    for write in writes(world):
        write()
        for change in world.feed.since(follower.revision):
            assert change.revision > follower.revision
            follower.apply(change)
        loaded = world.feed.load()
        assert (follower.networks, follower.ports, follower.nodes) == (loaded.networks, loaded.ports, loaded.nodes)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 100), max_size=5))
def test_a_follower_may_look_whenever_it_likes(moments: list[int]) -> None:
    world = new_world()
    follower = Intent()
    for number, write in enumerate(writes(world)):
        write()
        if number in moments:
            for change in world.feed.since(follower.revision):
                follower.apply(change)
    for change in world.feed.since(follower.revision):
        follower.apply(change)
    loaded = world.feed.load()
    assert (follower.networks, follower.ports, follower.nodes) == (loaded.networks, loaded.ports, loaded.nodes)


def test_the_intent_is_complete(world: World) -> None:
    world.plugin.node_seen(host_facts(1))
    network = world.network(name="n")
    world.subnet(network)
    port = world.port(network, "h1", allowed_address_pairs=[{"ip_address": "10.0.0.9"}])
    intent = world.feed.load()
    assert intent.revision == world.feed.latest() == 4
    assert set(intent.ports_on("host:h1", network["id"])) == {port["id"]}
    assert intent.networks[network["id"]].key == 1
    assert world.feed.since(4) == []


def test_a_failed_write_leaves_no_revision(world: World) -> None:
    def fail(write: transaction.Transaction) -> None:
        write.session.add(FeedRow(revision=1, resource="x", object_id="x", kind="x", at=write.now))
        write.session.flush()
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        world.store.write(fail)
    with world.store.read() as session:
        assert session.scalar(select(func.count()).select_from(FeedRow)) == 0


def test_old_entries_go_when_they_are_old_in_both_ways(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "PRUNE_EVERY", 10)
    monkeypatch.setattr(transaction, "KEPT_REVISIONS", 5)
    network = world.network()
    for number in range(19):
        world.update("network", network, name=str(number))
    assert len(world.feed.since(0)) == 20
    world.clock.forward(timedelta(days=2).total_seconds())
    for number in range(10):
        world.update("network", network, name=str(number))
    assert [change.revision for change in world.feed.since(25)] == [26, 27, 28, 29, 30]
    with pytest.raises(FeedExpired, match="load anew"):
        world.feed.since(10)
    with world.store.read() as session:
        pruned = session.scalars(select(FeedState.pruned)).one()
    assert pruned == 20
    assert [change.revision for change in world.feed.since(pruned)] == list(range(21, 31))


def test_a_store_that_was_restored_is_loaded_anew(world: World) -> None:
    network = world.network()
    world.update("network", network, name="lost")
    with world.store.engine.execution_options(isthmus_write=True).begin() as connection:
        connection.execute(update(FeedState).values(revision=1))
        connection.execute(delete(FeedRow).where(FeedRow.revision > 1))
    assert world.feed.since(1) == []
    with pytest.raises(FeedExpired, match="older one was restored"):
        world.feed.since(2)


def test_threads_get_revisions_without_gaps(world: World) -> None:
    network = world.network()
    world.subnet(network)
    failures: list[Exception] = []

    def work() -> None:
        try:
            for _ in range(10):
                world.port(network)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [change.revision for change in world.feed.since(2)] == list(range(3, 43))
    ports = world.feed.load().ports.values()
    assert len({port.fixed_ips for port in ports}) == len({port.mac_address for port in ports}) == 40
