"""Questions and answers, deadlines, and messages cut anywhere."""

from __future__ import annotations

import contextlib
import json
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.sim_switch import Make, SimSwitch
from controller.dataplane.encoder import OF13, XID
from controller.errors import SwitchError, SwitchGone, SwitchTimeout
from controller.southbound import exchange, wire
from controller.southbound.exchange import Exchange, Refusal
from controller.southbound.ovsdb_json import Parser


class Line:
    """Answers by a function; what it returns is delivered from another thread."""

    def __init__(self, answer: Callable[[int, int], list[bytes]], deadline: float = 10.0) -> None:
        self.xid = 7
        self.exchange = Exchange(self, OF13, deadline, "sw1")
        self._answer = answer

    def send(self, buf: bytes) -> bool:
        _, kind, _, xid = struct.unpack_from("!BBHI", buf)
        threading.Thread(target=self._deliver, args=(self._answer(kind, xid),)).start()
        return True

    def _deliver(self, messages: list[bytes]) -> None:
        for message in messages:
            _, kind, _, xid = struct.unpack_from("!BBHI", message)
            self.exchange.deliver(kind, xid, message)


def reply(kind: int, xid: int, body: bytes = b"") -> bytes:
    return struct.pack("!BBHI", OF13, kind, 8 + len(body), xid) + body


def test_barrier() -> None:
    Line(lambda _, xid: [reply(wire.BARRIER_REPLY, xid)]).exchange.barrier()


def test_no_answer_meets_the_deadline() -> None:
    started = time.monotonic()
    with pytest.raises(SwitchTimeout, match="sw1 did not answer within"):
        Line(lambda _, __: [], 0.3).exchange.barrier()
    assert time.monotonic() - started < 5


def test_an_error_is_a_refusal() -> None:
    with pytest.raises(Refusal, match="sw1 refused a request"):
        Line(lambda _, xid: [reply(wire.ERROR, xid, struct.pack("!HH", 1, 1))]).exchange.groups()


class Introduced:
    """A simulated switch to which questions are put."""

    def __init__(self, make: Make) -> None:
        self.xid, self.switch = 7, SimSwitch(5, make)
        self.exchange = Exchange(self, make.version, 0.3, "sw1")

    def send(self, buf: bytes) -> bool:
        for message in messages(buf):
            for answer in self.switch.receive(message):
                self.exchange.deliver(answer[1], int.from_bytes(answer[4:8], "big"), answer)
        return True


def messages(buffer: bytes) -> Iterator[bytes]:
    """Cut apart what was sent at once."""
    while buffer:
        length = int.from_bytes(buffer[2:4], "big")
        yield buffer[:length]
        buffer = buffer[length:]


def test_a_closed_connection_wakes_whoever_waits() -> None:
    line = Line(lambda _, __: [])
    threading.Timer(0.05, line.exchange.close).start()
    with pytest.raises(SwitchGone):
        line.exchange.barrier()
    with pytest.raises(SwitchGone):
        line.exchange.barrier()


def test_parts_are_put_together() -> None:
    def parts(_: int, xid: int) -> list[bytes]:
        return [reply(19, xid, struct.pack("!HH4xHBxI", 7, more, 8, 0, group)) for group, more in ((1, 1), (2, 0))]

    assert list(Line(parts).exchange.groups()) == [1, 2]


def endless(line: Line, part: bytes) -> None:
    """Deliver parts of an answer for ever, as long as anybody asks."""

    def deliver() -> None:
        while True:
            time.sleep(0.001)
            if not line.exchange.deliver(19, line.xid, part):
                return

    threading.Thread(target=deliver, daemon=True).start()


def test_an_answer_that_never_ends_meets_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "LONGEST", 1)
    line = Line(lambda _, __: [], 0.3)
    threading.Timer(0.01, endless, (line, reply(19, line.xid + 1, struct.pack("!HH4x", 7, 1)))).start()
    with pytest.raises(SwitchTimeout, match="did not come to the end of an answer"):
        line.exchange.groups()


def test_an_answer_that_is_too_large_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "LARGEST", 1000)
    line = Line(lambda _, xid: [reply(19, xid, struct.pack("!HH4x", 7, 1))] * 100)
    with pytest.raises(SwitchError, match="more than"):
        line.exchange.groups()


def test_errors_that_nobody_asked_for_do_not_pile_up() -> None:
    line = Line(lambda _, __: [])
    for _ in range(exchange.MOST_ERRORS + 10):
        assert line.exchange.deliver(wire.ERROR, XID, reply(wire.ERROR, XID, struct.pack("!HH", 1, 1)))
    assert len(line.exchange.take_errors()) == exchange.MOST_ERRORS
    assert line.exchange.take_errors() == []


def test_what_answers_nothing_is_left_to_others() -> None:
    assert not Line(lambda _, __: []).exchange.deliver(10, 3, reply(10, 3))


@given(st.binary(max_size=200))
def test_a_dump_of_garbage_is_a_switch_error(content: bytes) -> None:
    with contextlib.suppress(SwitchError):
        wire.flow_entries([reply(19, 1, struct.pack("!HH4x", 1, 0) + content)])


@given(st.lists(st.dictionaries(st.text(), st.integers() | st.text(), max_size=3), min_size=1, max_size=4), st.data())
def test_json_messages_are_taken_one_by_one_however_they_are_cut(messages: list[object], data: st.DataObject) -> None:
    text = "".join(json.dumps(message) for message in messages)
    found, parser, waiting = [], Parser(), ""
    while text or waiting:
        if not waiting or not parser.is_done():
            size = data.draw(st.integers(1, max(1, len(text))))
            waiting, text = waiting + text[:size], text[size:]
        waiting = waiting[parser.feed(waiting) :]
        if parser.is_done():
            found.append(parser.finish())
            parser = Parser()
    assert found == messages


def test_json_that_is_none() -> None:
    parser = Parser()
    parser.feed("HTTP/1.1 400")
    assert parser.is_done()
    assert isinstance(parser.finish(), str)
