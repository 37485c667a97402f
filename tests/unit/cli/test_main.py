"""The ``isthmus`` command against a served API."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from controller import config
from controller.api.wsgi import make_application
from controller.cli.main import main
from controller.cli.table import cell, table
from controller.cli.tracing import trace_text
from controller.tracing.frame import Wanted
from tests.unit.api.fakes import TRACE, FakeIsthmus, FakeResources
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


def test_trace(run: Run, isthmus: FakeIsthmus) -> None:
    status, out, _ = run("trace", "p1", "p 2", "--ip-src", "10.0.0.9", "--protocol", "udp", "--src-port", "67")
    assert status == 0
    assert isthmus.asked == [("trace", "p1", "p 2", Wanted(ip_src="10.0.0.9", protocol="udp", src_port=67))]
    assert out.splitlines()[2:] == [
        "1. switch:0000000000000001 (sw1), from port p1",
        "   note: its plan is not in force yet",
        "   classify: port p1",
        "   -> by port 1 into physical network physnet1, on at 2",
        "",
        "2. host:web1, out of physical network physnet1",
        "   ends: no network of the host takes it",
        "",
        "result: what became of it",
        "note: From the compiled plans.",
    ]
    assert "      0x1571000000000000 classify 100 in_port=11 -> goto learn\n      group 0x1" in run(
        "trace", "p1", "--flows")[1]  # fmt: skip
    assert run("trace", "p1", "p3")[0] == 1
    assert run("trace", "p2") == (2, "", "isthmus: Port p2 could not be found. (HTTP 404)\n")
    assert "vlan: 'x' is not a number from 1 to 4094" in run("trace", "p1", "--vlan", "x")[2]


def test_tables_that_just_passed_a_frame_on_are_left_out() -> None:
    """But for the one where it ended."""
    steps = [{"text": f"{table}: no flow for it", "table": table, "why": f"table-miss of {table}", "flow": "f",
              "cookie": "0x1", "groups": []} for table in ("punt", "flood")]  # fmt: skip
    hop = {**TRACE["hops"][0], "steps": steps, "leaves": [], "ended": "nobody"}  # type: ignore[index]
    shown = trace_text({**TRACE, "hops": [hop], "not_followed": ["host:a"]})
    assert "flood: no flow" in shown
    assert "punt: no flow" not in shown
    assert "not followed: host:a" in shown
    assert "punt: no flow" in trace_text({**TRACE, "hops": [hop]}, flows=True)


def test_wait(run: Run, isthmus: FakeIsthmus) -> None:
    assert run("wait", "--revision", "5", "--timeout", "1")[0] == 0
    isthmus.done = False
    status, out, _ = run("wait")
    assert status == 1
    assert "host:web1" in out
    assert isthmus.asked == [("wait", 5, 1.0), ("wait", None, 60.0)]


def test_json(run: Run, tmp_path: Path) -> None:
    for words in (("--json", "hosts"), ("hosts", "--json")):
        assert json.loads(run(*words)[1])[0]["host"] == "web1"
    path = tmp_path / "isthmus.conf"
    path.write_text("[api]\nbind_port = many\nport = 1\n")
    status, out, _ = run("check-config", "--json", str(path))
    said = json.loads(out)
    assert (status, said["notes"]) == (1, ["[api] port is not read by Isthmus"])
    assert "bind_port" in said["faults"][0]


def test_the_address_after_the_command_counts(run: Run) -> None:
    assert run("status", "--url", "http://127.0.0.1:1")[2].startswith("isthmus: no answer from http://127.0.0.1:1")


def test_asking_waits_for_no_heavy_imports() -> None:
    heavy = {"sqlalchemy", "alembic", "neutron_lib", "networkx", "openstack", "keystoneauth1"}
    program = f"import sys, controller.cli.main; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


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


COMMANDS = (["status"], ["switches"], ["hosts"], ["topology"], ["topology", "--dot"], ["links"], ["events"],
            ["path", "a", "b"], ["trace", "p1"], ["plan", "web1"], ["port", "p1"],
            ["wait", "--timeout", "0"])  # fmt: skip
"""Every command that asks the controller."""


def test_every_command_is_in_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = re.findall(r"^    ([a-z-]+) {2,}", capsys.readouterr().out, re.MULTILINE)
    assert set(shown) == {command[0] for command in COMMANDS} | {"check", "check-config"}


def answering(status: str, content: bytes) -> Callable[..., list[bytes]]:
    def application(environ: object, start_response: Callable[..., object]) -> list[bytes]:
        start_response(status, [("Content-Type", "text/html")])
        return [content]

    return application


@pytest.mark.parametrize(
    ("status", "content", "told"),
    [
        ("200 OK", b"<html>", "does not answer as the Isthmus API does"),
        ("200 OK", b"[]", "does not answer as the Isthmus API does"),
        ("401 Unauthorized", b"<html>", "the API wants a token"),
        ("404 Not Found", b"<html>", "Not Found (HTTP 404)"),
        (
            "404 Not Found",
            b'{"NeutronError": {"message": "No\\n such thing.", "type": "x"}}',
            "No such thing. (HTTP 404)",
        ),
        ("401 Unauthorized", b'{"error": {"message": "Who are you?"}}', "the API wants a token"),
        ("500 Oops", b"", "Oops (HTTP 500)"),
        ("503 Away", b'{"NeutronError": {"message": "ask the other process", "type": "x"}}', "ask the other process"),
    ],
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_answers_of_all_kinds(
    capsys: pytest.CaptureFixture[str], status: str, content: bytes, told: str, form: list[str]
) -> None:
    with serving(answering(status, content)) as url:
        for command in COMMANDS:
            assert main(["--url", url, *form, *command]) == 2, command
            captured = capsys.readouterr()
            assert told in captured.err, command
            assert (captured.out, captured.err.count("\n")) == ("", 1)


def test_an_answer_that_ends_too_soon(capsys: pytest.CaptureFixture[str]) -> None:
    """Of an error too: its body is read like any other."""
    for status in ("200 OK", "500 Oops"):
        with half_an_answer(status) as url:
            assert main(["--url", url, "hosts"]) == 2
        assert "no answer from" in capsys.readouterr().err


@contextmanager
def half_an_answer(status: str) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 100\r\n\r\nhalf".encode())

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize(
    "url", ["nonsense", "ftp://x", "http://[::1", "http://a..b", "http://127.0.0.1:port", "http://"]
)
def test_addresses_that_are_none(capsys: pytest.CaptureFixture[str], url: str) -> None:
    assert main(["--url", url, "status"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("isthmus: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("[api]\nbind_port = many\n", "[api] bind_port: invalid literal for int()"),
        ("[ml2]\noverlay_ip_version = 5\n", "[ml2] overlay_ip_version: Valid values are 4, 6, but found 5\n"),
        ("[agent]\navailability_zones = x\n", "[agent] availability_zones: Value should be NAME:VALUE pairs"),
        ("[ml2]\nmechanism_drivers = telepathy\n", "'telepathy'"),
        ("[ml2]\ntype_drivers = flat\nproject_network_types = vxlan\n", "project_network_types names vxlan"),
        ("not a configuration", "Failed to parse"),
        ("[DEFAULT]\nbase_mac = 01:00:00:00:00:00\n", "base_mac '01:00:00:00:00:00' is no unicast"),
        ("[database]\nconnection = nonsense\n", "[database] connection is no database URL"),
        ("[database]\nconnection = mysql://x/y\n", "sqlite and postgresql are supported"),
        ("[database]\nconnection = sqlite://\n", "needs the path of a file"),
        ("[api]\ntls_cert = /nonexistent.pem\n", "[api] tls_cert /nonexistent.pem"),
        ("[api]\npublic_url = here\n", "[api] public_url"),
        ("[oslo_policy]\npolicy_file = {directory}/policy.yaml\n", "[oslo_policy] policy_file cannot be used"),
    ],
)
def test_check_config_finds_faults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, fault: str
) -> None:
    path = tmp_path / "isthmus.conf"
    path.write_text(content.format(directory=tmp_path))
    (tmp_path / "policy.yaml").write_text("get_network: [")
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
    assert cell("\x1b[2Jspine\x07") == "?[2Jspine?"
    assert cell({"a": [1, None]}) == "a=1, -"
    assert table(("a", "b_c"), [{"a": 1, "b_c": False}]) == "A  B C\n1  no"
