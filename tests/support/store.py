"""A store and a plugin for tests: SQLite files copied from one that was migrated once, a clock that stands still."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from oslo_config import cfg

from controller import config
from controller.db.base import Base
from controller.db.feed import StoreFeed
from controller.db.migrate import migrate
from controller.db.models import FeedState
from controller.db.session import Store
from controller.model import TUNNEL_TYPES, Network, Node, NodeFacts, NodeKind, Port, Segment
from controller.plugin.context import RequestContext, system_context
from controller.plugin.plugin import Plugin
from mechanisms.api import Answer, Bound, Plan, Refused
from mechanisms.manager import MechanismManager
from typedrivers.manager import TypeManager

TypeManager.load(config.load())  # so that every driver's table is known

START = datetime(2026, 1, 1, tzinfo=UTC)
ADMIN = system_context()

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "ml2": {"project_network_types": ["vxlan", "gre"]},
    "ml2_type_vlan": {"network_vlan_ranges": ["physnet1:100:199", "physnet2:100:109", "physnet3"]},
    "ml2_type_gre": {"tunnel_id_ranges": ["1:50"]},
    "ml2_type_vxlan": {"vni_ranges": ["1:1000"]},
}


def configuration(options: Mapping[str, Mapping[str, Any]] | None = None) -> cfg.ConfigOpts:
    """A configuration with the options of tests, and more by group and name; from a file, so that options which a
    driver registers later have their values too."""
    groups: dict[str, dict[str, Any]] = {}
    for source in (OPTIONS, options or {}):
        for group, values in source.items():
            groups.setdefault(group, {}).update(values)
    with tempfile.NamedTemporaryFile("w", prefix="isthmus-test-", suffix=".conf") as file:
        for group, values in groups.items():
            file.write(f"[{group}]\n" + "".join(f"{name} = {_text(value)}\n" for name, value in values.items()))
        file.flush()
        return config.load(["--config-file", file.name])


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


class Clock:
    """Time that moves only when told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class EasyMechanism:
    """Realises what the node has an uplink or a tunnel address for, and says what is missing otherwise."""

    name = "easy"
    vif_type = "tap"

    def __init__(self, node_kind: NodeKind = NodeKind.HOST) -> None:
        self.node_kind = node_kind

    def bind(self, port: Port, network: Network, segment: Segment, node: Node) -> Answer:
        if segment.network_type in TUNNEL_TYPES and segment.network_type not in node.tunnel_types:
            return Refused(f"no {segment.network_type} on {node.host}")
        if segment.physical_network is not None and segment.physical_network not in node.physical_networks:
            return Refused(f"no {segment.physical_network} on {node.host}")
        return Bound(segment.id, self.vif_type, {"connectivity": "l2"})

    def compile(self, *arguments: Any) -> Plan:
        raise NotImplementedError


@cache
def _template() -> Path:
    path = Path(tempfile.mkdtemp(prefix="isthmus-test-")) / "template.sqlite"
    atexit.register(shutil.rmtree, path.parent, ignore_errors=True)
    store = Store(f"sqlite:///{path}")
    migrate(store.engine)
    with store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    store.dispose()
    return path


def new_store(directory: Path, clock: Callable[[], datetime] | None = None) -> Store:
    """A migrated SQLite store in a directory."""
    path = directory / "isthmus.sqlite"
    if not path.exists():
        shutil.copy(_template(), path)
    return Store(f"sqlite:///{path}", clock=clock or Clock(), pause=lambda seconds: None)


@cache
def _shared_store() -> Store:
    return new_store(_template().parent)


def empty_store(clock: Callable[[], datetime]) -> Store:
    """The one store of this process, emptied: a new engine would have to compile every statement anew."""
    store = _shared_store()
    store.clock = clock
    store._listeners.clear()
    with store.engine.execution_options(isthmus_write=True).begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            if table is not FeedState.__table__:
                connection.execute(table.delete())
        connection.execute(FeedState.__table__.update().values(revision=0, pruned=0))
    return store


def host_facts(number: int, **changes: Any) -> NodeFacts:
    """A legacy host that realises everything."""
    facts: dict[str, Any] = {
        "id": f"host:h{number}",
        "kind": NodeKind.HOST,
        "host": f"h{number}",
        "mechanisms": ("easy",),
        "tunnel_ip": f"192.0.2.{number}",
        "tunnel_types": frozenset({"gre", "vxlan"}),
        "physical_networks": {"physnet1": "eth1"},
    }
    return NodeFacts(**{**facts, **changes})


def switch_facts(number: int, **changes: Any) -> NodeFacts:
    """A switch that realises everything."""
    own = {"id": f"switch:{number:016x}", "kind": NodeKind.SWITCH, "host": f"sw{number}"}
    return host_facts(number, **{**own, **changes})


@dataclass
class World:
    """A plugin with everything around it, and shorthands for what tests do all the time."""

    store: Store
    plugin: Plugin
    feed: StoreFeed
    clock: Clock
    conf: cfg.ConfigOpts
    context: RequestContext = field(default_factory=lambda: ADMIN)

    def network(self, **body: Any) -> dict[str, Any]:
        return self.plugin.create(self.context, "network", body)

    def provider(
        self, kind: str, physical: str | None = None, number: int | None = None, **body: Any
    ) -> dict[str, Any]:
        wanted = {"network_type": kind, "physical_network": physical, "segmentation_id": number}
        given = {f"provider:{name}": value for name, value in wanted.items() if value is not None}
        return self.network(**given, **body)

    def subnet(self, network: Mapping[str, Any], cidr: str = "10.0.0.0/24", **body: Any) -> dict[str, Any]:
        version = 6 if ":" in (cidr or "") else 4
        wanted = {"network_id": network["id"], "cidr": cidr, "ip_version": version, **body}
        return self.plugin.create(self.context, "subnet", wanted)

    def port(self, network: Mapping[str, Any], host: str = "", **body: Any) -> dict[str, Any]:
        place = {"binding:host_id": host} if host else {}
        return self.plugin.create(self.context, "port", {"network_id": network["id"], **place, **body})

    def get(self, resource: str, item: Mapping[str, Any]) -> dict[str, Any]:
        return self.plugin.get(self.context, resource, item["id"])

    def update(self, resource: str, item: Mapping[str, Any], **body: Any) -> dict[str, Any]:
        return self.plugin.update(self.context, resource, item["id"], body)

    def delete(self, resource: str, item: Mapping[str, Any]) -> None:
        self.plugin.delete(self.context, resource, item["id"])

    def model(self, port: Mapping[str, Any]) -> Port:
        return self.feed.load().ports[port["id"]]


def new_world(options: Mapping[str, Mapping[str, Any]] | None = None, store: Store | None = None) -> World:
    """A plugin on the emptied store, or on another. One at a time."""
    clock, conf = Clock(), configuration(options)
    store = store or empty_store(clock)
    mechanisms = MechanismManager([EasyMechanism(), EasyMechanism(NodeKind.SWITCH)])
    plugin = Plugin(conf, store, TypeManager.load(conf), mechanisms)
    return World(store, plugin, StoreFeed(store), clock, conf)
