"""What operators may ask the running controller: switches, hosts, plans, why a port is not ACTIVE, health."""

from __future__ import annotations

import time
from typing import Any

from neutron_lib.exceptions import PortNotFound

from controller.compiler import Compiler
from controller.dataplane.values import Program
from controller.declared import problems
from controller.errors import UnknownNode
from controller.fabric import FabricControl
from controller.hosts import Hosts
from controller.model import Node, NodeKind, Observation
from controller.node_state import NodeState
from controller.reconciler import Reconciler
from controller.status import nodes_to_know, with_transit
from controller.switches import Switches
from controller.tracing.frame import Wanted
from controller.tracing.live import Named, Tracer
from controller.turns import in_turns
from legacy_agent.host_plan import HostPlan, HostReport


class Overview:
    """Answers the ``/v2.0/isthmus/`` requests."""

    def __init__(
        self, reconciler: Reconciler, hosts: Hosts, switches: Switches, compiler: Compiler,
        fabric: FabricControl | None = None, named: Named = lambda _name: (),
    ) -> None:  # fmt: skip
        """``named`` finds the ids of ports by name."""
        self._reconciler, self._hosts, self._fabric = reconciler, hosts, fabric
        self._switches, self._compiler = switches, compiler
        self._tracer = Tracer(reconciler, compiler, fabric, named)

    def host_plan(self, host: str, newer_than: int, timeout: float) -> HostPlan | None:
        """See :meth:`controller.hosts.Hosts.plan`."""
        return self._hosts.plan(host, newer_than, timeout)

    def host_report(self, report: HostReport) -> None:
        """See :meth:`controller.hosts.Hosts.report`."""
        self._hosts.report(report)

    def switches(self) -> list[dict[str, Any]]:
        """Every known OpenFlow switch with its session, facts and progress."""
        sessions = {session.node_id: session for session in self._switches.states()}
        rows = []
        for node in self._nodes(NodeKind.SWITCH):
            session = sessions.pop(node.id, None)
            rows.append({**self._node_row(node), **_session_row(session), **self._declared(node.id)})
        rows += [{"id": session.node_id, **_session_row(session)} for session in sessions.values()]
        return rows + self._never_seen({row["id"] for row in rows})

    def _never_seen(self, known: set[str]) -> list[dict[str, Any]]:
        """Switches that are declared and have not connected yet."""
        declared = sorted(self._reconciler.board.intent.switches.items())
        return [{"id": node_id, "host": said.name or node_id.removeprefix("switch:"), "alive": False,
                 "in_sync": False, "state": "never seen", "declared": True, "problems": []}
                for node_id, said in declared if node_id not in known]  # fmt: skip

    def _declared(self, node_id: str) -> dict[str, Any]:
        """What is declared of a switch, and what of that cannot be."""
        said, told = self._reconciler.board.intent.switches.get(node_id), self._reconciler.told_by(node_id)
        if said is None:
            return {"declared": False, "problems": []}
        return {"declared": True, "problems": problems(said, *told) if told is not None else []}

    def hosts(self) -> list[dict[str, Any]]:
        """Every known legacy host with its facts and progress."""
        return [self._node_row(node) for node in self._nodes(NodeKind.HOST)]

    def links(self) -> dict[str, Any]:
        """The links between switches, and ordinary LLDP neighbours; nothing where no links are looked for."""
        if self._fabric is None:
            return {"links": [], "neighbours": [], "differences": []}
        return {"links": self._fabric.links(), "neighbours": self._fabric.neighbours(),
                "differences": self._fabric.differences()}  # fmt: skip

    def events(self, since: int) -> dict[str, Any]:
        """What happened in the fabric after event number ``since``."""
        return self._fabric.events(since) if self._fabric is not None else {"events": [], "totals": {}}

    def path(self, source: str, target: str) -> dict[str, Any]:
        """The nodes from one port to another. Raises ``PortNotFound``."""
        board = self._reconciler.board
        with board.changed:
            ports = [board.intent.ports.get(port_id) for port_id in (source, target)]
            for port_id, port in zip((source, target), ports, strict=True):
                if port is None:
                    raise PortNotFound(port_id=port_id)
            nodes = [port.binding.node_id for port in ports if port is not None and port.binding is not None]
            same = len({port.network_id for port in ports if port is not None}) == 1
            segment = board.intent.segment_on(nodes[0], ports[0].network_id) if nodes and ports[0] else None
        if len(nodes) < 2 or not same or segment is None:
            return {"nodes": [], "by": "nothing: the ports are not bound, or not on one network"}
        linked = self._fabric is not None and self._fabric.carries(segment) and nodes[0] != nodes[1]
        found = self._fabric.path(*nodes) if self._fabric is not None and linked else []
        return {"nodes": found or nodes, "by": "links" if found else str(segment)}

    def trace(self, source: str, target: str | None, wanted: Wanted) -> dict[str, Any]:
        """See :meth:`controller.tracing.live.Tracer.trace`."""
        return self._tracer.trace(source, target, wanted)

    def node_plan(self, node_id: str) -> dict[str, Any]:
        """A node's plan as compiled from the newest intent; the node by its id or by its host name. Raises
        :class:`UnknownNode`."""
        board = self._reconciler.board
        with board.changed:
            node = self._node(node_id)
            state = board.known(node.id)
            observation = (state and self._reconciler.seen(state)) or Observation(node.id)
            plan = self._compiler.compile(board.intent, node, observation)
        if isinstance(plan, HostPlan):
            return {"node": node.id, "kind": "host", **plan.to_dict()}
        return _program_row(node.id, plan)

    def wait(self, revision: int | None, timeout: float) -> dict[str, Any]:
        """Wait until every connected node has acknowledged ``revision`` (None: the newest), ``timeout`` seconds at
        most."""
        board = self._reconciler.board
        self._reconciler.catch_up()
        wanted = board.intent.revision if revision is None else revision
        deadline = time.monotonic() + timeout
        with board.changed:
            while True:
                missing = self._behind(wanted)
                left = deadline - time.monotonic()
                if (not missing and board.intent.revision >= wanted) or left <= 0:
                    break
                board.changed.wait(timeout=min(left, 1.0))
        reached = not missing and board.intent.revision >= wanted
        return {"revision": wanted, "done": reached, "waiting_for": missing}

    def port_evidence(self, port_id: str) -> dict[str, Any]:
        """What a port's status rests on. Raises ``PortNotFound``."""
        board = self._reconciler.board
        with board.changed:
            port = board.intent.ports.get(port_id)
            if port is None:
                raise PortNotFound(port_id=port_id)
            status = self._reconciler.port_status(port)
            state = board.known(port.binding.node_id) if port.binding else None
            attachment = state.observation.attachments.get(port_id) if state and state.observation else None
            segment_id = port.binding.segment_id if port.binding else ""
            known = nodes_to_know(port, board.intent)
            nodes = with_transit(board.intent, port.network_id, segment_id, known, board.transit)
            return {
                "id": port_id,
                "status": status.status,
                "reason": status.reason,
                "revision": port.revision,
                "node": port.binding.node_id if port.binding else None,
                "segment": port.binding.segment_id if port.binding else None,
                "device": attachment.device if attachment else None,
                "link_up": attachment.link_up if attachment else None,
                "acknowledged": {node_id: board.revision_of(node_id) for node_id in nodes},
            }

    def health(self) -> dict[str, Any]:
        """Whether all connected nodes follow, and which do not."""
        board = self._reconciler.board
        with board.changed:
            states = list(board.states())
            failing = {state.node_id: state.error for state in states if state.connected and state.error}
            return {
                "healthy": not failing,
                "revision": board.intent.revision,
                "networks": len(board.intent.networks),
                "ports": len(board.intent.ports),
                "nodes_connected": sum(state.connected for state in states),
                "nodes_known": len(board.intent.nodes),
                "nodes_behind": sum(state.connected and state.pending for state in states),
                "ports_undecided": self._reconciler.queues()["port_statuses"],
                "failing": failing,
            }

    def _node(self, name: str) -> Node:
        nodes = self._reconciler.board.intent.nodes
        found = nodes.get(name) or next((node for node in nodes.values() if node.host == name), None)
        if found is None:
            raise UnknownNode(f"node {name!r} is not known; known: {', '.join(sorted(nodes)) or 'none'}")
        return found

    def _nodes(self, kind: NodeKind) -> list[Node]:
        with self._reconciler.board.changed:
            nodes = self._reconciler.board.intent.nodes.values()
            return sorted((node for node in nodes if node.kind is kind), key=lambda node: node.host)

    def _behind(self, revision: int) -> list[str]:
        board = self._reconciler.board
        return sorted(state.node_id for state in board.states()
                      if state.connected and board.revision_of(state.node_id) < revision)  # fmt: skip

    def _node_row(self, node: Node) -> dict[str, Any]:
        board = self._reconciler.board
        state = board.known(node.id) or NodeState(node.id)
        return {
            "id": node.id,
            "host": node.host,
            "alive": state.connected,
            "in_sync": state.connected and not state.pending,
            "revision": board.revision_of(node.id),
            "tunnel_ip": node.tunnel_ip,
            "tunnel_types": sorted(node.tunnel_types),
            "physical_networks": dict(node.physical_networks),
            "capabilities": sorted(node.capabilities),
            "limits": dict(node.limits),
            "network_types": {name: list(types) for name, types in node.served.items()},
            "ports_plugged": sorted(state.observation.attachments) if state.observation else [],
            "last_error": state.error,
            "network_errors": dict(state.network_errors),
        }


