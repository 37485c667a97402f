"""What is cabled to what, as those see it who follow a frame."""

from __future__ import annotations

from topology.cabling import Cabling
from topology.links import End

A1, A2, B1, B2, C1, D1 = End("a", 1), End("a", 2), End("b", 1), End("b", 2), End("c", 1), End("d", 1)
MADE = Cabling(
    links={A1: B1, B1: A1, B2: C1, C1: B2},
    sockets={"physnet1": {A2: frozenset({"host:1", "host:2"})}, "physnet2": {D1: frozenset({"host:1"})}},
)


def test_sockets_by_host_and_by_port() -> None:
    assert MADE.socket("host:1", "physnet1") == A2
    assert MADE.socket("host:1", "physnet2") == D1
    assert MADE.socket("host:2", "physnet2") is None
    assert MADE.socket("host:1", "physnet3") is None
    assert MADE.hosts_at(A2) == [("host:1", "physnet1"), ("host:2", "physnet1")]
    assert MADE.hosts_at(A1) == []


def test_who_is_joined() -> None:
    for switch in "abc":
        assert MADE.joined(switch) == frozenset("abc")
    assert MADE.joined("d") == frozenset("d")
