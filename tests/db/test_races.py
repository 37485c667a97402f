"""Writers of one process that meet: each sees what the other has done, or waits for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from neutron_lib.exceptions import NetworkNotFound, NeutronException, SubnetPoolNotFound

from controller.db.models import NodeRow
from controller.db.transaction import Transaction
from controller.db.values import facts_json
from controller.model import Network, Node, NodeFacts, Port
from controller.plugin.binding import Decision
from controller.plugin.context import RequestContext
from controller.plugin.faults import RevisionNumberConstraintFailed, SegmentNotFound
from controller.plugin.plugin import Plugin
from tests.db.worker import plugin
from tests.support.store import ADMIN, host_facts

LONG_ENOUGH = 0.5
"""Seconds after which the second writer has come to where it must wait, or has gone wrong."""

Act = Callable[[Any, Transaction], object]


def meanwhile(made: Plugin, resource: str, act: Act, other: Callable[[], Any], then: Act | None = None) -> Any:
    """Do something in a transaction, before its end let another thread do something, and go on; what became of it."""
    found: list[Any] = []

    def work(transaction: Transaction) -> threading.Thread:
        act(made._resources[resource], transaction)
        transaction.session.flush()
        thread = started(other, found)
        if then is not None:
            then(made._resources[resource], transaction)
        return thread

    made._store.write(work).join(20)
    return found[0]


def started(act: Callable[[], Any], found: list[Any]) -> threading.Thread:
    """A thread that has come as far as it can without the others."""

    def work() -> None:
        try:
            found.append(act())
        except NeutronException as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(LONG_ENOUGH)
    return thread


def while_another_creates_a_port(made: Plugin, network: str, resource: str, act: Any) -> Any:
    """What becomes of a port that is created before the end of a transaction that does something else."""
    body = {"network_id": network, "binding:host_id": "h1"}
    return meanwhile(made, resource, act, lambda: made.create(ADMIN, "port", body))


@pytest.fixture
def made(url: str) -> Plugin:
    found = plugin(url)
    found.node_seen(host_facts(1))
    return found


def test_a_port_has_an_address_on_a_subnet_that_was_being_made(made: Plugin) -> None:
    network = made.create(ADMIN, "network", {})["id"]
    body = {"network_id": network, "cidr": "2001:db8::/64", "ip_version": 6,
            "ipv6_address_mode": "slaac", "ipv6_ra_mode": "slaac"}  # fmt: skip
    found = while_another_creates_a_port(
        made, network, "subnet", lambda subnets, transaction: subnets.create(transaction, ADMIN, body)
    )
    assert [address["ip_address"][:10] for address in found["fixed_ips"]] == ["2001:db8::"]


def test_no_port_on_a_network_that_was_being_deleted(made: Plugin) -> None:
    network = made.create(ADMIN, "network", {})["id"]

    def delete(networks: Any, transaction: Transaction) -> None:
        networks.delete(transaction, ADMIN, networks.find(transaction.session, ADMIN, network, lock=True))

    found = while_another_creates_a_port(made, network, "network", delete)
    assert isinstance(found, NetworkNotFound)


def test_no_subnet_from_a_pool_that_was_being_closed(made: Plugin) -> None:
    """Whoever asks when the policy is about to go waits for the pool, and is then no longer allowed."""
    bob = RequestContext(project_id="bob", roles=("member",))
    pool = made.create(ADMIN, "subnetpool", {"name": "p", "prefixes": ["10.0.0.0/16"], "project_id": "alice"})
    policy = made.create(ADMIN, "rbac_policy", {"object_type": "subnetpool", "object_id": pool["id"],
                                                "action": "access_as_shared", "target_tenant": "bob"})  # fmt: skip
    network = made.create(bob, "network", {"name": "n"})
    body = {"network_id": network["id"], "subnetpool_id": pool["id"], "prefixlen": 24, "ip_version": 4}

    def close(policies: Any, transaction: Transaction) -> None:
        policies.delete(transaction, ADMIN, policies.find(transaction.session, ADMIN, policy["id"], lock=True))

    found = meanwhile(made, "rbac_policy", close, lambda: made.create(bob, "subnet", body))
    assert isinstance(found, SubnetPoolNotFound)


class Slow:
    """A mechanism that takes its time while ``go`` is cleared: ``asked`` is set as soon as it is asked."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.asked, self.go = inner, threading.Event(), threading.Event()

    def bind(self, port: Port, network: Network, node: Node) -> Decision:
        self.asked.set()
        self.go.wait(20)
        decision: Decision = self.inner.bind(port, network, node)
        return decision


@pytest.fixture
def slow(made: Plugin) -> Slow:
    binder = made._nodes._binder
    found = Slow(binder._mechanisms)
    found.go.set()
    binder._mechanisms = found
    return found


def test_a_port_that_was_being_refused_gets_the_segment_that_was_being_added(made: Plugin, slow: Slow) -> None:
    vlan = {"provider:network_type": "vlan", "provider:physical_network": "physnet2", "provider:segmentation_id": 100}
    network = made.create(ADMIN, "network", vlan)["id"]
    port = made.create(ADMIN, "port", {"network_id": network})
    segment = {"network_id": network, "network_type": "gre", "physical_network": None, "segmentation_id": 7}
    slow.asked.clear()
    slow.go.clear()
    refused = started(lambda: made.update(ADMIN, "port", port["id"], {"binding:host_id": "h1"}), [])
    assert slow.asked.wait(10)
    added = started(lambda: made.create(ADMIN, "segment", segment), [])
    slow.go.set()
    for thread in (refused, added):
        thread.join(20)
    assert made.get(ADMIN, "port", port["id"])["binding:vif_type"] == "tap"


