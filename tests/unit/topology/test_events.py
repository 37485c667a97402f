"""Every event is on record once; what strangers send cannot push the rest out."""

from __future__ import annotations

from tests.unit.topology.cabling import end, ring
from topology import lldp
from topology.events import ALIKE, Event, EventLog
from topology.links import Role


def test_what_turns_is_recorded_each_time_and_in_order() -> None:
    told: list[Event] = []
    log = EventLog(epoch=1000.0, tell=told.append)
    for number in range(5):
        log.add(number, "link-down", "a - b")
        log.add(number + 0.5, "link-up", "a - b")
    assert [event.kind for event in log.since()] == ["link-down", "link-up"] * 5
    assert log.since() == told
    assert [event.number for event in log.since(8)] == [9, 10]
    assert told[0].time == 1000.0


def test_what_is_alike_is_counted_while_it_comes() -> None:
    log = EventLog()
    for number in range(100):
        log.add(number, "forged", f"frame {number}", "port 1")
        log.add(number, "forged", f"frame {number}", "port 2")
    assert [(event.text, event.count) for event in log.since()] == [("frame 99", 100)] * 2
    log.add(100 + ALIKE, "forged", "later", "port 1")
    assert [event.text for event in log.since(2)] == ["later"]
    assert log.totals["forged"] == 201


def test_the_oldest_go_first() -> None:
    log = EventLog(size=10)
    for number in range(100):
        log.add(0.0, "neighbour", str(number))
    assert [event.text for event in log.since()] == [str(number) for number in range(90, 100)]


def test_a_stranger_with_ever_new_names_gets_one_line_per_port() -> None:
    bed = ring(3)
    for port in range(10, 40):
        bed.port(end(1, port), Role.TENANT)
    bed.connect()
    bed.run(1)
    before = len(bed.events.since())
    for number in range(600):
        body = bytes.fromhex("02070402000000000704050565746831060200780a08") + f"x{number:07d}".encode() + bytes(2)
        frame = lldp.DESTINATION + bytes(6) + b"\x88\xcc" + body
        bed.topology.frame(end(1, 10 + number % 30), frame, bed.now)
        bed.now += 0.002
    assert bed.events.totals["foreign"] == 600
    assert len(bed.events.since()) - before == 30


def test_every_flap_of_a_cable_is_on_record_until_it_is_damped() -> None:
    bed = ring(4)
    bed.connect()
    bed.run(1)
    for _ in range(8):
        bed.topology.port(end(1, 1), False, bed.now)
        bed.run(0.5)
        bed.topology.port(end(1, 1), True, bed.now)
        bed.run(0.5)
    kinds = [event.kind for event in bed.events.since() if str(end(1, 1)) in event.text]
    assert kinds[-2:] == ["damped", "link-down"]
    assert len(kinds) > 8
    assert [kind for kind in kinds if kind != "damped"] == ["link-up", "link-down"] * (len(kinds) // 2)
    bed.run(60)
    assert [event.kind for event in bed.events.since() if str(end(1, 1)) in event.text][-2:] == ["calm", "link-up"]
