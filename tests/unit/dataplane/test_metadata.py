"""The metadata layout is checked when it is declared, and reads back what it writes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.dataplane.metadata import BitField, Layout, as_match
from controller.dataplane.values import MatchField
from controller.errors import CompileError

LAYOUT = Layout(
    BitField("destination", 0, 36),
    BitField("port", 0, 20, part_of="destination"),
    BitField("node", 20, 16, part_of="destination"),
    BitField("source", 36, 4),
    BitField("network", 44, 20),
)


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ((BitField("a", 60, 5),), "outside"),
        ((BitField("a", -1, 5),), "outside"),
        ((BitField("a", 0, 0),), "outside"),
        ((BitField("a", 0, 8), BitField("b", 7, 2)), "both use bit 7"),
        ((BitField("a", 0, 8), BitField("a", 8, 2)), "twice"),
        ((BitField("eth_dst", 0, 8),), "name of an OpenFlow field"),
        ((BitField("a", 0, 8), BitField("b", 7, 2, part_of="a")), "does not lie in a"),
        ((BitField("a", 0, 8, part_of="nosuch"),), "does not lie in nosuch"),
        ((BitField("a", 0, 8), BitField("b", 0, 4, "a"), BitField("c", 3, 2, "a")), "b and c both use bit 3"),
    ],
)
def test_a_layout_that_cannot_work_is_refused(declared: tuple[BitField, ...], reason: str) -> None:
    with pytest.raises(CompileError, match=reason):
        Layout(*declared)


@given(network=st.integers(0, 2**20 - 1), source=st.integers(0, 15), destination=st.integers(0, 2**36 - 1))
def test_fields_are_read_as_placed(network: int, source: int, destination: int) -> None:
    value, mask = LAYOUT.place(network=network, source=source, destination=destination)
    assert LAYOUT["network"].read(value) == network
    assert LAYOUT["node"].read(value) == destination >> 20
    assert mask == LAYOUT.mask("network", "source", "destination")
    assert value & ~mask == 0
    assert LAYOUT.describe(value, mask) == {"destination": destination, "source": source, "network": network}


def test_a_value_must_fit_and_not_contradict() -> None:
    with pytest.raises(CompileError, match="16 does not fit"):
        LAYOUT.place(source=16)
    with pytest.raises(CompileError, match="twice"):
        LAYOUT.place(destination=1, port=2)
    with pytest.raises(CompileError, match="no masked value"):
        LAYOUT["source"].place(3, 2)
    with pytest.raises(CompileError, match="there are destination"):
        LAYOUT.place(nosuch=1)
    assert LAYOUT.place(destination=5 << 20 | 2, node=5, port=2) == (5 << 20 | 2, 2**36 - 1)


def test_matches() -> None:
    assert LAYOUT.match(source=2) == MatchField("metadata", 2 << 36, 15 << 36)
    assert as_match((1, 2**64 - 1)) == MatchField("metadata", 1)
    assert LAYOUT["source"].place(2, 2) == (2 << 36, 2 << 36)
    assert "network" in LAYOUT
    assert next(iter(LAYOUT)).name == "destination"
