"""The API in two processes under waitress on PostgreSQL, the controller in a third: one system."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.api.test_launch import configuration, free_port, running
from tests.support import postgres

WORKERS = 2


def ask(port: int, method: str, path: str, body: Any = None) -> Any:
    """The JSON of an answer; errors are raised with their text."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v2.0/{path}", data, {"Content-Type": "application/json"}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{method} {path}: {error.code} {error.read()!r}") from error


def until(found: Callable[[], Any], log: Path) -> Any:
    """What ``found`` returns once it is true and raises nothing."""
    deadline = time.monotonic() + 30
    while True:
        try:
            value = found()
        except OSError:
            value = None
        if value:
            return value
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@contextmanager
def worker(path: Path, log: Path) -> Iterator[int]:
    """The application under waitress; its port."""
    port = free_port()
    command = [sys.executable, "-m", "waitress", f"--listen=127.0.0.1:{port}", "controller.api.wsgi:application"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, "ISTHMUS_CONFIG": str(path)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        until(lambda: ask(port, "GET", "extensions"), log)
        yield port
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.timeout(180)
def test_api_processes_and_a_controller(tmp_path: Path) -> None:
    with ExitStack() as stack:
        url = stack.enter_context(postgres.server())
        path, controller, _ = configuration(
            tmp_path, ml2_type_vxlan="vni_ranges = 1:100000", quotas="quota_port = -1\nquota_network = -1"
        )
        text = path.read_text().replace(f"sqlite:///{tmp_path}/new/isthmus.sqlite", url)
        path.write_text(text)
        log = tmp_path / "controller.log"
        stack.enter_context(running("isthmus-controller", path, log))
        until(lambda: ask(controller, "GET", "isthmus/hosts")["hosts"] == [], log)
        workers = [stack.enter_context(worker(path, tmp_path / f"{number}.log")) for number in range(WORKERS)]
        follow(controller, workers, log)
        together(controller, workers)


def follow(controller: int, workers: list[int], log: Path) -> None:
    """What one API process commits, another one shows at once and the controller compiles within its poll."""
    report = {
        "host": "web1",
        "applied_revision": 0,
        "tunnel_ip": "192.0.2.1",
        "tunnel_types": ["vxlan"],
        "physical_networks": {},
        "drivers": {"linuxbridge": ["vxlan"]},
        "devices": {},
    }
    ask(controller, "PUT", "isthmus/hosts/web1/report", report)
    network = ask(workers[0], "POST", "networks", {"network": {"name": "blue"}})["network"]
    subnet = {"network_id": network["id"], "ip_version": 4, "cidr": "10.0.0.0/16"}
    ask(workers[1], "POST", "subnets", {"subnet": subnet})
    wanted = {"network_id": network["id"], "binding:host_id": "web1"}
    port = ask(workers[1], "POST", "ports", {"port": wanted})["port"]
    assert port["binding:vif_type"] == "bridge", port
    assert ask(workers[0], "GET", f"ports/{port['id']}")["port"]["id"] == port["id"]
    began = time.monotonic()
    until(lambda: port["id"] in json.dumps(ask(controller, "GET", "isthmus/nodes/host:web1/plan")), log)
    assert time.monotonic() - began < 5
    ask(workers[0], "DELETE", f"ports/{port['id']}")
    until(lambda: port["id"] not in json.dumps(ask(controller, "GET", "isthmus/nodes/host:web1/plan")), log)


def together(controller: int, workers: list[int]) -> None:
    """All processes create ports on one network at once: every address and key is given once."""
    network = ask(workers[0], "GET", "networks?name=blue")["networks"][0]["id"]
    made: list[dict[str, Any]] = []

    def create(port: int) -> None:
        for _ in range(10):
            wanted = {"network_id": network, "binding:host_id": "web1"}
            made.append(ask(port, "POST", "ports", {"port": wanted})["port"])

    threads = [threading.Thread(target=create, args=(port,)) for port in [controller, *workers] * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 10 * len(threads)
    assert len({port["fixed_ips"][0]["ip_address"] for port in made}) == len(made)
    assert {port["binding:vif_type"] for port in made} == {"bridge"}
    listed = ask(workers[0], "GET", f"ports?network_id={network}")["ports"]
    assert {port["id"] for port in listed} == {port["id"] for port in made}
