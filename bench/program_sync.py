"""How fast a switch gets its program, against ``ovs-ofctl --bundle add-flows`` with the same flows.

``python bench/program_sync.py [FLOWS...]`` (root; nothing but Open vSwitch and the project's Python packages). One run
in private namespaces: a synthetic intent is compiled for a switch of many peers; the controller's own path (compare,
encode, send in a bundle, wait for the acknowledgement) puts it on an empty bridge; what is then on it is written
to a text file, which ``ovs-ofctl`` puts on another empty bridge. Each is done several times in turn and the median
counts. The program must reach half the rate of ``ovs-ofctl``; otherwise the exit status is 1.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from controller.dataplane.values import Program  # noqa: E402
from controller.intent import Change, Intent  # noqa: E402
from controller.model import (  # noqa: E402
    TUNNEL_TYPES,
    Attachment,
    Binding,
    Network,
    Node,
    NodeKind,
    Observation,
    Port,
    Segment,
    switch_node_id,
)
from mechanisms.openflow.driver import OpenFlowMechanismDriver  # noqa: E402

if TYPE_CHECKING:
    from tests.ovs.world import World

SIZES = (10_000, 50_000)
ROUNDS = 3
NODES = 5
PORTS_PER_NETWORK = 50
LEAST_RATIO = 0.5


def node(number: int) -> Node:
    """A switch with a tunnel address."""
    return Node(
        id=switch_node_id(number), key=number, kind=NodeKind.SWITCH, host=f"rack{number}", mechanisms=("openflow",),
        tunnel_ip=f"192.0.2.{number}", tunnel_types=TUNNEL_TYPES, capabilities=frozenset({"nicira", "bundles"}),
    )  # fmt: skip


def network_of(number: int) -> Network:
    """A VXLAN or GRE network."""
    kind = ("vxlan", "gre")[number % 2]
    return Network(f"network-{number}", number, (Segment(f"segment-{number}", kind, None, number),), 1450)


def port(number: int, network: Network) -> Port:
    """A port of a network; the ports of a network are spread over the nodes."""
    where = number % NODES + 1
    return Port(
        id=f"port-{number}", network_id=network.id, mac_address=_mac(number),
        fixed_ips=(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",),
        binding=Binding(switch_node_id(where), network.segments[0].id, "openflow", number // NODES + 1), revision=1,
    )  # fmt: skip


def _mac(number: int) -> str:
    return ":".join(f"{byte:02x}" for byte in (0xFA160000_0000 + number).to_bytes(6, "big"))


def compiled(networks: int) -> Program:
    """The program of the first node for so many networks."""
    nodes = {item.id: item for item in map(node, range(1, NODES + 1))}
    nets = {item.id: item for item in map(network_of, range(1, networks + 1))}
    numbers = enumerate(item for item in nets.values() for _ in range(PORTS_PER_NETWORK))
    ports = {item.id: item for item in (port(number, network) for number, network in numbers)}
    intent = Intent()
    intent.apply(Change.of(1, nets, ports, nodes))
    me = nodes[switch_node_id(1)]
    here = (item for item in ports.values() if item.binding is not None and item.binding.node_id == me.id)
    attachments = {item.id: Attachment(item.id, f"tap{n}", 100 + n % 60_000) for n, item in enumerate(here)}
    tunnels = {"vxlan": 1, "gre": 2, "geneve": 3}
    return OpenFlowMechanismDriver().compile(intent, me, Observation(me.id, attachments, {}, tunnels))


def sized(flows: int) -> Program:
    """A fresh program of about that many flows (nothing of it hashed or encoded yet)."""
    few, many = (sum(1 for _ in compiled(networks).flows()) for networks in (1, 11))
    return compiled(max(1, round((flows - few) / ((many - few) / 10)) + 1))


def measure(world: World) -> None:
    """One whole run; ends the process with status 1 if a ratio is too low."""
    sizes = [int(item) for item in os.environ.get("PROGRAM_SYNC_FLOWS", "").split()] or SIZES
    ratios = [_compare(world, size, number) for number, size in enumerate(sizes)]
    if min(ratios) < LEAST_RATIO:
        raise SystemExit(f"program_sync: the ratio {min(ratios):.2f} is below {LEAST_RATIO}")


def _compare(world: World, size: int, number: int) -> float:
    ours, theirs = [], []
    for turn in range(ROUNDS):
        started = time.perf_counter()
        program = sized(size)
        compiling = time.perf_counter() - started
        count = sum(1 for _ in program.flows()) + 1
        ours.append(count / _by_controller(world, program, 1 + turn + number * ROUNDS))
        theirs.append(count / _by_ofctl(world, count))
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(
        f"{count} flows: controller {statistics.median(ours):,.0f} flows/s, ovs-ofctl --bundle add-flows "
        f"{statistics.median(theirs):,.0f} flows/s, ratio {ratio:.2f}  (compiled three times in {compiling:.2f} s)",
        flush=True,
    )
    return ratio


def _by_controller(world: World, program: Program, datapath_id: int) -> float:
    """Seconds from the call to the acknowledgement."""
    node_id = world.switch(name="ours", datapath_id=datapath_id)
    started = time.perf_counter()
    world.southbound.apply(node_id, program)
    return time.perf_counter() - started


def _by_ofctl(world: World, count: int) -> float:
    """Seconds that ``ovs-ofctl`` takes for the flows that are on the bridge ``ours``; removes both bridges."""
    bed, text = world.bed, world.bed.directory / "flows.txt"
    groups = world.bed.directory / "groups.txt"
    dump = bed.ofctl("--no-names", "--no-stats", "dump-flows", "ours").splitlines()
    flows = [line.strip() for line in dump if "actions=" in line]
    if len(flows) != count:
        raise RuntimeError(f"the switch has {len(flows)} flows instead of {count}")
    text.write_text("\n".join(flows) + "\n")
    described = bed.ofctl("--no-names", "dump-groups", "ours").splitlines()
    groups.write_text("\n".join(line.strip() for line in described if "group_id" in line) + "\n")
    bed.add_bridge("theirs", 0xFFFF)
    bed.ofctl("add-groups", "theirs", str(groups))
    started = time.perf_counter()
    bed.ofctl("--bundle", "add-flows", "theirs", str(text))
    taken = time.perf_counter() - started
    bed.vsctl("del-br", "ours", "--", "del-br", "theirs")
    return taken


def main() -> int:
    """Run in a sandbox."""
    command = [sys.executable, "-W", "ignore", "-m"]
    scenario = ["tests.ovs.driver", "bench.program_sync:measure"]
    environment = {**os.environ, "PROGRAM_SYNC_FLOWS": " ".join(sys.argv[1:]), "SCENARIO_LOG": "WARNING"}
    return subprocess.call([*command, "tests.support.sandbox", *command, *scenario], cwd=ROOT, env=environment)


if __name__ == "__main__":
    sys.exit(main())
