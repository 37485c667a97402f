"""The main matrix, in memory: every network type between every pair of node kinds, with numbers shared on purpose,
with tunnels over either version of IP."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.model import Port
from tests.sim.fabric import Fabric
from tests.sim.test_traffic import datagram, reached
from tests.sim.world import fabric_of
from tests.support.scenarios import SEGMENT_KINDS, State, host_node, make_network, make_port, switch_node

NODES = (switch_node(1), switch_node(2), host_node(3), host_node(4), host_node(5, mechanisms=("openvswitch",)))
NETWORKS = tuple(make_network(key, kind) for key, kind in enumerate(SEGMENT_KINDS, start=1))
PORTS = tuple(
    make_port(network, 16 * network.key + 8 * which + node.key - 1, node)
    for network in NETWORKS
    for which in (0, 1)
    for node in NODES
)
STATE = State(*({item.id: item for item in items} for items in (NETWORKS, NODES, PORTS)))  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=["192.0.2.{}", "2001:db8::{}"], ids=["IPv4", "IPv6"])
def fabric(request: pytest.FixtureRequest) -> Fabric:
    nodes = {node.id: replace(node, tunnel_ip=request.param.format(node.key)) for node in NODES}
    return fabric_of(replace(STATE, nodes=nodes))


def same_network(port: Port) -> list[str]:
    return sorted(other.id for other in PORTS if other.network_id == port.network_id and other.id != port.id)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: str(network.segments[0]))
def test_a_network_is_one_broadcast_domain_on_all_nodes(fabric: Fabric, network) -> None:  # type: ignore[no-untyped-def]
    for port in (port for port in PORTS if port.network_id == network.id):
        assert reached(fabric, port, datagram(port)) == same_network(port)


@pytest.mark.parametrize("sender", NODES, ids=lambda node: node.host)
@pytest.mark.parametrize("target", NODES, ids=lambda node: node.host)
def test_every_pair_talks_or_does_not(fabric: Fabric, sender, target) -> None:  # type: ignore[no-untyped-def]
    for one in (port for port in PORTS if port.host == sender.host):
        for other in (port for port in PORTS if port.host == target.host and port.id != one.id):
            arrived = reached(fabric, one, datagram(one, other))
            assert arrived.count(other.id) == int(one.network_id == other.network_id)


EDGES = tuple(make_network(key, kind) for key, kind in enumerate(
    (("vlan", "physnet1", 1), ("vlan", "physnet1", 4094), ("vlan", "physnet2", 4094), ("gre", None, 1),
     ("gre", None, 2**32 - 1), ("gre", None, 2**24 - 1), ("vxlan", None, 1), ("vxlan", None, 2**24 - 1)),
    start=2**20 - 8))  # fmt: skip


def test_ids_at_the_ends_of_their_ranges_are_ids_like_others() -> None:
    """Network keys too."""
    ports = [make_port(network, 8 * number + node.key, node) for number, network in enumerate(EDGES) for node in NODES]
    state = State(*({item.id: item for item in items} for items in (EDGES, NODES, ports)))  # type: ignore[arg-type]
    fabric = fabric_of(state)
    for port in ports:
        mates = sorted(other.id for other in ports if other.network_id == port.network_id and other is not port)
        assert len(mates) == len(NODES) - 1
        assert reached(fabric, port, datagram(port)) == mates
        for other in ports:
            arrived = reached(fabric, port, datagram(port, other)) if other is not port else []
            assert arrived.count(other.id) == (other.id in mates)


def test_geneve_is_between_those_that_have_it_and_local_networks_stay_on_their_node() -> None:
    nodes = (NODES[0], NODES[1], replace(NODES[4], tunnel_types=frozenset({"geneve"})))
    networks = [make_network(key, kind) for key, kind in enumerate((("geneve", None, 77), ("local", None, None)), 1)]
    ports = [make_port(network, 32 * network.key + 8 * which + node.key, node)
             for network in networks for which in (0, 1) for node in nodes]  # fmt: skip
    state = State(*({item.id: item for item in items} for items in (networks, nodes, ports)))  # type: ignore[arg-type]
    fabric = fabric_of(state)
    for port in ports:
        mates = [other for other in ports if other is not port and other.network_id == port.network_id]
        heard = {other.id for other in mates if other.host == port.host or port.network_id == networks[0].id}
        assert reached(fabric, port, datagram(port)) == sorted(heard)
        for other in ports:
            arrived = reached(fabric, port, datagram(port, other)) if other is not port else []
            assert arrived.count(other.id) == (other.id in heard)
