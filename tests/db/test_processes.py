"""Several processes on one database: nothing is had twice, and running out is said clearly."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import func, select

from controller.db.base import Base
from controller.plugin.api import Query
from controller.plugin.audit import audit
from tests.db import worker
from tests.db.worker import plugin
from tests.support.store import ADMIN, host_facts

PROCESSES = 8
TIMEOUT = 100
FRESH = multiprocessing.get_context("forkserver")
FRESH.set_forkserver_preload(["tests.db.worker"])


def run(url: str, tasks: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """One process per task, all beginning at once; what they say, in the order of the tasks."""
    start, answers = FRESH.Barrier(len(tasks), timeout=TIMEOUT), FRESH.SimpleQueue()
    workers = [
        FRESH.Process(target=worker.work, args=(url, task, argument, start, answers, number), daemon=True)
        for number, (task, argument) in enumerate(tasks)
    ]
    for process in workers:
        process.start()
    try:
        found = dict(answers.get() for _ in workers)
    finally:
        for process in workers:
            process.join(TIMEOUT if sys.exc_info()[0] is None else 0)
            process.kill()
    crashes = [answer["crash"] for answer in found.values() if "crash" in answer]
    assert not crashes, crashes[0]
    return [found[number] for number in range(len(tasks))]


@pytest.mark.parametrize("task", ["networks", "segments"])
def test_eight_processes_share_five_hundred_ids(url: str, task: str) -> None:
    answers = run(url, [(task, "")] * PROCESSES)
    found = [number for answer in answers for number in answer["found"]]
    assert sorted(found) == list(range(1, 501))
    for answer in answers:
        assert answer["error"]["type"] == "NoNetworkAvailable"
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


@pytest.mark.parametrize("resource", ["network", "port", "rbac_policy"])
def test_eight_processes_share_a_quota(url: str, resource: str) -> None:
    made = plugin(url)
    network = made.create(ADMIN, "network", {})
    made.update(ADMIN, "quota", "red", {resource: 25})
    answers = run(url, [("limited", f"{resource} {network['id']}")] * PROCESSES)
    assert sum(len(answer["found"]) for answer in answers) == 25
    assert {answer["error"]["type"] for answer in answers} == {"OverQuota"}
    assert made.get(ADMIN, "quota_details", "red")[resource] == {"limit": 25, "used": 25, "reserved": 0}


def test_eight_processes_share_a_subnet_pool(url: str) -> None:
    made = plugin(url)
    pool = made.create(ADMIN, "subnetpool", {"name": "p", "prefixes": ["10.0.0.0/18"], "default_prefixlen": 24})
    answers = run(url, [("subnets", pool["id"])] * PROCESSES)
    found = [cidr for answer in answers for cidr in answer["found"]]
    assert sorted(found) == sorted(f"10.0.{number}.0/24" for number in range(64))


def test_nothing_is_left_behind(url: str) -> None:
    made = plugin(url)
    made.node_seen(host_facts(1))
    made.node_seen(host_facts(2))
    pool = made.create(ADMIN, "subnetpool", {"name": "p", "prefixes": ["10.0.0.0/16"], "default_prefixlen": 26})
    answers = run(url, [("churn", f"{seed} {pool['id']}") for seed in range(6)])
    faults = {fault for answer in answers for fault in answer["found"]}
    assert not faults & {"NeutronException", "ServiceUnavailable"}, faults
    with made._store.read() as session:
        assert audit(session) == []
    for resource in ("port", "network"):
        for item in made.list(ADMIN, resource, Query()):
            made.delete(ADMIN, resource, item["id"])
    made.delete(ADMIN, "subnetpool", pool["id"])
    kept = {"feed", "feed_state", "nodes"}
    with made._store.read() as session:
        left = {table.name: session.scalar(select(func.count()).select_from(table))
                for table in Base.metadata.sorted_tables if table.name not in kept}  # fmt: skip
    assert not any(left.values()), left


def test_followers_see_every_revision_in_order_while_others_write(url: str) -> None:
    plugin(url)
    *writers, follower = run(url, [("networks", "")] * 4 + [("follow", "500")])
    assert sum(len(answer["found"]) for answer in writers) == 500
    assert follower["found"] == list(range(1, 501))


def test_starting_at_once_migrates_once(url: str) -> None:
    answers = run(url, [("follow", "0")] * PROCESSES)
    assert [answer["found"] for answer in answers] == [[]] * PROCESSES
