"""What a process of these tests does: it opens the database as the controller does, waits for the others, and works.

Tasks return what they got (``found``) and the fault that ended them (``error``).
"""

from __future__ import annotations

import random
import traceback
import uuid
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from typing import Any

from neutron_lib.exceptions import (
    IpAddressGenerationFailure,
    NeutronException,
    NoNetworkAvailable,
    OverQuota,
)

from controller.db.feed import StoreFeed
from controller.model import NodeKind
from controller.plugin.api import Query
from controller.plugin.faults import SubnetAllocationError
from controller.plugin.plugin import Plugin, open_store
from mechanisms.manager import MechanismManager
from tests.support.store import ADMIN, EasyMechanism, configuration
from typedrivers.manager import TypeManager

LIMIT = 2_000
STEPS = 90


def plugin(url: str) -> Plugin:
    """A plugin like the controller's."""
    conf = configuration(
        {
            "database": {"connection": url},
            "ml2": {"project_network_types": ["gre"]},
            "ml2_type_gre": {"tunnel_id_ranges": ["1:500"]},
        }
    )
    types = TypeManager.load(conf)
    mechanisms = MechanismManager([EasyMechanism(), EasyMechanism(NodeKind.SWITCH)])
    return Plugin(conf, open_store(conf, types), types, mechanisms)


def failure(error: NeutronException) -> dict[str, Any]:
    """A fault as the API would show it."""
    return {"type": type(error).__name__, "message": str(error)}


def networks(made: Plugin, _argument: str) -> dict[str, Any]:
    """Project networks until there are no more ids."""
    found: list[Any] = []
    while len(found) < LIMIT:
        try:
            network = made.create(ADMIN, "network", {})
        except NoNetworkAvailable as error:
            return {"found": found, "error": failure(error)}
        found.append(network["provider:segmentation_id"])
    return {"found": found}


def segments(made: Plugin, _argument: str) -> dict[str, Any]:
    """Segments only, which nothing but their own table keeps apart."""
    types, store = made._resources["network"]._types, made._store  # type: ignore[attr-defined]
    found: list[Any] = []
    while len(found) < LIMIT:
        try:
            segment = store.write(lambda write: types.driver("gre").allocate(write.session))
        except NoNetworkAvailable as error:
            return {"found": found, "error": failure(error)}
        found.append(segment.segmentation_id)
    return {"found": found}


def ports(made: Plugin, network_id: str) -> dict[str, Any]:
    """Ports on one network and one host until there are no more addresses."""
    found: list[Any] = []
    while len(found) < LIMIT:
        try:
            port = made.create(ADMIN, "port", {"network_id": network_id, "binding:host_id": "h1"})
        except IpAddressGenerationFailure as error:
            return {"found": found, "error": failure(error)}
        found.append(port["fixed_ips"][0]["ip_address"])
    return {"found": found}


def follow(made: Plugin, count: str) -> dict[str, Any]:
    """Read the feed as it grows until that many revisions were seen."""
    feed = StoreFeed(made._store)
    seen: list[int] = []
    while len(seen) < int(count):
        seen += [change.revision for change in feed.since(seen[-1] if seen else 0)]
    return {"found": seen}


def limited(made: Plugin, argument: str) -> dict[str, Any]:
    """Resources of project ``red`` until its quota is used up: ``<resource> <network id or pool id>``."""
    resource, _, other = argument.partition(" ")
    bodies: dict[str, dict[str, Any]] = {
        "network": {},
        "port": {"network_id": other},
        "rbac_policy": {"object_type": "network", "object_id": other, "action": "access_as_shared"},
    }
    found: list[Any] = []
    while len(found) < LIMIT:
        body = {**bodies[resource], "project_id": "red", "target_tenant": str(uuid.uuid4())}
        try:
            found.append(made.create(ADMIN, resource, body)["id"])
        except OverQuota as error:
            return {"found": found, "error": failure(error)}
    return {"found": found}


