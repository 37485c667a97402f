"""A load of legacy agents that watch their plans: ``python -m bench.sim_hosts --count 1000`` against a running API.

Each host reports what it has, asks for its plan by long poll, reports it applied, and asks for the next. Every few
seconds the figures are printed as one JSON object: plans, the seconds between the first and the last host to get each
revision, and requests that failed. One thread, asyncio, plain sockets.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Figures:
    """What happened so far. ``arrivals`` maps revision -> when its plan came first, when last (by the monotonic
    clock, which all processes of a machine share), and how often."""

    reports: int = 0
    plans: int = 0
    polls: int = 0
    failures: int = 0
    arrivals: dict[int, tuple[float, float, int]] = field(default_factory=dict)

    def arrived(self, revision: int, now: float) -> None:
        """A host got the plan of a revision."""
        self.plans += 1
        first, _, count = self.arrivals.get(revision, (now, now, 0))
        self.arrivals[revision] = (first, now, count + 1)

    def summary(self) -> dict[str, Any]:
        """For people and programs."""
        spread = {
            revision: round(last - first, 3) for revision, (first, last, _) in sorted(self.arrivals.items())[-5:]
        }
        return {"reports": self.reports, "polls": self.polls, "plans": self.plans, "failures": self.failures,
                "last_plan": max((last for _, last, _ in self.arrivals.values()), default=0.0),
                "seconds_from_first_to_last_host": spread}  # fmt: skip


class Channel:
    """One HTTP connection that is kept open."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """One request; status and content. Raises OSError or an EOF error when the connection ends."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._address[0]}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        await writer.drain()
        status = int((await reader.readline()).split()[1])
        length = 0
        while (line := await reader.readline()).strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.strip().lower() == b"content-length" else length
        return status, await reader.readexactly(length)

    def close(self) -> None:
        """Drop it; the next request makes a new one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Host:
    """One simulated agent."""

    def __init__(self, number: int, api: tuple[str, int], figures: Figures, wait: float) -> None:
        self.name = f"sim-host-{number}"
        self._number, self._api, self._figures, self._wait = number, api, figures, wait
        self._revision = 0

    async def run(self) -> None:
        """Report, watch, report, and so on, for ever; after a failure a little later."""
        channel = Channel(*self._api)
        while True:
            try:
                await self._report(channel)
                await self._watch(channel)
            except (OSError, EOFError, ValueError, IndexError):
                self._figures.failures += 1
                channel.close()
                await asyncio.sleep(1.0)

    def report(self) -> dict[str, Any]:
        """What the host says of itself."""
        number = self._number
        return {
            "host": self.name, "applied_revision": self._revision, "tunnel_types": ["gre", "vxlan"],
            "tunnel_ip": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
            "physical_networks": {"physnet1": "eth1"},
            "drivers": {"linuxbridge": ["flat", "vlan", "gre", "vxlan"]},
        }  # fmt: skip

    async def _report(self, channel: Channel) -> None:
        status, content = await channel.ask("PUT", f"/v2.0/isthmus/hosts/{self.name}/report", self.report())
        if status >= 300:
            raise ValueError(f"the report was answered by {status}: {content[:100]!r}")
        self._figures.reports += 1

    async def _watch(self, channel: Channel) -> bool:
        """One long poll; whether a plan came."""
        path = f"/v2.0/isthmus/hosts/{self.name}/plan?revision={self._revision}&timeout={self._wait:g}"
        status, content = await channel.ask("GET", path)
        self._figures.polls += 1
        if status in (204, 304):
            return False
        if status != 200:
            raise ValueError(f"the plan was answered by {status}")
        self._revision = int(json.loads(content)["revision"])
        self._figures.arrived(self._revision, time.monotonic())
        return True


async def load(count: int, api: tuple[str, int], seconds: float | None, wait: float, pause: float = 5.0) -> Figures:
    """Run that many hosts for a while (None: for ever), and print figures every ``pause`` seconds."""
    figures = Figures()
    tasks = [asyncio.create_task(Host(number + 1, api, figures, wait).run()) for number in range(count)]
    end = None if seconds is None else time.monotonic() + seconds
    while end is None or time.monotonic() < end:
        await asyncio.sleep(pause if end is None else max(0.01, min(pause, end - time.monotonic())))
        print(json.dumps(figures.summary()), flush=True)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return figures


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="sim_hosts", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9696)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seconds", type=float, help="how long (default: until interrupted)")
    parser.add_argument("--wait", type=float, default=30.0, help="seconds that a long poll may take")
    parser.add_argument("--pause", type=float, default=5.0, help="seconds between two lines of figures")
    options = parser.parse_args()
    api = (options.host, options.port)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(load(options.count, api, options.seconds, options.wait, options.pause))
    return 0


if __name__ == "__main__":
    sys.exit(main())
