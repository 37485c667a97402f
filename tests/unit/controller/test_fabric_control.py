"""The fabric's thread: probes go out, links come in, switches follow; a port waits for transit switches."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping

from controller.fabric import FabricControl
from controller.model import (
    Attachment,
    Fabric,
    Network,
    Node,
    NodeKind,
    Observation,
    PortView,
    Segment,
    switch_node_id,
)
from controller.node_state import NodeState
from controller.status import Asked, Look
from tests.support.scenarios import State, intent_of, make_port, switch_node
from tests.unit.controller.world import eventually
from tests.unit.topology.cabling import end
from topology.discovery import Pace
from topology.events import EventLog
from topology.fabric import HANDOVER, Topology
from topology.links import End
from topology.memory import from_json

ONE, TWO, THREE = (switch_node_id(number) for number in (1, 2, 3))
CABLES = {end(1, 1): end(2, 1), end(2, 1): end(1, 1), end(2, 2): end(3, 1), end(3, 1): end(2, 2)}


class Bed:
    """A control whose probes come in at the other end of the cable."""

    def __init__(self, hold: float = 0.0) -> None:
        events = EventLog()
        topology = Topology(b"key", Pace(), {"physnet1": (0, 4094)}, events)
        self.control = FabricControl(
            topology, events, hold, lambda run: threading.Thread(target=run, daemon=True).start()
        )
        self.touched: list[set[str]] = []
        self.acknowledged: dict[str, int] = {}
        """Switches that are slow, with the tick that they have in force."""
        self.sent: list[End] = []

    def __enter__(self) -> Bed:
        self.control.start(self._send, self._touch, lambda node_id, tick: self.acknowledged.get(node_id, tick) >= tick)
        return self

    def __exit__(self, *_: object) -> None:
        self.control.stop()

    def tell(self, node_id: str, ports: Collection[int], tenants: Collection[int] = ()) -> None:
        self.control.ports_seen(node_id, {number: PortView(f"p{number}", True) for number in ports})
        attached = {f"port{number}": Attachment(f"port{number}", f"p{number}", number) for number in tenants}
        self.control.observed(Observation(node_id, attached))

    def _send(self, node_id: str, port: int, frame: bytes) -> bool:
        self.sent.append(End(node_id, port))
        other = CABLES.get(End(node_id, port))
        if other is not None:
            self.control.frame_seen(other.node_id, other.port, frame)
        return other is not None

    def _touch(self, nodes: Mapping[str, Collection[str] | None]) -> int:
        self.touched.append(set(nodes))
        return len(self.touched)


def line(bed: Bed) -> None:
    bed.tell(ONE, (1, 7), tenants=(7,))
    bed.tell(TWO, (1, 2))
    bed.tell(THREE, (1, 7), tenants=(7,))


def test_links_are_found_and_switches_asked() -> None:
    with Bed() as bed:
        line(bed)
        eventually(lambda: len(bed.control.links()) == 2)
        assert bed.control.members([ONE]) == {ONE, TWO, THREE}
        assert bed.control.path(ONE, THREE) == [ONE, TWO, THREE]
        assert set().union(*bed.touched) == {ONE, TWO, THREE}
        assert {(where.node_id, where.port) for where in bed.sent} == {(ONE, 1), (TWO, 1), (TWO, 2), (THREE, 1)}
        found = bed.control.cabling()
        assert found.links == CABLES
        assert not any(found.down.values())
        bed.control.ports_seen(TWO, {1: PortView("p1", False), 2: PortView("p2", True)})
        eventually(lambda: len(bed.control.links()) == 1)
        found = bed.control.cabling()
        assert found.links == {one: other for one, other in CABLES.items() if not {one, other} & {End(TWO, 1)}}
        assert found.down[TWO] == {1}
        assert bed.control.events()["totals"]["link-down"] == 1


def test_nothing_is_probed_before_it_is_known_what_is_plugged_in() -> None:
    with Bed() as bed:
        bed.control.ports_seen(ONE, {1: PortView("p1", True), 7: PortView("p7", True)})
        time.sleep(0.2)
        assert bed.sent == []
        assert bed.control.view(ONE) is None


def test_nobody_changes_while_a_known_switch_is_missing() -> None:
    with Bed(hold=3.0) as bed:
        bed.control.expect([ONE, TWO, THREE])
        bed.tell(ONE, (1, 7), tenants=(7,))
        bed.tell(TWO, (1, 2))
        time.sleep(1.3)
        assert bed.control.view(ONE) is None
        bed.tell(THREE, (1, 7), tenants=(7,))
        eventually(lambda: bed.control.view(ONE) is not None)
        assert bed.control.members([ONE]) == {ONE, TWO, THREE}
    with Bed(hold=1.5) as bed:
        bed.control.expect([ONE, TWO, THREE])
        bed.tell(ONE, (1, 7), tenants=(7,))
        eventually(lambda: bed.control.view(ONE) is not None)


def test_a_switch_keeps_its_program_until_links_had_time_to_be_found() -> None:
    with Bed(hold=1.5) as bed:
        line(bed)
        assert bed.control.view(TWO) is None
        eventually(lambda: bed.control.view(TWO) is not None)
        assert bed.control.view(TWO) != Fabric()


def test_a_port_is_not_active_before_the_switch_between_knows_it() -> None:
    network = Network("net", 1, (Segment("seg", "vlan", "physnet1", 100),))
    nodes: dict[str, Node] = {node.id: node for node in map(switch_node, (1, 2, 3))}
    port = make_port(network, 5, nodes[ONE])
    intent = intent_of(State({"net": network}, nodes, {port.id: port}))
    states = {node_id: NodeState(node_id, connected=True, asked=5, acknowledged=5) for node_id in nodes}
    states[ONE].observation = Observation(ONE, {port.id: Attachment(port.id, "v", 7)})
    states[TWO].acknowledged = 4
    assert nodes[TWO].kind is NodeKind.SWITCH
    asked = Asked({port.id: 5}, {port.id: 5})
    assert Look(intent, states.get, asked).status(port).status == "ACTIVE"
    linked = Look(intent, states.get, asked, lambda _nodes: {ONE, TWO, THREE}).status(port)
    assert (linked.status, linked.reason) == ("BUILD", "waiting for node sw2 to acknowledge")


def test_a_source_that_a_switch_shows_is_learned_by_the_next_turn() -> None:
    with Bed() as bed:
        bed.control.owner = lambda key, mac: ("red", None) if key == 7 else None
        bed.tell(ONE, [1, 5], tenants=[5])
        bed.tell(TWO, [1])
        eventually(lambda: TWO in bed.control.members([ONE]))
        for _ in range(3):
            bed.control.source_seen(ONE, 5, 7, "02:00:00:00:00:01")
            bed.control.source_seen(ONE, 5, 8, "02:00:00:00:00:02")
        eventually(lambda: {ONE, TWO} <= (bed.touched[-1] if bed.touched else set()))
        eventually(lambda: bool(bed.control.view(TWO) and bed.control.view(TWO).learned))  # type: ignore[union-attr]
        view = bed.control.view(TWO)
        assert view is not None
        assert view.learned == {"red": {"02:00:00:00:00:01": End(ONE, 5)}}


def test_a_new_link_waits_until_a_slow_switch_follows() -> None:
    """A ring is closed while one end has yet to accept what comes by the new link."""
    with Bed() as bed:
        closing = {end(1, 3): end(3, 3), end(3, 3): end(1, 3)}
        line(bed)
        eventually(lambda: all(bed.control.view(node_id) is not None for node_id in (ONE, TWO, THREE)))
        eventually(lambda: hops(bed, ONE, THREE) == (1,))
        bed.acknowledged[THREE] = -1
        CABLES.update(closing)
        try:
            bed.tell(ONE, (1, 3, 7), tenants=(7,))
            bed.tell(THREE, (1, 3, 7), tenants=(7,))
            eventually(lambda: 3 in seen(bed, ONE).links)
            time.sleep(2 * HANDOVER)
            assert hops(bed, ONE, THREE) == (1,)
            del bed.acknowledged[THREE]
            eventually(lambda: hops(bed, ONE, THREE)[0] == 3)
        finally:
            for each in closing:
                del CABLES[each]


def seen(bed: Bed, node_id: str) -> Fabric:
    view = bed.control.view(node_id)
    assert view is not None
    return view


def hops(bed: Bed, node_id: str, target: str) -> tuple[int, ...]:
    return seen(bed, node_id).next_hops.get(target, ())


def test_what_tenants_plug_in_is_not_probed_while_it_is_not_known_what_it_is() -> None:
    """OpenFlow tells of a new port before OVSDB tells whose it is."""
    with Bed() as bed:
        bed.tell(ONE, (1,))
        eventually(lambda: end(1, 1) in bed.sent)
        for number in (8, 9):
            bed.control.ports_seen(ONE, {each: PortView(f"p{each}", True) for each in (1, *range(8, number + 1))})
        time.sleep(0.3)
        bed.tell(ONE, (1, 8, 9), tenants=(9,))
        eventually(lambda: end(1, 8) in bed.sent)
        assert end(1, 9) not in bed.sent


def test_ports_of_a_switch_that_comes_back_are_not_what_they_were() -> None:
    """After a reboot the number of a cable may be a tenant's, and the other way round."""
    with Bed() as bed:
        line(bed)
        eventually(lambda: len(bed.control.links()) == 2)
        bed.control.switch_introduced(TWO, {number: PortView(f"p{number}", True) for number in (1, 2)})
        time.sleep(0.1)
        bed.sent.clear()
        time.sleep(0.2)
        assert not [where for where in bed.sent if where.node_id == TWO]
        assert len(bed.control.links()) == 2
        bed.control.observed(Observation(TWO, {"port1": Attachment("port1", "p1", 1)}))
        eventually(lambda: len(bed.control.links()) == 1)
        eventually(lambda: end(2, 2) in bed.sent)
        assert end(2, 1) not in bed.sent
        assert bed.control.members([TWO]) == {TWO, THREE}


class Kept:
    """A store that fails at first."""

    def __init__(self, content: object = None) -> None:
        self.content, self.failures = content, 1

    def load(self) -> object:
        return self.content

    def save(self, content: object) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("the database is away")
        self.content = content


def test_what_is_in_use_is_remembered_and_links_are_waited_for_after_a_restart() -> None:
    kept = Kept()
    with Bed() as bed:
        bed.control.recall(kept)
        line(bed)
        eventually(lambda: from_json(kept.content).links == bed.control._topology.discovery.links != set())
    with Bed(hold=30.0) as again:
        again.control.recall(kept)
        silent = CABLES.pop(end(2, 2))
        try:
            line(again)
            time.sleep(1.5)
            assert again.control.view(ONE) is None
        finally:
            CABLES[end(2, 2)] = silent
        eventually(lambda: again.control.view(ONE) is not None)
        assert again.control.members([ONE]) == {ONE, TWO, THREE}
