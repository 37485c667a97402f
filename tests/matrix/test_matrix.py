"""Ports of eight networks on two Open vSwitch nodes and two Linux-bridge hosts: who talks to whom."""

from __future__ import annotations

import pytest

from tests.matrix.networks import NETWORKS
from tests.support.datacentre import DataCentre
from tests.support.matrix import Matrix


@pytest.fixture(scope="session")
def matrix(datacentre: DataCentre) -> Matrix:
    """A VM of every network on every node, all ports ACTIVE."""
    vms = datacentre.create_vms([(spec.name, node) for spec in NETWORKS for node in datacentre.nodes])
    datacentre.wait_active(vms)
    return Matrix(vms)


def test_these_pairs_talk_and_all_others_do_not(matrix: Matrix) -> None:
    """Ping, unicast, broadcast exactly once and TCP within each network; nothing between any two."""
    results = matrix.run()
    print(matrix.table(results, {spec.name: str(spec) for spec in NETWORKS}))
    assert not matrix.problems(results)
