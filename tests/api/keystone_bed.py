"""The API behind a real Keystone, with its users and clients; one for all tests of a run (in the xdist group
``keystone``, so that one process has them all)."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openstack import exceptions
from openstack.connection import Connection
from openstackclient import shell

from controller import config
from controller.api.wsgi import make_application
from controller.plugin.plugin import Plugin, open_store
from mechanisms.manager import MechanismManager
from tests.api.world import CONFIGURATION, GONE, HOST
from tests.support import keystone
from tests.support.keystone import Keystone
from tests.unit.api.fakes import FakeIsthmus
from tests.unit.api.server import serving
from typedrivers.manager import TypeManager

AUTHENTICATION = """
[api]
auth_strategy = keystone
[keystone_authtoken]
auth_type = password
auth_url = {url}
www_authenticate_uri = {url}
username = isthmus
password = secret
project_name = service
user_domain_id = default
project_domain_id = default
[oslo_policy]
policy_file = {policy}
[agent]
agent_down_time = 3600
"""
"""The agents are heard of once, however long the tests take."""

USERS = (
    ("isthmus", "service", "admin"),
    ("nova", "service", "service"),
    ("alice", "red", "member"),
    ("rita", "red", "reader"),
    ("bob", "blue", "member"),
    ("guest", "red", "manager-of-nothing"),
    ("agent", "service", "isthmus-agent"),
)

CLI = Callable[..., Any]


@pytest.fixture(scope="session")
def identity() -> Iterator[Keystone]:
    with keystone.server() as running:
        with running.connect("admin", "admin") as cloud:
            for role in ("manager-of-nothing", "isthmus-agent"):
                cloud.identity.create_role(name=role)
            cloud.identity.create_project(name="service", domain_id=keystone.DOMAIN)
        for name, project, *roles in USERS:
            running.user(name, project, *roles)
        yield running


@pytest.fixture(scope="session")
def policy_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("policy") / "policy.yaml"


@pytest.fixture(scope="session")
def isthmus() -> FakeIsthmus:
    """The controller behind the API, with one host and one switch."""
    return FakeIsthmus()


@pytest.fixture(scope="session")
def base(
    identity: Keystone, policy_file: Path, isthmus: FakeIsthmus, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The API with the real plugin."""
    directory = tmp_path_factory.mktemp("api")
    path = directory / "isthmus.conf"
    text = CONFIGURATION.format(path=directory / "isthmus.sqlite")
    path.write_text(text + AUTHENTICATION.format(url=identity.url, policy=policy_file))
    policy_file.write_text("{}\n")
    conf = config.load(["--config-file", str(path)])
    types = TypeManager.load(conf)
    store = open_store(conf, types)
    plugin = Plugin(conf, store, types, MechanismManager.load(conf.ml2.mechanism_drivers))
    plugin.node_seen(HOST)
    plugin.node_seen(GONE)
    plugin.node_lost(GONE.id)
    with serving(make_application(conf, plugin, isthmus)) as url:
        identity.network_service(url)
        yield url
    store.dispose()


@pytest.fixture
def as_user(identity: Keystone, base: str) -> Iterator[Callable[[str, str], Connection]]:
    opened: list[Connection] = []

    def connect(user: str, project: str) -> Connection:
        opened.append(identity.connect(user, project))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def cli(
    identity: Keystone, base: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[CLI]:
    """``cli("network create blue")`` runs the openstack command as the administrator: what it says, as JSON."""
    log = logging.getLogger()
    before = list(log.handlers)

    def run(line: str, status: int = 0) -> Any:
        for name, value in identity.environment("admin", "admin").items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        got = shell.main(words(line))
        said = capsys.readouterr()
        assert got == status, f"{line}: {said.out}{said.err}"
        return json.loads(said.out) if said.out.strip() and status == 0 else said.err

    yield run
    for handler in log.handlers[:]:  # the command's own, to a standard error that later tests do not have
        if type(handler) is logging.StreamHandler and handler not in before:
            log.removeHandler(handler)


@pytest.fixture
def process(identity: Keystone, base: str) -> CLI:
    """``process("alice", "red", "network list")``: the command as a process of its own, because it keeps its clients
    for as long as its process lives."""

    def run(user: str, project: str, line: str, status: int = 0) -> Any:
        done = subprocess.run(
            [Path(sys.executable).with_name("openstack"), *words(line)],
            env={**os.environ, **identity.environment(user, project)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return json.loads(done.stdout) if done.stdout.strip() and status == 0 else done.stderr

    return run


def words(line: str) -> list[str]:
    """A command line, with JSON for what prints something."""
    found = line.split()
    return [*found, "-f", "json"] if {"create", "list", "show"} & set(found) else found


def refused(action: Callable[[], Any], status: int) -> str:
    with pytest.raises(exceptions.HttpException) as caught:
        action()
    assert caught.value.status_code == status, str(caught.value)
    return str(caught.value)
