"""Hypothesis strategies for flows and groups of every shape that the encoder knows."""

from __future__ import annotations

from hypothesis import strategies as st

from controller.dataplane.fields import FIELDS, Field
from controller.dataplane.values import (
    Action,
    Bucket,
    Flow,
    Group,
    GroupType,
    MatchField,
    Meter,
    Move,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    ToGroup,
)

FIELD = st.sampled_from(list(FIELDS.values()))
PORT = st.integers(1, 0xFFFFFFFF)


@st.composite
def match_field(draw: st.DrawFn, field: Field) -> MatchField:
    value = draw(st.integers(0, field.full))
    if not field.maskable or draw(st.booleans()):
        return MatchField(field.name, value)
    mask = draw(st.integers(1, field.full - 1))
    return MatchField(field.name, value & mask, mask)


@st.composite
def matches(draw: st.DrawFn) -> tuple[MatchField, ...]:
    chosen = draw(st.lists(FIELD, max_size=6, unique_by=lambda field: field.name))
    return tuple(draw(match_field(field)) for field in sorted(chosen, key=lambda field: field.name))


@st.composite
def set_fields(draw: st.DrawFn) -> SetField:
    field = draw(FIELD.filter(lambda field: field.settable))
    return SetField(field.name, draw(st.integers(0, field.full)))


ACTION: st.SearchStrategy[Action] = st.one_of(
    st.builds(Output, PORT, st.integers(0, 0xFFFF)),
    st.builds(ToGroup, st.integers(0, 0xFFFFFF00)),
    set_fields(),
    st.builds(PushVlan, st.sampled_from([0x8100, 0x88A8])),
    st.just(PopVlan()),
    st.sampled_from([Move("eth_src", "eth_dst"), Move("arp_spa", "arp_tpa"), Move("tun_ipv4_src", "ipv4_dst")]),
)
ACTIONS = st.lists(ACTION, max_size=5).map(tuple)
U64 = st.integers(0, 2**64 - 1)

FLOW = st.builds(
    Flow,
    st.integers(0, 253),
    st.integers(0, 0xFFFF),
    matches(),
    ACTIONS,
    st.none() | st.tuples(U64, U64),
    st.none() | st.integers(1, 253),
    st.just(""),
    st.none() | st.integers(1, 0xFFFF0000),
)

BUCKET = st.builds(Bucket, ACTIONS, st.none() | PORT, st.integers(0, 0xFFFF))
GROUP = st.builds(
    Group, st.integers(0, 0xFFFFFF00), st.sampled_from(list(GroupType)), st.lists(BUCKET, max_size=4).map(tuple)
)

U32 = st.integers(0, 0xFFFFFFFF)
METER = st.builds(Meter, st.integers(1, 0xFFFF0000), U32, U32)
