"""Whatever is asked in whatever order: nothing fails unforeseen, the audit finds nothing, and every binding is what
would be decided anew."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from neutron_lib.exceptions import NeutronException, NotFound
from sqlalchemy import select

from controller.db.models import PortRow
from controller.db.transaction import Transaction
from controller.errors import UnknownNode
from controller.intent import Intent
from controller.plugin.api import Query
from controller.plugin.audit import audit
from controller.plugin.context import RequestContext
from tests.support.store import ADMIN, World, host_facts, switch_facts

STEPS = 120
PROJECTS = ("red", "blue", "green")
NODES = ("host:h1", "host:h2", "switch:0000000000000001", "switch:0000000000000002")
FACTS: tuple[dict[str, Any], ...] = (
    {},
    {"physical_networks": {}},
    {"physical_networks": {"physnet1": "eth1", "physnet2": "eth2"}},
    {"tunnel_types": frozenset(), "tunnel_ip": None},
    {"host": "h1"},
    {"host": "leaf"},
)


class Somebody:
    """Does one thing after the other, chosen by chance among all that can be done."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.chance = world, random.Random(seed)

    def act(self) -> None:
        """One thing. Refusals are answers like others."""
        acts: tuple[Callable[[], Any], ...] = (
            self.network, self.subnet, self.port, self.port, self.move, self.move, self.change, self.plug, self.plug,
            self.unplug, self.node, self.node, self.lose, self.agent, self.bind, self.activate, self.unbind,
            self.segment, self.share, self.share, self.unshare, self.remove,
        )  # fmt: skip
        try:
            self.chance.choice(acts)()
        except (NeutronException, UnknownNode, IndexError):
            return

    def some(self, resource: str, **filters: list[Any]) -> dict[str, Any]:
        return self.chance.choice(self.world.plugin.list(ADMIN, resource, Query(filters=filters)))

    def who(self) -> RequestContext:
        return self.chance.choice((ADMIN, *(RequestContext(project_id=name, roles=("member",)) for name in PROJECTS)))

    def host(self) -> str:
        return self.chance.choice(("", "h1", "h2", "sw1", "sw2", "leaf", "nowhere"))

    def network(self) -> None:
        several = [{"provider:network_type": "vlan", "provider:physical_network": name} for name in
                   ("physnet1", "physnet2")]  # fmt: skip
        body = self.chance.choice(({}, {"segments": several}, {"shared": True}, {"router:external": True}))
        self.world.plugin.create(ADMIN, "network", {"project_id": self.chance.choice(PROJECTS), **body})

    def subnet(self) -> None:
        network = self.some("network")
        segments = [None, *self.world.plugin.list(ADMIN, "segment", Query(filters={"network_id": [network["id"]]}))]
        segment = self.chance.choice(segments)
        cidr = self.chance.choice(("10.0.0.0/29", "10.0.1.0/24", "10.0.0.0/16"))
        self.world.subnet(network, cidr, segment_id=segment and segment["id"])

    def port(self) -> None:
        place = {"binding:host_id": self.host()} if self.chance.random() < 0.6 else self.link()
        self.world.plugin.create(self.who(), "port", {"network_id": self.some("network")["id"], **place})

    def link(self) -> dict[str, Any]:
        links = [{"switch_id": self.chance.choice(("1", "0x2", "77", "x")), "port_id": "eth1"}]
        return {"binding:profile": {"local_link_information": self.chance.choice((links, []))}}

    def move(self) -> None:
        change = self.chance.choice(({"binding:host_id": self.host()}, self.link(), {"mac_address": None},
                                     {"binding:host_id": self.host(), **self.link()}))  # fmt: skip
        self.world.update("port", self.some("port"), **change)

    def change(self) -> None:
        vnic = {"binding:vnic_type": self.chance.choice(("normal", "direct"))}
        change = self.chance.choice(({"fixed_ips": []}, {"admin_state_up": False}, {"name": "x"}, vnic))
        self.world.update("port", self.some("port"), **change)

    def plug(self) -> None:
        self.world.plugin.port_plugged(self.some("port")["id"], self.chance.choice(NODES))

    def unplug(self) -> None:
        self.world.plugin.port_unplugged(self.some("port")["id"], self.chance.choice(NODES))

    def node(self) -> None:
        make, number = self.chance.choice((host_facts, switch_facts)), self.chance.choice((1, 2))
        facts = self.chance.choice(FACTS if make is switch_facts else FACTS[:4])
        self.world.plugin.node_seen(make(number, **facts))

    def lose(self) -> None:
        self.world.plugin.node_lost(self.chance.choice(NODES))

    def agent(self) -> None:
        agent = self.some("agent")
        if self.chance.random() < 0.5:
            self.world.plugin.delete(ADMIN, "agent", agent["id"])
        self.world.plugin.update(ADMIN, "agent", agent["id"], {"admin_state_up": self.chance.random() < 0.7})

    def bind(self) -> None:
        body = {"port_id": self.some("port")["id"], "host": self.host() or "h1", "vnic_type": "normal"}
        self.world.plugin.create(ADMIN, "port_binding", body)

    def binding(self) -> str:
        return str(self.some("port_binding", port_id=[self.some("port")["id"]])["id"])

    def activate(self) -> None:
        self.world.plugin.update(ADMIN, "port_binding", self.binding(), {"status": "ACTIVE"})

    def unbind(self) -> None:
        self.world.plugin.delete(ADMIN, "port_binding", self.binding())

    def segment(self) -> None:
        if self.chance.random() < 0.4:
            self.world.delete("segment", self.some("segment"))
        body = {"network_id": self.some("network")["id"], "network_type": self.chance.choice(("gre", "vxlan"))}
        self.world.plugin.create(ADMIN, "segment", body)

    def share(self) -> None:
        body = {"object_type": "network", "object_id": self.some("network")["id"],
                "target_tenant": self.chance.choice((*PROJECTS, "*")),
                "action": self.chance.choice(("access_as_shared", "access_as_external"))}  # fmt: skip
        self.world.plugin.create(self.who(), "rbac_policy", body)

    def unshare(self) -> None:
        policy = self.some("rbac_policy")
        if self.chance.random() < 0.5:
            self.world.update("rbac_policy", policy, target_tenant=self.chance.choice((*PROJECTS, "*")))
        self.world.delete("rbac_policy", policy)

    def remove(self) -> None:
        resource = self.chance.choice(("port", "subnet", "network"))
        self.world.delete(resource, self.some(resource))


