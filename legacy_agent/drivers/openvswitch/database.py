"""Open vSwitch's database (RFC 7047), spoken to directly: one connection per transaction, one that hears of changes.

A transaction on a Unix socket costs a fraction of a millisecond, so that no replica has to be kept and nothing has to
be reconnected.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from controller.errors import ConfigurationError, IsthmusError

SCHEMA = "Open_vSwitch"
_CHUNK = 1 << 16

Operation = Mapping[str, Any]
Row = Mapping[str, Any]


class DatabaseError(IsthmusError):
    """The database cannot be reached, or it refused a transaction."""


class Ovsdb(Protocol):
    """What the driver asks of the database; :class:`Database` is the real one."""

    def transact(self, operations: Sequence[Operation]) -> list[Mapping[str, Any]]: ...
    def changes(self, columns: Mapping[str, Sequence[str]]) -> Iterator[None]: ...


class Database:
    """The database behind an OVSDB remote: ``unix:PATH`` or ``tcp:ADDRESS:PORT``; others are a
    :class:`ConfigurationError`. ``timeout`` is in seconds, for each answer."""

    def __init__(self, remote: str, timeout: float = 5.0) -> None:
        kind, _, where = remote.partition(":")
        if kind not in ("unix", "tcp") or not where or (kind == "tcp" and not where.rpartition(":")[2].isdigit()):
            raise ConfigurationError(
                f"[ovs] ovsdb_connection must be unix:<path of the socket> or tcp:<address>:<port>, not {remote!r}"
            )
        self.remote = remote
        self._kind, self._where, self._timeout = kind, where, timeout

    def transact(self, operations: Sequence[Operation]) -> list[Mapping[str, Any]]:
        """Carry out the operations, all or none, and return their results; raises :class:`DatabaseError`."""
        with self._explained(), self._connection(self._timeout) as peer:
            peer.call("transact", [SCHEMA, *operations])
            results = peer.answer()
        failed = [result for result in results if result and "error" in result]
        if failed:
            raise DatabaseError(f"OVSDB at {self.remote}: {failed[0]['error']}: {failed[0].get('details', '')}")
        return list(results)

    def changes(self, columns: Mapping[str, Sequence[str]]) -> Iterator[None]:
        """Yields once when it hears of changes, then after each change of these columns (table -> names). Raises
        :class:`DatabaseError` when the connection cannot be had or ends."""
        wanted = {table: {"columns": list(names)} for table, names in columns.items()}
        with self._explained(), self._connection(self._timeout) as peer:
            peer.call("monitor", [SCHEMA, None, wanted])
            peer.answer()
            yield
            peer.wait_for_ever()
            while True:
                peer.update()
                yield

    @contextlib.contextmanager
    def _connection(self, timeout: float) -> Iterator[_Peer]:
        if self._kind == "unix":
            channel = socket.socket(socket.AF_UNIX)
            channel.settimeout(timeout)
            with channel:
                channel.connect(self._where)
                yield _Peer(channel)
        else:
            address, _, port = self._where.rpartition(":")
            with socket.create_connection((address.strip("[]"), int(port)), timeout) as channel:
                channel.setsockopt(
                    socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1
                )  # a peer that vanishes is silent for ever
                yield _Peer(channel)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            raise DatabaseError(f"OVSDB at {self.remote} cannot be reached: {error}") from error


class _Peer:
    """One JSON-RPC connection."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._rest = b""

    def call(self, method: str, parameters: Sequence[Any]) -> None:
        """Ask; one question at a time."""
        self._send({"method": method, "params": list(parameters), "id": 0})

    def answer(self) -> Any:
        """The result of what was asked."""
        while True:
            message = self._message()
            if "method" not in message:
                if message.get("error"):
                    raise ValueError(str(message["error"]))
                return message["result"]

    def update(self) -> None:
        """Return when something has changed."""
        while self._message().get("method") != "update":
            pass

    def wait_for_ever(self) -> None:
        """No deadline any more: a quiet database is well."""
        self._channel.settimeout(None)

    def _message(self) -> Any:
        """The next message that is no echo request; those are answered."""
        while True:
            message = self._read()
            if message.get("method") != "echo":
                return message
            self._send({"result": message["params"], "error": None, "id": message["id"]})

    def _send(self, message: Mapping[str, Any]) -> None:
        self._channel.sendall(json.dumps(message).encode())

    def _read(self) -> Any:
        """Messages follow each other without a separator; each is an object."""
        while True:
            if b"}" in self._rest[-1:] or b"}{" in self._rest:
                with contextlib.suppress(ValueError):  # not all of it is here
                    text = self._rest.decode()
                    message, end = json.JSONDecoder().raw_decode(text)
                    self._rest = text[end:].encode()
                    return message
            data = self._channel.recv(_CHUNK)
            if not data:
                raise ConnectionError("it closed the connection")
            self._rest += data
