"""What both databases must do alike: the schema, and a walk through every use case."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select

from controller.db import migrate
from controller.db.base import Base
from controller.db.fabric_memory import FabricMemory
from controller.db.feed import StoreFeed
from controller.db.models import NodeRow
from controller.db.session import Store
from controller.intent import Intent
from controller.plugin.api import Query
from tests.db.worker import plugin
from tests.support.store import ADMIN, Clock, configuration, new_world, switch_facts
from tests.unit.db.test_feed import writes


def test_the_migrated_schema_is_that_of_the_models(url: str) -> None:
    store = Store(url)
    migrate.migrate(store.engine)
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})
        assert compare_metadata(context, Base.metadata) == []
    with store.engine.execution_options(isthmus_write=True).begin() as connection:
        command.downgrade(migrate.configuration(connection), "base")
    assert inspect(store.engine).get_table_names() == ["alembic_version"]
    store.dispose()


def test_every_use_case(url: str) -> None:
    store = Store(url, clock=Clock())
    migrate.migrate(store.engine)
    world, follower = new_world(store=store), Intent()
    for number, write in enumerate(writes(world), start=1):
        write()
        assert world.feed.latest() == number
        for change in world.feed.since(follower.revision):
            follower.apply(change)
        loaded = world.feed.load()
        assert (follower.networks, follower.ports, follower.nodes) == (loaded.networks, loaded.ports, loaded.nodes)
    store.dispose()


def test_only_nodes_that_were_lost_start_anew_when_they_are_heard(url: str) -> None:
    clock = Clock()
    store = Store(url, clock=clock)
    migrate.migrate(store.engine)
    world = new_world(store=store)
    for number in (1, 2):
        world.plugin.node_seen(switch_facts(number))
    world.plugin.node_lost("switch:0000000000000001")
    before = _moments(store)
    clock.forward(61)
    world.plugin.node_heartbeats([f"switch:{number:016x}" for number in (1, 2, 3)])
    lost_one, other = _moments(store)
    assert lost_one == (clock.now, clock.now, False)
    assert other == (before[1][0], clock.now, False)
    assert [lost for _, _, lost in before] == [True, False]
    store.dispose()


def _moments(store: Store) -> list[tuple[datetime, datetime, bool]]:
    """Of each node when it started, when it was heard, and whether it is lost."""
    with store.read() as session:
        rows = session.scalars(select(NodeRow).order_by(NodeRow.id))
        return [(row.started_at, row.heartbeat_at, row.lost) for row in rows]


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_nobody_waits_for_ever(url: str) -> None:
    """Neither we for a server whose host is gone, nor the server, with what we locked, for us. The URL has the last
    word."""
    expected = {"keepalives_idle": "10", "tcp_user_timeout": "30000", "connect_timeout": "10"}
    for address, changed in ((url, {}), (f"{url}?keepalives_idle=7", {"keepalives_idle": "7"})):
        store = Store(address)
        with store.engine.connect() as connection:
            raw: Any = connection.connection.dbapi_connection
            parameters = raw.get_dsn_parameters()
            assert {name: parameters.get(name) for name in expected} == {**expected, **changed}
            for name, value in (("lock_timeout", "30s"), ("idle_in_transaction_session_timeout", "2min")):
                assert connection.exec_driver_sql(f"SHOW {name}").scalar() == value
        store.dispose()


def test_lists(url: str) -> None:
    made = plugin(url)
    bodies = [{"name": f"n{number % 3}", "shared": number % 2 == 0} for number in range(7)]
    made.create_bulk(ADMIN, "network", bodies)
    sorts = (("shared", False), ("name", True), ("mtu", True), ("created_at", True))
    whole = [item["id"] for item in made.list(ADMIN, "network", Query(sorts=sorts))]
    first = made.list(ADMIN, "network", Query(sorts=sorts, limit=3))
    rest = made.list(ADMIN, "network", Query(sorts=sorts, marker=first[-1]["id"]))
    assert [item["id"] for item in (*first, *rest)] == whole
    filters = {"shared": ["true"], "provider:segmentation_id": ["1", "3"], "mtu": ["1458"]}
    assert len(made.list(ADMIN, "network", Query(filters=filters))) == 2
    assert StoreFeed(made._store).latest() == 1
    assert configuration().ml2.type_drivers


def test_what_the_fabric_remembers_is_no_change_of_intent(url: str) -> None:
    store = Store(url)
    migrate.migrate(store.engine)
    memory, before = FabricMemory(store), StoreFeed(store).latest()
    assert memory.load() is None
    for content in ({"links": [1]}, {"links": [2]}):
        memory.save(content)
        assert FabricMemory(store).load() == content
    assert StoreFeed(store).latest() == before
    store.dispose()
