"""Packet-in and packet-out are what os-ken reads and writes."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from os_ken.ofproto import ofproto_v1_3, ofproto_v1_3_parser, ofproto_v1_4, ofproto_v1_4_parser

from controller.southbound import frames
from topology.discovery import FLOOD_LIMIT

VERSIONS = {4: (ofproto_v1_3, ofproto_v1_3_parser), 5: (ofproto_v1_4, ofproto_v1_4_parser)}


@pytest.mark.parametrize("version", VERSIONS)
def test_packet_out(version: int) -> None:
    protocol, parser = VERSIONS[version]
    datapath = SimpleNamespace(ofproto=protocol, ofproto_parser=parser)
    message = parser.OFPPacketOut(datapath, protocol.OFP_NO_BUFFER, protocol.OFPP_CONTROLLER,
                                  [parser.OFPActionOutput(7, 0)], b"frame")  # fmt: skip
    message.set_xid(0)
    message.serialize()
    assert frames.packet_out(version, 7, b"frame") == bytes(message.buf)


@pytest.mark.parametrize("version", VERSIONS)
def test_packet_in(version: int) -> None:
    protocol, parser = VERSIONS[version]
    datapath = SimpleNamespace(ofproto=protocol, ofproto_parser=parser)
    match = parser.OFPMatch(in_port=9, metadata=(5, 7))
    message = parser.OFPPacketIn(datapath, 0xFFFFFFFF, 5, 0, 0, 1, match, b"frame")
    body = bytearray(24)
    match.serialize(body, 24)
    assert frames.packet_in(bytes(body) + bytes(2) + message.data) == (9, 5, b"frame")


@given(st.binary(max_size=80))
def test_anything_else_is_no_frame(data: bytes) -> None:
    frames.packet_in(data)


def test_a_slow_switch_costs_frames_and_never_time() -> None:
    gate, taken = threading.Event(), []

    def send(buffer: bytes) -> None:
        gate.wait(5)
        taken.append(buffer)

    sender = frames.FrameSender(send, "s1")
    assert sum(sender.put(b"x") for _ in range(1000)) <= frames.WAITING + 1
    gate.set()
    sender.stop()


def test_a_flood_by_one_port_leaves_the_others_alone() -> None:
    now = [0.0]
    limit = frames.FrameLimit(lambda: now[0])
    assert sum(limit.admits(1) for _ in range(10_000)) == frames.BURST
    assert limit.admits(2)
    now[0] = 2.0
    assert sum(limit.admits(1) for _ in range(10_000)) == 2 * frames.RATE
    assert frames.RATE > FLOOD_LIMIT
    assert frames.BURST > 2 * FLOOD_LIMIT
