"""A thin client of the Networking API: dictionaries in, dictionaries out, faults as exceptions."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

Body = dict[str, Any]

PATIENCE = float(os.environ.get("ISTHMUS_TEST_PATIENCE", "3"))
"""How many times longer a wait may take than its author thought: machines are slow and busy. Only failures cost it."""


class ApiFault(Exception):
    """The API refused; ``status`` is the HTTP status, the message what it said."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Client:
    """Talks to one API endpoint, e.g. ``http://127.0.0.1:9696``."""

    def __init__(self, url: str) -> None:
        self.url = url

    def request(self, method: str, path: str, body: Body | None = None, timeout: float = 30.0) -> Body:
        """One request under ``/v2.0``; the answer's body (empty when there is none). Raises :class:`ApiFault`."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/v2.0/{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            raise ApiFault(error.code, error.read().decode(errors="replace")) from error
        return json.loads(content) if content else {}

    def create(self, kind: str, **attributes: Any) -> Body:
        """Create a ``network``, ``subnet`` or ``port``."""
        return self.request("POST", f"{kind}s", {kind: attributes})[kind]

    def create_all(self, kind: str, items: Sequence[Body]) -> list[Body]:
        """Create several in one transaction."""
        return self.request("POST", f"{kind}s", {f"{kind}s": list(items)})[f"{kind}s"]

    def show(self, kind: str, identifier: str) -> Body:
        """Read one."""
        return self.request("GET", f"{kind}s/{identifier}")[kind]

    def list(self, kind: str, query: str = "") -> list[Body]:
        """Read many, e.g. ``list("port", "network_id=...")``."""
        return self.request("GET", f"{kind}s?{query}")[f"{kind}s"]

    def update(self, kind: str, identifier: str, **attributes: Any) -> Body:
        """Change attributes."""
        return self.request("PUT", f"{kind}s/{identifier}", {kind: attributes})[kind]

    def delete(self, kind: str, identifier: str) -> None:
        """Delete one."""
        self.request("DELETE", f"{kind}s/{identifier}")

    def isthmus(self, path: str) -> Body:
        """Read one of the controller's own endpoints."""
        return self.request("GET", f"isthmus/{path}")

    def statuses(self, port_ids: Iterable[str]) -> dict[str, str]:
        """Port id -> status with its reason, for the wanted ports (``GONE`` when there is no such port)."""
        wanted = list(port_ids)
        found = {port["id"]: port for port in self.list("port")}
        return {port_id: _status(found.get(port_id)) for port_id in wanted}

    def wait_for_status(self, port_ids: Collection[str], status: str, timeout: float = 20.0) -> float:
        """Wait until every port has the status: seconds it took. Raises TimeoutError that names the others."""
        began = time.monotonic()

        def missing() -> str:
            states = self.statuses(port_ids)
            return ", ".join(f"{port} is {state}" for port, state in states.items() if state.split()[0] != status)

        wait_until(lambda: not missing(), timeout, lambda: f"not all ports are {status}: {missing()}")
        return time.monotonic() - began


def _status(port: Body | None) -> str:
    return "GONE" if port is None else f"{port['status']} {port.get('status_reason', '')}".strip()


def wait_until(condition: Callable[[], bool], timeout: float, otherwise: Callable[[], str]) -> None:
    """Poll until the condition holds; raises TimeoutError with what ``otherwise`` says. The time is that of an idle
    machine, see :data:`PATIENCE`."""
    end = time.monotonic() + timeout * PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"after {timeout * PATIENCE:.0f} s: {otherwise()}")
        time.sleep(0.1)