def subnets(made: Plugin, pool_id: str) -> dict[str, Any]:
    """Subnets from one pool, each on a network of its own, until the pool is empty."""
    found: list[Any] = []
    while len(found) < LIMIT:
        network = made.create(ADMIN, "network", {})
        try:
            subnet = made.create(ADMIN, "subnet", {"network_id": network["id"], "subnetpool_id": pool_id})
        except SubnetAllocationError as error:
            return {"found": found, "error": failure(error)}
        found.append(subnet["cidr"])
    return {"found": found}


def churn(made: Plugin, argument: str) -> dict[str, Any]:
    """Networks, subnets, ports, segments, bindings and policies come, change and go; faults that clients can get are
    counted."""
    seed, pool_id = argument.split()
    chance = random.Random(int(seed))
    faults: list[Any] = []

    def one(resource: str) -> str | None:
        found = made.list(ADMIN, resource, Query(limit=20))
        return str(chance.choice(found)["id"]) if found else None

    def port(network: str) -> None:
        fresh = made.create(ADMIN, "port", {"network_id": network, "binding:host_id": "h1", "project_id": "red"})
        made.create(ADMIN, "port_binding", {"port_id": fresh["id"], "host": "h2"})
        if chance.random() < 0.5:
            made.update(ADMIN, "port_binding", f"{fresh['id']}/h2", {"status": "ACTIVE"})

    def automatic(network: str) -> None:
        body = {"network_id": network, "ip_version": 6, "cidr": f"2001:db8:{chance.randrange(4)}::/64"}
        made.create(ADMIN, "subnet", {**body, "ipv6_address_mode": "slaac", "ipv6_ra_mode": "slaac"})

    def rename(resource: str, resource_id: str) -> None:
        made.update(ADMIN, resource, resource_id, {"name": str(chance.random())})

    def share(network: str) -> None:
        policy = {"object_type": "network", "object_id": network, "action": "access_as_shared"}
        made.create(ADMIN, "rbac_policy", {**policy, "target_tenant": chance.choice(("red", "*"))})

    steps: dict[str, Callable[[], object]] = {
        "network": lambda: made.create(ADMIN, "network", {"project_id": "blue"}),
        "subnet": lambda: made.create(ADMIN, "subnet", {"network_id": one("network") or "", "subnetpool_id": pool_id}),
        "subnet of automatic addresses": lambda: automatic(one("network") or ""),
        "segment": lambda: made.create(ADMIN, "segment", {"network_id": one("network") or "", "network_type": "gre"}),
        "port": lambda: port(one("network") or ""),
        "ports": lambda: port(one("network") or ""),
        "share": lambda: share(one("network") or ""),
        "tag": lambda: made.update(ADMIN, "network", one("network") or "", {"add_tags": [chance.choice("abcdef")]}),
        **{f"delete {resource}": (lambda resource=resource: made.delete(ADMIN, resource, one(resource) or ""))  # type: ignore[misc]
           for resource in ("network", "subnet", "port", "segment", "rbac_policy")},
        **{f"rename {resource}": (lambda resource=resource: rename(resource, one(resource) or ""))  # type: ignore[misc]
           for resource in ("network", "subnet", "port", "segment")},
    }  # fmt: skip
    for _ in range(STEPS):
        try:
            steps[chance.choice(list(steps))]()
        except NeutronException as error:
            faults.append(type(error).__name__)
    return {"found": faults}


TASKS: dict[str, Callable[[Plugin, str], dict[str, Any]]] = {
    "networks": networks,
    "segments": segments,
    "ports": ports,
    "follow": follow,
    "limited": limited,
    "subnets": subnets,
    "churn": churn,
}


def work(url: str, task: str, argument: str, start: Barrier, answers: SimpleQueue[Any], number: int) -> None:
    """One process: open the database, begin when everybody is ready, answer."""
    try:
        made = plugin(url)
        start.wait()
        answers.put((number, TASKS[task](made, argument)))
    except BaseException:
        start.abort()
        answers.put((number, {"crash": traceback.format_exc()}))


def obey(url: str, orders: Connection) -> None:
    """Commit a network for every word; an empty one ends it."""
    made = plugin(url)
    feed = StoreFeed(made._store)
    orders.send("ready")
    while orders.recv():
        made.create(ADMIN, "network", {})
        orders.send(feed.latest())
