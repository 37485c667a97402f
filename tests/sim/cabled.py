"""Switches that are cabled to each other, in memory: the real discovery finds the links, the real mechanism compiles,
interpreters forward. One legacy cloud per physical network joins all uplinks and legacy hosts; it learns nothing, so
that everything is heard everywhere and a copy too many is seen."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from controller.dataplane import fields
from controller.dataplane.fields import CONTROLLER
from controller.dataplane.interpreter import Switch
from controller.dataplane.packet import Packet
from controller.dataplane.values import Program
from controller.declared import elected
from controller.intent import Intent
from controller.model import Attachment, Network, Node, NodeKind, Observation, Port, PortView
from legacy_agent.announce import announcement
from legacy_agent.host_plan import HostPlan
from mechanisms.manager import MechanismManager
from mechanisms.openflow.registers import METADATA
from tests.sim.fabric import Delivery, HostMachine
from tests.support.scenarios import State, host_node, intent_of, make_network, make_port, switch_node
from tests.unit.topology.cabling import Cabling, end
from topology.links import End, PortState, Role

TENANT_PORTS, HOST_PORTS, UPLINK_PORT, SPARE_PORT, PHYSNET = 100, 1000, 50, 51, "physnet1"
MOST_STEPS = 500


class Loop(AssertionError):
    """A packet goes in circles."""


@dataclass
class Cabled:
    """``switches`` numbered switches with cables (number, number); ``uplinks`` are those with a port into the cloud,
    ``hosts`` the numbers of legacy hosts there. Every network has a port on every node."""

    switches: Iterable[int]
    cables: Iterable[tuple[int, int]]
    networks: tuple[Network, ...] = (
        make_network(1, ("vlan", PHYSNET, 100)), make_network(2, ("flat", PHYSNET, None)),
    )  # fmt: skip
    uplinks: Iterable[int] = ()
    spares: Iterable[int] = ()
    """Of these switches, those with a second port into the cloud."""
    hosts: Iterable[int] = ()
    cabled_hosts: Mapping[int, int] = field(default_factory=dict)
    """Host number -> number of the switch that it is cabled to, instead of to the cloud."""
    state: State = field(init=False)
    crossed: Counter[End] = field(init=False, default_factory=Counter)
    shown: list[tuple[End, int, int]] = field(init=False, default_factory=list)
    """Frames that switches showed to the controller since the last :meth:`learn`: port, network key, source."""

    def __post_init__(self) -> None:
        self.uplinks = frozenset(self.uplinks)
        self.entrances = sorted([end(number, UPLINK_PORT) for number in self.uplinks]
                                + [end(number, SPARE_PORT) for number in self.spares])  # fmt: skip
        numbers = [*self.hosts, *self.cabled_hosts]
        nodes = [switch_node(number) for number in self.switches] + [host_node(number) for number in numbers]
        ports = [make_port(network, 256 * network.key + node.key, node) for network in self.networks for node in nodes]
        self.state = State(*({item.id: item for item in items} for items in (self.networks, nodes, ports)))  # type: ignore[arg-type]
        self.bed = Cabling((PHYSNET,))
        used: Counter[int] = Counter()
        for one, other in self.cables:
            used[one] += 1
            used[other] += 1
            self.bed.cable(end(one, used[one]), end(other, used[other]))
        for node in nodes:
            if node.kind is NodeKind.SWITCH:
                self._wire(node)
        self.manager = MechanismManager.load(["openflow", "linuxbridge"])
        self.intent: Intent = intent_of(self.state)
        self.cut: set[End] = set()
        self.running: dict[str, Switch] = {}
        self.legacy: dict[str, HostMachine] = {}
        self.bed.connect()
        self._announce()
        self.bed.run(0.6)
        while self.bed.topology.awaited:  # new links come into use in waves
            self.bed.run(0.1)
        self.install()

    def _announce(self) -> None:
        """The agents of cabled hosts say by LLDP who and where they are."""
        for number in self.cabled_hosts:
            node = host_node(number)
            self.bed.topology.host(node.id, node.host, node.physical_networks, b"key", self.bed.now)
            interface = node.physical_networks[PHYSNET]
            said = announcement(node.host, interface, bytes(6), 1, b"key")
            self.bed.topology.frame(self._socket(number), said, self.bed.now)

    def _socket(self, number: int) -> End:
        """The switch port that a host is cabled to."""
        return end(self.cabled_hosts[number], HOST_PORTS + number)

    def _wire(self, node: Node) -> None:
        for number, switch in self.cabled_hosts.items():
            if switch == node.key:
                self.bed.port(self._socket(number), Role.FREE)
        for ofport in self._tenants(node).values():
            self.bed.port(End(node.id, ofport), Role.TENANT)
        if node.key in frozenset(self.uplinks):
            self.bed.port(End(node.id, UPLINK_PORT), Role.UPLINK, PHYSNET)
        if End(node.id, SPARE_PORT) in self.entrances:
            self.bed.port(End(node.id, SPARE_PORT), Role.UPLINK)

    def _tenants(self, node: Node) -> dict[str, int]:
        mine = [port.id for port in self.state.ports.values() if port.binding and port.binding.node_id == node.id]
        return {port_id: TENANT_PORTS + place for place, port_id in enumerate(sorted(mine))}

    def observation(self, node: Node) -> Observation:
        """What is plugged into a node."""
        if node.kind is NodeKind.HOST:
            return Observation(node.id)
        attached = {
            port_id: Attachment(port_id, f"vif{ofport}", ofport) for port_id, ofport in self._tenants(node).items()
        }
        uplinks = self.bed.uplinks.get(node.id, {})
        spare = {each.port for each in self.entrances if each.node_id == node.id} - set(uplinks.values())
        view = self.bed.topology.view(node.id)
        return Observation(node.id, attached, uplinks, fabric=view, standby_uplinks=frozenset(spare))

    def elect(self, node_id: str) -> set[str]:
        """The switch tells which of its ports into the cloud are up: the controller uses one. Returns the switches
        whose view changed."""
        mine = [each.port for each in self.entrances if each.node_id == node_id]
        views = {port: PortView("", End(node_id, port) not in self.cut) for port in mine}
        before = self.bed.uplinks.get(node_id, {})
        self.bed.uplinks[node_id], _ = elected({PHYSNET: mine} if mine else {}, views, before)
        ports, uplinks = self.bed.ports[node_id], self.bed.uplinks[node_id]
        return self.bed.topology.switch(node_id, ports, uplinks, self.bed.now)

    def plan(self, node: Node) -> Program | HostPlan:
        """What a node must look like now."""
        return self.manager.compile(self.intent, node, self.observation(node))

    def install(self, only: Iterable[str] | None = None) -> None:
        """Give nodes their plans (None: all)."""
        for node in self.state.nodes.values():
            if only is not None and node.id not in only:
                continue
            plan = self.plan(node)
            if isinstance(plan, HostPlan):
                self.legacy[node.id] = HostMachine(node, plan)
            else:
                self.running[node.id] = Switch(plan, self.bed.ports.get(node.id, {}))
                for ofport in self.bed.ports.get(node.id, {}):
                    self.running[node.id].set_live(ofport, End(node.id, ofport) not in self.cut)

    def fail(self, one: End) -> set[str]:
        """Pull a cable: both switches see their ports go down. Returns the switches whose view changed; their programs
        are still the old ones."""
        changed: set[str] = set()
        for each in (one, self.bed.cables[one]) if one in self.bed.cables else (one,):
            self.cut.add(each)
            self.running[each.node_id].set_live(each.port, False)
            changed |= self.bed.topology.port(each, False, self.bed.now)
            state = self.bed.ports[each.node_id][each.port]
            self.bed.ports[each.node_id][each.port] = replace(state, up=False)
        return changed

    def mend(self, one: End) -> set[str]:
        """Put the cable back and wait until the fabric has seen it."""
        changed: set[str] = set()
        for each in (one, self.bed.cables[one]) if one in self.bed.cables else (one,):
            self.cut.discard(each)
            self.running[each.node_id].set_live(each.port, True)
            self.bed.ports[each.node_id][each.port] = PortState(True, self.bed.ports[each.node_id][each.port].role)
            changed |= self.bed.topology.port(each, True, self.bed.now)
        return changed | self.bed.run(1.0)

    def send(self, port: Port, packet: Packet) -> list[str]:
        """Ids of the ports that the packet reaches unaltered, once per copy; counts what crosses each link."""
        assert port.binding is not None
        self.crossed.clear()
        node = self.state.nodes[port.binding.node_id]
        arrived: list[Delivery] = []
        waiting: deque[tuple[End | None, Packet]] = deque()
        if node.kind is NodeKind.HOST:
            for sent in self.legacy[node.id].from_port(port.id, packet):
                self._sort(sent, arrived, waiting)
            wires = list(waiting)
            if node.key in self.cabled_hosts:
                waiting = deque((self._socket(node.key), wire[1]) for wire in wires)
            else:
                waiting = deque(item for wire in wires for item in self._from_cloud(wire[1], node, arrived))
        else:
            waiting.append((End(node.id, self._tenants(node)[port.id]), packet))
        return self._settle(waiting, arrived, packet)

    def _settle(
        self, waiting: deque[tuple[End | None, Packet]], arrived: list[Delivery], packet: Packet | None
    ) -> list[str]:
        for _ in range(MOST_STEPS):
            if not waiting:
                assert all(packet in (None, item.packet) for item in arrived), "a packet arrived changed"
                return sorted(item.port_id for item in arrived)
            at, current = waiting.popleft()
            assert at is not None
            waiting.extend(self._step(at, current, arrived))
        raise Loop("the packet never comes to rest: there is a loop")

    def _sort(self, sent: object, arrived: list[Delivery], waiting: deque[tuple[End | None, Packet]]) -> None:
        if isinstance(sent, Delivery):
            arrived.append(sent)
        else:
            waiting.append((None, sent.packet))  # type: ignore[attr-defined]

    def _step(self, at: End, packet: Packet, arrived: list[Delivery]) -> Iterator[tuple[End | None, Packet]]:
        node = self.state.nodes[at.node_id]
        tenants = {ofport: port_id for port_id, ofport in self._tenants(node).items()}
        for emission in self.running[at.node_id].inject(packet, at.port):
            if emission.port == CONTROLLER:
                key = METADATA["network"].read(emission.metadata)
                self.shown.append((at, key, emission.packet["eth_src"]))
                continue
            where = End(at.node_id, emission.port)
            leaving = emission.packet.without_tunnel()
            if emission.port in tenants:
                arrived.append(Delivery(tenants[emission.port], leaving))
            elif where in self.entrances:
                self.crossed[where] += 1
                yield from self._from_cloud(leaving, where, arrived)
            elif emission.port >= HOST_PORTS:
                self.crossed[where] += 1
                machine = self.legacy[host_node(emission.port - HOST_PORTS).id]
                arrived += [item for item in machine.from_physical(PHYSNET, leaving) if isinstance(item, Delivery)]
            else:
                self.crossed[where] += 1
                yield self.bed.cables[where], leaving

    def _from_cloud(
        self, packet: Packet, sender: End | Node, arrived: list[Delivery]
    ) -> Iterator[tuple[End | None, Packet]]:
        for entrance in self.entrances:
            if entrance not in (sender, *self.cut):
                yield entrance, packet
        for node_id, machine in self.legacy.items():
            if self.state.nodes[node_id] is not sender and self.state.nodes[node_id].key not in self.cabled_hosts:
                arrived += [item for item in machine.from_physical(PHYSNET, packet) if isinstance(item, Delivery)]

    def learn(self, seconds: float = 0.1) -> set[str]:
        """Tell the controller what was shown, let time pass, and install what follows from it."""
        ids = {network.key: network.id for network in self.state.networks.values()}
        for at, key, source in self.shown:
            mac = fields.mac_text(source)
            owners = [port.binding.node_id for port in self.state.ports.values()
                      if port.network_id == ids[key] and port.mac_address == mac and port.binding]  # fmt: skip
            self.bed.topology.source(at, ids[key], mac, next(iter(owners), None), self.bed.now)
        self.shown.clear()
        changed = self.bed.run(seconds)
        self.install(changed)
        return changed

    def inject(self, where: End, packet: Packet) -> list[str]:
        """Ids of the ports that a packet reaches, as they get it or not, which comes in by that port of a switch."""
        arrived: list[Delivery] = []
        self.crossed.clear()
        return self._settle(deque([(where, packet)]), arrived, None)

    def parts(self) -> list[set[int]]:
        """Node keys that are joined by cables or the cloud, as the world is now."""
        joined: dict[int, set[int]] = {node.key: {node.key} for node in self.state.nodes.values()}
        edges = [(one, other) for one, other in self.bed.cables.items() if not {one, other} & self.cut]
        switches = {node.id: node.key for node in self.state.nodes.values()}
        cloud = [switches[each.node_id] for each in self.entrances if each not in self.cut] + list(self.hosts)
        numbers = {node.id: node.key for node in self.state.nodes.values()}
        edges = [pair for pair in edges if pair[0].node_id in numbers]
        pairs = [(numbers[one.node_id], numbers[other.node_id]) for one, other in edges]
        pairs += [(number, switch) for number, switch in self.cabled_hosts.items()
                  if self._socket(number) not in self.cut]  # fmt: skip
        for one, other in [*pairs, *itertools.pairwise(cloud)]:
            both = joined[one] | joined[other]
            for number in both:
                joined[number] = both
        return [set(part) for part in {frozenset(part) for part in joined.values()}]

    def links(self) -> list[End]:
        """One end of each cable."""
        return sorted(one for one, other in self.bed.cables.items() if one < other)


def peers(world: Cabled, parts: list[set[int]], port: Port) -> Mapping[str, Port]:
    """The ports that this one shall reach."""
    keys = {node.id: node.key for node in world.state.nodes.values()}
    assert port.binding is not None
    mine = next(part for part in parts if keys[port.binding.node_id] in part)
    return {other.id: other for other in world.state.ports.values()
            if other.network_id == port.network_id and other.id != port.id
            and other.binding is not None and keys[other.binding.node_id] in mine}  # fmt: skip
