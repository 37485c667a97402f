"""``docs/pipeline.md`` from the declared tables: ``python -m mechanisms.openflow.describe > docs/pipeline.md``.

The examples are flows of a small real program, so that the page cannot say what the code does not do.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from controller.dataplane.tables import BoundTable
from controller.dataplane.values import Flow, Program
from controller.intent import Change, Intent
from controller.model import Attachment, Binding, Network, Node, NodeKind, Observation, Port, Segment, switch_node_id
from mechanisms.openflow import stamp
from mechanisms.openflow.driver import OpenFlowMechanismDriver
from mechanisms.openflow.pipeline import PIPELINE
from mechanisms.openflow.registers import METADATA, NICIRA, Source, Transport
from mechanisms.openflow.text import flow_text, group_text

HEADER = """# The pipeline

Generated from the declared tables (`make docs`); do not edit. The reasons are in [architecture.md](architecture.md).

Physical to logical first, logical in the middle, logical to physical last. Every flow is checked against its table's
contract when it is built. A match on metadata is shown by the names of its fields.
"""

EXAMPLES = """
## Example

The flows below each table are those of one switch, `sw1`, with a port on a VXLAN network (77) and a port
on a VLAN network (100 on `physnet1`); a second switch carries both. OpenFlow ports: 1 uplink, 2 tunnels, 11 and 12
the ports.
"""


def page() -> str:
    """The whole page."""
    program = example()
    parts = [HEADER, "## Tables\n", *_overview(), "\n## Metadata\n", *_layout(), EXAMPLES]
    for table in PIPELINE:
        parts += _section(table, program)
    parts += ["\n## Groups\n", _GROUPS, *_block(sorted(map(group_text, program.groups())))]
    return "\n".join(parts) + "\n"


_GROUPS = """Broadcast goes to one group per network and source class, a bucket per port, uplink or peer. A next hop is an indirect
group, so that an endpoint or uplink that moves changes one group and no flow. Towards another switch by links it is a
fast-failover group where there is an alternative, see [fabric.md](fabric.md). Ids are made of stable keys: network key
and source class, transport and node key, hash of the physical network's name.
"""  # noqa: E501


def _overview() -> Iterator[str]:
    yield "| id | table | purpose | miss |"
    yield "|---|---|---|---|"
    for table in PIPELINE:
        said = table.declaration
        yield f"| {table.id} | `{table.name}` | {said.purpose} | {said.miss if said.goes_to or said.match else '-'} |"


def _layout() -> Iterator[str]:
    yield "| bits | field | meaning |"
    yield "|---|---|---|"
    for field in sorted(METADATA, key=lambda field: (-field.low, field.part_of is not None)):
        part = f" (part of `{field.part_of}`)" if field.part_of else ""
        yield f"| {field.low}-{field.low + field.width - 1} | `{field.name}` | {field.purpose}{part} |"
    yield ""
    yield f"`source`: {_enumerated(Source)}. `transport`: {_enumerated(Transport)}."


def _enumerated(kind: type[Source] | type[Transport]) -> str:
    return ", ".join(f"{member.value} {member.name.lower()}" for member in kind)


def _section(table: BoundTable, program: Program) -> Iterator[str]:
    said = table.declaration
    yield f"\n## {table.id} `{table.name}`\n"
    yield f"{said.purpose}\n"
    actions = tuple(action.__name__ for action in said.actions)
    for title, names in (("match", said.match), ("set", said.sets), ("actions", actions), ("next", said.goes_to)):
        if names:
            yield f"- {title}: {', '.join(f'`{name}`' for name in names)}"
    if said.metered:
        yield "- flows may have a meter"
    yield ""
    flows = [flow for flow in (*program.flows(), stamp.stamp_flow()) if flow.table == table.id]
    flows.sort(key=lambda flow: (-flow.priority, flow_text(flow)))
    yield from _block(list(map(_explained, flows)))


def _explained(flow: Flow) -> str:
    return f"{flow_text(flow)}    # {flow.why}"


def _block(lines: list[str]) -> Iterator[str]:
    yield "```"
    yield from lines
    yield "```"


def example() -> Program:
    """The program of the example."""
    blue = Network("blue", 7, (Segment("blue-1", "vxlan", None, 77),))
    green = Network("green", 8, (Segment("green-1", "vlan", "physnet1", 100),))
    nodes = [_node(1), _node(2)]
    ports = [_port(number, network, nodes[number // 2 - 1]) for number, network in
             ((2, blue), (3, green), (4, blue), (5, green))]  # fmt: skip
    intent = Intent()
    intent.apply(Change.of(1, {"blue": blue, "green": green}, {port.id: port for port in ports},
                           {node.id: node for node in nodes}))  # fmt: skip
    plugged = {port.id: Attachment(port.id, "", 11 + number) for number, port in enumerate(ports[:2])}
    seen = Observation(nodes[0].id, plugged, {"physnet1": 1}, {"vxlan": 2})
    return OpenFlowMechanismDriver().compile(intent, nodes[0], seen)


def _node(number: int) -> Node:
    return Node(
        switch_node_id(number), number, NodeKind.SWITCH, f"sw{number}", ("openflow",),
        tunnel_ip=f"192.0.2.{number}", tunnel_types=frozenset({"vxlan"}),
        physical_networks={"physnet1": "eth1"}, capabilities=frozenset({NICIRA}),
    )  # fmt: skip


def _port(number: int, network: Network, node: Node) -> Port:
    binding = Binding(node.id, network.segments[0].id, "openflow", number)
    mac, address = f"fa:16:3e:00:00:{number:02x}", f"10.0.0.{number}"
    return Port(f"{network.id}-{node.host}", network.id, mac, (address, f"2001:db8::{number}"), binding=binding)


if __name__ == "__main__":
    sys.stdout.write(page())
