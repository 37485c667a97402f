"""The northbound API under one client: requests per second and milliseconds of CPU per request.

One process, PostgreSQL, the WSGI application called without a socket, CPU by the process's own clock (the database's
is not counted, as it was not for the figures below; making the request and reading the answer is). Each operation is
measured in five rounds, and the best of them counts: whatever else the machine does can only add. Printed beside each
figure: how many times fewer than Neutron 29 (ML2, MariaDB, one worker) took on a comparable machine, and whether that
is the aim.

    python -m bench.api [--repeat N] [--ports N,N] [--storm SECONDS] [--profile OPERATION] [--write]
"""

from __future__ import annotations

import argparse
import cProfile
import json
import logging
import pstats
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webob import Request

from bench import results
from bench.results import Result
from controller import config
from controller.api.standalone import settle
from controller.api.wsgi import make_application
from controller.db.session import Store
from controller.model import NodeFacts, NodeKind
from controller.plugin.audit import audit
from controller.plugin.context import system_context
from controller.plugin.plugin import Plugin, open_store
from mechanisms.manager import MechanismManager
from tests.support import postgres
from tests.support.storm import Faults, failing, storm
from tests.unit.api.fakes import FakeIsthmus
from typedrivers.manager import TypeManager

NEUTRON = {"create": 100.0, "bulk create of 100": 10_000.0, "show": 15.0, "list of 1000": 620.0, "bind": 155.0}
"""Milliseconds of CPU."""
AIM = 20
"""How many times fewer we want to take."""
ROUNDS = 5
SIZES = (1_000, 10_000)
STORM = 15.0
"""Sizes of lists, and seconds of the storm, when all benchmarks are run."""

CONFIGURATION = """\
[database]
connection = {url}
[ml2]
project_network_types = vxlan
[ml2_type_vxlan]
vni_ranges = 1:1000000
[quotas]
quota_port = -1
quota_network = -1
quota_subnet = -1
"""
HOST = NodeFacts(
    id="host:web1",
    kind=NodeKind.HOST,
    host="web1",
    mechanisms=("linuxbridge",),
    tunnel_ip="192.0.2.1",
    tunnel_types=frozenset({"vxlan"}),
    physical_networks={},
)
ADMIN = system_context()


@dataclass(frozen=True)
class Bed:
    """The application with one host and one network that has a /12."""

    application: Any
    store: Store
    network: str

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """The answer to a request that went well."""
        request = Request.blank(f"/v2.0/{path}", method=method, headers={"X-Project-Id": "bench"})
        if body is not None:
            request.body, request.content_type = json.dumps(body).encode(), "application/json"
        response = request.get_response(self.application)
        if response.status_int >= 400:
            raise RuntimeError(f"{method} {path}: {response.status_int} {response.text}")
        return response

    def port(self) -> str:
        """A new port."""
        return str(self.send("POST", "ports", {"port": {"network_id": self.network}}).json["port"]["id"])

    def fill(self, wanted: int) -> None:
        """Have so many ports."""
        there = len(self.send("GET", "ports?fields=id").json["ports"])
        while there < wanted:
            some = min(500, wanted - there)
            self.send("POST", "ports", {"ports": [{"network_id": self.network}] * some})
            there += some


def bed(url: str, directory: Path) -> Bed:
    """Set everything up."""
    path = directory / "isthmus.conf"
    path.write_text(CONFIGURATION.format(url=url))
    conf = config.load(["--config-file", str(path)])
    types = TypeManager.load(conf)
    store = open_store(conf, types)
    plugin = Plugin(conf, store, types, MechanismManager.load(conf.ml2.mechanism_drivers))
    plugin.node_seen(HOST)
    network = plugin.create(ADMIN, "network", {"name": "bench", "project_id": "bench"})["id"]
    subnet = {"network_id": network, "ip_version": 4, "cidr": "10.64.0.0/12", "project_id": "bench"}
    plugin.create(ADMIN, "subnet", subnet)
    application = make_application(conf, plugin, FakeIsthmus())
    settle()
    return Bed(application, store, network)