@pytest.mark.parametrize("facts", [host_facts(2), host_facts(1, host="h2")], ids=["new", "renamed"])
def test_a_port_that_was_made_while_its_node_came_is_bound(made: Plugin, slow: Slow, facts: NodeFacts) -> None:
    network = made.create(ADMIN, "network", {})["id"]
    body = {"network_id": network, "binding:host_id": "h2"}
    made.create(ADMIN, "port", body)
    slow.asked.clear()
    slow.go.clear()
    found: list[Any] = []
    coming = started(lambda: made.node_seen(facts), [])
    assert slow.asked.wait(10), "the node is on its way, with a port that waits for it"
    late = started(lambda: made.create(ADMIN, "port", body), found)
    slow.go.set()
    for thread in (coming, late):
        thread.join(20)
    assert found[0]["binding:vif_type"] == "tap", found[0]["status_reason"]


def test_a_plug_is_decided_by_what_the_node_says_now(made: Plugin) -> None:
    """The node's facts change between the look at the node and its lock."""
    network = made.create(ADMIN, "network", {})["id"]
    port = made.create(ADMIN, "port", {"network_id": network})["id"]

    def facts_change(nodes: Any, transaction: Transaction) -> None:
        row = transaction.session.get(NodeRow, "host:h1", with_for_update=True)
        row.facts = facts_json(host_facts(1, tunnel_types=frozenset(), tunnel_ip=None))

    found = meanwhile(made, "agent", facts_change, lambda: made.port_plugged(port, "host:h1"))
    assert found is None
    assert made.get(ADMIN, "port", port)["status_reason"] == "no gre on h1"


SLAAC = {"ip_version": 6, "cidr": "2001:db8::/64", "ipv6_address_mode": "slaac", "ipv6_ra_mode": "slaac"}


def find(resource_id: str) -> Act:
    """Find something as an update or a delete does."""
    return lambda cases, transaction: cases.find(transaction.session, ADMIN, resource_id, lock=True)


def rename(resource_id: str) -> Act:
    """Give something a name."""

    def act(cases: Any, transaction: Transaction) -> None:
        row = find(resource_id)(cases, transaction)
        cases.update(transaction, ADMIN, row, {"name": "new"})
        transaction.updated(row)  # type: ignore[arg-type]

    return act


def tried_again(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said of transactions that met others."""
    return [record.getMessage() for record in caplog.records if "tried again" in record.getMessage()]


@pytest.fixture
def segment(made: Plugin) -> dict[str, Any]:
    """One of three segments of a network."""
    network = made.create(ADMIN, "network", {})["id"]
    body = {"network_id": network, "network_type": "gre"}
    return made.create_bulk(ADMIN, "segment", [body, body])[0]


def test_a_segment_goes_once(made: Plugin, segment: dict[str, Any]) -> None:
    def delete(segments: Any, transaction: Transaction) -> None:
        segments.delete(transaction, ADMIN, find(segment["id"])(segments, transaction))

    found = meanwhile(made, "segment", delete, lambda: made.delete(ADMIN, "segment", segment["id"]))
    assert isinstance(found, SegmentNotFound)


def test_a_segment_is_changed_from_one_revision_once(made: Plugin, segment: dict[str, Any]) -> None:
    def change() -> Any:
        return made.update(ADMIN, "segment", segment["id"], {"name": "x"}, if_match=segment["revision_number"])

    found = meanwhile(made, "segment", rename(segment["id"]), change)
    assert isinstance(found, RevisionNumberConstraintFailed)
    assert made.get(ADMIN, "segment", segment["id"])["name"] == "new"


def test_a_subnet_is_changed_while_ports_are_made_and_nobody_tries_twice(
    made: Plugin, caplog: pytest.LogCaptureFixture
) -> None:
    network = made.create(ADMIN, "network", {})["id"]
    subnet = made.create(ADMIN, "subnet", {"network_id": network, "cidr": "10.0.0.0/24", "ip_version": 4})["id"]
    caplog.set_level(logging.DEBUG, "controller.db.session")
    port = meanwhile(
        made, "subnet", find(subnet), lambda: made.create(ADMIN, "port", {"network_id": network}), rename(subnet)
    )
    assert port["fixed_ips"]
    assert tried_again(caplog) == []


def test_a_port_is_bound_while_a_subnet_gives_addresses_and_nobody_tries_twice(
    made: Plugin, caplog: pytest.LogCaptureFixture
) -> None:
    network = made.create(ADMIN, "network", {})["id"]
    port = made.create(ADMIN, "port", {"network_id": network})["id"]
    caplog.set_level(logging.DEBUG, "controller.db.session")

    def bind(ports: Any, transaction: Transaction) -> None:
        row = find(port)(ports, transaction)
        ports.update(transaction, ADMIN, row, {"binding:host_id": "h1"})

    body = {"network_id": network, **SLAAC}
    meanwhile(made, "port", find(port), lambda: made.create(ADMIN, "subnet", body), bind)
    bound = made.get(ADMIN, "port", port)
    assert (bound["binding:vif_type"], len(bound["fixed_ips"])) == ("tap", 1)
    assert tried_again(caplog) == []


def test_a_ports_revision_counts_every_change(made: Plugin) -> None:
    network = made.create(ADMIN, "network", {})["id"]
    port = made.create(ADMIN, "port", {"network_id": network})
    body = {"network_id": network, **SLAAC}
    meanwhile(made, "port", rename(port["id"]), lambda: made.create(ADMIN, "subnet", body))
    changed = made.get(ADMIN, "port", port["id"])
    assert (changed["name"], len(changed["fixed_ips"])) == ("new", 1)
    assert changed["revision_number"] == port["revision_number"] + 2
