"""Large stores, written row by row into a fresh database: what the API would have made of so many requests.

The switches are those of :mod:`bench.sim_switches`, without OVSDB; every port is bound to one of them by a local link.
"""

from __future__ import annotations

import ipaddress
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oslo_config import cfg

from controller import config
from controller.db.migrate import migrate
from controller.db.models import (
    BindingRow,
    FeedState,
    IpRow,
    NetworkRow,
    NodeRow,
    PoolRow,
    PortRow,
    SegmentRow,
    SubnetRow,
)
from controller.db.session import Store
from controller.db.values import facts_json
from controller.model import PortView, switch_node_id
from controller.plugin.agents import agent_id
from controller.southbound.bridge import Make, node_facts
from mechanisms.openflow import stamp
from typedrivers.manager import TypeManager

PHYSICAL_NETWORK = "physnet1"
PROJECT = "bench"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST_PORT = 2
CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class Layout:
    """How many ports each network has on which switch: ``networks[n]`` lists switch numbers, one per port."""

    switches: int
    networks: Sequence[Sequence[int]]

    @property
    def ports(self) -> int:
        """Ports in the store."""
        return sum(map(len, self.networks))

    @property
    def most_ports(self) -> int:
        """Ports on the fullest switch."""
        return max(Counter(switch for places in self.networks for switch in places).values(), default=0)


def network_id(number: int) -> str:
    """The id of the network with that number (from 0)."""
    return _id("network", number)


def subnet_id(number: int) -> str:
    """The id of its subnet."""
    return _id("subnet", number)


def port_id(number: int) -> str:
    """The id of a port, in the order of the layout."""
    return _id("port", number)


def seed(directory: Path, layout: Layout) -> Path:
    """A store with this layout; the path of the SQLite file."""
    TypeManager.load(_configuration())  # so that the type drivers' tables exist
    path = directory / "isthmus.sqlite"
    for old in directory.glob("isthmus.sqlite*"):
        old.unlink()
    store = Store(f"sqlite:///{path}")
    migrate(store.engine)
    with store.engine.execution_options(isthmus_write=True).begin() as connection:
        for table, rows in _tables(layout):
            for chunk in _chunks(rows):
                connection.execute(table.__table__.insert() if hasattr(table, "__table__") else table.insert(), chunk)
        connection.execute(FeedState.__table__.update().values(revision=1))  # type: ignore[attr-defined]
    store.dispose()
    return path


def _configuration() -> cfg.ConfigOpts:
    return config.load()


def _tables(layout: Layout) -> Iterator[tuple[Any, Iterable[dict[str, Any]]]]:
    from typedrivers.vlan import ALLOCATIONS

    networks = range(len(layout.networks))
    yield NodeRow, (_node(number, layout) for number in range(1, layout.switches + 1))
    yield NetworkRow, (_network(number) for number in networks)
    yield SegmentRow, (_segment(number) for number in networks)
    yield ALLOCATIONS, ({"physical_network": PHYSICAL_NETWORK, "vlan_id": number + 1,
                         "segment_id": _id("segment", number)} for number in networks)  # fmt: skip
    yield SubnetRow, (_subnet(number) for number in networks)
    yield PoolRow, ({"subnet_id": subnet_id(number), "first": _cidr(number)[1], "last": _cidr(number)[-2]}
                    for number in networks)  # fmt: skip
    ports = list(_ports(layout))
    yield PortRow, (port for port, _, _ in ports)
    yield BindingRow, (binding for _, binding, _ in ports)
    yield IpRow, (address for _, _, address in ports)


def _standard(kind: str, number: int) -> dict[str, Any]:
    return {"id": _id(kind, number), "description": "", "created_at": NOW, "updated_at": NOW, "revision_number": 0}


def _node(number: int, layout: Layout) -> dict[str, Any]:
    make = Make(frozenset({"nicira", "bundles", "meters"}), 254, stamp.TABLE + 1, {PHYSICAL_NETWORK: "uplink"})
    facts = node_facts(number, None, make, "OVSDB is switched off", {1: PortView("uplink", True)})
    assert layout.switches >= number
    return {
        "id": facts.id, "agent_id": agent_id(facts.id), "key": number, "kind": facts.kind, "host": facts.host,
        "facts": facts_json(facts), "admin_state_up": True, "description": "", "created_at": NOW, "started_at": NOW,
        "heartbeat_at": NOW, "lost": False,
    }  # fmt: skip


def _network(number: int) -> dict[str, Any]:
    return {
        **_standard("network", number), "key": number + 1, "project_id": PROJECT, "name": f"network-{number}",
        "admin_state_up": True, "status": "ACTIVE", "shared": False, "external": False, "mtu": 1500,
        "port_security_enabled": True,
    }  # fmt: skip


def _segment(number: int) -> dict[str, Any]:
    return {
        **_standard("segment", number), "network_id": network_id(number), "position": 0, "name": "",
        "network_type": "vlan", "physical_network": PHYSICAL_NETWORK, "segmentation_id": number + 1,
    }  # fmt: skip


def _subnet(number: int) -> dict[str, Any]:
    return {
        **_standard("subnet", number), "network_id": network_id(number), "project_id": PROJECT, "name": "",
        "ip_version": 4, "cidr": str(_cidr(number)), "gateway_ip": None, "enable_dhcp": False,
        "dns_nameservers": [], "host_routes": [],
    }  # fmt: skip


def _ports(layout: Layout) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    number, taken = 0, Counter[int]()
    for network, places in enumerate(layout.networks):
        cidr = _cidr(network)
        for place, switch in enumerate(places):
            taken[switch] += 1
            own = {"port_id": port_id(number)}
            yield (
                {
                    **_standard("port", number), "network_id": network_id(network), "project_id": PROJECT, "name": "",
                    "mac_address": _mac(number), "admin_state_up": True, "device_id": "", "device_owner": "compute:b",
                    "port_security_enabled": True, "status": "DOWN", "status_reason": "", "intent_revision": 1,
                },
                {**own, **_binding(switch, taken[switch], network)},
                {**own, "subnet_id": subnet_id(network), "network_id": network_id(network), "position": 0,
                 "address": cidr[place + 10]},
            )  # fmt: skip
            number += 1


def local_link(switch: int, place: int) -> dict[str, Any]:
    """``binding:profile`` for the place-th port (from 1) of a switch."""
    name = f"p{FIRST_PORT + place - 1}"
    return {"local_link_information": [{"switch_id": f"{switch:016x}", "port_id": name}]}


def _binding(switch: int, place: int, network: int) -> dict[str, Any]:
    node_id = switch_node_id(switch)
    return {
        "host": "", "vnic_type": "baremetal", "profile": local_link(switch, place), "auto_bound": False,
        "switch_node_id": node_id, "node_id": node_id, "segment_id": _id("segment", network),
        "mechanism": "openflow", "port_key": place, "vif_type": "ovs",
        "vif_details": {"port_filter": True, "connectivity": "l2"}, "refusal": "",
    }  # fmt: skip


def _cidr(network: int) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network((0x0A00_0000 + (network << 12), 20))


def _mac(number: int) -> str:
    return ":".join(f"{byte:02x}" for byte in (0xFA16_3E00_0000 + number).to_bytes(6, "big"))


def _id(kind: str, number: int) -> str:
    head = {"network": 1, "segment": 2, "subnet": 3, "port": 4}[kind]
    return str(uuid.UUID(int=head << 124 | 4 << 76 | 8 << 60 | number << 88))


def _chunks(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    chunk: list[dict[str, Any]] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
