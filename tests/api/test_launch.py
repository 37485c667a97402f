"""The controller as a process: both commands, its database, SIGTERM, and what it says of bad options."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
COMMANDS = {
    "osken-manager": ([str(BIN / "osken-manager")], ["controller.app"]),
    "isthmus-controller": ([str(BIN / "isthmus-controller")], []),
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configuration(folder: Path, **more: str) -> tuple[Path, int, int]:
    api, openflow = free_port(), free_port()
    lines = {
        "database": f"connection = sqlite:///{folder}/new/isthmus.sqlite",
        "api": f"bind_port = {api}",
        "openflow": f"listen_host = 127.0.0.1\nlisten_port = {openflow}",
        **more,
    }
    path = folder / "isthmus.conf"
    path.write_text("".join(f"[{group}]\n{text}\n" for group, text in lines.items()))
    return path, api, openflow


def arguments(command: str, path: Path) -> list[str]:
    before, after = COMMANDS[command]
    return [*before, "--config-file", str(path), *after]


@contextmanager
def running(command: str, path: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(arguments(command, path), stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def health(port: int, process: subprocess.Popen[bytes], log: Path) -> dict[str, object]:
    deadline = time.monotonic() + 90
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2.0/isthmus/health", timeout=5) as answer:
                return dict(json.load(answer))
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)


@pytest.mark.parametrize("command", COMMANDS)
def test_starts_with_its_database_and_ends_on_sigterm(command: str, tmp_path: Path) -> None:
    path, api, openflow = configuration(tmp_path)
    log = tmp_path / "log"
    with running(command, path, log) as process:
        assert health(api, process, log)["healthy"] is True
        socket.create_connection(("127.0.0.1", openflow), timeout=5).close()
        process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        status = process.wait(timeout=30)
        assert status == 0, log.read_text()
        assert time.monotonic() - started < 5.0
    assert (tmp_path / "new" / "isthmus.sqlite").exists()
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"ml2": "mechanism_drivers = openflow,nosuch"}, "no mechanism driver 'nosuch'"),
        ({"ml2": "type_drivers = flat,nosuch"}, "no type driver 'nosuch'"),
        ({"ml2_type_vlan": "network_vlan_ranges = physnet1:5000:6000"}, "network_vlan_ranges"),
        ({"ml2_type_gre": "tunnel_id_ranges = 9:1"}, "tunnel_id_ranges"),
        ({"database": "connection = sqlite:////proc/nowhere/x.sqlite"}, "[database] connection"),
    ],
)
def test_a_bad_option_is_one_clear_line(command: str, more: dict[str, str], message: str, tmp_path: Path) -> None:
    path, _, _ = configuration(tmp_path, **more)
    ended = subprocess.run(arguments(command, path), capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_api_port_in_use_is_named(tmp_path: Path) -> None:
    path, api, _ = configuration(tmp_path)
    with socket.create_server(("127.0.0.1", api)):
        ended = subprocess.run(arguments("isthmus-controller", path), capture_output=True, text=True, timeout=60,
                               check=False)  # fmt: skip
    assert ended.returncode != 0
    assert f"port {api}" in ended.stderr
    assert "Traceback" not in ended.stderr
