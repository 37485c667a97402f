"""Questions to one switch and the answers to them: each by its transaction id, each with a deadline.

The receiving thread calls :meth:`Exchange.deliver`, which never blocks; whoever asked waits in a thread of its own.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from controller.dataplane.encoder import XID, BundleType, barrier_request, bundle_control
from controller.dataplane.messages import (
    ErrorMessage,
    InstalledGroup,
    group_desc_request,
    meter_config_request,
    parse_bundle_reply,
    parse_error,
    parse_group_desc,
    parse_meter_config,
)
from controller.dataplane.values import OWNER_MASK, OWNER_SHIFT, OWNER_TAG
from controller.errors import SwitchError, SwitchGone, SwitchTimeout
from controller.southbound import wire

CHUNK = 1 << 18
"""Bytes handed to os-ken at once; its queue of 16 entries then holds 4 MiB and blocks the caller only."""

BUNDLES = tuple(range(0x1571, 0x1579))
"""Ids of bundles, used in turn: one whose end was never confirmed may still be open at the switch. Few, because bytes
wrapped for an id are shared by all switches."""

LONGEST = 30
"""Times the deadline that all parts of an answer together may take: a switch that is asked for all it has is slow, one
that never comes to an end is broken."""

LARGEST = 512 << 20
"""Bytes of one answer: a few million flows."""

MOST_ERRORS = 4096
"""Errors about modifications that are kept; whoever asks for them tries again without what they name, and hears of the
others then."""

Answers = queue.SimpleQueue[bytes | None]
"""What comes back; None: the connection ended."""


class Line(Protocol):
    """What is needed of os-ken's datapath."""

    xid: int

    def send(self, buf: bytes) -> bool: ...


class Refusal(SwitchError):
    """The switch answered a question with an OpenFlow error."""

    def __init__(self, message: str, error: ErrorMessage) -> None:
        super().__init__(message, error.cookie)
        self.error = error


class Exchange:
    """The asking side of one connection."""

    def __init__(self, line: Line, version: int, timeout: float, name: str) -> None:
        self.version = version
        self.timeout = timeout
        self.name = name
        self._line = line
        self._lock = threading.Lock()
        self._waiting: dict[int, Answers] = {}
        self._errors: list[ErrorMessage] = []
        self._closed = False
        self._turn = 0
        self.bundle_id = BUNDLES[0]

    def deliver(self, kind: int, xid: int, message: bytes) -> bool:
        """Take a message if it answers a question; False leaves it to others. Never blocks."""
        if kind == wire.ERROR and xid == XID:
            if len(self._errors) < MOST_ERRORS:
                self._errors.append(parse_error(message))
            return True
        waiter = self._waiting.get(xid)
        if waiter is None:
            return False
        waiter.put(message)
        return True

    def close(self) -> None:
        """The connection ended: whoever waits gets :class:`SwitchGone`."""
        with self._lock:
            self._closed = True
            waiters = list(self._waiting.values())
        for waiter in waiters:
            waiter.put(None)

    def send(self, buffer: bytes) -> None:
        """Send encoded messages; blocks the caller while the switch does not take them."""
        for start in range(0, len(buffer), CHUNK):
            if self._closed or not self._line.send(buffer[start : start + CHUNK]):
                raise self._gone()

    def take_errors(self) -> list[ErrorMessage]:
        """The errors about modifications since the last call."""
        errors, self._errors = self._errors, []
        return errors

    def barrier(self) -> None:
        """Wait until the switch has done everything sent before."""
        for answer in self._ask(lambda xid: barrier_request(self.version, xid)):
            if answer[1] == wire.BARRIER_REPLY:
                return

    def open_bundle(self) -> None:
        """Open the bundle :attr:`bundle_id`. Raises :class:`Refusal`."""
        self._turn += 1
        self.bundle_id = BUNDLES[self._turn % len(BUNDLES)]
        self.bundle(BundleType.OPEN_REQUEST)

    def bundle(self, request: BundleType) -> None:
        """A control request for the bundle; returns when the switch confirmed it. Raises :class:`Refusal`."""
        for answer in self._ask(lambda xid: bundle_control(self.bundle_id, request, self.version, xid=xid)):
            reply = parse_bundle_reply(answer)
            if reply is not None and reply.kind == request + 1:
                return

    def flows(self, table: int, cookie: int = 0, mask: int = 0) -> list[wire.FlowEntry]:
        """The flows of a table (``ALL_TABLES``: of all) whose cookie equals ``cookie`` under ``mask``."""
        return wire.flow_entries(self._multipart(lambda xid: self._flows_request(xid, table, cookie, mask)))

    def _flows_request(self, xid: int, table: int, cookie: int = 0, mask: int = 0) -> bytes:
        return wire.multipart_request(self.version, xid, wire.MP_FLOW, wire.flow_selection(table, cookie, mask))

    def our_flows(self, table: int) -> list[wire.FlowEntry]:
        """The flows with our owner tag."""
        return self.flows(table, OWNER_TAG << OWNER_SHIFT, OWNER_MASK)

    def groups(self) -> dict[int, InstalledGroup]:
        """All groups by their ids."""
        groups: dict[int, InstalledGroup] = {}
        for part in self._multipart(lambda xid: group_desc_request(self.version, xid)):
            groups.update(parse_group_desc(part).groups)
        return groups

    def meters(self) -> dict[int, bytes]:
        """All meters by their ids, with flags and bands."""
        meters: dict[int, bytes] = {}
        for part in self._multipart(lambda xid: meter_config_request(self.version, xid)):
            meters |= parse_meter_config(part)
        return meters

    def _multipart(self, encode: Callable[[int], bytes]) -> list[bytes]:
        parts: list[bytes] = []
        size = 0
        for answer in self._ask(encode):
            more = wire.has_more(answer)
            if more is not None:
                parts.append(answer)
                size += len(answer)
                if size > LARGEST:
                    raise SwitchError(f"{self.name} answers a question with more than {LARGEST >> 20} MiB")
            if more is False:
                break
        return parts

    def _ask(self, encode: Callable[[int], bytes]) -> Iterator[bytes]:
        """Send one request and yield what comes back for it; each answer renews the deadline, up to :data:`LONGEST`
        times in all."""
        answers: Answers = queue.SimpleQueue()
        xid = self._expect(answers)
        try:
            self.send(encode(xid))
            latest = time.monotonic() + LONGEST * self.timeout
            while time.monotonic() < latest:
                answer = self._next(answers)
                if answer[1] == wire.ERROR:
                    raise self._refusal(answer)
                yield answer
            raise SwitchTimeout(f"{self.name} did not come to the end of an answer in {LONGEST * self.timeout:g} s")
        finally:
            self._waiting.pop(xid, None)

    def _expect(self, answers: Answers) -> int:
        """A new transaction id; what comes back for it goes there."""
        with self._lock:
            if self._closed:
                raise self._gone()
            self._line.xid = xid = (self._line.xid + 1) & 0x7FFFFFFF or 1
            self._waiting[xid] = answers
        return xid

    def _next(self, answers: Answers) -> bytes:
        try:
            answer = answers.get(timeout=self.timeout)
        except queue.Empty:
            raise SwitchTimeout(f"{self.name} did not answer within {self.timeout:g} s") from None
        if answer is None:
            raise self._gone()
        return answer

    def _refusal(self, answer: bytes) -> Refusal:
        error = parse_error(answer)
        return Refusal(f"{self.name} refused a request: {error.text}", error)

    def _gone(self) -> SwitchGone:
        return SwitchGone(f"the session with {self.name} ended")
