"""Addresses that nobody manages: found in the cloud, behind hosts and open ports; nobody else hears frames to them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.dataplane.packet import Packet, Vlan, ethernet, udp
from controller.dataplane.values import Fragment, Program
from controller.intent import Change
from controller.model import AddressPair, Port
from controller.plugin.binding import PORT_KEYS
from mechanisms.openflow.registers import PLACES
from tests.sim.cabled import HOST_PORTS, PHYSNET, UPLINK_PORT, Cabled
from tests.sim.test_fabric import check
from tests.sim.test_traffic import datagram
from tests.support.scenarios import make_network
from tests.unit.topology.cabling import end
from topology.learning import MUTED
from topology.links import End

STRANGER, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02"
SQUARE = [(1, 2), (2, 3), (3, 4), (4, 1)]


def on(world: Cabled, number: int, network: int = 0) -> Port:
    """The port of a network on a switch."""
    return next(port for port in world.state.ports.values() if port.network_id == world.networks[network].id
                and port.binding and port.binding.node_id == end(number, 1).node_id)  # fmt: skip


def to(mac: str, sender: Port) -> Packet:
    """A frame to an address of nobody's."""
    return udp(sender.mac_address, mac, sender.fixed_ips[0], "10.0.0.250")


def said_by(mac: str, port: Port, network: int = 0) -> Packet:
    """A frame of a stranger to a port, as the cloud carries it on the network with that number."""
    packet = udp(mac, port.mac_address, "10.0.0.250", port.fixed_ips[0])
    return replace(packet, vlans=(Vlan(100),)) if network == 0 else packet


def lookups(world: Cabled, number: int, mac: str) -> int:
    """How many flows a switch has for a learned address."""
    plan = world.plan(world.state.nodes[end(number, 1).node_id])
    assert isinstance(plan, Program)
    value = int(mac.replace(":", ""), 16)
    learned = [fragment for key, fragment in plan.fragments.items() if isinstance(key, tuple) and key[0] == "learned"]
    return sum(any(field.value == value for field in flow.match) for part in learned for flow in part.flows)


def test_without_unmanaged_segments_unknown_addresses_are_heard_by_nobody() -> None:
    world = Cabled([1, 2, 3, 4], SQUARE, cabled_hosts={30: 1, 31: 3})
    for number in (1, 2):
        assert world.send(on(world, number), to(STRANGER, on(world, number))) == []
        assert not world.crossed
    check(world)


@pytest.mark.parametrize("network", [0, 1], ids=["vlan", "flat"])
def test_unknown_addresses_are_looked_for_in_the_cloud_only(network: int) -> None:
    world = Cabled([1, 2, 3, 4], SQUARE, uplinks=(1, 3), hosts=(20,))
    entrance = next(iter(world.bed.topology.trees[PHYSNET].uplinks))
    for number in (1, 2, 3, 4):
        port = on(world, number, network)
        heard = world.send(port, to(STRANGER, port))
        assert all(world.state.ports[each].binding.node_id == "host:lb20" for each in heard)  # type: ignore[union-attr]
        assert world.crossed[entrance] == 1
        assert sum(world.crossed.values()) <= 3


@pytest.mark.parametrize("network", [0, 1], ids=["vlan", "flat"])
def test_a_stranger_behind_a_host_is_learned_and_found_by_all(network: int) -> None:
    """The host's own address, which is no port of ours: nothing is flooded before or after."""
    world = Cabled([1, 2, 3, 4], SQUARE, uplinks=(1,), hosts=(20,), cabled_hosts={30: 3})
    socket, entrance = end(3, HOST_PORTS + 30), end(1, UPLINK_PORT)
    target = on(world, 2, network)
    packet = said_by(STRANGER, target, network)
    world.inject(socket, packet)
    assert [item[0] for item in world.shown] == [socket]
    changed = world.learn()
    assert changed == {end(number, 1).node_id for number in (1, 2, 3, 4)}
    for number in (1, 2, 3, 4):
        world.send(on(world, number, network), to(STRANGER, on(world, number, network)))
        assert world.crossed[socket] == 1
        assert world.crossed[entrance] == 0
        assert lookups(world, number, STRANGER) == 1
    world.inject(socket, packet)
    assert world.shown == []
    check(world)


def test_a_learned_address_is_one_flow_per_switch() -> None:
    world = Cabled([1, 2, 3, 4], SQUARE, uplinks=(1,), hosts=(20,))
    teach(world, end(1, UPLINK_PORT), OTHER)
    before = {number: flows(world, number) for number in (1, 2, 3, 4)}
    teach(world, end(1, UPLINK_PORT), STRANGER)
    for number in (1, 2, 3, 4):
        assert len(flows(world, number) - before[number]) == (2 if number == 1 else 1)
        assert before[number] <= flows(world, number)


