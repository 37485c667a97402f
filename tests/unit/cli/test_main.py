"""The ``isthmus`` command against a served API."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controller import config
from controller.api.wsgi import make_application
from controller.cli.main import main
from controller.cli.table import cell, table
from tests.unit.api.fakes import FakeIsthmus, FakeResources
from tests.unit.api.server import serving

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def isthmus() -> FakeIsthmus:
    return FakeIsthmus()


@pytest.fixture
def run(isthmus: FakeIsthmus, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run the command; give back exit status, output, error output."""
    with serving(make_application(config.load(), FakeResources(), isthmus)) as url:

        def command(*arguments: str) -> tuple[int, str, str]:
            status = main(["--url", url, *arguments])
            captured = capsys.readouterr()
            return status, captured.out, captured.err

        yield command


def test_status_tells_by_exit_code(run: Run, isthmus: FakeIsthmus) -> None:
    assert run("status") == (0, "healthy:  yes\nrevision: 7\n", "")
    isthmus.healthy = False
    assert run("status") == (1, "healthy:  no\nrevision: 7\n", "")


def test_tables(run: Run) -> None:
    status, out, _ = run("switches")
    header, row = out.splitlines()
    assert (status, header.split()[:2]) == (0, ["ID", "STATE"])
    assert row.split() == ["switch:0000000000000001", "in-sync", "yes", "127.0.0.1:4711", "-", "7", "-", "-", "-"]
    assert "physnet1=eth1" in run("hosts")[1]


def test_plan_and_port(run: Run) -> None:
    status, out, _ = run("plan", "switch:0000000000000001")
    assert status == 0
    assert "punt: lldp -> controller" in out
    assert run("port", "p1")[0] == 0
    assert run("port", "p2") == (2, "", "isthmus: Port p2 could not be found. (HTTP 404)\n")
    assert run("plan", "host:a/b?c")[2] == "isthmus: The resource could not be found. (HTTP 404)\n"


def test_wait(run: Run, isthmus: FakeIsthmus) -> None:
    assert run("wait", "--revision", "5", "--timeout", "1")[0] == 0
    isthmus.done = False
    status, out, _ = run("wait")
    assert status == 1
    assert "host:web1" in out
    assert isthmus.asked == [("wait", 5, 1.0), ("wait", None, 60.0)]


def test_json(run: Run) -> None:
    assert json.loads(run("--json", "hosts")[1])[0]["host"] == "web1"


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["wait", "--timeout", "nan"], ["wait", "--revision", "-1"]])
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: isthmus" in capsys.readouterr().err


def test_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert main(["--url", url, "status"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"isthmus: no answer from {url}")
    assert error.count("\n") == 1
    assert main(["--url", "nonsense", "status"]) == 2


def test_somebody_else_answers(capsys: pytest.CaptureFixture[str]) -> None:
    def other(environ: object, start_response: Callable[..., object]) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/html")])
        return [b"<html>"]

    with serving(other) as url:
        assert main(["--url", url, "status"]) == 2
    assert "does not answer as the Isthmus API does" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("[api]\nbind_port = many\n", "[api] bind_port"),
        ("[ml2]\nmechanism_drivers = telepathy\n", "'telepathy'"),
        ("[ml2]\ntype_drivers = flat\nproject_network_types = vxlan\n", "project_network_types names vxlan"),
        ("not a configuration", "Failed to parse"),
    ],
)
def test_check_config_finds_faults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, fault: str
) -> None:
    path = tmp_path / "isthmus.conf"
    path.write_text(content)
    assert main(["check-config", str(path)]) == 1
    out = capsys.readouterr().out
    assert fault in out
    assert "Traceback" not in out


def test_check_config_notes_slips_and_accepts_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "isthmus.conf"
    path.write_text("[DEFAULT]\nbase_mack = x\n[ml2]\ntenant_network_types = flat\n[securitygroup]\nx = 1\n")
    assert main(["check-config", str(path)]) == 0
    out = capsys.readouterr().out
    assert "[DEFAULT] base_mack is not read" in out
    assert "[securitygroup] is not read" in out
    assert "tenant_network_types" not in out
    assert main(["check-config", str(tmp_path / "missing")]) == 1


def test_cells_are_one_line() -> None:
    assert cell("a\n b") == "a b"
    assert cell({"a": [1, None]}) == "a=1, -"
    assert table(("a", "b_c"), [{"a": 1, "b_c": False}]) == "A  B C\n1  no"
