"""Two hundred clients on a PostgreSQL whose statements fail now and then: nothing lost, nothing doubled, no 5xx."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from controller import config
from controller.api.wsgi import make_application
from controller.db.models import FeedState, NetworkRow, PortRow
from controller.db.session import Store
from controller.plugin.audit import audit
from controller.plugin.context import system_context
from controller.plugin.plugin import Plugin, open_store
from mechanisms.manager import MechanismManager
from tests.api.world import CONFIGURATION, HOST
from tests.support import postgres
from tests.support.storm import Faults, failing, storm
from tests.unit.api.fakes import FakeIsthmus
from typedrivers.manager import TypeManager

SECONDS = float(os.environ.get("ISTHMUS_STORM_SECONDS", "10"))
CLIENTS = 200
ADMIN = system_context()
QUOTAS = "[quotas]\nquota_port = -1\nquota_network = -1\nquota_subnet = -1\n"


@pytest.fixture(params=["postgresql", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'isthmus.sqlite'}"
        return
    with postgres.server() as running:
        yield running


@pytest.mark.timeout(SECONDS + 240)
def test_a_storm_leaves_a_sound_store(url: str, tmp_path: Path) -> None:
    path = tmp_path / "isthmus.conf"
    path.write_text(CONFIGURATION.replace("sqlite:///{path}", url) + QUOTAS)
    conf = config.load(["--config-file", str(path)])
    types = TypeManager.load(conf)
    store = open_store(conf, types)
    plugin = Plugin(conf, store, types, MechanismManager.load(conf.ml2.mechanism_drivers))
    plugin.node_seen(HOST)
    common = plugin.create(ADMIN, "network", {"name": "common", "shared": True})["id"]
    plugin.create(ADMIN, "subnet", {"network_id": common, "ip_version": 4, "cidr": "10.64.0.0/12"})
    application = make_application(conf, plugin, FakeIsthmus())
    with failing(store.engine, Faults()) as faults:
        outcome = storm(application, common, CLIENTS, SECONDS)
    print(f"{outcome.requests} requests in {outcome.seconds:.1f} s, {dict(outcome.answers)}; met {dict(faults.seen)}")
    assert not outcome.errors, outcome.errors[:5]
    assert min(faults.seen.values()) > 0, faults.seen
    assert outcome.requests > CLIENTS
    check(store, outcome.ports, outcome.networks | {common})
    store.dispose()


def check(store: Store, ports: set[str], networks: set[str]) -> None:
    """The store has what the clients were told it has, and agrees with itself."""
    with store.read() as session:
        assert audit(session) == []
        there = set(session.scalars(select(PortRow.id)))
        assert there == ports, f"{len(there - ports)} doubled, {len(ports - there)} lost"
        assert set(session.scalars(select(NetworkRow.id))) == networks
        assert session.scalars(select(FeedState.revision)).one() > 0
