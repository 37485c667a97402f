"""A delta of items -> Open vSwitch, in an order in which nothing leaks and nothing flaps.

First ports, which carry nothing without flows; then all flows in one atomic bundle; ports that must go at last.
Between the two the port numbers are read, which Open vSwitch chooses. A failure stays with its network.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from controller.delta import Delta
from legacy_agent.drivers.openvswitch import desired
from legacy_agent.drivers.openvswitch.database import DatabaseError, Operation, Ovsdb
from legacy_agent.drivers.openvswitch.installed import HostState
from legacy_agent.drivers.openvswitch.items import MARK, AnyItem, Bridge, FlowItem, Key, Wire, cookie_of, port_numbers
from legacy_agent.drivers.openvswitch.ofctl import FlowError, Flows
from legacy_agent.netlink.errors import KernelError
from legacy_agent.netlink.links import Links

LOG = logging.getLogger(__name__)

WAIT = 5.0
"""Seconds that ovs-vswitchd has to put a change of the database into force."""

_POLL = 0.005

K = TypeVar("K", bound=AnyItem)


class Applier:
    """One delta applied to one host. ``read`` reads the host again. ``errors`` (network id -> reason) fills up on the
    way."""

    def __init__(self, database: Ovsdb, flows: Flows, links: Links, state: HostState, bridge: str,
                 read: Callable[[], HostState]) -> None:  # fmt: skip
        self._database, self._flows, self._links = database, flows, links
        self._state, self._bridge, self._read = state, bridge, read
        self.errors: dict[str, str] = {}

    def apply(self, delta: Delta[Key, AnyItem]) -> Mapping[str, str]:
        """Make the difference. Raises :class:`DatabaseError` when the database is away."""
        wanted = [*delta.add.values(), *delta.change.values()]
        removed = list(delta.remove.values())
        wires = _of(wanted, Wire)
        for wire in wires:
            self._prepare(wire)
        made = [*_bridges(_of(wanted, Bridge), self._state), *(part for wire in wires for part in self._wire(wire))]
        if made:
            self._commit(made)
            self._state = self._read()
        self._change_flows(_of(wanted, FlowItem), {item.cookie for item in _of(removed, FlowItem)})
        gone = [part for wire in _of(removed, Wire) for part in self._unplug(wire)]
        if gone:
            self._commit(gone)
        return self.errors

    def _prepare(self, wire: Wire) -> None:
        """An interface of the host must be up, and quiet."""
        if wire.type or wire.name not in self._state.links:
            return
        try:
            self._links.quiet_ipv6(wire.name)
            self._links.set(wire.name, up=True)
        except KernelError as error:
            LOG.warning("interface %s: %s", wire.name, error)
            if wire.network_id and error.code != errno.ENODEV:  # unplugged meanwhile; its event is on the way
                self.errors.setdefault(wire.network_id, str(error))

    def _wire(self, wire: Wire) -> list[Operation]:
        """Make the port, or set on it what differs."""
        present = self._state.interfaces.get(wire.name)
        row: dict[str, object] = {
            "type": wire.type,
            "options": _map(wire.options),
            "external_ids": _map(wire.external_ids),
        }
        if present is not None and present.bridge == wire.bridge:
            where = [["name", "==", wire.name]]
            return [{"op": "update", "table": "Interface", "where": where, "row": row},
                    {"op": "update", "table": "Port", "where": where, "row": _mark(wire.mark)}]  # fmt: skip
        moved = [] if present is None else _detach(present.bridge, present.port_uuid)
        return [*moved, *_plug(wire.name, wire.bridge, wire.mark, row)]

    def _unplug(self, wire: Wire) -> list[Operation]:
        present = self._state.interfaces.get(wire.name)
        return [] if present is None else _detach(present.bridge, present.port_uuid)

    def _commit(self, operations: Sequence[Operation]) -> None:
        """One transaction; returns when ovs-vswitchd has done what it asks for."""
        select = {"op": "select", "table": "Open_vSwitch", "where": []}
        mutations = [["next_cfg", "+=", 1]]
        ask: list[Operation] = [
            {"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": mutations},
            {**select, "columns": ["next_cfg"]},
        ]
        rows = self._database.transact([*operations, *ask])[-1]["rows"]
        if not rows:
            raise DatabaseError("the database of Open vSwitch is empty; initialise it with ovs-vsctl init")
        wanted = rows[0]["next_cfg"]
        look: list[Operation] = [{**select, "columns": ["cur_cfg"]}]
        deadline = time.monotonic() + WAIT
        while self._database.transact(look)[0]["rows"][0]["cur_cfg"] < wanted:
            if time.monotonic() > deadline:
                raise DatabaseError(f"ovs-vswitchd did not act on a change of its database within {WAIT:.0f} s")
            time.sleep(_POLL)

    def _change_flows(self, wanted: Sequence[FlowItem], removed: set[int]) -> None:
        known = port_numbers(self._state.numbers(self._bridge))
        texts: dict[int, tuple[str, str]] = {}
        for item in wanted:
            text = item.template.resolve(known) if item.template is not None else None
            if text is not None:
                cookie = cookie_of(text)
                texts[cookie] = (f"cookie={cookie:#x},{text}", item.network_id)
        texts = {cookie: found for cookie, found in texts.items() if cookie not in self._state.cookies}
        removed -= {cookie_of(text) for item in wanted if item.template and (text := item.template.resolve(known))}
        try:
            self._flows.change([text for text, _ in texts.values()], sorted(removed))
        except FlowError as error:
            LOG.warning("%s; trying network by network", error)
            self._one_by_one(texts, removed)
        self._name_the_dead(wanted)

    def _one_by_one(self, texts: Mapping[int, tuple[str, str]], removed: set[int]) -> None:
        """So that the fault stays with its network. What had to go goes last, if it can."""
        for network_id in sorted({network_id for _, network_id in texts.values()}):
            try:
                self._flows.change([text for text, owner in texts.values() if owner == network_id], ())
            except FlowError as error:
                self.errors.setdefault(network_id, str(error))
        try:
            self._flows.change((), sorted(removed))
        except FlowError as error:
            self.errors.setdefault("", str(error))

    def _name_the_dead(self, wanted: Sequence[FlowItem]) -> None:
        """Networks whose new ports Open vSwitch could not open."""
        dead = {item.name: item for item in self._state.on(self._bridge) if item.number is None and item.error}
        for item in wanted:
            for name in sorted(item.template.references() & dead.keys() if item.template else ()):
                self.errors.setdefault(item.network_id, desired.describe(dead[name]))


def _bridges(wanted: Sequence[Bridge], state: HostState) -> list[Operation]:
    operations: list[Operation] = []
    for bridge in wanted:
        row = {"datapath_type": bridge.datapath_type, "fail_mode": bridge.fail_mode}
        if bridge.name not in state.bridges:
            operations += _make_bridge(bridge, {**row, **_mark(bridge.mark)})
        else:
            where = [["name", "==", bridge.name]]
            operations.append({"op": "update", "table": "Bridge", "where": where, "row": row})
            marking = [["external_ids", "insert", _mark(bridge.mark)["external_ids"]]]
            operations.append({"op": "mutate", "table": "Bridge", "where": where, "mutations": marking})
    return operations


def _make_bridge(bridge: Bridge, row: Mapping[str, object]) -> list[Operation]:
    """With its own interface, as ``ovs-vsctl add-br`` makes it."""
    own = {"name": bridge.name, "type": "internal"}
    port = {"name": bridge.name, "interfaces": ["named-uuid", "own_interface"]}
    whole = {"name": bridge.name, "ports": ["named-uuid", "own_port"], **row}
    return [
        {"op": "insert", "table": "Interface", "row": own, "uuid-name": "own_interface"},
        {"op": "insert", "table": "Port", "row": port, "uuid-name": "own_port"},
        {"op": "insert", "table": "Bridge", "row": whole, "uuid-name": "own_bridge"},
        {"op": "mutate", "table": "Open_vSwitch", "where": [],
         "mutations": [["bridges", "insert", ["set", [["named-uuid", "own_bridge"]]]]]},
    ]  # fmt: skip


def _plug(name: str, bridge: str, mark: str, row: Mapping[str, object]) -> list[Operation]:
    tag = "".join(character if character.isalnum() else f"_{ord(character):x}_" for character in name)
    interface, port = f"interface_{tag}", f"port_{tag}"
    columns = {"name": name, "interfaces": ["named-uuid", interface], **_mark(mark)}
    return [
        {"op": "insert", "table": "Interface", "row": {"name": name, **row}, "uuid-name": interface},
        {"op": "insert", "table": "Port", "row": columns, "uuid-name": port},
        {"op": "mutate", "table": "Bridge", "where": [["name", "==", bridge]],
         "mutations": [["ports", "insert", ["set", [["named-uuid", port]]]]]},
    ]  # fmt: skip


def _detach(bridge: str, port_uuid: str) -> list[Operation]:
    """Out of its bridge; the rows go with it."""
    return [{"op": "mutate", "table": "Bridge", "where": [["name", "==", bridge]],
             "mutations": [["ports", "delete", ["set", [["uuid", port_uuid]]]]]}]  # fmt: skip


def _mark(text: str) -> dict[str, object]:
    return {"external_ids": _map(((MARK, text),))}


def _map(pairs: Sequence[tuple[str, str]]) -> list[object]:
    return ["map", [list(pair) for pair in pairs]]


def _of(items: Sequence[AnyItem], kind: type[K]) -> list[K]:
    return [item for item in items if isinstance(item, kind)]
