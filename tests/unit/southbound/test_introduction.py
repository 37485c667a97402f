"""What a switch is asked at first, the version that is spoken, and echo requests to many."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

import pytest

from bench.sim_switch import Make, SimSwitch
from controller.errors import SwitchError
from controller.southbound import wire
from controller.southbound.echoes import UNANSWERED, Echoes
from controller.southbound.introduction import (
    DESCRIPTION,
    METERS,
    OPENED,
    STAMPS,
    Introducing,
    Introduction,
    agreed_version,
    questions,
)
from tests.unit.southbound.test_exchange import messages

Answer = Callable[[bytes], Iterable[bytes]]
OURS = frozenset({4, 5})


def asked(version: int, answer: Answer) -> Introducing:
    """What was collected of the answers to all questions."""
    introducing = Introducing()
    for message in messages(questions(version)):
        for said in answer(message):
            introducing.take(int.from_bytes(said[4:8], "big"), said)
    return introducing


def introduced(switch: SimSwitch) -> Introduction:
    """What a simulated switch says of itself."""
    return asked(switch.make.version, switch.receive).result()


def refusal(message: bytes) -> bytes:
    """An error about it."""
    return struct.pack("!BBHI", message[0], wire.ERROR, 12 + len(message), int.from_bytes(message[4:8], "big")) + (
        struct.pack("!HH", 1, 1) + message
    )


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("bundles", [True, False])
def test_a_switch_is_introduced_in_one_go(version: int, bundles: bool) -> None:
    said = introduced(SimSwitch(5, Make(version, tables=9, bundles=bundles)))
    assert (said.bundles, said.description.hardware, said.stamps) == (bundles, "Open vSwitch", [])


def test_a_switch_may_refuse_every_question() -> None:
    introducing = asked(4, lambda message: [refusal(message)])
    assert introducing.complete
    assert introducing.result() == (wire.Description(), False, None, 0)


@pytest.mark.parametrize("version", [4, 5])
def test_meters_count_if_they_can_drop_by_packets(version: int) -> None:
    assert introduced(SimSwitch(5, Make(version, meters=300))).meters == 300
    assert introduced(SimSwitch(5, Make(version, meters=0))).meters == 0
    limited = struct.pack("!BBHIHH4xIIIBB2x", version, 19, 32, METERS, 11, 0, 300, 2, 1, 8, 0)  # by kilobits only
    assert wire.highest_meter(limited) == 0
    assert wire.highest_meter(limited[:20]) == 0


def test_a_switch_that_says_nothing_of_meters_has_none() -> None:
    switch, told = SimSwitch(5, Make(4)), list[Introduction]()
    introducing = Introducing()
    introducing.when_complete(told.append)
    late = []
    for message in messages(questions(4)):
        for said in switch.receive(message):
            if said[4:8] == METERS.to_bytes(4, "big"):
                late.append(said)
            else:
                introducing.take(int.from_bytes(said[4:8], "big"), said)
    assert [said.meters for said in told] == [0]
    assert introducing.take(METERS, late[0])
    assert len(told) == 1


def test_whoever_waits_is_told_once_all_is_said() -> None:
    switch, told = SimSwitch(5, Make(4)), list[Introduction]()
    introducing = Introducing()
    introducing.when_complete(told.append)
    for message in messages(questions(4)):
        assert not told or message[1] == wire.MULTIPART_REQUEST  # the ports are asked for last
        for said in switch.receive(message):
            introducing.take(int.from_bytes(said[4:8], "big"), said)
    assert told == [introducing.result()]
    introducing.when_complete(told.append)
    assert len(told) == 2


def test_a_question_left_open_leaves_it_incomplete() -> None:
    switch, told = SimSwitch(5, Make(4)), list[Introduction]()
    introducing = asked(
        4, lambda message: () if message[4:8] == STAMPS.to_bytes(4, "big") else switch.receive(message)
    )
    introducing.when_complete(told.append)
    assert not introducing.complete
    assert not told


@pytest.mark.parametrize(
    ("xid", "message"),
    [
        (DESCRIPTION, b"\4\x13\0\x10\0\0\0\2\xff\xff\0\0\0\0\0\0"),  # another multipart reply
        (OPENED, b"\4\x63\0\x08\0\0\0\3"),  # no kind of message
        (OPENED, b"\4\x13\0\x10\0\0\0\3\0\0\0\0\0\0\0\0"),
        (99, b"\4\x01\0\x0c\0\0\0\x63\0\1\0\1"),
    ],
)
def test_what_answers_no_question_is_not_taken(xid: int, message: bytes) -> None:
    assert not Introducing().take(xid, message)


def test_what_cannot_be_read_is_an_error() -> None:
    def torn(message: bytes) -> list[bytes]:
        if message[4:8] != STAMPS.to_bytes(4, "big"):
            return [refusal(message)]
        return [struct.pack("!BBHIHH4x", 4, 19, 20, STAMPS, wire.MP_FLOW, 0) + b"\xff" * 4]

    with pytest.raises(SwitchError, match="ends within an entry"):
        asked(4, torn).result()


def bitmap(*versions: int) -> bytes:
    """The element of a greeting."""
    return struct.pack("!HHI", 1, 8, sum(1 << version for version in versions))


@pytest.mark.parametrize(
    ("version", "elements", "agreed"),
    [
        (4, b"", 4), (5, b"", 5), (6, b"", 5), (1, b"", None), (2, b"", None), (3, b"", None),
        (6, bitmap(1, 4, 5, 6), 5), (5, bitmap(4), 4), (4, bitmap(1, 4), 4), (6, bitmap(6), None),
        (1, bitmap(1), None), (5, bitmap(1, 2, 3), None), (5, b"\0\7\0\6xx\0\0" + bitmap(4), 4),
        (5, b"\0\1\0\2", 5), (5, b"\0\1", 5), (5, b"\0\1\0\4", 5),
        (6, struct.pack("!HHII", 1, 12, 1 << 4, 1 << 5), 4),
    ],
)  # fmt: skip
def test_the_version_that_is_spoken(version: int, elements: bytes, agreed: int | None) -> None:
    assert agreed_version(version, elements, OURS) == agreed


class Peer:
    """Answers, or does not."""

    def __init__(self, answers: bool = True) -> None:
        self.answers, self.alive, self.asked, self.waiting = answers, True, 0, 0

    def ask_echo(self) -> int:
        waiting = self.waiting
        self.asked, self.waiting = self.asked + 1, 0 if self.answers else waiting + 1
        return waiting

    def close(self) -> None:
        self.alive = False


class Clock:
    """Time that passes when told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_everybody_is_asked_once_per_interval() -> None:
    clock, shares = Clock(), iter((0.9, 0.1))
    echoes, peers = Echoes(10.0, clock, lambda: next(shares)), (Peer(), Peer())
    for peer in peers:
        echoes.add(peer)
    seen = []
    for _ in range(40):
        clock.now += 1.0
        assert 0 < echoes.ask() <= 1.0
        seen.append(tuple(peer.asked for peer in peers))
    assert (seen[0], seen[7], seen[9], seen[39]) == ((0, 1), (0, 1), (1, 1), (4, 4))
    assert all(peer.alive for peer in peers)


def test_who_does_not_answer_is_given_up_and_nobody_else() -> None:
    clock = Clock()
    echoes, dumb, good = Echoes(1.0, clock, lambda: 0.0), Peer(answers=False), Peer()
    echoes.add(dumb)
    echoes.add(good)
    for _ in range(10):
        echoes.ask()
        clock.now += 1.0
    assert (dumb.alive, dumb.asked) == (False, UNANSWERED + 2)
    assert (good.alive, good.asked) == (True, 10)
