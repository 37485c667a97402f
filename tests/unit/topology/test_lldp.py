"""Probes are read as they were made; nothing that comes in does harm."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topology import lldp

KEY = b"k" * 32
SOURCE = lldp.source_of(1, 1)

probes = st.builds(
    lldp.Probe, st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.just(b"")
)


@given(probes)
def test_probe_is_read_as_made(probe: lldp.Probe) -> None:
    said = lldp.decode(lldp.encode(probe, KEY, SOURCE)).probe
    assert said is not None
    assert (said.datapath_id, said.port, said.sequence) == (probe.datapath_id, probe.port, probe.sequence)
    assert lldp.genuine(said, KEY)
    assert not lldp.genuine(said, b"another key")


@given(probes, st.integers(0, 10**6), st.integers(1, 255))
def test_changed_probe_is_not_genuine(probe: lldp.Probe, position: int, change: int) -> None:
    frame = bytearray(lldp.encode(probe, KEY, SOURCE))
    frame[14 + position % (len(frame) - 14)] ^= change
    try:
        said = lldp.decode(bytes(frame))
    except lldp.LldpError:
        return
    if said.probe is not None and (said.probe.datapath_id, said.probe.port, said.probe.sequence) != (
        probe.datapath_id, probe.port, probe.sequence,
    ):  # fmt: skip
        assert not lldp.genuine(said.probe, KEY)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_read(data: bytes) -> None:
    for frame in (data, lldp.DESTINATION + SOURCE + b"\x88\xcc" + data):
        with contextlib.suppress(lldp.LldpError):
            lldp.decode(frame)


def test_ordinary_neighbour() -> None:
    frame = lldp.DESTINATION + SOURCE + b"\x88\xcc"
    for kind, value in ((1, b"\x04\x02\x00\x00\x00\x00\x07"), (2, b"\x05eth1"), (3, b"\x00\x78"), (4, b"to the roof"),
                        (5, b"leaf7\x1b[31m"), (0, b"")):  # fmt: skip
        frame += struct.pack("!H", kind << 9 | len(value)) + value
    said = lldp.decode(frame)
    assert said == lldp.Neighbour("02:00:00:00:00:07", "eth1", 120, "leaf7?[31m", "to the roof")


@pytest.mark.parametrize("cut", range(14, 40))
def test_cut_frames_are_refused(cut: int) -> None:
    with pytest.raises(lldp.LldpError):
        lldp.decode(lldp.encode(lldp.Probe(1, 2, 3), KEY, SOURCE)[:cut])