def cost(times: int, action: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and milliseconds of CPU, of an action that is run so often."""
    began, cpu = time.perf_counter(), time.process_time()
    for _ in range(times):
        action()
    return (time.perf_counter() - began) / times, (time.process_time() - cpu) / times * 1000


def measure(result: Result, name: str, times: int, action: Callable[[], object], profiled: str | None) -> None:
    """Run an action so often (once before, uncounted), and note what it cost."""
    action()
    profile = cProfile.Profile() if name == profiled else None
    if profile:
        profile.enable()
    rounds = [cost(max(1, times // ROUNDS), action) for _ in range(ROUNDS)]
    wall, used = (min(figures) for figures in zip(*rounds, strict=True))
    reference, ratio = "-", ""
    if name in NEUTRON:
        reference, ratio = f"Neutron {NEUTRON[name]:.0f} ms", f"1/{NEUTRON[name] / used:.0f}"
        result.judge(NEUTRON[name] / used >= AIM)
    result.add(name, reference, f"{used:.2f} ms of CPU, {1 / wall:.0f}/s", ratio)
    if profile:
        profile.disable()
        pstats.Stats(profile, stream=sys.stdout).sort_stats("cumulative").print_stats(70)


def ports(result: Result, here: Bed, repeat: int, sizes: Sequence[int], profiled: str | None) -> None:
    """Every operation on ports."""

    def run(name: str, times: int, action: Callable[[], object]) -> None:
        measure(result, name, times, action, profiled)

    run("create", repeat, here.port)
    made = [here.port() for _ in range(repeat + 2)]
    left = iter(made)
    run("show", repeat, lambda: here.send("GET", f"ports/{made[0]}"))
    names = iter(range(repeat + 2))
    run("update", repeat, lambda: here.send("PUT", f"ports/{made[0]}", {"port": {"name": f"n{next(names)}"}}))
    run("bind", repeat, lambda: here.send("PUT", f"ports/{next(left)}", {"port": {"binding:host_id": "web1"}}))
    left_to_delete = iter(made)
    run("delete", repeat, lambda: here.send("DELETE", f"ports/{next(left_to_delete)}"))
    many = {"ports": [{"network_id": here.network} for _ in range(100)]}
    run("bulk create of 100", ROUNDS, lambda: here.send("POST", "ports", many))
    for size in sizes:
        here.fill(size)
        run(f"list of {size}", 10 if size <= 1000 else 5, lambda size=size: here.send("GET", f"ports?limit={size}"))  # type: ignore[misc]


def weather(result: Result, here: Bed, seconds: float) -> None:
    """Two hundred clients on a database that fails now and then."""
    here.send("PUT", f"networks/{here.network}", {"network": {"shared": True}})
    with failing(here.store.engine, Faults()) as faults:
        outcome = storm(here.application, here.network, 200, seconds)
    with here.store.read() as session:
        found = audit(session)
    met = ", ".join(f"{number} x {fault}" for fault, number in faults.seen.items())
    said = f"{outcome.requests / outcome.seconds:.0f}/s; server errors: {len(outcome.errors)}; audit: {len(found)}"
    result.add(f"200 clients for {outcome.seconds:.0f} s, on a database that fails ({met})", "-", said)
    result.judge(not outcome.errors and not found)
    for line in (outcome.errors + found)[:10]:
        print(f"  {line}")


def run(
    repeat: int = 200, sizes: Sequence[int] = SIZES, profiled: str | None = None, seconds: float = STORM
) -> Result:
    """Every operation, and a storm of so many ``seconds`` if there are any."""
    result = Result("api", f"at most 1/{AIM} of Neutron's CPU; in the storm no server error and a sound store")
    logging.disable(logging.INFO)
    with postgres.server() as url, tempfile.TemporaryDirectory() as directory:
        here = bed(url, Path(directory))
        ports(result, here, repeat, sizes, profiled)
        if seconds:
            weather(result, here, seconds)
        here.store.dispose()
    return result


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.api", description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=200)
    parser.add_argument("--ports", default=",".join(map(str, SIZES)), help="sizes of lists")
    parser.add_argument(
        "--storm", type=float, default=0.0, metavar="SECONDS", help="a storm of 200 clients afterwards"
    )
    parser.add_argument("--profile", metavar="OPERATION", help="print where an operation spends its time")
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/RESULTS.md")
    options = parser.parse_args()
    sizes = [int(size) for size in options.ports.split(",") if size]
    result = run(options.repeat, sizes, options.profile, options.storm)
    print("met" if result.met else "NOT MET", result.bar)
    if options.write:
        results.write([result])
    sys.exit(0 if result.met else 1)


if __name__ == "__main__":
    main()
