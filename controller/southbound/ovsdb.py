"""One Open vSwitch by OVSDB: what it tells of a bridge, and the few things that only OVSDB can set.

A thread per connection (ovsdbapp's) keeps a replica of the columns we read. ovsdbapp's own reconnection keeps the
replica over short losses; :class:`BridgeWatch` starts over with back-off when a connection cannot be had at all.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import ovs.db.idl
from ovsdbapp.backend.ovs_idl import connection, idlutils, transaction
from ovsdbapp.schema.open_vswitch import impl_idl

from controller.errors import IsthmusError
from controller.southbound import ovsdb_json
from controller.southbound.bridge import TUNNEL_MARK, Bridge, BridgeChange, Interface, TunnelPort, bridge_change

LOG = logging.getLogger(__name__)

SCHEMA = "Open_vSwitch"
COLUMNS = {
    "Open_vSwitch": ["bridges", "external_ids", "next_cfg", "cur_cfg"],
    "Bridge": ["name", "datapath_id", "ports", "fail_mode", "other_config"],
    "Port": ["name", "interfaces"],
    "Interface": ["name", "type", "ofport", "external_ids", "options", "link_state", "error"],
}
"""What is replicated; leaving statistics out keeps an idle switch silent."""

SETTLE = 0.02
"""Seconds in which changes of the database are gathered into one."""

GRACE = 1.0
"""Seconds for ovs-vswitchd to write the datapath id of a bridge whose OpenFlow is already here."""

FIRST_BACKOFF = 1.0


class OvsdbError(IsthmusError):
    """An Open vSwitch database cannot be reached or refused a transaction."""


class _Idl(connection.OvsdbIdl):  # type: ignore[misc]
    """The replica; tells of every change."""

    changed: Callable[[], None] = staticmethod(lambda: None)

    def notify(self, event: str, row: Any, updates: Any = None) -> None:  # noqa: ARG002 (the signature is given)
        self.changed()


class _Api(impl_idl.OvsdbIdl):  # type: ignore[misc]
    """ovsdbapp's commands for one connection (ovsdbapp itself shares one connection per class)."""

    ovsdb_connection = None

    def __init__(self, own: connection.Connection) -> None:
        self.ovsdb_connection = own
        super().__init__(own)

    def create_transaction(self, check_error: bool = False, log_errors: bool = True, **_: Any) -> Any:
        """A transaction that ends when the database has it (ovsdbapp's waits for ovs-vswitchd, holding the lock)."""
        return _Transaction(self, self.ovsdb_connection, check_error=check_error, log_errors=log_errors)


class _Transaction(transaction.Transaction):  # type: ignore[misc]
    def pre_commit(self, txn: Any) -> None:
        txn.expected_ifaces = set()


class OvsdbConnection:
    """A started connection to one database server. Its thread calls the ``listeners``, which must only signal."""

    def __init__(self, remote: str, timeout: float) -> None:
        self._remote = remote
        self.listeners: frozenset[Callable[[], None]] = frozenset()
        idl: _Idl | None = None
        try:
            ovsdb_json.install()
            helper = ovs.db.idl.SchemaHelper(schema_json=_only_ours(_fetch_schema(remote, timeout)))
            for table, columns in COLUMNS.items():
                helper.register_columns(table, columns)
            idl = _Idl(remote, helper, leader_only=False)
            idl.changed = self._changed
            self._connection = connection.Connection(idl, timeout)
            self._api = _Api(self._connection)
        except OvsdbError:
            raise
        except Exception as problem:
            if idl is not None:
                idl.close()
            raise OvsdbError(f"OVSDB at {remote}: {problem}") from problem

    def stop(self) -> None:
        """End the connection's thread."""
        self._connection.stop(timeout=1)

    def _changed(self) -> None:
        for listener in self.listeners:
            listener()

    def bridge(self, datapath_id: int) -> Bridge | None:
        """The bridge with that datapath id as the replica has it now, None if there is none."""
        with self._connection.lock:
            tables = self._connection.idl.tables
            root = next(iter(tables["Open_vSwitch"].rows.values()), None)
            wanted = f"{datapath_id:016x}"
            found = [row for row in tables["Bridge"].rows.values() if wanted in row.datapath_id]
            if root is None or not found:
                return None
            others = (row for row in tables["Bridge"].rows.values() if row is not found[0])
            return Bridge(
                name=found[0].name,
                fail_mode=next(iter(found[0].fail_mode), ""),
                in_band=found[0].other_config.get("disable-in-band") != "true",
                host_ids=dict(root.external_ids),
                interfaces=tuple(_interface(row) for row in _interfaces(found[0])),
                elsewhere={row.name: other.name for other in others for row in _interfaces(other)},
            )

    def carry_out(self, bridge: str, change: BridgeChange) -> None:
        """Change the bridge in one transaction. Raises :class:`OvsdbError`."""
        api = self._api
        try:
            with api.transaction(check_error=True, log_errors=False) as work:
                for command in _commands(api, bridge, change):
                    work.add(command)
        except Exception as problem:
            raise OvsdbError(f"OVSDB at {self._remote}, bridge {bridge}: {problem}") from problem


