"""The API over the real plugin on a SQLite file of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openstack
import pytest
from openstack.connection import Connection
from openstack.network.v2._proxy import Proxy
from oslo_config import cfg

from controller import config
from controller.api.wsgi import Application, make_application
from controller.plugin.plugin import Plugin, open_store
from mechanisms.manager import MechanismManager
from tests.api.keystone_bed import as_user, base, cli, identity, isthmus, policy_file, process
from tests.api.world import CONFIGURATION
from tests.unit.api.fakes import FakeIsthmus
from tests.unit.api.server import serving
from typedrivers.manager import TypeManager

__all__ = ["as_user", "base", "cli", "identity", "isthmus", "policy_file", "process"]


@pytest.fixture
def conf(tmp_path: Path) -> cfg.ConfigOpts:
    path = tmp_path / "isthmus.conf"
    path.write_text(CONFIGURATION.format(path=tmp_path / "isthmus.sqlite"))
    return config.load(["--config-file", str(path)])


@pytest.fixture
def plugin(conf: cfg.ConfigOpts) -> Iterator[Plugin]:
    types = TypeManager.load(conf)
    store = open_store(conf, types)
    yield Plugin(conf, store, types, MechanismManager.load(conf.ml2.mechanism_drivers))
    store.dispose()


@pytest.fixture
def application(conf: cfg.ConfigOpts, plugin: Plugin) -> Application:
    return make_application(conf, plugin, FakeIsthmus())


@pytest.fixture
def url(application: Application) -> Iterator[str]:
    with serving(application) as base:
        yield base


@pytest.fixture
def cloud(url: str) -> Iterator[Connection]:
    """openstacksdk without Keystone, pointed at the server."""
    connection = openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        auth_type="none",
        auth={"endpoint": url},
        network_endpoint_override=f"{url}/v2.0",
    )
    yield connection
    connection.close()


@pytest.fixture
def network(cloud: Connection) -> Proxy:
    return cloud.network
