"""Our own clients and a real Keystone: the agent reports and watches, ``isthmus`` asks."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from controller import config, identity
from controller.cli import cloud
from controller.cli.main import main
from controller.errors import ConfigurationError
from legacy_agent.host_plan import HostPlan, HostReport
from legacy_agent.watch import ControllerClient, ControllerGone, PlanWatch
from tests.support.keystone import PASSWORD, Keystone
from tests.unit.api.fakes import FakeIsthmus

pytestmark = pytest.mark.xdist_group("keystone")

Run = Callable[..., tuple[int, str, str]]


def agent_file(identity: Keystone, path: Path, url: str, user: str = "agent", **changes: str) -> list[str]:
    """A configuration of an agent; the arguments that name it."""
    told = {"auth_type": "password", **identity.credentials(user, "service"), **changes}
    head = f"[agent]\ncontroller_url = {url}\nhost = rack9\nlock_directory =\n[auth]"
    lines = [head, *(f"{name} = {told[name]}" for name in told)]
    path.write_text("\n".join(lines))
    return ["--config-file", str(path)]


@contextmanager
def agent(arguments: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``isthmus-agent`` for a host without a plan, which changes nothing on the machine."""
    with log.open("wb") as output:
        command = [Path(sys.executable).with_name("isthmus-agent"), *arguments]
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)


def said(log: Path, text: str) -> str:
    """The line of a log that has the text, as soon as there is one."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for line in log.read_text().splitlines():
            if text in line:
                return line
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_the_agent_reports(identity: Keystone, base: str, isthmus: FakeIsthmus, tmp_path: Path) -> None:
    with agent(agent_file(identity, tmp_path / "agent.conf", base), tmp_path / "log"):
        deadline = time.monotonic() + 30
        while "rack9" not in [report.host for report in isthmus.reports]:
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.1)


def test_an_agent_with_a_wrong_password(identity: Keystone, base: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with agent(agent_file(identity, tmp_path / "agent.conf", base, password="wrong"), log):
        line = said(log, "no token from Keystone")
        time.sleep(1)
    assert "requires authentication" in line
    assert "[auth]" in line
    assert "Traceback" not in log.read_text()
    assert log.read_text().count("no token") == 1, "once, not at every attempt"


def test_the_agents_client_renews_its_token(identity: Keystone, base: str, tmp_path: Path) -> None:
    client = client_of(agent_file(identity, tmp_path / "agent.conf", base), base)
    client.report(HostReport("web1"))
    assert client.plan(0, 1) == HostPlan("web1", 7)
    stale = client._credentials.headers()["X-Auth-Token"]
    with identity.connect("admin", "admin") as cloud:
        answer = cloud.identity.delete("/auth/tokens", headers={"X-Subject-Token": stale})
        assert answer.status_code == 204
    # The API caches what it knows of a token, so it is also told a token that never was one.
    client._credentials._session.auth.auth_ref._auth_token = "nonsense"  # type: ignore[union-attr]
    assert client.plan(0, 1) == HostPlan("web1", 7)
    assert client._credentials.headers()["X-Auth-Token"] not in (stale, "nonsense")


def client_of(arguments: list[str], url: str) -> ControllerClient:
    return ControllerClient(url, "web1", identity.from_configuration(config.load(arguments)))


def test_the_watch_with_the_wrong_role_and_without_credentials(
    identity: Keystone, base: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bob = client_of(agent_file(identity, tmp_path / "agent.conf", base, user="bob", project_name="blue"), base)
    with pytest.raises(ControllerGone, match="isthmus:agent is disallowed by policy"):
        bob.plan(0, 1)
    nobody = ControllerClient(base, "web1")
    watch = PlanWatch(nobody, None, threading.Event())  # type: ignore[arg-type]
    assert watch.step() > 0
    assert "belong into [auth]" in caplog.text


@pytest.mark.parametrize(("text", "named"), [
    ("auth_type = password\nusername = x", "lacks auth_url"), ("auth_type = telepathy", r"\[auth\] auth_type"),
    ("cafile = /nowhere", r"\[auth\] cafile"),
])  # fmt: skip
def test_credentials_that_cannot_work_are_named(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "agent.conf"
    path.write_text(f"[auth]\n{text}\n")
    with pytest.raises(ConfigurationError, match=named):
        identity.from_configuration(config.load(["--config-file", str(path)]))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """``run({"OS_CLOUD": "x"}, "status")``: the command in an environment of its own."""
    for name in ("OS_CLOUD", "OS_AUTH_URL", "ISTHMUS_URL"):
        monkeypatch.delenv(name, raising=False)

    def command(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            capsys.readouterr()
            status = main(arguments)
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return command


@pytest.mark.parametrize("line", ["status", "switches", "hosts", "topology", "links", "events", "path p1 p2",
                                  "plan switch:0000000000000001", "port p1", "wait --timeout 1"])  # fmt: skip
def test_isthmus_finds_the_api_in_the_catalogue(identity: Keystone, base: str, run: Run, line: str) -> None:
    status, out, err = run(identity.environment("admin", "admin"), *line.split())
    assert (status, err) == (0, "")
    assert out.strip()


def test_isthmus_with_clouds_yaml(identity: Keystone, base: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "clouds.yaml").write_text(
        yaml.safe_dump(
            {"clouds": {"lab": {"auth": identity.credentials("admin", "admin"), "region_name": "RegionOne"}}}
        )
    )
    where = {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml")}
    assert run({**where, "OS_CLOUD": "lab"}, "status")[0] == 0
    assert run(where, "--os-cloud", "lab", "--url", base, "hosts")[0] == 0
    status, _, err = run(where, "--os-cloud", "other", "hosts")
    assert status == 2
    assert "other" in err
    assert err.count("\n") == 1


def test_isthmus_does_not_wait_for_a_keystone_that_hangs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud, "PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v3"
        environment = Keystone(url).environment("admin", "admin")
        began = time.monotonic()
        status, _, err = run(environment, "switches")
    assert (status, err.count("\n")) == (2, 1), err
    assert time.monotonic() - began < 20


def test_isthmus_says_in_one_line_what_is_wrong(identity: Keystone, base: str, run: Run) -> None:
    wrong = {**identity.environment("admin", "admin"), "OS_PASSWORD": PASSWORD + "x"}
    nowhere = {**identity.environment("admin", "admin"), "OS_AUTH_URL": "http://127.0.0.1:1/v3"}
    for environment, arguments, text in (
        (wrong, (), "requires authentication"),
        (wrong, ("--url", base), "no token from Keystone"),
        (nowhere, ("--url", base), "127.0.0.1:1"),
        ({}, ("--url", base), "set OS_CLOUD"),
        (identity.environment("alice", "red"), (), "isthmus:get_status is disallowed by policy"),
    ):
        status, out, err = run(environment, *arguments, "switches")
        assert (status, out) == (2, "")
        assert text in err
        assert err.count("\n") == 1, err
