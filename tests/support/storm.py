"""Many clients at once, on a database that fails now and then: what every test and bench of concurrency needs."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg2.errors
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError
from webob import Request, Response

Application = Callable[..., Any]


class Deadlock(psycopg2.errors.DeadlockDetected):
    """What the driver raises for a deadlock; its own instances cannot be given the code."""

    pgcode = "40P01"


@dataclass
class Faults:
    """How often a statement or a commit fails, and how often it did."""

    deadlock: float = 0.005
    disconnect: float = 0.002
    lost_commit: float = 0.01
    seen: Counter[str] = field(default_factory=Counter)


@contextmanager
def failing(engine: Engine, faults: Faults, seed: int = 1) -> Iterator[Faults]:
    """Statements of an engine meet deadlocks and lost connections; commits succeed without an answer."""
    chance = random.Random(seed)

    def before(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        drawn = chance.random()
        if drawn < faults.deadlock:
            faults.seen["deadlock"] += 1
            raise OperationalError(statement, parameters, Deadlock("deadlock detected"))
        if drawn < faults.deadlock + faults.disconnect:
            faults.seen["disconnect"] += 1
            cursor.connection.close()

    def commit(connection: Any) -> None:
        if chance.random() < faults.lost_commit:
            faults.seen["lost commit"] += 1
            raw = connection.connection.dbapi_connection
            raw.commit()
            raw.close()

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "commit", commit)
    try:
        yield faults
    finally:
        event.remove(engine, "before_cursor_execute", before)
        event.remove(engine, "commit", commit)


@dataclass
class Outcome:
    """What the clients met: answers by method and status, bodies of server errors, ids that exist for all we know."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    ports: set[str] = field(default_factory=set)
    networks: set[str] = field(default_factory=set)
    seconds: float = 0.0

    @property
    def requests(self) -> int:
        """How many answers there were."""
        return sum(self.answers.values())


class StormClient:
    """Creates, changes, lists and deletes its own networks, subnets and ports, and ports on a common network."""

    def __init__(self, application: Application, number: int, common: str, outcome: Outcome) -> None:
        self._application, self._outcome, self._common = application, outcome, common
        self._chance = random.Random(number)
        self._project = f"project-{number % 20}"
        self._lock = threading.Lock()
        self._ports: list[str] = []
        self._networks: list[str] = []

    def run(self, until: float) -> None:
        """One action after another."""
        actions = (self._create_network, self._create_port, self._create_port, self._update_port, self._delete_port,
                   self._delete_network, self._list, self._create_many, self._bind)  # fmt: skip
        while time.monotonic() < until:
            self._chance.choice(actions)()
        self._outcome.ports.update(self._ports)
        self._outcome.networks.update(self._networks)

    def _send(self, method: str, path: str, body: Any = None) -> Response:
        request = Request.blank(f"/v2.0/{path}", method=method, headers={"X-Project-Id": self._project})
        if body is not None:
            request.body, request.content_type = json.dumps(body).encode(), "application/json"
        response = request.get_response(self._application)
        self._outcome.answers[method, response.status_int] += 1
        if response.status_int >= 500:
            self._outcome.errors.append(f"{method} {path} {body}: {response.status_int} {response.text}")
        return response

    def _create_network(self) -> None:
        made = self._send("POST", "networks", {"network": {"name": "storm"}})
        if made.status_int == 201:
            network_id = made.json["network"]["id"]
            self._networks.append(network_id)
            subnet = {"network_id": network_id, "ip_version": 4, "cidr": "10.0.0.0/24"}
            self._send("POST", "subnets", {"subnet": subnet})

    def _create_port(self) -> None:
        network = self._chance.choice([self._common, *self._networks])
        made = self._send("POST", "ports", {"port": {"network_id": network, "binding:host_id": "web1"}})
        if made.status_int == 201:
            self._ports.append(made.json["port"]["id"])

    def _create_many(self) -> None:
        body = {"ports": [{"network_id": self._common} for _ in range(5)]}
        made = self._send("POST", "ports", body)
        if made.status_int == 201:
            self._ports += [port["id"] for port in made.json["ports"]]

    def _update_port(self) -> None:
        if self._ports:
            name = f"name {self._chance.random()}"
            shown = self._send("PUT", f"ports/{self._chance.choice(self._ports)}", {"port": {"name": name}})
            assert shown.status_int != 200 or shown.json["port"]["name"] == name

    def _bind(self) -> None:
        if self._ports:
            host = self._chance.choice(["web1", "elsewhere", ""])
            self._send("PUT", f"ports/{self._chance.choice(self._ports)}", {"port": {"binding:host_id": host}})

    def _delete_port(self) -> None:
        if self._ports:
            gone = self._ports.pop(self._chance.randrange(len(self._ports)))
            if self._send("DELETE", f"ports/{gone}").status_int != 204:
                self._ports.append(gone)

    def _delete_network(self) -> None:
        if self._networks:
            gone = self._networks.pop(0)
            if self._send("DELETE", f"networks/{gone}").status_int != 204:
                self._networks.append(gone)

    def _list(self) -> None:
        self._send("GET", f"ports?network_id={self._common}&limit=20")


def storm(application: Application, common: str, clients: int, seconds: float) -> Outcome:
    """Let clients loose on an application for a time; ``common`` is a network that all of them use."""
    outcome = Outcome()
    began = time.monotonic()
    runners = [StormClient(application, number, common, outcome) for number in range(clients)]
    threads = [threading.Thread(target=runner.run, args=(began + seconds,)) for runner in runners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcome.seconds = time.monotonic() - began
    return outcome
