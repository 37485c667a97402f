"""Descriptions of ports as switches send them, and as they must not."""

from __future__ import annotations

import pytest

from bench.sim_switch import Make, SimSwitch
from controller.errors import SwitchError
from controller.southbound.wire import PortDescription, port_descriptions

PORTS = {1: "uplink", 2: "p2", 0xFFFFFFFE: "br0"}


def described(version: int, **changes: object) -> bytes:
    """A whole description of ports."""
    switch = SimSwitch(7, Make(version, ports=PORTS, **changes))  # type: ignore[arg-type]
    request = bytes((version, 18, 0, 16)) + bytes(4) + bytes((0, 13)) + bytes(6)
    (answer,) = switch.receive(request)
    return answer


@pytest.mark.parametrize("version", [4, 5])
def test_ports_are_read_as_os_ken_reads_them(version: int) -> None:
    from os_ken.ofproto import ofproto_parser, ofproto_protocol, ofproto_v1_3_parser, ofproto_v1_4_parser

    parser = {4: ofproto_v1_3_parser, 5: ofproto_v1_4_parser}[version]
    message = described(version)
    found = list(port_descriptions(version, message))
    assert [(port.port_no, port.name.rstrip(b"\0").decode(), port.state) for port in found] == [
        (number, name, 4) for number, name in sorted(PORTS.items())
    ]
    header = ofproto_parser.header(message)
    theirs = parser.msg_parser(ofproto_protocol.ProtocolDesc(version), *header, message).body
    assert [(port.port_no, port.name, port.state) for port in theirs] == [
        (port.port_no, port.name.rstrip(b"\0"), port.state) for port in found
    ]


def test_a_port_may_have_properties_that_we_do_not_know() -> None:
    message = described(5)
    first = bytearray(message[16 : 16 + 72])
    first[4:6] = (72 + 16).to_bytes(2, "big")
    longer = message[:16] + bytes(first) + bytes(16) + message[16 + 72 :]
    assert [port.port_no for port in port_descriptions(5, longer)] == sorted(PORTS)


@pytest.mark.parametrize("cut", [17, 40, 79, 100])
@pytest.mark.parametrize("version", [4, 5])
def test_what_ends_within_a_port_is_unreadable(version: int, cut: int) -> None:
    with pytest.raises(SwitchError):
        list(port_descriptions(version, described(version)[:cut]))


@pytest.mark.parametrize("length", [0, 8, 39])
def test_a_port_that_claims_no_length_ends_nowhere(length: int) -> None:
    message = bytearray(described(5))
    message[20:22] = length.to_bytes(2, "big")
    with pytest.raises(SwitchError):
        list(port_descriptions(5, bytes(message)))


def test_no_ports() -> None:
    assert list(port_descriptions(5, described(5)[:16])) == []
    assert PortDescription(1, b"a", 0).port_no == 1
