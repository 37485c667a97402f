"""nftables by its own netlink messages: expressions as values, and one table's rules read and written.

Messages are built here rather than by pyroute2, whose nftables part has no verdict maps and reads one reply per
message. A transaction is one batch: the kernel applies all of it between two packets, or nothing. Layout and numbers
are those of ``linux/netfilter/nf_tables.h``.
"""

from __future__ import annotations

import enum
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from legacy_agent.netlink.errors import KernelError
from legacy_agent.netlink.messages import (
    ACKNOWLEDGE,
    APPEND,
    CREATE,
    DONE,
    DUMP,
    ERROR,
    REQUEST,
    Received,
    attribute,
    attributes,
    error_code,
    message,
    messages,
    nested,
)

NFPROTO_BRIDGE = 7
DROP, ACCEPT, GOTO = 0, 1, -4
HOOK_PREROUTING = 0
PRIORITY_FILTER = -200

_NETLINK_NETFILTER = 12
_SUBSYSTEM = 10
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_SEND_BUFFER = 16 << 20
_TYPE_IFNAME, _TYPE_VERDICT, _SET_MAP = 41, 0xFFFFFF00, 8
_IFNAMSIZ = 16
_USERDATA_COMMENT = 0
_SET_BYTE_ORDERS = struct.pack("=BBIBBI", 0, 4, 1, 1, 4, 0)
"""User data of a map: keys are in host order, verdicts in none, so that ``nft list`` can print them."""


class Message(enum.IntEnum):
    """Requests to nftables, and the messages its dumps consist of."""

    NEW_TABLE = 0
    DELETE_TABLE = 2
    NEW_CHAIN = 3
    DELETE_CHAIN = 5
    NEW_RULE = 6
    GET_RULE = 7
    DELETE_RULE = 8
    NEW_SET = 9
    NEW_ELEMENT = 12
    GET_ELEMENT = 13
    DELETE_ELEMENT = 14


class Base(enum.IntEnum):
    """Where a header field is counted from."""

    LINK = 0
    NETWORK = 1
    TRANSPORT = 2


class Meta(enum.IntEnum):
    """Facts about a packet that are not in its bytes."""

    IN_INTERFACE = 6
    L4_PROTOCOL = 16


