"""What wakes the agent."""

from __future__ import annotations

import errno
import struct

import pytest

from legacy_agent.netlink import events
from legacy_agent.netlink.messages import message


class Socket:
    """Gives what it was given, then is of no use any more."""

    def __init__(self, *given: bytes | int) -> None:
        self._given = [*given, errno.EBADF]

    def recv(self, size: int) -> bytes:
        item = self._given.pop(0)
        if isinstance(item, int):
            raise OSError(item, "no")
        return item


def rule(family: int) -> bytes:
    """An event of nftables."""
    return message(10 << 8 | 6, 0, 0, struct.pack(">BBH", family, 0, 0))


def test_overrun_wakes_because_nobody_knows_what_was_lost(caplog: pytest.LogCaptureFixture) -> None:
    woken: list[int] = []
    events.watch(Socket(b"x", errno.ENOBUFS, b"y"), lambda: woken.append(1))  # type: ignore[arg-type]
    assert len(woken) == 3
    assert "found by the audit only" in caplog.text


def test_rules_of_other_families_do_not_wake() -> None:
    """Firewalls and container networks change theirs all the time."""
    woken: list[int] = []
    heard = Socket(rule(2), rule(1) + rule(10), rule(1) + rule(7), errno.ENOBUFS)
    events.watch(heard, lambda: woken.append(1), events.of_bridges)  # type: ignore[arg-type]
    assert len(woken) == 2
