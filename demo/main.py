"""A data centre of two Open vSwitch nodes and two plain Linux hosts, built before your eyes.

``python -m demo.main`` builds it, checks who talks to whom, and stays up until Ctrl-C; ``--once`` ends after the check
with a status that tells whether all was well. Everything lives in namespaces of its own and vanishes at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support import sandbox
from tests.support.datacentre import DataCentre, HostNode, NetworkSpec, SwitchNode
from tests.support.machine import PORT
from tests.support.matrix import Matrix
from tests.support.underlay import CONTROLLER_IP

NETWORKS = (
    NetworkSpec("flat", "flat", "physnet1", None, "10.1.0.0/24"),
    NetworkSpec("vlan100", "vlan", "physnet1", 100, "10.2.0.0/24"),
    NetworkSpec("vlan100b", "vlan", "physnet2", 100, "10.3.0.0/24"),
    NetworkSpec("gre77", "gre", None, 77, "10.4.0.0/24"),
    NetworkSpec("vxlan77", "vxlan", None, 77, "10.5.0.0/24"),
)

DIRECTORY = sandbox.BED_DIRECTORY / "demo.json"
"""Where ``demo/on`` finds how to reach each name."""

MARK = "ISTHMUS_DEMO"
"""Environment variable by which ``demo/on`` finds the sandbox."""

ON = Path(__file__).with_name("on")


class Progress:
    """Lines with the seconds since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """One line."""
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__.splitlines()[0])
    parser.add_argument("--once", action="store_true", help="end after the check; status 0 when all is well")
    options = parser.parse_args(arguments)
    if sandbox.inside():
        return demonstrate(options.once)
    try:
        os.environ[MARK] = "1"
        return sandbox.run([sys.executable, "-m", "demo.main", *(["--once"] if options.once else [])])
    except PermissionError:
        print("The demo makes network namespaces, which needs root: sudo make demo", file=sys.stderr)
        return 77


def demonstrate(once: bool) -> int:
    """Inside the sandbox: build, check, show."""
    progress = Progress()
    datacentre = DataCentre(progress.say)
    try:
        well = build_and_check(datacentre, progress)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # whatever it was, the logs tell more
        print(f"\n{datacentre.diagnosis()}\n\nThe demo failed: {error}", flush=True)
        return 1
    return (0 if well else 1) if once else stay(datacentre, well)


def build_and_check(datacentre: DataCentre, progress: Progress) -> bool:
    """Everything up to the matrix; whether all was well."""
    datacentre.start()
    datacentre.create_networks(NETWORKS)
    progress.say(f"{len(NETWORKS)} networks with a subnet each, made through the API")
    vms = datacentre.create_vms([(spec.name, node) for spec in NETWORKS for node in datacentre.nodes])
    progress.say(f"{len(vms)} ports made and VMs plugged in (iface-id on Open vSwitch, tap names on Linux)")
    datacentre.wait_active(vms)
    progress.say("all ports ACTIVE")
    matrix = Matrix(vms)
    results = matrix.run()
    progress.say("traffic checked between all pairs of VMs\n")
    print(matrix.table(results, {spec.name: str(spec) for spec in NETWORKS}))
    problems = matrix.problems(results)
    print("\nn/m: of m ordered pairs of VMs, or transfers of 1 MB. A broadcast counts when it came exactly once.")
    verdict = "All well: every pair within a network talks, nothing crosses between networks."
    print("\n".join(problems) or verdict, flush=True)
    return not problems


def stay(datacentre: DataCentre, well: bool) -> int:
    """Show what to try, until Ctrl-C."""
    DIRECTORY.write_text(json.dumps(directory(datacentre)))
    print(commands(datacentre), flush=True)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print("\nGone without a trace.")
    return 0 if well else 1


def directory(datacentre: DataCentre) -> dict[str, dict[str, object]]:
    """Name -> how to run a command there: ``enter`` (a prefix), ``environment``, ``machine`` (address of a guest)."""
    tools = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    found: dict[str, dict[str, object]] = {
        "controller": {"environment": {"ISTHMUS_URL": f"http://{CONTROLLER_IP}:9696", **tools}}
    }
    for name, node in datacentre.nodes.items():
        found[name] = {**place(node), "environment": node.ovs.environment() if isinstance(node, SwitchNode) else {}}
        if "machine" not in found[name]:
            found[name]["enter"] = ["ip", "netns", "exec", name]
    for vm in datacentre.vms.values():
        found[vm.name] = {**place(vm.node), "enter": ["ip", "netns", "exec", vm.name]}
    return found


def place(node: object) -> dict[str, object]:
    """The address of the guest that a node is, if it is one."""
    if isinstance(node, HostNode) and node.is_guest:
        return {"machine": [node.wiring.management_ip, PORT]}
    return {}


def commands(datacentre: DataCentre) -> str:
    """What a visitor may type in another terminal."""
    one, other = datacentre.vms["vxlan77-ovs1"], datacentre.vms["vxlan77-host1"]
    database = f"--db=unix:{sandbox.BED_DIRECTORY}/ovs1/db.sock"
    lines = {
        f"{one.name} ping -c 3 {other.ip}": "from a VM on Open vSwitch to one on a Linux host",
        f"{other.name} ip neigh": "what the VM there has learnt",
        "controller isthmus status": "",
        "controller isthmus switches": "",
        "controller isthmus plan switch:0000000000000001": "every flow of ovs1, in words",
        f"controller isthmus port {one.port_id}": "why a port has its status",
        f"controller isthmus trace {one.port_id} {other.port_id}": "where a frame between them goes, and why",
        "ovs1 ovs-ofctl -O OpenFlow13 dump-flows br-int": "",
        f"ovs1 ovs-vsctl {database} show": "",
        "host1 bridge fdb show": "what the agent made",
        "host1 ip -d link show type vxlan": "",
        "host1 nft list ruleset": "",
        f"controller tail -f {datacentre.controller.program.log}": "",
    }
    typed = "\n".join(f"  {ON} {line:58} {remark and f'# {remark}'}".rstrip() for line, remark in lines.items())
    return f"""
Try in another terminal, as root:

{typed}

VMs are called <network>-<node>, with {", ".join(datacentre.networks)} on {", ".join(datacentre.nodes)}; in the name
"controller" the API is at http://{CONTROLLER_IP}:9696/v2.0/. Ctrl-C ends it all and leaves nothing behind.
"""


if __name__ == "__main__":
    sys.exit(main())
