"""The controller's own HTTP server as a process: connections without end, and requests at the end."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from tests.api.test_launch import arguments, configuration, health, running
from tests.support.client import Client

CROWD = 150
PORTS = 1500
BODY = json.dumps({"network": {"name": "late"}}).encode()
HEAD = f"POST /v2.0/networks HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()


def test_a_crowd_that_takes_all_descriptors_does_not_end_the_api(tmp_path: Path) -> None:
    path, api, _ = configuration(tmp_path)
    log = tmp_path / "log"
    prlimit = shutil.which("prlimit")
    assert prlimit is not None
    with log.open("wb") as output, ExitStack() as stack:
        command = [prlimit, "--nofile=80:80", *arguments("isthmus-controller", path)]
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.kill)
        health(api, process, log)
        with ExitStack() as crowd:
            for _ in range(CROWD):
                crowd.enter_context(socket.create_connection(("127.0.0.1", api), timeout=10))
            deadline = time.monotonic() + 10
            while "cannot be accepted" not in log.read_text():
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
        assert health(api, process, log)["healthy"] is True
    assert "Traceback" not in log.read_text()


def test_a_request_that_is_on_its_way_at_sigterm_is_answered(tmp_path: Path) -> None:
    path, api, _ = configuration(tmp_path)
    log = tmp_path / "log"
    with running("osken-manager", path, log) as process:
        health(api, process, log)
        with socket.create_connection(("127.0.0.1", api), timeout=10) as client:
            client.sendall(HEAD + BODY[:9])
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            client.sendall(BODY[9:])
            answer = client.recv(1 << 16)
            assert answer.startswith(b"HTTP/1.1 201"), (answer, log.read_text())
            assert client.recv(1) == b"", "the connection takes no further request"
        assert process.wait(timeout=10) == 0
    assert "Traceback" not in log.read_text()


def test_others_are_answered_while_many_ports_are_made(tmp_path: Path) -> None:
    """One thread serves the API and the switches: what takes long gives way."""
    path, api, _ = configuration(tmp_path, quotas="quota_port = -1")
    log = tmp_path / "log"
    with running("osken-manager", path, log) as process, ThreadPoolExecutor() as pool:
        health(api, process, log)
        client = Client(f"http://127.0.0.1:{api}")
        network = client.create("network", name="large")
        client.create("subnet", network_id=network["id"], cidr="10.0.0.0/16", ip_version=4)
        began, slowest = time.monotonic(), 0.0
        made = pool.submit(client.create_all, "port", [{"network_id": network["id"]}] * PORTS)
        while not made.done():
            asked = time.monotonic()
            urllib.request.urlopen(f"http://127.0.0.1:{api}/healthcheck", timeout=30).close()
            slowest = max(slowest, time.monotonic() - asked)
        assert len(made.result()) == PORTS
        assert slowest < (time.monotonic() - began) / 2, log.read_text()