class Undone(Exception):
    """So that a look at what would be decided is not written."""


def decided_otherwise(world: World) -> list[str]:
    """The ports whose binding would not be what it is if it were decided now. Only the words of a refusal may be old;
    what was refused where it is plugged in is not looked for on other nodes of that host; and a port that gave its
    addresses back stays on the segment that they were of."""
    found: list[str] = []

    def work(transaction: Transaction) -> None:
        for row in transaction.session.scalars(select(PortRow)).all():
            before = _said(row)
            world.plugin._nodes._binder.decide(transaction, row)
            if not row.ips and row.binding.segment_id and "segment_id" in before:
                before["segment_id"] = row.binding.segment_id
            if before != _said(row) and not (before.get("auto_bound") and "node_id" not in before):
                found.append(f"{row.id}: {before}, would be {_said(row)}")
        raise Undone

    with pytest.raises(Undone):
        world.store.write(work)
    return found


def _said(row: PortRow) -> dict[str, Any]:
    names = ("host", "auto_bound", "switch_node_id", "node_id", "segment_id", "mechanism", "port_key", "vif_type")
    return {name: value for name in names if (value := getattr(row.binding, name))}


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_asked_for(world: World, seed: int) -> None:
    somebody, follower = Somebody(world, seed), Intent()
    for step in range(STEPS):
        somebody.act()
        if step % 10 == 9 or step == STEPS - 1:
            with world.store.read() as session:
                assert audit(session) == []
            assert decided_otherwise(world) == []
            for change in world.feed.since(follower.revision):
                follower.apply(change)
            loaded = world.feed.load()
            assert (follower.networks, follower.ports, follower.nodes) == (loaded.networks, loaded.ports, loaded.nodes)
    assert world.feed.latest() > STEPS / 4, "most of it was refused"
    for project in PROJECTS:
        assert seen_by(world, project) == to_be_seen_by(world, project)


def seen_by(world: World, project: str) -> dict[str, set[str]]:
    """What a project finds in its lists; each of it, and nothing else, is there for it by its id too."""
    context = RequestContext(project_id=project, roles=("member",))
    found = {}
    for resource in ("network", "subnet", "port"):
        listed = {item["id"] for item in world.plugin.list(context, resource, Query())}
        for item in world.plugin.list(ADMIN, resource, Query()):
            with suppress(NotFound):
                assert world.plugin.get(context, resource, item["id"])["id"] in listed
                continue
            assert item["id"] not in listed
        found[resource] = listed
    return found


def to_be_seen_by(world: World, project: str) -> dict[str, set[str]]:
    """By the rule: one's own, and what policies let one use."""
    networks, subnets, ports, policies = (
        world.plugin.list(ADMIN, resource, Query()) for resource in ("network", "subnet", "port", "rbac_policy")
    )
    own = {item["id"] for item in networks if item["project_id"] == project}
    mine = [item for item in policies if item["target_tenant"] in (project, "*")]
    shared = {item["object_id"] for item in mine if item["action"] == "access_as_shared"}
    return {
        "network": own | {item["object_id"] for item in mine},
        "subnet": {item["id"] for item in subnets if item["network_id"] in own | shared},
        "port": {item["id"] for item in ports if item["project_id"] == project or item["network_id"] in own},
    }
