"""Several processes on one database: nothing is had twice, and running out is said clearly."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from controller.plugin.api import Query
from tests.db.worker import plugin
from tests.support.store import ADMIN, host_facts

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = 8
TIMEOUT = 100


def run(url: str, tasks: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Start one process per task, let all go at once, and collect what they say."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.db.worker", url, task, argument],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for task, argument in tasks
    ]  # fmt: skip
    try:
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        answers = [worker.communicate(timeout=TIMEOUT)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert [worker.returncode for worker in workers] == [0] * len(workers)
    return [json.loads(answer) for answer in answers]


@pytest.mark.parametrize("task", ["networks", "segments"])
def test_eight_processes_share_five_hundred_ids(url: str, task: str) -> None:
    answers = run(url, [(task, "")] * PROCESSES)
    found = [number for answer in answers for number in answer["found"]]
    assert sorted(found) == list(range(1, 501))
    for answer in answers:
        assert answer["error"]["conflict"]
        assert "no more gre ids: 1:500 all in use" in answer["error"]["message"]


def test_eight_processes_share_a_subnet_and_a_host(url: str) -> None:
    made = plugin(url)
    made.node_seen(host_facts(1))
    network = made.create(ADMIN, "network", {})
    made.create(ADMIN, "subnet", {"network_id": network["id"], "cidr": "10.0.0.0/25", "ip_version": 4})
    answers = run(url, [("ports", network["id"])] * PROCESSES)
    found = [address for answer in answers for address in answer["found"]]
    assert sorted(found) == sorted(f"10.0.0.{number}" for number in range(2, 127))
    assert all("No more IP addresses" in answer["error"]["message"] for answer in answers)
    made_ports = made.list(ADMIN, "port", Query())
    assert len({port["mac_address"] for port in made_ports}) == len(made_ports) == 125
    assert {port["binding:vif_type"] for port in made_ports} == {"tap"}


def test_followers_see_every_revision_in_order_while_others_write(url: str) -> None:
    plugin(url)
    *writers, follower = run(url, [("networks", "")] * 4 + [("follow", "500")])
    assert sum(len(answer["found"]) for answer in writers) == 500
    assert follower["found"] == list(range(1, 501))


def test_starting_at_once_migrates_once(url: str) -> None:
    answers = run(url, [("follow", "0")] * PROCESSES)
    assert [answer["found"] for answer in answers] == [[]] * PROCESSES
