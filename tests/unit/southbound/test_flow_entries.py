"""Flow statistics: asked for as os-ken asks, read as os-ken reads."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.dataplane import encoder
from controller.dataplane.encoder import InstalledFlow
from controller.dataplane.values import OWNER_MASK, Flow, MatchField
from controller.errors import SwitchError
from controller.southbound import wire
from tests.unit.dataplane import oracle
from tests.unit.dataplane.strategies import FLOW

versions = pytest.mark.parametrize("version", encoder.VERSIONS)
FIXED = Flow(3, 100, (MatchField("eth_dst", 0xFA163E000001), MatchField("metadata", 7, 0xFFFFF)), (), (3, 15), 6)


def reply(flows: list[Flow], version: int, flags: int = 0) -> bytes:
    """A part of a reply."""
    entries = b"".join(_entry(flow, number, version) for number, flow in enumerate(flows))
    body = struct.pack("!HH4x", wire.MP_FLOW, flags) + entries
    return struct.pack("!BBHI", version, 19, 8 + len(body), 1) + body


def _entry(flow: Flow, packets: int, version: int) -> bytes:
    """os-ken can serialise the match and the instructions of an entry, its head is written here."""
    body = oracle.serialized(oracle.flow_mod(flow, version))[48:]
    head = (48 + len(body), flow.table, 1, 2, flow.priority, 0, 0, 0, flow.cookie, packets, 9)
    return struct.pack("!HBxIIHHHH4xQQQ", *head) + body


@versions
def test_the_request(version: int) -> None:
    ofproto, parser = oracle.PROTOCOLS[version]
    said = parser.OFPFlowStatsRequest(
        oracle.datapath(version), 0, 7, ofproto.OFPP_ANY, ofproto.OFPG_ANY, 0x1571 << 48, OWNER_MASK, parser.OFPMatch()
    )
    ours = wire.multipart_request(version, 5, wire.MP_FLOW, wire.flow_selection(7, 0x1571 << 48, OWNER_MASK))
    assert ours == oracle.serialized(said, 5)


@versions
@given(flows=st.lists(FLOW, max_size=5), more=st.booleans())
def test_entries_are_read_back(version: int, flows: list[Flow], more: bool) -> None:
    message = reply(flows, version, int(more))
    _, parser = oracle.PROTOCOLS[version]
    theirs = parser.OFPMultipartReply.parser(oracle.datapath(version), version, 19, len(message), 1, message)
    assert wire.has_more(message) is more
    entries = wire.flow_entries([message, message])
    assert entries[len(flows) :] == entries[: len(flows)]
    assert [(f.cookie, f.table, f.priority, f.packets) for f, _ in entries[: len(flows)]] == [
        (s.cookie, s.table_id, s.priority, s.packet_count) for s in theirs.body
    ]
    bodies = [encoder.encode_flow_add(flow, version)[48:] for flow in flows]
    assert [entry.flow.match + entry.instructions for entry in entries] == bodies * 2


@given(st.lists(FLOW, min_size=1, max_size=3), st.integers(0, 300), st.integers(0), st.integers(0, 255))
def test_garbage_is_a_switch_error_or_harmless(flows: list[Flow], cut: int, place: int, byte: int) -> None:
    message = bytearray(reply(flows, 4))
    message[place % len(message)] = byte
    for broken in (bytes(message), bytes(message[:cut])):
        with contextlib.suppress(SwitchError):
            wire.flow_entries([broken])


def test_an_installed_flow_carries_what_a_delete_needs() -> None:
    ((flow, _),) = wire.flow_entries([reply([FIXED], 5)])
    assert flow == InstalledFlow(FIXED.cookie, 3, 100, encoder.encode_match(FIXED.match), 0)
    assert encoder.encode_flow_delete(flow, 5) == encoder.encode_flow_delete(FIXED, 5)