@dataclass(frozen=True, slots=True)
class Field:
    """A header field: base, offset and length in bytes."""

    base: Base
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Test:
    """One condition: the field (or meta value), masked when ``mask`` is given, is (or is not) ``value``."""

    field: Field | Meta
    value: bytes
    equal: bool = True
    mask: bytes | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """All tests hold -> ``verdict`` (:data:`DROP` or :data:`ACCEPT`), counted when ``counter``."""

    tests: tuple[Test, ...]
    verdict: int
    counter: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One message of a transaction."""

    message: Message
    payload: bytes
    flags: int = 0


def _text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">I", value & 0xFFFFFFFF))


def _expression(name: str, *parameters: bytes) -> bytes:
    return nested(1, _text(1, name), nested(2, *parameters))


def encode_rule(rule: Rule) -> bytes:
    """The expressions of a rule, as the kernel reads them."""
    parts = [expression for test in rule.tests for expression in _encode_test(test)]
    if rule.counter:
        parts.append(_expression("counter"))
    parts.append(_expression("immediate", _number(1, 0), nested(2, nested(2, _number(1, rule.verdict)))))
    return b"".join(parts)


def _encode_test(test: Test) -> Iterator[bytes]:
    if isinstance(test.field, Meta):
        yield _expression("meta", _number(1, 1), _number(2, test.field))
    else:
        field = test.field
        yield _expression("payload", _number(1, 1), _number(2, field.base), _number(3, field.offset),
                          _number(4, field.length))  # fmt: skip
    if test.mask is not None:
        zero = bytes(len(test.mask))
        yield _expression("bitwise", _number(1, 1), _number(2, 1), _number(3, len(test.mask)),
                          nested(4, attribute(1, test.mask)), nested(5, attribute(1, zero)))  # fmt: skip
    yield _expression("cmp", _number(1, 1), _number(2, 0 if test.equal else 1), nested(3, attribute(1, test.value)))


def new_table(table: str) -> Request:
    """Make the table unless it is there."""
    return Request(Message.NEW_TABLE, _text(1, table) + _number(2, 0), CREATE)


def delete_table(table: str) -> Request:
    """Delete the table with all that is in it."""
    return Request(Message.DELETE_TABLE, _text(1, table))


def new_chain(table: str, chain: str, hook: int | None = None, priority: int = PRIORITY_FILTER) -> Request:
    """Make a chain unless it is there; with ``hook`` one that packets enter, accepting at its end."""
    payload = _text(1, table) + _text(3, chain)
    if hook is not None:
        payload += nested(4, _number(1, hook), _number(2, priority)) + _number(5, ACCEPT) + _text(7, "filter")
    return Request(Message.NEW_CHAIN, payload, CREATE)


def delete_chain(table: str, chain: str) -> Request:
    """Delete a chain that is empty and that nothing leads to."""
    return Request(Message.DELETE_CHAIN, _text(1, table) + _text(3, chain))


def flush_chain(table: str, chain: str) -> Request:
    """Remove all rules of a chain."""
    return Request(Message.DELETE_RULE, _text(1, table) + _text(2, chain))


def append_rule(table: str, chain: str, expressions: bytes, comment: str) -> Request:
    """Append a rule, with a comment that ``nft list`` shows."""
    text = comment.encode() + b"\0"
    payload = _text(1, table) + _text(2, chain) + nested(4, expressions)
    payload += attribute(7, struct.pack("BB", _USERDATA_COMMENT, len(text)) + text)
    return Request(Message.NEW_RULE, payload, CREATE | APPEND)


def interface_lookup(verdict_map: str) -> bytes:
    """Expressions that send a packet where the map has its input interface, or on where it has not."""
    meta = _expression("meta", _number(1, 1), _number(2, Meta.IN_INTERFACE))
    return meta + _expression("lookup", _text(1, verdict_map), _number(2, 1), _number(3, 0))


def new_interface_map(table: str, name: str) -> Request:
    """Make a map interface name -> verdict unless it is there."""
    payload = _text(1, table) + _text(2, name) + _number(3, _SET_MAP) + _number(4, _TYPE_IFNAME)
    payload += _number(5, _IFNAMSIZ) + _number(6, _TYPE_VERDICT) + _number(10, 1)
    payload += attribute(13, _SET_BYTE_ORDERS)
    return Request(Message.NEW_SET, payload, CREATE)


def add_interface(table: str, name: str, interface: str, chain: str) -> Request:
    """Send packets of an interface to a chain."""
    verdict = nested(2, nested(2, _number(1, GOTO), _text(2, chain)))
    return Request(Message.NEW_ELEMENT, _element(table, name, interface, verdict), CREATE)


def remove_interface(table: str, name: str, interface: str) -> Request:
    """Forget an interface."""
    return Request(Message.DELETE_ELEMENT, _element(table, name, interface, b""))


def _element(table: str, name: str, interface: str, data: bytes) -> bytes:
    key = nested(1, attribute(1, interface.encode().ljust(_IFNAMSIZ, b"\0")))
    return _text(1, table) + _text(2, name) + nested(3, nested(1, key, data))


class NftSocket:
    """Transactions and dumps of the bridge family, in the network namespace of the thread that makes it."""

    def __init__(self, timeout: float = 5.0) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        try:
            self._socket = socket.socket(socket.AF_NETLINK, kind, _NETLINK_NETFILTER)
            self._socket.bind((0, 0))
        except OSError as error:
            raise KernelError(f"this kernel has no nftables: {error.strerror}", error.errno or 0) from error
        self._socket.settimeout(timeout)
        self._sequence = 0
        for option in (32, socket.SO_SNDBUF):  # SO_SNDBUFFORCE needs privileges; the other is what remains without
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, option, _SEND_BUFFER)
                break
            except OSError:
                continue

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def transaction(self, requests: Sequence[Request]) -> None:
        """Apply all requests between two packets, or none: then :class:`KernelError` of the first that failed."""
        first = self._next()
        batch = [_message(_BATCH_BEGIN, first, REQUEST, _SUBSYSTEM, b"", family=0)]
        last = first
        for position, request in enumerate(requests):
            last = self._next()
            acknowledge = ACKNOWLEDGE if position == len(requests) - 1 else 0
            kind = _SUBSYSTEM << 8 | request.message
            batch.append(_message(kind, last, REQUEST | request.flags | acknowledge, 0, request.payload))
        batch.append(_message(_BATCH_END, self._next(), REQUEST, _SUBSYSTEM, b"", family=0))
        self._send(b"".join(batch))
        self._await(first, last, requests)

    def rule_comments(self, table: str) -> dict[str, list[str]]:
        """Chain -> the comments of its rules in order ("" for a rule without); empty when there is no such table."""
        comments: dict[str, list[str]] = {}
        for rule in self._dump(Message.GET_RULE, _text(1, table)):
            if _string(rule, 1) == table:
                comments.setdefault(_string(rule, 2), []).append(_comment(rule.get(7, b"")))
        return comments

    def interface_map(self, table: str, name: str) -> dict[str, str]:
        """Interface -> chain of a map made by :func:`new_interface_map`; empty when there is none."""
        found: dict[str, str] = {}
        for part in self._dump(Message.GET_ELEMENT, _text(1, table) + _text(2, name)):
            for _, element in attributes(part.get(3, b"")):
                parts = dict(attributes(element))
                key = dict(attributes(parts.get(1, b""))).get(1, b"").rstrip(b"\0").decode(errors="replace")
                verdict = dict(attributes(dict(attributes(parts.get(2, b""))).get(2, b"")))
                found[key] = _string(verdict, 2)
        return found

    def _await(self, first: int, last: int, requests: Sequence[Request]) -> None:
        """Read replies up to the last message's. Errors come in order, so the first one is the cause."""
        failure: KernelError | None = None
        while True:
            for kind, _, sequence, payload in self._receive():
                if kind != ERROR or not first <= sequence <= last:
                    continue
                code = error_code(payload)
                if code and failure is None:
                    what = requests[sequence - first - 1].message.name if sequence > first else "transaction"
                    failure = KernelError(f"nftables refused {what.lower()}: {os.strerror(code)}", code)
                if sequence == last or (code and sequence == first):
                    if failure is not None:
                        raise failure
                    return

    def _dump(self, message: Message, payload: bytes) -> Iterator[dict[int, bytes]]:
        sequence = self._next()
        self._send(_message(_SUBSYSTEM << 8 | message, sequence, REQUEST | DUMP, 0, payload))
        while True:
            for kind, _, answered, body in self._receive():
                if answered != sequence:
                    continue
                if kind == DONE:
                    return
                if kind == ERROR:
                    code = error_code(body)
                    if code in (0, 2):  # ENOENT: the table is not there
                        return
                    raise KernelError(f"nftables refused {message.name.lower()}: {os.strerror(code)}", code)
                yield dict(attributes(body[4:]))

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendto(data, (0, 0))
        except OSError as error:
            raise KernelError(f"cannot write to nftables: {error.strerror}", error.errno or 0) from error

    def _receive(self) -> list[Received]:
        try:
            data = self._socket.recv(1 << 20)
        except OSError as error:
            raise KernelError(f"nftables did not answer: {error}", error.errno or 0) from error
        return list(messages(data))


def _message(kind: int, sequence: int, flags: int, resource: int, payload: bytes,
             family: int = NFPROTO_BRIDGE) -> bytes:  # fmt: skip
    return message(kind, sequence, flags, struct.pack(">BBH", family, 0, resource) + payload)


def _string(parts: dict[int, bytes], kind: int) -> str:
    return parts.get(kind, b"").rstrip(b"\0").decode(errors="replace")


def _comment(userdata: bytes) -> str:
    if len(userdata) < 2 or userdata[0] != _USERDATA_COMMENT:
        return ""
    return userdata[2 : 2 + userdata[1]].rstrip(b"\0").decode(errors="replace")
