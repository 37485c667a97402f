"""Writers of one process that meet: each sees what the other has done, or waits for it."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from neutron_lib.exceptions import NetworkNotFound

from controller.db.transaction import Transaction
from controller.plugin.plugin import Plugin
from tests.db.worker import plugin
from tests.support.store import ADMIN, host_facts

LONG_ENOUGH = 0.5
"""Seconds after which the second writer has come to where it must wait, or has gone wrong."""


def while_another_creates_a_port(made: Plugin, network: str, resource: str, act: Any) -> list[Any]:
    """Do something in a transaction, and before its end let another thread create a port; what became of that."""
    found: list[Any] = []

    def create() -> None:
        try:
            found.append(made.create(ADMIN, "port", {"network_id": network, "binding:host_id": "h1"}))
        except NetworkNotFound as error:
            found.append(error)

    def work(transaction: Transaction) -> threading.Thread:
        act(made._resources[resource], transaction)
        transaction.session.flush()
        other = threading.Thread(target=create)
        other.start()
        other.join(LONG_ENOUGH)
        return other

    made._store.write(work).join(20)
    return found


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
    assert [address["ip_address"][:10] for address in found[0]["fixed_ips"]] == ["2001:db8::"]


def test_no_port_on_a_network_that_was_being_deleted(made: Plugin) -> None:
    network = made.create(ADMIN, "network", {})["id"]

    def delete(networks: Any, transaction: Transaction) -> None:
        networks.delete(transaction, ADMIN, networks.find(transaction.session, ADMIN, network, lock=True))

    found = while_another_creates_a_port(made, network, "network", delete)
    assert isinstance(found[0], NetworkNotFound)
