"""The controller as a process, two healthy simulated switches, and others that misbehave.

Switches 1 and 2 carry network 0; switch 3, the victim of every test, carries networks of its own: what happens to it
must not be felt on the others.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench import bed, scale
from tests.support.client import Body, wait_until

HEALTHY, VICTIM = (1, 2), 3
COMMON, OWN, OTHER = 0, 1, 2
"""Networks: of the healthy switches, and two of the victim."""

SPARE = 200
REQUEST_TIMEOUT, ECHO_INTERVAL, RETRY_MAX = 2.0, 0.5, 1.0
SETTINGS = f"echo_interval = {ECHO_INTERVAL}\nrequest_timeout = {REQUEST_TIMEOUT}\nretry_max = {RETRY_MAX}"
PATIENCE = 20.0
LONGEST_ECHO = 1.0
"""Seconds that an echo of a healthy switch may take, beside what the machine itself makes everybody wait."""


class Stalls(threading.Thread):
    """How long whoever wants to run is made to wait: on a busy machine nobody answers sooner."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.longest = 0.0

    def run(self) -> None:
        """Sleep, and see how late it ends."""
        while True:
            began = time.monotonic()
            time.sleep(0.01)
            self.longest = max(self.longest, time.monotonic() - began - 0.01)

    def allowance(self) -> float:
        """Seconds to allow: a question and its answer pass through some processes."""
        return 4 * self.longest


class World:
    """Everything that runs."""

    def __init__(self, connection: str = "") -> None:
        """With a ``connection``, a database that is empty; otherwise a SQLite file with networks and ports."""
        layout = scale.Layout(3, [[1, 1, 2, 2], [3, 3], [3, 3]])
        self.networks = [scale.network_id(number) for number in range(3)]
        if not connection:
            scale.seed(bed.DIRECTORY, layout)
        self.controller = bed.Controller(extra=SETTINGS, connection=connection)
        self.api = self.controller.api
        self.controller.start()
        self.healthy = bed.Fleet(2, SPARE, processes=1)
        self.places = {switch: itertools.count(10) for switch in range(1, 100)}
        self.stalls = Stalls()
        self.stalls.start()

    def start(self) -> None:
        """The healthy switches connect and are served."""
        self.healthy.do("connect")
        self.wait(lambda: self.in_sync(*HEALTHY), "the healthy switches are in sync")
        self.healthy.do("echo", interval=0.05)

    def end(self) -> None:
        """End all of it."""
        self.healthy.end()
        self.controller.stop()

    @contextmanager
    def fleet(self, count: int = 1, first: int = VICTIM, options: tuple[str, ...] = (), **faults: Any) -> Iterator[
        bed.Fleet
    ]:  # fmt: skip
        """Switches that connect at once; gone, and forgotten by the controller, at the end."""
        fleet = bed.Fleet(count, SPARE, 1, first, ("--reconnect", "0.2", *options))
        try:
            if faults:
                fleet.do("faults", **faults)
            fleet.do("connect")
            yield fleet
        finally:
            fleet.end()
            self.wait(lambda: not any(self.connected(number) for number in range(first, first + count)), "they left")

    @contextmanager
    def victim(self, *options: str) -> Iterator[bed.Fleet]:
        """Switch 3, in sync."""
        with self.fleet(options=options) as fleet:
            self.wait(lambda: self.in_sync(VICTIM), "the victim is in sync")
            yield fleet

    # -- what is asked -----------------------------------------------------------------------------------------------

    def new_port(self, switch: int, network: int = COMMON) -> Body:
        """A port at the next free place of a switch."""
        link = scale.local_link(switch, next(self.places[switch]))
        binding = {"binding:vnic_type": "baremetal", "binding:profile": link}
        return self.api.create("port", network_id=self.networks[network], **binding)

    def others_go_on(self) -> None:
        """The healthy switches lose no connection, their echoes are answered, and a change reaches them soon."""
        self.healthy.do("reset")
        self.stalls.longest, began = 0.0, time.monotonic()
        port = self.new_port(HEALTHY[0])
        self.api.wait_for_status([port["id"]], "ACTIVE", PATIENCE)
        took = time.monotonic() - began
        self.wait(lambda: len(self.healthy.stats()["echoes"]) >= 10, "echoes of the healthy switches")
        stats = self.healthy.stats()
        self.api.delete("port", port["id"])
        assert stats["closed"] == 0
        self.check_echoes(stats)
        assert took < 2 * REQUEST_TIMEOUT + RETRY_MAX + self.stalls.allowance(), f"{took:.1f} s"

    def check_echoes(self, stats: dict[str, Any]) -> None:
        """None of the healthy switches' echoes waited for something that is not the machine's fault."""
        assert max(stats["echoes"]) < LONGEST_ECHO + self.stalls.allowance(), self.stalls.longest

    def switch(self, number: int) -> Body:
        """The row of a switch in ``isthmus switches``; nothing if it is not known."""
        wanted = f"switch:{number:016x}"
        return next((row for row in self.api.isthmus("switches")["switches"] if row["id"] == wanted), {})

    def connected(self, number: int) -> bool:
        """Whether the controller holds a switch to be connected."""
        return bool(self.switch(number).get("alive"))

    def in_sync(self, *numbers: int) -> bool:
        """Whether switches have acknowledged everything."""
        return all(row.get("alive") and row.get("in_sync") for row in map(self.switch, numbers))

    def status(self, port: Body) -> tuple[str, str]:
        """Status and reason of a port."""
        found = self.api.show("port", port["id"])
        return found["status"], found.get("status_reason", "")

    def metrics(self) -> dict[str, float]:
        """``name|label value`` -> value."""
        return self.controller.metrics()

    def log(self, pattern: str) -> list[str]:
        """Lines of the controller's log."""
        lines = self.controller.program.log.read_text(errors="replace").splitlines()
        return [line for line in lines if re.search(pattern, line)]

    def wait(self, condition: Any, what: str, timeout: float = PATIENCE) -> None:
        """Poll until it holds."""
        wait_until(condition, timeout, lambda: f"{what}; the controller says:\n{self.controller.program.tail(15)}")


def mac_of(port: Body) -> str:
    """Its address as it stands in a flow, in hexadecimal digits."""
    return str(port["mac_address"]).replace(":", "")
