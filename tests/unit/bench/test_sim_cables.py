"""What leaves a cabled switch comes in at the other end, as the controller's own parser reads it."""

from __future__ import annotations

from typing import Any

from bench.sim_cables import CabledSwitch, ring_of_rings
from bench.sim_switch import Make
from controller.southbound import frames


class Ear:
    """Keeps what a switch sends to the controller."""

    def __init__(self, switch: CabledSwitch) -> None:
        self.switch, self.heard = switch, list[bytes]()

    def send(self, data: bytes) -> None:
        self.heard.append(data)


def test_a_ring_of_rings_has_a_cable_more_than_its_rings() -> None:
    cables = ring_of_rings(10, 10)
    assert len(cables) == 2 * 110
    assert all(cables[other] == one for one, other in cables.items())


def test_frames_go_along_cables_that_are_up() -> None:
    cables = ring_of_rings(1, 3)
    switches = [CabledSwitch(number, Make(4), cables) for number in (1, 2, 3)]
    ears: dict[int, Any] = {switch.datapath_id: Ear(switch) for switch in switches}
    for switch in switches:
        switch.others = ears
    frame = b"\x01\x80\xc2\0\0\x0e" + bytes(60)
    assert switches[0].receive(frames.packet_out(4, 1, frame)) == ()
    (message,) = ears[2].heard
    found = frames.packet_in(message)
    assert found is not None
    assert (found.port, found.metadata, found.frame) == (2, 0, frame)
    assert int.from_bytes(message[2:4], "big") == len(message)
    switches[0].receive(frames.packet_out(4, 7, frame))
    switches[1].down.add(2)
    switches[0].receive(frames.packet_out(4, 1, frame))
    assert [len(ear.heard) for ear in ears.values()] == [0, 1, 0]