def _session_row(session: Any) -> dict[str, Any]:
    if session is None:
        return {"state": "gone"}
    return {
        "state": session.state,
        "address": session.address,
        "openflow_version": session.openflow_version,
        "ports": {str(number): name for number, name in sorted(session.ports.items())},
        "session_error": session.last_error,
        "rejections": [
            {"cookie": hex(item.cookie) if item.cookie is not None else None, "group": item.group_id,
             "error": item.error, "why": item.why}
            for item in session.rejections
        ],
    }  # fmt: skip


def _program_row(node_id: str, program: Program) -> dict[str, Any]:
    flows = sorted([(flow.table, -flow.priority, flow.match, flow.cookie, flow.why)
                    for flow in in_turns(program.flows())])  # fmt: skip
    return {
        "node": node_id,
        "kind": "switch",
        "revision": program.revision,
        "digest": f"{program.digest:016x}",
        "flows": [{"cookie": f"0x{cookie:016x}", "table": table, "priority": -priority, "why": why}
                  for table, priority, _match, cookie, why in flows],
        "groups": [{"id": group.id, "type": group.type.name.lower(), "buckets": len(group.buckets),
                    "why": group.why} for group in program.groups()],
        "meters": [{"id": meter.id, "rate": meter.rate, "burst": meter.burst, "why": meter.why}
                   for meter in program.meters()],
    }  # fmt: skip
