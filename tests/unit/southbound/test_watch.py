"""Following a bridge by OVSDB: it ends with the session, and does not spin when something is wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from controller.model import Observation
from controller.southbound import wire
from controller.southbound.bridge import Bridge, Interface
from controller.southbound.introduction import Introduction
from controller.southbound.ovsdb import BridgeWatch, OvsdbConnection, OvsdbError, Replicas
from controller.southbound.session import Session, Settings


class Broken:
    """A database that always has something new to tell, and cannot be read."""

    def __init__(self, reachable: bool) -> None:
        self.timeout, self.tried, self._reachable = 0.1, 0, reachable

    def join(self, _remote: str, listener: Callable[[], None]) -> OvsdbConnection:
        self.tried += 1
        listener()
        if not self._reachable:
            raise OvsdbError("nobody there")
        return cast("OvsdbConnection", self)

    def leave(self, _remote: str, _listener: Callable[[], None]) -> None:
        """Nothing was joined."""

    def bridge(self, _datapath_id: int) -> Bridge | None:
        raise RuntimeError("cannot be read")


@pytest.mark.parametrize("reachable", [True, False])
def test_what_cannot_be_followed_is_tried_again_after_a_while_only(reachable: bool) -> None:
    broken = Broken(reachable)
    watch = BridgeWatch(cast("Replicas", broken), "tcp:192.0.2.1:6640", 7, lambda _bridge, _problem: None)
    watch.start()
    time.sleep(0.3)
    watch.stop()
    assert broken.tried == 1


def test_a_switch_that_left_meanwhile_is_not_followed() -> None:
    closed: list[bool] = []
    datapath: Any = SimpleNamespace(
        id=0x77AA, address=("192.0.2.1", 1), tables=254, ofproto=SimpleNamespace(OFP_VERSION=5), port_descriptions=(),
        xid=1, close=lambda: closed.append(True), send=lambda _: False,
    )  # fmt: skip
    events: Any = SimpleNamespace()
    settings = Settings(1.0, Replicas(0.05), 1.0, lambda _id, _address: None)
    session = Session(datapath, settings, events, None)
    session.end("it left")
    make = wire.Description("Nicira, Inc.", "Open vSwitch", "3.1")
    session._find_out(Introduction(make, True, []), "tcp:127.0.0.1:9")
    assert closed
    assert "ovsdb-00000000000077aa" not in {thread.name for thread in threading.enumerate()}


def test_of_two_uplinks_the_one_that_was_in_use_is_used_again() -> None:
    """When the switch connects again, and after a restart of the controller: the cloud has learned addresses there."""
    ports = [SimpleNamespace(port_no=number, name=f"up{number}".encode(), state=0) for number in (1, 2)]
    datapath: Any = SimpleNamespace(
        id=7, address=("192.0.2.1", 1), tables=254, ofproto=SimpleNamespace(OFP_VERSION=5), port_descriptions=ports,
        xid=1, close=lambda: None, send=lambda _: True,
    )  # fmt: skip
    told: list[Observation] = []
    events: Any = SimpleNamespace(switch_ready=lambda _facts, seen: told.append(seen))
    settings = Settings(1.0, Replicas(0.05), 1.0, lambda _id, _address: None)
    uplinks = tuple(Interface(f"up{number}", ofport=number, external_ids={"physical-network": "physnet1"})
                    for number in (1, 2))  # fmt: skip
    bridge = Bridge("br0", interfaces=uplinks)
    for before, used in (({}, 1), ({"physnet1": 2}, 2), ({"physnet1": 9}, 1)):
        session = Session(datapath, settings, events, bridge, before)
        session._report()
        assert session.uplinks == told[-1].uplinks == {"physnet1": used}
        assert told[-1].standby_uplinks == {3 - used}