def test_one_more_address_among_many_makes_few_flows_anew() -> None:
    """What is learned is worked out once for all switches, and only the part of it that changed."""
    world = Cabled([1, 2, 3, 4], SQUARE, uplinks=(1,), hosts=(20,))
    for number in range(150):
        world.inject(end(1, UPLINK_PORT), said_by(f"02:00:00:00:01:{number:02x}", on(world, 2)))
    world.learn()
    before = {number: learned_fragments(world, number) for number in (1, 2, 3, 4)}
    assert sum(len(each.flows) for each in before[2].values()) == 150
    teach(world, end(1, UPLINK_PORT), STRANGER)
    after = {number: learned_fragments(world, number) for number in (1, 2, 3, 4)}
    new = {number: [each for key, each in after[number].items() if before[number].get(key) is not each]
           for number in after}  # fmt: skip
    assert {number: len(found) for number, found in new.items()} == {1: 2, 2: 1, 3: 1, 4: 1}
    assert new[2][0] is new[3][0] is new[4][0]
    assert all(len(each.flows) < 20 for found in new.values() for each in found)


def learned_fragments(world: Cabled, number: int) -> dict[object, Fragment]:
    """The fragments of a switch with what is learned, or known at its ports."""
    plan = world.plan(world.state.nodes[end(number, 1).node_id])
    assert isinstance(plan, Program)
    return {
        key: each for key, each in plan.fragments.items() if isinstance(key, tuple) and key[0] in ("learned", "known")
    }


def flows(world: Cabled, number: int) -> set[object]:
    plan = world.plan(world.state.nodes[end(number, 1).node_id])
    assert isinstance(plan, Program)
    return set(plan.flows())


def teach(world: Cabled, where: End, mac: str) -> None:
    world.inject(where, said_by(mac, on(world, 2)))
    world.learn()


def test_who_falls_silent_is_forgotten_and_who_speaks_is_not() -> None:
    world = Cabled([1, 2], [(1, 2)], uplinks=(1,), hosts=(20,))
    where = end(1, UPLINK_PORT)
    teach(world, where, STRANGER)
    teach(world, where, OTHER)
    age = world.bed.topology.learning._limits.age
    for _ in range(4):
        world.bed.now += age / 2
        world.learn(1.2)
        world.inject(where, said_by(OTHER, on(world, 2)))
        assert world.shown
        world.learn()
    assert (lookups(world, 2, OTHER), lookups(world, 2, STRANGER)) == (1, 0)


def test_who_moves_is_found_at_the_new_place() -> None:
    world = Cabled([1, 2, 3, 4], SQUARE, cabled_hosts={30: 1, 31: 3})
    one, other = end(1, HOST_PORTS + 30), end(3, HOST_PORTS + 31)
    for socket in (one, other, one):
        teach(world, socket, STRANGER)
        world.send(on(world, 2), to(STRANGER, on(world, 2)))
        assert (world.crossed[one], world.crossed[other]) == ((1, 0) if socket == one else (0, 1))
    assert world.bed.topology.discovery.events.totals["address-moved"] == 2


def test_nobody_takes_the_address_of_a_port_of_ours() -> None:
    """Neither from the cloud nor from a host's cable: frames to it still go to the port; it is on record."""
    world = Cabled([1, 2, 3, 4], SQUARE, uplinks=(1,), hosts=(20,), cabled_hosts={30: 3})
    victim = on(world, 2)
    for where in (end(1, UPLINK_PORT), end(3, HOST_PORTS + 30)):
        world.inject(where, said_by(victim.mac_address, on(world, 4)))
        world.learn()
        for number in (1, 3, 4):
            assert world.send(on(world, number), datagram(on(world, number), victim)) == [victim.id]
        world.inject(where, said_by(victim.mac_address, on(world, 4)))
        assert world.shown == []
    assert world.bed.topology.discovery.events.totals["impostor"] == 2
    check(world)


