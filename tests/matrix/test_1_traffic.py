"""Ports of eight networks on two Open vSwitch nodes and two Linux-bridge hosts: who talks to whom, and how."""

from __future__ import annotations

import pytest

from tests.matrix.networks import NETWORKS
from tests.support import ethernet
from tests.support.capture import Capture
from tests.support.datacentre import DataCentre
from tests.support.matrix import Matrix
from tests.support.underlay import PHYSICAL_NETWORKS, TUNNEL_NIC

SPECS = {spec.name: spec for spec in NETWORKS}
ROUTES = [("ovs1", "host1"), ("host1", "ovs2"), ("ovs2", "ovs1"), ("host2", "host1")]


def test_these_pairs_talk_and_all_others_do_not(matrix: Matrix) -> None:
    """Ping, unicast, broadcast exactly once and TCP within each network; nothing between any two."""
    results = matrix.run()
    print(matrix.table(results, {spec.name: str(spec) for spec in NETWORKS}))
    assert not matrix.problems(results)


def test_traces_say_the_same(datacentre: DataCentre, matrix: Matrix) -> None:
    """What was measured follows from the plans, and only the nodes of both ends have a part in it."""
    vms = list(matrix.vms.values())
    for vm in vms:
        mates = {other.port_id: other for other in vms if other.network == vm.network and other is not vm}
        stranger = next(other for other in vms if other.network != vm.network)
        assert datacentre.api.isthmus(f"trace?port={vm.port_id}")["trace"]["received"] == sorted(mates)
        for other in (*mates.values(), stranger):
            found = datacentre.api.isthmus(f"trace?port={vm.port_id}&to={other.port_id}")["trace"]
            assert found["outcome"] == ("delivered" if other.port_id in mates else "lost"), found["result"]
            if other.port_id in mates:
                assert found["received"] == [other.port_id]
                assert [hop["host"] for hop in found["hops"]] == [vm.node.wiring.name, other.node.wiring.name]
                assert not any(hop["notes"] for hop in found["hops"])


@pytest.mark.parametrize("network", SPECS)
@pytest.mark.parametrize(("sender", "receiver"), ROUTES)
def test_the_wire_shows_the_number_of_the_network(
    datacentre: DataCentre, matrix: Matrix, network: str, sender: str, receiver: str
) -> None:
    """The tag of a VLAN network, the key of a GRE one, the VNI of a VXLAN one; a flat frame as it is."""
    spec, a, b = SPECS[network], matrix.vms[f"{network}-{sender}"], matrix.vms[f"{network}-{receiver}"]
    nic = PHYSICAL_NETWORKS[spec.physical_network] if spec.physical_network else TUNNEL_NIC
    frame = ethernet.token(a.source, b.source, "captured")
    with Capture(datacentre.nodes[sender].wiring, nic) as capture:
        a.site.inject([(a.name, frame.hex())])
        found = capture.find(frame)
    numbers = {"vlan": "vlan", "gre": "key", "vxlan": "vni"}
    shown = {(field, getattr(seen, field)) for seen in found for field in ("vlan", "key", "vni")}
    wanted = {(field, spec.segmentation_id if field == numbers.get(spec.network_type) else None)
              for field in ("vlan", "key", "vni")}  # fmt: skip
    assert shown == wanted
    if nic == TUNNEL_NIC:
        assert {(seen.outer_source, seen.outer_destination) for seen in found} == {
            (datacentre.nodes[sender].wiring.tunnel_ip, datacentre.nodes[receiver].wiring.tunnel_ip)
        }, "a unicast frame goes to the one node that has the MAC"


def test_frames_of_full_size_pass(datacentre: DataCentre, matrix: Matrix) -> None:
    """A ping as large as the network's MTU allows, without fragments, between the kinds of node."""
    for name in SPECS:
        a, b = matrix.vms[f"{name}-ovs1"], matrix.vms[f"{name}-host1"]
        mtu = datacentre.networks[name]["mtu"]
        for one, other in ((a, b), (b, a)):
            assert one.site.echo([(one.name, other.ip)], 5.0, mtu - 28)[0] is not None, (one.name, other.name, mtu)
