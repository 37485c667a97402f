"""What a process of these tests does: it opens the database as the controller does, waits for the others, and works.

Tasks return what they got (``found``) and the fault that ended them (``error``).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from typing import Any

from neutron_lib.exceptions import Conflict, IpAddressGenerationFailure, NeutronException, NoNetworkAvailable

from controller.db.feed import StoreFeed
from controller.model import NodeKind
from controller.plugin.plugin import Plugin, open_store
from mechanisms.manager import MechanismManager
from tests.support.store import ADMIN, EasyMechanism, configuration
from typedrivers.manager import TypeManager

LIMIT = 2_000


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
    return {"type": type(error).__name__, "message": str(error), "conflict": isinstance(error, Conflict)}


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


TASKS: dict[str, Callable[[Plugin, str], dict[str, Any]]] = {
    "networks": networks,
    "segments": segments,
    "ports": ports,
    "follow": follow,
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
