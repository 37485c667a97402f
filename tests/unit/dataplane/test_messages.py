"""Requests are what os-ken writes; replies that os-ken writes are read back."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.dataplane import encoder, messages
from controller.dataplane.encoder import BundleType, GroupCommand
from controller.dataplane.values import Flow, Group, MatchField, Meter
from controller.errors import SwitchError
from tests.unit.dataplane import oracle
from tests.unit.dataplane.strategies import GROUP, METER

versions = pytest.mark.parametrize("version", encoder.VERSIONS)
FIXED = Flow(3, 100, (MatchField("eth_dst", 0xFA163E000001), MatchField("metadata", 7, 0xFFFFF)), (), (3, 15), 6)


@versions
def test_group_desc_request(version: int) -> None:
    _, parser = oracle.PROTOCOLS[version]
    said = parser.OFPGroupDescStatsRequest(oracle.datapath(version), 0)
    assert messages.group_desc_request(version, xid=6) == oracle.serialized(said, 6)


@versions
@given(groups=st.lists(GROUP, max_size=4, unique_by=lambda group: group.id))
def test_group_descriptions_are_read_back(version: int, groups: list[Group]) -> None:
    ofproto, parser = oracle.PROTOCOLS[version]
    body = b""
    for group in groups:
        mod = oracle.serialized(oracle.group_mod(group, 0, version))
        body += struct.pack("!HBxI", 8 + len(mod) - 16, int(group.type), group.id) + mod[16:]
    message = struct.pack("!BBHIHH4x", version, 19, 16 + len(body), 1, ofproto.OFPMP_GROUP_DESC, 0) + body
    theirs = parser.OFPMultipartReply.parser(oracle.datapath(version), version, 19, len(message), 1, message)
    ours = messages.parse_group_desc(message)
    assert [(s.group_id, s.type) for s in theirs.body] == [(g, ours.groups[g].type) for g in ours.groups]
    assert {g.id: encoder.encode_buckets(g) for g in groups} == {g: ours.groups[g].buckets for g in ours.groups}


@versions
@given(meters=st.lists(METER, max_size=4, unique_by=lambda meter: meter.id))
def test_meter_configurations_are_read_back(version: int, meters: list[Meter]) -> None:
    ofproto, parser = oracle.PROTOCOLS[version]
    body = b""
    for meter in meters:
        mod = oracle.serialized(oracle.meter_mod(meter, 0, version))
        body += struct.pack("!H", len(mod) - 8) + mod[10:]
    message = struct.pack("!BBHIHH4x", version, 19, 16 + len(body), 1, ofproto.OFPMP_METER_CONFIG, 0) + body
    theirs = parser.OFPMultipartReply.parser(oracle.datapath(version), version, 19, len(message), 1, message)
    assert [(s.meter_id, s.bands[0].rate) for s in theirs.body] == [(meter.id, meter.rate) for meter in meters]
    assert messages.parse_meter_config(message) == {meter.id: meter.encoded() for meter in meters}
    said = parser.OFPMeterConfigStatsRequest(oracle.datapath(version), 0, ofproto.OFPM_ALL)
    assert messages.meter_config_request(version, xid=6) == oracle.serialized(said, 6)


@versions
def test_errors_name_the_meter(version: int) -> None:
    refused = messages.parse_error(
        error(version, 12, 10, encoder.encode_meter(Meter(241, 1, 1), GroupCommand.ADD, version))
    )
    assert (refused.meter_id, refused.cookie, refused.text) == (241, None, "METER_MOD_FAILED/OUT_OF_METERS")


@versions
@pytest.mark.parametrize("wrapped", [False, True])
def test_errors_name_the_flow_or_group(version: int, wrapped: bool) -> None:
    group = Group(0x8000_0001, 0, ())  # type: ignore[arg-type]
    offenders = [
        encoder.encode_flow_add(FIXED, version),
        encoder.encode_group(group, GroupCommand.ADD, version),
    ]
    if wrapped:
        offenders = [encoder.bundle_add(1, each, version) for each in offenders]
    flow_error, group_error = (messages.parse_error(error(version, 2, 9, each[:64])) for each in offenders)
    assert (flow_error.cookie, flow_error.group_id, flow_error.text) == (
        FIXED.cookie,
        None,
        "BAD_ACTION/BAD_OUT_GROUP",
    )
    assert (group_error.cookie, group_error.group_id) == (None, 0x8000_0001)
    assert flow_error.xid == 99


def error(version: int, kind: int, code: int, data: bytes) -> bytes:
    _, parser = oracle.PROTOCOLS[version]
    return oracle.serialized(parser.OFPErrorMsg(oracle.datapath(version), kind, code, data), 99)


def test_bundle_errors_of_openflow_1_3_are_those_of_1_4() -> None:
    _, parser = oracle.PROTOCOLS[4]
    data = encoder.bundle_control(1, BundleType.COMMIT_REQUEST, 4)
    said: Any = parser.OFPErrorMsg(
        oracle.datapath(4), 0xFFFF, data=data, exp_type=2313, experimenter=encoder.ONF_VENDOR_ID
    )
    read = messages.parse_error(oracle.serialized(said, 3))
    assert (read.kind, read.code, read.text) == (17, 13, "BUNDLE_FAILED/MSG_FAILED")
    assert (read.cookie, read.about) == (None, encoder.EXPERIMENTER)


def test_unknown_errors_are_numbers() -> None:
    assert messages.parse_error(error(4, 77, 5, b"")).text == "type 77/code 5"
    _, parser = oracle.PROTOCOLS[4]
    said = parser.OFPErrorMsg(oracle.datapath(4), 0xFFFF, data=b"", exp_type=5, experimenter=0x2320)
    assert messages.parse_error(oracle.serialized(said)).text == "experimenter 0x00002320 error 5"


@versions
@pytest.mark.parametrize("kind", list(BundleType))
def test_bundle_replies(version: int, kind: BundleType) -> None:
    assert messages.parse_bundle_reply(encoder.bundle_control(8, kind, version)) == (8, kind)
    assert messages.parse_bundle_reply(encoder.barrier_request(version)) is None


@given(
    groups=st.lists(GROUP, min_size=1, max_size=3),
    cut=st.integers(0, 300),
    place=st.integers(0),
    byte=st.integers(0, 255),
)
def test_garbage_is_a_switch_error_or_harmless(groups: list[Group], cut: int, place: int, byte: int) -> None:
    body = b"".join(encoder.encode_group(group, GroupCommand.ADD, 4)[8:] for group in groups)
    message = bytearray(struct.pack("!BBHIHH4x", 4, 19, 16 + len(body), 1, 7, 0) + body)
    message[place % len(message)] = byte
    for broken in (bytes(message[:cut]), bytes(message)):
        for parse in (messages.parse_group_desc, messages.parse_meter_config, messages.parse_error):
            with contextlib.suppress(SwitchError):
                parse(broken)
