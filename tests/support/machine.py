"""A plain Linux machine with the legacy agent on it, as seen from inside its own kernel.

The same class serves a namespace of the test bed's kernel and a User Mode Linux guest, where ``python -m
tests.support.machine`` offers it to the test over the management network.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support import netns
from tests.support.client import wait_until
from tests.support.ovs import run
from tests.support.process import Program
from tests.support.rpc import serve
from tests.support.site import Site
from tests.support.underlay import CONTROLLER_IP, MANAGEMENT_NIC, PHYSICAL_NETWORKS, TUNNEL_NIC, Wiring, tunnel_cidr

PORT = 7000
"""TCP port on which a guest serves its machine."""

READY = "ready"
"""File that a guest makes once it is about to serve."""

_AGENT_CONFIGURATION = """\
[agent]
host = {name}
controller_url = http://{controller}:9696
report_interval = 2
[linux_bridge]
physical_interface_mappings = {mappings}
[vxlan]
local_ip = {tunnel_ip}
"""


class Machine(Site):
    """The VMs plugged into this machine, its network configuration and its agent."""

    def __init__(self, wiring: Wiring, namespace: str | None, directory: Path) -> None:
        """``namespace`` holds the NICs (None: the root's of this kernel); ``directory`` takes the agent's files."""
        super().__init__()
        self._wiring, self._namespace, self._directory = wiring, namespace, directory
        self._tunnel_ip = wiring.tunnel_ip
        directory.mkdir(parents=True, exist_ok=True)
        self._configuration = directory / "agent.conf"
        enter = ["ip", "netns", "exec", namespace] if namespace else []
        command = [*enter, sys.executable, "-m", "legacy_agent.main", "--config-file", str(self._configuration)]
        self._agent = Program("agent", command, directory / "agent.log")

    def configure(self) -> None:
        """What an administrator has done before the agent comes: NICs up, tunnel and management address."""
        for nic in (*PHYSICAL_NETWORKS.values(), TUNNEL_NIC, MANAGEMENT_NIC):
            netns.set_link(self._namespace, nic, up=True)
        if self._namespace:
            netns.checksum_offload_off(self._namespace, TUNNEL_NIC)
        netns.add_address(self._namespace, TUNNEL_NIC, tunnel_cidr(self._tunnel_ip))

    # The agent

    def agent_start(self) -> None:
        """Write its configuration and start it."""
        self._configuration.write_text(self._agent_configuration())
        self._agent.start()

    def _agent_configuration(self) -> str:
        mappings = ",".join(f"{name}:{nic}" for name, nic in PHYSICAL_NETWORKS.items())
        return _AGENT_CONFIGURATION.format(
            name=self._wiring.name, controller=CONTROLLER_IP, mappings=mappings, tunnel_ip=self._tunnel_ip
        )

    def agent_stop(self, how: int) -> float:
        """End the agent by a signal: seconds until it was gone."""
        return self._agent.stop(signal.Signals(how))

    def agent_start_again(self) -> None:
        """Start it after its end; returns when it has read its kernel and put its plan into force."""
        before = self.plans_in_force()
        self.agent_start()
        wait_until(lambda: self.plans_in_force() > before, 20, self.agent_log)

    def agent_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._agent.running

    def plans_in_force(self) -> int:
        """How many plans the agents of this machine have put into force so far."""
        return self._agent.tail(100_000).count(" is in force")

    def agent_log(self, lines: int = 40) -> str:
        """The end of its log."""
        return self._agent.tail(lines)

    def change_tunnel_address(self, address: str) -> None:
        """What an administrator does to renumber the machine: kernel, configuration, restart of the agent."""
        netns.remove_address(self._namespace, TUNNEL_NIC, tunnel_cidr(self._tunnel_ip))
        self._tunnel_ip = address
        netns.add_address(self._namespace, TUNNEL_NIC, tunnel_cidr(address))
        if self._agent.running:
            self._agent.stop()
            self.agent_start()

    # VMs

    def plug(self, name: str, device: str, mac: str, cidrs: list[str], mtu: int) -> None:
        """A VM whose interface appears on the machine as ``device``."""
        self.add_vm(name, self._namespace, device, mac, cidrs, mtu)

    # Looking around

    def command(self, arguments: list[str]) -> str:
        """Run a command on the machine and return its output."""
        enter = ["ip", "netns", "exec", self._namespace] if self._namespace else []
        return run([*enter, *arguments])

    def execute(self, arguments: list[str]) -> dict[str, Any]:
        """Like :meth:`command`, for people: ``status`` and ``output``, whatever they are."""
        enter = ["ip", "netns", "exec", self._namespace] if self._namespace else []
        done = subprocess.run(
            [*enter, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return {"status": done.returncode, "output": done.stdout}

    def links(self) -> list[str]:
        """The names of the machine's interfaces."""
        with netns.route(self._namespace) as handle:
            return [link.get_attr("IFLA_IFNAME") for link in handle.get_links()]

    def link_numbers(self) -> dict[str, int]:
        """Interface -> number: a device that was made anew has a new one."""
        with netns.route(self._namespace) as handle:
            return {link.get_attr("IFLA_IFNAME"): link["index"] for link in handle.get_links()}


def main() -> None:
    """Serve this guest: ``python -m tests.support.machine NAME NUMBER DIRECTORY``."""
    name, number, directory = sys.argv[1:]
    wiring = Wiring(name, int(number))
    netns.set_link(None, MANAGEMENT_NIC, up=True)
    netns.add_address(None, MANAGEMENT_NIC, f"{wiring.management_ip}/24")
    machine = Machine(wiring, None, Path(directory))
    machine.configure()
    (Path(directory) / READY).touch()
    serve(machine, wiring.management_ip, PORT)


if __name__ == "__main__":
    main()
