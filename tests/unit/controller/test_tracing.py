"""A frame followed through compiled plans: where it goes on each kind of network, and the words where it ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.model import AddressPair, Attachment, Node, Observation, Port
from controller.tracing import walk
from controller.tracing.frame import Wanted, frame_of
from controller.tracing.site import Seen, Site, Unseen
from controller.tracing.walk import trace
from mechanisms.manager import MechanismManager
from tests.support.scenarios import State, host_node, intent_of, make_network, make_port, observe, switch_node

KINDS = [("flat", "physnet1", None), ("vlan", "physnet1", 100), ("gre", None, 77), ("vxlan", None, 77)]
PLAIN = Wanted()
SW1, SW2, HOST = switch_node(1), switch_node(2), host_node(3)


class World:
    """A network of one kind with ports 1 and 2 on switch 1, 3 on switch 2, 4 and 5 on a legacy host; a network beside
    it with port 6 on switch 1."""

    def __init__(self, kind: tuple[str, str | None, int | None] = KINDS[1], **network: object) -> None:
        self.network = make_network(1, kind, **network)
        self.other = make_network(2, ("vlan", "physnet1", 200))
        homes = {1: SW1, 2: SW1, 3: SW2, 4: HOST, 5: HOST}
        ports = [make_port(self.network, number, node) for number, node in homes.items()]
        self.ports = dict(enumerate([*ports, make_port(self.other, 6, SW1)], 1))
        self.unplugged: set[str] = set()
        self.looked: list[str] = []
        self.nodes: dict[str, Node] = {node.id: node for node in (SW1, SW2, HOST)}

    def change(self, number: int, **changes: object) -> None:
        self.ports[number] = replace(self.ports[number], **changes)  # type: ignore[arg-type]

    def trace(self, source: int, target: int | None = None, wanted: Wanted = PLAIN) -> dict[str, Any]:
        ports = {port.id: port for port in self.ports.values()}
        networks = {each.id: each for each in (self.network, self.other)}
        intent = intent_of(State(networks, self.nodes, ports))
        manager = MechanismManager.load(["openflow", "linuxbridge", "openvswitch"])

        def look(node_id: str) -> Seen:
            self.looked.append(node_id)
            plugged = {key: port for key, port in ports.items() if key not in self.unplugged}
            node, seen = self.nodes[node_id], self.observe(self.nodes[node_id], plugged)
            return Seen(node, manager.compile(intent, node, seen), seen)

        sender, receiver = self.ports[source], self.ports[target] if target else None
        return trace(Site(intent, look), sender, receiver, frame_of(wanted, sender, receiver))

    def observe(self, node: Node, plugged: dict[str, Port]) -> Observation:
        return observe(node, plugged)

    def ids(self, *numbers: int) -> list[str]:
        return sorted(self.ports[number].id for number in numbers)


def steps(found: dict[str, Any], hop: int = 0) -> list[str]:
    return [step["text"] for step in found["hops"][hop]["steps"]]


def leaves(found: dict[str, Any], hop: int = 0) -> list[str]:
    return [leaf["text"] for leaf in found["hops"][hop]["leaves"]]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[0])
@pytest.mark.parametrize(("source", "target", "nodes"), [
    (1, 2, [SW1]), (1, 3, [SW1, SW2]), (1, 4, [SW1, HOST]), (4, 1, [HOST, SW1]), (4, 5, [HOST]), (3, 5, [SW2, HOST]),
])  # fmt: skip
def test_unicast_visits_the_nodes_on_its_way_and_no_other(
    kind: tuple[str, str | None, int | None], source: int, target: int, nodes: list[Node]
) -> None:
    world = World(kind)
    found = world.trace(source, target)
    assert found["outcome"] == "delivered"
    assert found["received"] == world.ids(target)
    assert [hop["node"] for hop in found["hops"]] == [node.id for node in nodes] == world.looked
    assert found["result"] == f"port {world.ports[target].id} would get it"
    assert found["state"] == "intended"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[0])
def test_broadcast_reaches_the_network_and_nobody_else(kind: tuple[str, str | None, int | None]) -> None:
    world = World(kind)
    for source in (1, 3, 4):
        found = world.trace(source)
        assert found["received"] == world.ids(*{1, 2, 3, 4, 5} - {source})
        assert found["result"] == "4 ports would get it"


def test_the_way_out_is_told_for_each_kind() -> None:
    told = {}
    for kind in KINDS:
        found = World(kind).trace(1, 4)
        told[kind[0]] = (*leaves(found), found["hops"][1]["came"], *leaves(World(kind).trace(4, 1)))
    assert told["flat"][:2] == ("by port 10 into physical network physnet1", "out of physical network physnet1")
    assert told["flat"][2] == "by eth-physnet1 into physical network physnet1"
    assert told["vlan"][0] == "by port 10 into physical network physnet1 with VLAN 100"
    assert told["vlan"][2].endswith(".100 into physical network physnet1 with VLAN 100")
    assert told["gre"][:2] == ("by port 21 into tunnel gre 77 to 192.0.2.3", "out of tunnel gre 77 from 192.0.2.1")
    assert told["vxlan"][0] == "by port 22 into tunnel vxlan 77 to 192.0.2.3"
    assert told["vxlan"][2] == "by vxlan-77 into tunnel vxlan 77 to 192.0.2.1"


def test_tables_are_told_with_the_flow_that_matched() -> None:
    found = World().trace(1, 2)
    tables = [step["table"] for step in found["hops"][0]["steps"]]
    assert tables == ["punt", "classify", "port_security", "arp_responder", "learn", "l2_lookup", "deliver"]
    security = found["hops"][0]["steps"][2]
    assert security["flow"].startswith("port_security 100 eth_src=fa:16:3e:00:00:01 eth_type=0x0800")
    assert security["why"] == f"port {World().ports[1].id}"
    assert security["cookie"].startswith("0x1571")
    flooded = World().trace(1)["hops"][0]["steps"][-1]
    assert flooded["table"] == "flood"
    assert "(all, 3 buckets): network" in flooded["groups"][0]


@pytest.mark.parametrize("source", [1, 4], ids=["switch", "host"])
@pytest.mark.parametrize(("wanted", "words"), [
    (Wanted(ip_src="10.9.9.9"), "it may not send as {mac} with IPv4 10.9.9.9; it may as {mac} with 10.0.0."),
    (Wanted(eth_src="fa:16:3e:99:99:99"), "it may not send as fa:16:3e:99:99:99 with IPv4"),
    (Wanted(protocol="arp", ip_src="10.9.9.9"), "it may not send as {mac} with ARP sender 10.9.9.9"),
    (Wanted(protocol="ethernet"), "it may not send as {mac} with EtherType 0x88b5"),
    (Wanted(protocol="udp", src_port=67), "DHCP"),
    (Wanted(vlan=7), "sends with the tag of VLAN 7; tagged frames of ports are dropped"),
    (Wanted(eth_dst="01:80:c2:00:00:03"), "frames to 01:80:c2:00:00:03 end at every"),
])  # fmt: skip
def test_what_a_port_may_not_send_ends_there_with_the_reason(source: int, wanted: Wanted, words: str) -> None:
    world = World()
    found = world.trace(source, 2, wanted)
    assert found["outcome"] == "lost"
    assert len(found["hops"]) == 1
    assert words.format(mac=world.ports[source].mac_address) in found["result"]
    assert f"port {world.ports[source].id}" in found["result"] or "01:80:c2" in words


@pytest.mark.parametrize("source", [1, 4], ids=["switch", "host"])
def test_without_port_security_anything_goes_and_pairs_are_allowed(source: int) -> None:
    world, foreign = World(), Wanted(ip_src="10.9.9.9")
    world.change(source, allowed_address_pairs=(AddressPair("10.9.0.0/16", world.ports[source].mac_address),))
    assert world.trace(source, 2, foreign)["outcome"] == "delivered"
    world.change(source, allowed_address_pairs=(), port_security_enabled=False)
    assert world.trace(source, 2, foreign)["outcome"] == "delivered"


def test_arp_is_answered_on_the_switch_or_heard_by_all() -> None:
    found = World().trace(1, 4, Wanted(protocol="arp"))
    assert found["outcome"] == "answered"
    assert found["result"].startswith("switch:0000000000000001 answers in place of the port that is asked for: ")
    assert found["result"].endswith("fa:16:3e:00:00:04 > fa:16:3e:00:00:01: arp 10.0.0.4 is at fa:16:3e:00:00:04")
    assert found["received"] == []
    world = World(arp_responder=False)
    assert world.trace(1, 4, Wanted(protocol="arp"))["received"] == world.ids(2, 3, 4, 5)


def test_a_destination_that_is_not_there_says_why() -> None:
    world = World()
    world.change(3, admin_state_up=False)
    assert "port 00000003" in (told := world.trace(1, 3)["result"])
    assert "is administratively down" in told
    assert "is on network" in world.trace(1, 6)["result"]
    world.change(2, binding=None, binding_refusal="no such host")
    assert world.trace(1, 2)["result"].endswith("is not bound: no such host")
    world.unplugged.add(world.ports[3].id)
    world.change(3, admin_state_up=True)
    assert "nothing is plugged in for port 00000003" in world.trace(1, 3)["result"]
    world.unplugged.add(world.ports[1].id)
    world.change(2, binding=make_port(world.network, 2, SW1).binding)
    assert "nothing is plugged in for port 00000001" in world.trace(4, 1)["result"]


def test_a_sender_that_cannot_send_says_why() -> None:
    for source in (1, 4):
        world = World()
        world.change(source, admin_state_up=False)
        assert f"port {world.ports[source].id} is administratively down" in world.trace(source, 2)["result"]
        down = World(admin_state_up=False).trace(source, 2)
        assert f"network {world.network.id} is administratively down" in down["result"]
    world.change(1, binding=None)
    found = world.trace(1, 2)
    assert found["result"].startswith(f"nothing is sent: port {world.ports[1].id} is not bound")
    assert found["hops"] == []
    assert found["outcome"] == "lost"


def test_a_sender_that_is_not_plugged_in() -> None:
    world = World()
    world.unplugged.add(world.ports[1].id)
    assert "nothing is plugged into the switch for port" in world.trace(1, 2)["result"]


def test_an_interface_that_is_down_is_told() -> None:
    class Down(World):
        def observe(self, node: Node, plugged: dict[str, Port]) -> Observation:
            seen = observe(node, plugged)
            attachments = {key: Attachment(key, each.device, each.ofport, link_up=False)
                           for key, each in seen.attachments.items()}  # fmt: skip
            return replace(seen, attachments=attachments)

    assert leaves(Down().trace(1, 2))[0].endswith("whose interface vif1 is down")


def test_an_interface_that_nobody_has_seen_is_told() -> None:
    world = World()
    world.unplugged.update((world.ports[4].id, world.ports[5].id))
    found = world.trace(4, 5)
    assert steps(found)[0].endswith("; the node has not said that such an interface is there")
    assert leaves(found)[0].endswith("; the node has not said that such an interface is there")


def test_segments_of_one_network_are_not_joined() -> None:
    world = World()
    world.network = make_network(1, KINDS[1], KINDS[3])
    binding = world.ports[3].binding
    assert binding is not None
    world.change(3, binding=replace(binding, segment_id=world.network.segments[1].id))
    assert "nothing joins the segments of a network" in world.trace(1, 3)["result"]


def test_a_tunnel_to_an_endpoint_that_nobody_has() -> None:
    """A node's address that another claims too."""
    world = World(KINDS[3])
    world.nodes = {SW1.id: SW1, SW2.id: SW2, HOST.id: replace(HOST, tunnel_types=frozenset())}
    found = world.trace(1, 4)
    assert leaves(found) == ["by port 22 into tunnel vxlan 77 to 192.0.2.3: no node is known at 192.0.2.3"]
    assert found["outcome"] == "lost"


def test_of_very_many_nodes_only_so_many_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MOST_NODES", 2)
    world = World()
    found = world.trace(1)
    assert len(world.looked) == 2
    assert found["not_followed"] == [SW2.id]
    assert "of 1 more nodes that it comes to nothing was looked at" in found["result"]
    assert world.trace(1, 3, Wanted(eth_dst="ff:ff:ff:ff:ff:ff"))["outcome"] == "delivered"
    monkeypatch.setattr(walk, "MOST_HOPS", 1)
    assert "given up after 1 steps" in world.trace(1)["result"]


def test_a_plan_that_cannot_be_had_is_where_it_ends() -> None:
    world = World()

    def refuse(node: Node, plugged: dict[str, Port]) -> Observation:
        raise Unseen(f"{node.id} has not connected")

    world.observe = refuse  # type: ignore[method-assign]
    found = world.trace(1, 2)
    assert found["hops"][0]["ended"] == f"{SW1.id} has not connected"
    assert found["hops"][0]["kind"] == "unknown"
    assert found["result"].endswith(f"ends at {SW1.id}: {SW1.id} has not connected")
