"""An Open vSwitch in memory as the agent's driver uses it: a database that executes the operations themselves, a
daemon that numbers ports, and flows."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from legacy_agent.drivers.openvswitch.database import DatabaseError
from legacy_agent.drivers.openvswitch.ofctl import FlowError
from tests.unit.legacy_agent.memory import Killed, MemoryLinks

_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "Bridge": {"controller": ["set", []], "datapath_type": "", "fail_mode": ["set", []], "external_ids": ["map", []],
               "ports": ["set", []]},
    "Port": {"external_ids": ["map", []], "interfaces": ["set", []]},
    "Interface": {"type": "", "options": ["map", []], "external_ids": ["map", []], "ofport": ["set", []],
                  "error": ["set", []]},
}  # fmt: skip
_COOKIE = re.compile(r"cookie=(0x[0-9a-f]+)")


class MemoryOvs:
    """Database and flows of one host. ``changes`` counts what was written; ``killed_at`` is the change before which
    the agent is killed. A flow with a text of ``broken`` in it is refused, an interface of ``stuck`` cannot be opened.
    ``away``: nobody answers."""

    def __init__(self, links: MemoryLinks) -> None:
        self._links = links
        self._numbers = itertools.count(1)
        self._uuids = itertools.count(1)
        types = ["set", ["system", "netdev"]]
        tunnels = ["set", ["gre", "vxlan", "geneve", "patch"]]
        root = {"bridges": ["set", []], "next_cfg": 0, "cur_cfg": 0, "datapath_types": types, "iface_types": tunnels}
        self.tables: dict[str, dict[str, dict[str, Any]]] = {"Open_vSwitch": {"0": root}, **{n: {} for n in _DEFAULTS}}
        self.flows: dict[int, str] = {}
        self.changes = 0
        self.killed_at = 0
        self.broken: set[str] = set()
        self.stuck: set[str] = set()
        self.away = False

    # The database

    def transact(self, operations: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """All operations, then what the daemon makes of them."""
        if self.away:
            raise DatabaseError("nobody answers")
        if any(operation["op"] != "select" for operation in operations):
            self._count()
        names: dict[str, str] = {}
        for operation in operations:
            if operation["op"] == "insert":
                names[operation["uuid-name"]] = f"uuid-{next(self._uuids)}"
        results = [self._execute(operation, names) for operation in operations]
        self._settle()
        return results

    def _execute(self, operation: Mapping[str, Any], names: Mapping[str, str]) -> Mapping[str, Any]:
        table = self.tables[operation["table"]]
        if operation["op"] == "insert":
            uuid = names[operation["uuid-name"]]
            assert all(row["name"] != operation["row"]["name"] for row in table.values()), "there is one of that name"
            table[uuid] = {**_DEFAULTS[operation["table"]], **_resolved(operation["row"], names)}
            return {"uuid": ["uuid", uuid]}
        rows = {uuid: row for uuid, row in table.items()
                if all(row[name] == value for name, _, value in operation["where"])}  # fmt: skip
        if operation["op"] == "select":
            columns = operation["columns"]
            found = [{"_uuid": ["uuid", uuid], **row} for uuid, row in rows.items()]
            return {"rows": [{name: row[name] for name in columns} for row in found]}
        for row in rows.values():
            if operation["op"] == "update":
                row.update(_resolved(operation["row"], names))
            else:
                for column, mutator, value in operation["mutations"]:
                    row[column] = _mutated(row[column], mutator, _resolved({"": value}, names)[""])
        return {"count": len(rows)}

    def _settle(self) -> None:
        """Rows that nobody refers to go; new interfaces get numbers."""
        root = self.tables["Open_vSwitch"].get("0", {"bridges": ["set", []], "next_cfg": 0})
        alive = set(_members(root["bridges"]))
        for table, column in (("Bridge", "ports"), ("Port", "interfaces"), ("Interface", "")):
            rows = {uuid: row for uuid, row in self.tables[table].items() if uuid in alive}
            self.tables[table] = rows
            alive = {item for row in rows.values() for item in _members(row[column])} if column else set()
        for row in self.tables["Interface"].values():
            if row["name"] in self.stuck or (row["type"] == "" and row["name"] not in self._links.links()):
                row["ofport"], row["error"] = -1, f"could not open network device {row['name']}"
            elif not isinstance(row["ofport"], int) or row["ofport"] < 0:
                row["ofport"], row["error"] = next(self._numbers), ["set", []]
        root["cur_cfg"] = root["next_cfg"]

    # The flows

    def cookies(self) -> frozenset[int]:
        """Of all flows."""
        return frozenset(self.flows)

    def change(self, add: Iterable[str], remove: Iterable[int]) -> None:
        """All or nothing."""
        add, remove = list(add), list(remove)
        if not add and not remove:
            return
        self._count()
        if any(text in flow for flow in add for text in self.broken):
            raise FlowError("refused")
        for flow in add:
            [cookie] = _COOKIE.findall(flow)
            self.flows[int(cookie, 16)] = flow
        for cookie in remove:
            self.flows.pop(cookie, None)

    # For assertions

    def vsctl(self, bridge: str, *interfaces: tuple[str, Mapping[str, str]], **columns: Any) -> None:
        """Somebody else makes a bridge, with interfaces of these names and ``external_ids``."""
        ports = []
        for name, external_ids in interfaces:
            pairs = [list(pair) for pair in external_ids.items()]
            interface = {**_DEFAULTS["Interface"], "name": name, "external_ids": ["map", pairs]}
            self.tables["Interface"][f"i-{name}"] = interface
            self.tables["Port"][f"p-{name}"] = {**_DEFAULTS["Port"], "name": name, "interfaces": ["uuid", f"i-{name}"]}
            ports.append(["uuid", f"p-{name}"])
        self.tables["Bridge"][bridge] = {**_DEFAULTS["Bridge"], "name": bridge, "ports": ["set", ports], **columns}
        root = self.tables["Open_vSwitch"]["0"]
        root["bridges"] = ["set", [*(["uuid", uuid] for uuid in _members(root["bridges"])), ["uuid", bridge]]]
        self._settle()

    def named_flows(self) -> set[str]:
        """The flows with names in place of numbers, without cookies."""
        names = {row["ofport"]: row["name"] for row in self.tables["Interface"].values()}
        texts = (_COOKIE.sub("", flow) for flow in self.flows.values())
        numbered = re.compile(r"(in_port=|output:)(\d+)")
        return {numbered.sub(lambda found: found[1] + names.get(int(found[2]), "gone"), text) for text in texts}

    def wires(self) -> dict[str, tuple[str, ...]]:
        """Bridge -> names of its ports."""
        found = {}
        for row in self.tables["Bridge"].values():
            found[row["name"]] = tuple(sorted(self.tables["Port"][uuid]["name"] for uuid in _members(row["ports"])))
        return found

    def _count(self) -> None:
        self.changes += 1
        if self.changes == self.killed_at:
            raise Killed


def _members(value: Any) -> list[str]:
    values = value[1] if value[0] == "set" else [value]
    return [item[1] for item in values]


def _resolved(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    def resolve(value: Any) -> Any:
        if isinstance(value, list):
            if value and value[0] == "named-uuid":
                return ["uuid", names[value[1]]]
            return [resolve(item) for item in value]
        return value

    return {name: resolve(value) for name, value in row.items()}


def _mutated(value: Any, mutator: str, operand: Any) -> Any:
    if mutator == "+=":
        return value + operand
    if value[0] == "map":
        merged = dict(map(tuple, operand[1])) | dict(map(tuple, value[1]))  # "insert" leaves what is there
        return ["map", [list(pair) for pair in merged.items()]]
    present, given = _members(value), _members(operand)
    left = [uuid for uuid in present if uuid not in given]
    return ["set", [["uuid", uuid] for uuid in ([*present, *given] if mutator == "insert" else left)]]