def _commands(api: _Api, bridge: str, change: BridgeChange) -> list[Any]:
    commands = []
    if change.settings:
        commands.append(api.db_set("Bridge", bridge, fail_mode="secure"))
        commands.append(api.db_add("Bridge", bridge, "other_config", {"disable-in-band": "true"}))
    commands += [api.del_port(name, bridge=bridge) for name in change.remove]
    for port in change.make:
        commands.append(api.add_port(bridge, port.name, may_exist=True, type=port.type, **_tunnel_columns(port)))
    for port in change.update:
        commands.append(api.db_set("Interface", port.name, type=port.type, options=dict(port.options)))
    return commands


def _tunnel_columns(port: TunnelPort) -> dict[str, Any]:
    return {"options": dict(port.options), "external_ids": dict([TUNNEL_MARK])}


def _interfaces(bridge: Any) -> list[Any]:
    return [interface for port in bridge.ports for interface in port.interfaces]


def _interface(row: Any) -> Interface:
    ofport = next(iter(row.ofport), None)
    return Interface(
        name=row.name,
        type=row.type,
        ofport=ofport if ofport is not None and ofport > 0 else None,
        link_up=next(iter(row.link_state), "up") != "down",
        external_ids=dict(row.external_ids),
        options=dict(row.options),
        error=next(iter(row.error), ""),
    )


def remote_for(address: str, port: int) -> str:
    """The OVSDB remote of a switch whose OpenFlow comes from that address."""
    return f"tcp:[{address}]:{port}" if ":" in address else f"tcp:{address}:{port}"


def _only_ours(schema: Any) -> Any:
    """The schema cut down to what is replicated; to interpret the rest takes longer than everything else."""
    tables = {
        name: {**schema["tables"][name], "columns": {column: schema["tables"][name]["columns"][column]
                                                     for column in columns}}
        for name, columns in COLUMNS.items()
    }  # fmt: skip
    return {**schema, "tables": tables}


def _fetch_schema(remote: str, timeout: float) -> Any:
    """Ask the server for its schema, within a deadline (ovsdbapp's helper has none, but knows TLS)."""
    kind, _, where = remote.partition(":")
    if kind not in ("tcp", "unix"):
        return idlutils.fetch_schema_json(remote, SCHEMA)
    try:
        with _connect(kind, where, timeout) as peer:
            peer.sendall(json.dumps({"method": "get_schema", "params": [SCHEMA], "id": 0}).encode())
            reply = _read_json(peer, timeout)
    except (OSError, ValueError) as problem:
        raise OvsdbError(f"OVSDB at {remote} cannot be reached: {problem}") from problem
    if not isinstance(reply, dict) or not reply.get("result"):
        raise OvsdbError(f"{remote} has no database {SCHEMA}")
    return reply["result"]


def _connect(kind: str, where: str, timeout: float) -> socket.socket:
    if kind == "unix":
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(timeout)
        peer.connect(where)
        return peer
    host, _, port = where.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout)


def _read_json(peer: socket.socket, timeout: float) -> Any:
    """The one JSON value that comes; the server sends no terminator after it."""
    deadline, received = time.monotonic() + timeout, b""
    while time.monotonic() < deadline:
        part = peer.recv(1 << 16)
        if not part:
            raise ValueError("the connection was closed")
        received += part
        if received.endswith(b"}"):
            try:
                return json.loads(received)
            except ValueError:
                continue
    raise ValueError(f"no answer within {timeout:g} s")