def test_what_was_learned_goes_with_the_cable_and_the_uplink() -> None:
    world = Cabled([1, 2, 3, 4], SQUARE, uplinks=(1, 4), hosts=(20,), cabled_hosts={30: 3})
    socket = end(3, HOST_PORTS + 30)
    entrance = next(iter(world.bed.topology.trees[PHYSNET].uplinks - {socket}))
    teach(world, socket, STRANGER)
    teach(world, entrance, OTHER)
    assert (lookups(world, 2, STRANGER), lookups(world, 2, OTHER)) == (1, 1)
    for where in (socket, entrance):
        world.install(world.fail(where) | world.bed.run(1.0))
    assert (lookups(world, 2, STRANGER), lookups(world, 2, OTHER)) == (0, 0)
    world.send(on(world, 2), to(OTHER, on(world, 2)))
    assert sum(count for where, count in world.crossed.items() if where.port == UPLINK_PORT) == 1
    check(world)


def test_too_many_addresses_are_not_asked_for_any_more() -> None:
    """A flood of sources at one port costs that port its learning for a while, and nobody else."""
    world = Cabled([1, 2], [(1, 2)], uplinks=(1,), hosts=(20,), cabled_hosts={30: 2})
    where, socket = end(1, UPLINK_PORT), end(2, HOST_PORTS + 30)
    for number in range(300):
        world.inject(where, said_by(f"02:00:00:01:{number >> 8:02x}:{number & 255:02x}", on(world, 2)))
    world.learn()
    world.inject(where, said_by(STRANGER, on(world, 2)))
    assert world.shown == []
    assert len(world.bed.topology.view(where.node_id).learned[world.networks[0].id]) == 200
    teach(world, socket, OTHER)
    assert lookups(world, 1, OTHER) == 1
    world.learn(MUTED + 1.0)
    teach(world, where, STRANGER)
    assert lookups(world, 2, STRANGER) == 1
    assert world.bed.topology.discovery.events.totals["too-many-addresses"] == 1


def test_an_open_port_may_have_others_behind_it() -> None:
    """Without port security any address may be behind the port: it is looked for there, then learned."""
    world = Cabled([1, 2, 3, 4], SQUARE)
    router = replace(on(world, 3), port_security_enabled=False)
    world.intent.apply(Change.of(2, ports={router.id: router}))
    world.state = replace(world.state, ports={**world.state.ports, router.id: router})
    world.install()
    sender = on(world, 1)
    assert world.send(sender, to(STRANGER, sender)) == [router.id]
    assert world.send(on(world, 1, 1), to(STRANGER, on(world, 1, 1))) == []
    where = End(end(3, 1).node_id, world._tenants(world.state.nodes[end(3, 1).node_id])[router.id])
    world.inject(where, udp(STRANGER, sender.mac_address, "10.0.0.250", sender.fixed_ips[0]))
    world.learn()
    assert world.send(sender, to(STRANGER, sender)) == [router.id]
    assert lookups(world, 1, STRANGER) == 1
    check(world)


def test_an_address_that_several_may_use_is_heard_by_all_of_the_network() -> None:
    world = Cabled([1, 2, 3, 4], SQUARE)
    shared = AddressPair("10.0.0.99", "00:00:5e:00:01:01")
    pair = [replace(on(world, number), allowed_address_pairs=(shared,)) for number in (2, 3)]
    world.intent.apply(Change.of(2, ports={port.id: port for port in pair}))
    world.install()
    others = sorted(on(world, number).id for number in (2, 3, 4))
    assert world.send(on(world, 1), to("00:00:5e:00:01:01", on(world, 1))) == others


def test_a_declared_network_without_ports_joins_two_hosts() -> None:
    """The IP network of tunnel endpoints, say: hosts of ours carry it themselves, links carry it between them."""
    underlay = make_network(3, ("vlan", PHYSNET, 150))
    world = Cabled([1, 2, 3], [(1, 2), (2, 3)], cabled_hosts={30: 1, 31: 3})
    world.intent.apply(Change.of(2, networks={underlay.id: underlay}))
    world.state = replace(world.state, networks={**world.state.networks, underlay.id: underlay})
    world.install()
    one, other = end(1, HOST_PORTS + 30), end(3, HOST_PORTS + 31)

    def sent(source: str, target: str) -> Packet:
        return replace(ethernet(source, target), vlans=(Vlan(150),))

    world.inject(one, sent(STRANGER, "ff:ff:ff:ff:ff:ff"))
    assert world.crossed[other] == 1
    world.learn()
    world.inject(other, sent(OTHER, STRANGER))
    assert world.crossed[one] == 1
    world.learn()
    world.inject(one, sent(STRANGER, OTHER))
    assert world.crossed[other] == 1


def test_places_cannot_be_taken_for_ports() -> None:
    """Port keys of the API end where those of places begin."""
    assert PORT_KEYS.last < PLACES
