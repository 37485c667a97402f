"""The encoder writes the same bytes as os-ken's serializer."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.dataplane import encoder
from controller.dataplane.encoder import BundleType, GroupCommand, InstalledFlow
from controller.dataplane.values import (
    OWNER_MASK,
    OWNER_SHIFT,
    OWNER_TAG,
    PIECE,
    Bucket,
    Flow,
    Fragment,
    Group,
    GroupType,
    MatchField,
    Meter,
    Output,
)
from controller.errors import EncodeError
from tests.unit.dataplane import oracle
from tests.unit.dataplane.strategies import FLOW, GROUP, METER

versions = pytest.mark.parametrize("version", encoder.VERSIONS)
FIXED = Flow(3, 100, (MatchField("eth_dst", 0xFA163E000001), MatchField("metadata", 7, 0xFFFFF)), (), (3, 15), 6)


@versions
@given(flow=FLOW, xid=st.integers(0, 0xFFFFFFFF))
def test_flow_add_is_what_os_ken_writes(version: int, flow: Flow, xid: int) -> None:
    assert encoder.encode_flow_add(flow, version, xid=xid) == oracle.serialized(oracle.flow_mod(flow, version), xid)


@versions
def test_the_stamp_carries_another_cookie(version: int) -> None:
    expected = oracle.serialized(oracle.flow_mod(FIXED, version, cookie=0x1234))
    assert encoder.encode_flow_add(FIXED, version, cookie=0x1234) == expected


@versions
@given(flow=FLOW)
def test_flow_delete_is_strict_and_filtered_by_cookie(version: int, flow: Flow) -> None:
    ofproto, _ = oracle.PROTOCOLS[version]
    said = oracle.flow_mod(flow, version, command=ofproto.OFPFC_DELETE_STRICT, cookie_mask=2**64 - 1, instructions=[])
    expected = oracle.serialized(said)
    assert encoder.encode_flow_delete(flow, version) == expected
    installed = InstalledFlow(flow.cookie, flow.table, flow.priority, encoder.encode_match(flow.match))
    assert encoder.encode_flow_delete(installed, version) == expected


@versions
def test_delete_ours_is_filtered_by_the_owner_tag(version: int) -> None:
    ofproto, _ = oracle.PROTOCOLS[version]
    said = oracle.flow_mod(
        Flow(255, 0), version, command=ofproto.OFPFC_DELETE, cookie=0x1571 << 48, cookie_mask=OWNER_MASK
    )
    assert encoder.encode_delete_ours(version) == oracle.serialized(said)


@versions
@given(group=GROUP, command=st.sampled_from(list(GroupCommand)))
def test_group_mod_is_what_os_ken_writes(version: int, group: Group, command: GroupCommand) -> None:
    expected = group if command is not GroupCommand.DELETE else Group(group.id, group.type, ())
    said = oracle.serialized(oracle.group_mod(expected, int(command), version))
    assert encoder.encode_group(group, command, version) == said


@versions
def test_group_delete_by_id(version: int) -> None:
    said = oracle.group_mod(Group(77, GroupType.ALL, ()), 2, version)
    assert encoder.encode_group_delete(77, version) == oracle.serialized(said)


@versions
def test_barrier(version: int) -> None:
    _, parser = oracle.PROTOCOLS[version]
    said = oracle.serialized(parser.OFPBarrierRequest(oracle.datapath(version)), 9)
    assert encoder.barrier_request(version, xid=9) == said


@versions
@pytest.mark.parametrize("kind", list(BundleType))
def test_bundle_control(version: int, kind: BundleType) -> None:
    _, parser = oracle.PROTOCOLS[version]
    message = parser.ONFBundleCtrlMsg if version == encoder.OF13 else parser.OFPBundleCtrlMsg
    said = message(oracle.datapath(version), 5, int(kind), 3, [])
    assert encoder.bundle_control(5, kind, version, xid=77) == oracle.serialized(said, 77)


@versions
@given(flow=FLOW, group=GROUP, bundle_id=st.integers(0, 0xFFFFFFFF))
def test_bundle_add(version: int, flow: Flow, group: Group, bundle_id: int) -> None:
    _, parser = oracle.PROTOCOLS[version]
    wrap = parser.ONFBundleAddMsg if version == encoder.OF13 else parser.OFPBundleAddMsg
    inner = [oracle.flow_mod(flow, version), oracle.group_mod(group, 0, version)]
    said = [oracle.serialized(wrap(oracle.datapath(version), bundle_id, 3, each, [])) for each in inner]
    bare = [encoder.encode_flow_add(flow, version), encoder.encode_group(group, GroupCommand.ADD, version)]
    assert [encoder.bundle_add(bundle_id, each, version) for each in bare] == said
    assert encoder.bundle_adds(bundle_id, bare, version) == b"".join(said)


def test_a_fragment_is_encoded_once_per_version() -> None:
    fragment = Fragment("net", (FIXED,), (Group(1, GroupType.ALL, (Bucket((Output(1),)),)),))
    first = encoder.encode_fragment(fragment, 4)
    assert first is encoder.encode_fragment(fragment, 4)
    assert first.flows == (encoder.encode_flow_add(FIXED, 4),)
    assert first.groups == (encoder.encode_group(fragment.groups[0], GroupCommand.ADD, 4),)
    assert encoder.encode_fragment(fragment, 5).flows[0][0] == 5
    assert fragment == Fragment("net", fragment.flows, fragment.groups)


@given(flows=st.lists(FLOW, max_size=5).map(tuple))
def test_a_flow_has_one_cookie_however_it_comes_by_it(flows: tuple[Flow, ...]) -> None:
    alone = [replace(flow).cookie for flow in flows]
    encoded = [encoder.encode_fragment(Fragment("f", flows), version).flows for version in encoder.VERSIONS]
    assert [flow.cookie for flow in flows] == alone
    for messages in encoded:
        assert [int.from_bytes(message[8:16], "big") for message in messages] == alone


@given(FLOW, FLOW)
def test_cookies_are_equal_where_the_bytes_are(one: Flow, other: Flow) -> None:
    assert one.cookie >> OWNER_SHIFT == OWNER_TAG
    assert (one.cookie == other.cookie) == (one.body() == other.body())


def test_cookies_are_the_same_in_every_process() -> None:
    assert hex(FIXED.cookie) == "0x1571eb0b54fbb80f"
    assert hex(Group(1, GroupType.ALL, (Bucket((Output(1),)),)).digest) == "0xe87042087e87fb79"


def test_who_comes_for_a_fragment_in_the_making_shares_what_is_done() -> None:
    fragment = Fragment("net", tuple(Flow(1, 1, (MatchField("in_port", number),)) for number in range(3 * PIECE - 9)))
    first, second = (encoder.encoded_pieces(fragment, 4) for _ in range(2))
    begun = list(next(first))
    assert all(mine is shared for mine, shared in zip(next(second), begun, strict=True))
    rest = [message for piece in second for message in piece]
    assert [*begun, *rest] == [encoder.encode_flow_add(flow, 4) for flow in fragment.flows]
    assert all(mine is shared for mine, shared in zip((m for piece in first for m in piece), rest, strict=True))
    assert encoder.encode_fragment(fragment, 4).flows == (*begun, *rest)


def test_what_does_not_fit_is_an_encode_error_that_names_the_object() -> None:
    with pytest.raises(EncodeError, match="port p1"):
        encoder.encode_flow_add(Flow(0, 0, (MatchField("in_port", 2**32),), why="port p1"), 4)
    many = Group(9, GroupType.ALL, (Bucket((Output(1),)),) * 3000, why="flood of n1")
    with pytest.raises(EncodeError, match=r"flood of n1.*3000 buckets"):
        encoder.encode_group(many, GroupCommand.ADD, 4)
    with pytest.raises(EncodeError, match="version 6"):
        encoder.encode_flow_add(FIXED, 6)
    with pytest.raises(EncodeError, match="nosuch"):
        encoder.encode_flow_add(Flow(0, 0, (MatchField("nosuch", 1),)), 4)


def test_the_template_is_reused_for_other_values_of_the_same_shape() -> None:
    one = encoder.encode_flow_add(FIXED, 4)
    other = encoder.encode_flow_add(Flow(3, 9, FIXED.match, (), FIXED.metadata, 6), 4)
    assert struct.unpack_from("!H", other, 30) == (9,)
    assert one[32:] == other[32:]


@versions
@given(meter=METER, command=st.sampled_from(list(GroupCommand)))
def test_meters_are_what_os_ken_writes(version: int, meter: Meter, command: GroupCommand) -> None:
    expected = oracle.serialized(oracle.meter_mod(meter, int(command), version))
    if command is GroupCommand.DELETE:
        assert encoder.encode_meter_delete(meter.id, version) == expected
    else:
        assert encoder.encode_meter(meter, command, version) == expected


def test_meters_count_in_every_hash() -> None:
    flow, one, other = Flow(0, 1), Meter(1, 10, 10), Meter(1, 11, 10)
    metered = replace(flow, meter=1)
    assert (metered.cookie, metered.shape) != (flow.cookie, flow.shape)
    digests = {Fragment("f", (flow,), (), meters).digest for meters in ((), (one,), (other,))}
    assert len(digests) == 3
    with pytest.raises(EncodeError, match="meter 1"):
        encoder.encode_meter(Meter(1, 1 << 32, 1), GroupCommand.ADD, 4)