class Replicas:
    """The connections by remote: bridges of one Open vSwitch share theirs."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._open: dict[str, OvsdbConnection] = {}

    def join(self, remote: str, listener: Callable[[], None]) -> OvsdbConnection:
        """The connection to a remote, made if there is none. Raises :class:`OvsdbError`."""
        with self._lock_of(remote):
            replica = self._open.get(remote)
            if replica is None:
                replica = self._open[remote] = OvsdbConnection(remote, self.timeout)
            replica.listeners |= {listener}
            return replica

    def leave(self, remote: str, listener: Callable[[], None]) -> None:
        """End one's share in a connection; the last one closes it."""
        with self._lock_of(remote):
            replica = self._open.get(remote)
            if replica is None:
                return
            replica.listeners -= {listener}
            if not replica.listeners:
                del self._open[remote]
                replica.stop()

    def _lock_of(self, remote: str) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(remote, threading.Lock())


class BridgeWatch:
    """Follows one bridge in a thread of its own and keeps it as we need it.

    ``tell(bridge, problem)`` is called with every new state of the bridge, and with None and the reason when the
    database cannot be had; what was last known stays valid then. It must not block.
    """

    def __init__(
        self, replicas: Replicas, remote: str, datapath_id: int, tell: Callable[[Bridge | None, str], None],
        longest_backoff: float = 30.0,
    ) -> None:  # fmt: skip
        self._replicas = replicas
        self._remote = remote
        self._datapath_id = datapath_id
        self._tell = tell
        self._longest_backoff = longest_backoff
        self._changed = threading.Event()
        self._stopped = False

    def start(self) -> None:
        """Begin; returns at once."""
        threading.Thread(target=self._run, name=f"ovsdb-{self._datapath_id:016x}", daemon=True).start()

    def stop(self) -> None:
        """End soon; returns at once."""
        self._stopped = True
        self._changed.set()

    def _run(self) -> None:
        backoff = FIRST_BACKOFF
        while not self._stopped:
            try:
                replica = self._replicas.join(self._remote, self._changed.set)
            except OvsdbError as problem:
                self._tell(None, str(problem))
                self._pause(backoff)
                backoff = min(2 * backoff, self._longest_backoff)
                continue
            backoff = FIRST_BACKOFF
            try:
                self._follow(replica)
            except Exception:
                LOG.exception("following %s of OVSDB at %s", f"{self._datapath_id:016x}", self._remote)
            finally:
                self._replicas.leave(self._remote, self._changed.set)
            self._pause(FIRST_BACKOFF)

    def _pause(self, seconds: float) -> None:
        """Do nothing for a while, whatever changes meanwhile; :meth:`stop` ends it."""
        self._changed.clear()
        if not self._stopped:
            self._changed.wait(seconds)

    def _follow(self, replica: OvsdbConnection) -> None:
        """Tell what changed until stopped. ovsdbapp reconnects by itself, and then the replica changes."""
        told: Bridge | None = None
        missing = False
        retry: float | None = None
        if replica.bridge(self._datapath_id) is None:
            self._changed.wait(GRACE)
        while not self._stopped:
            self._changed.clear()
            if self._stopped:  # meanwhile
                return
            bridge = replica.bridge(self._datapath_id)
            if bridge is None and not missing:
                self._tell(None, f"OVSDB at {self._remote} has no bridge with datapath id {self._datapath_id:016x}")
            elif bridge is not None and bridge != told:
                self._tell(bridge, "")
            told, missing = bridge, bridge is None
            retry = self._correct(replica, bridge, retry)
            if self._changed.wait(retry) and not self._stopped:
                time.sleep(SETTLE)

    def _correct(self, replica: OvsdbConnection, bridge: Bridge | None, last_wait: float | None) -> float | None:
        """Make the bridge as we need it; the seconds after which to try again if that failed."""
        change = bridge_change(bridge) if bridge is not None else None
        if bridge is None or not change:
            return None
        try:
            replica.carry_out(bridge.name, change)
        except OvsdbError as problem:
            LOG.warning("%s", problem)
            return min(2 * (last_wait or FIRST_BACKOFF / 2), self._longest_backoff)
        return None
