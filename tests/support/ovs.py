"""Open vSwitch nodes: a private instance of the daemons in the namespace of the node.

The datapath is the userspace one: it needs nothing from the kernel, and several nodes can live on one machine.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support import netns
from tests.support.sandbox import BED_DIRECTORY
from tests.support.underlay import CONTROLLER_IP, PHYSICAL_NETWORKS, TUNNEL_NIC, Wiring, attach_namespace, tunnel_cidr

INTEGRATION_BRIDGE = "br-int"
_TUNNEL_BRIDGE = "br-ul"
_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
_VOLATILE = re.compile(r"(duration|n_packets|n_bytes|idle_age|hard_age)=[^ ]*,? ?")


class Daemons:
    """A database server and a switch daemon in a namespace, with files of their own, and the commands to speak to
    them. At most one pair per namespace."""

    def __init__(self, namespace: str, directory: Path) -> None:
        self.namespace, self.directory = namespace, directory

    def start_daemons(self, first: Sequence[str] = ("init",), remotes: Sequence[str] = ()) -> None:
        """Start both; ``first`` is what ``ovs-vsctl`` does in between, ``remotes`` where the database listens too."""
        self.directory.mkdir(parents=True, exist_ok=True)
        # The kernel sees what a userspace switch takes from its NIC too, and would answer ARP for the switch's address
        # with the MAC of the NIC.
        netns.sysctl(self.namespace, "ipv4/conf/all/arp_ignore", "1")
        subprocess.run(["ovsdb-tool", "create", self._path("conf.db"), _SCHEMA], check=True)
        listening = [f"--remote={remote}" for remote in (f"punix:{self._path('db.sock')}", *remotes)]
        self._daemon("ovsdb-server", self._path("conf.db"), *listening)
        self.vsctl(*first, wait=False)
        self._daemon("ovs-vswitchd", f"unix:{self._path('db.sock')}")

    @property
    def remote(self) -> str:
        """Where the database is, for those on this machine."""
        return f"unix:{self._path('db.sock')}"

    def give_tunnel_address(self, bridge: str, address: str) -> None:
        """Native tunnels leave by the bridge that owns the address, so it sits on the bridge, not on the NIC."""
        netns.add_address(self.namespace, bridge, tunnel_cidr(address))
        netns.set_link(self.namespace, bridge, up=True)
        netns.checksum_offload_off(self.namespace, bridge)

    def restart_vswitchd(self) -> None:
        """End ovs-vswitchd and start it again; with the userspace datapath it is the dataplane."""
        self._stop("ovs-vswitchd")
        self._daemon("ovs-vswitchd", f"unix:{self._path('db.sock')}")

    def start_again(self) -> None:
        """Start both after :meth:`stop_daemons`, with the same database."""
        self._daemon("ovsdb-server", self._path("conf.db"), f"--remote=punix:{self._path('db.sock')}")
        self._daemon("ovs-vswitchd", f"unix:{self._path('db.sock')}")

    def stop_daemons(self) -> None:
        """End both, at once; also when they have ended already."""
        for program in ("ovs-vswitchd", "ovsdb-server"):
            with contextlib.suppress(ProcessLookupError):
                self._stop(program, signal.SIGKILL)

    def _stop(self, program: str, how: signal.Signals = signal.SIGTERM) -> None:
        pid = int(Path(self._path(f"{program}.pid")).read_text())
        os.kill(pid, how)
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.02)

    def vsctl(self, *arguments: str, wait: bool = True) -> str:
        """``ovs-vsctl``; raises RuntimeError with what it said."""
        waiting = () if wait else ("--no-wait",)
        return self._run("ovs-vsctl", "--timeout=20", f"--db=unix:{self._path('db.sock')}", *waiting, *arguments)

    def ofctl(self, *arguments: str) -> str:
        """``ovs-ofctl`` speaking OpenFlow 1.3."""
        return self._run("ovs-ofctl", "-O", "OpenFlow13", *arguments)

    def appctl(self, *arguments: str) -> str:
        """``ovs-appctl`` to the switch daemon."""
        return self._run("ovs-appctl", "-t", self._path("ovs-vswitchd.ctl"), *arguments)

    def log_tail(self, lines: int = 20) -> str:
        """The end of the switch daemon's log."""
        text = (self.directory / "ovs-vswitchd.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def environment(self) -> dict[str, str]:
        """What the Open vSwitch tools need to reach this instance."""
        return {"OVS_RUNDIR": str(self.directory), "OVS_DBDIR": str(self.directory)}

    def _path(self, name: str) -> str:
        return str(Path(self.directory) / name)

    def _daemon(self, program: str, *arguments: str) -> None:
        self._run(
            *("ip", "netns", "exec", self.namespace, program, *arguments),
            f"--unixctl={self._path(program)}.ctl",
            f"--pidfile={self._path(program)}.pid",
            f"--log-file={self._path(program)}.log",
            *("-vconsole:off", "--detach", "--no-chdir"),
        )

    def _run(self, *command: str) -> str:
        return run(command, self.environment())


class OpenVSwitch(Daemons):
    """The daemons of one OpenFlow node."""

    def __init__(self, wiring: Wiring) -> None:
        super().__init__(wiring.name, BED_DIRECTORY / wiring.name)
        self.wiring = wiring
        self.datapath_id = f"{wiring.number:016x}"

    def start(self) -> None:
        """Start the daemons, make the bridges; the switch then looks for its controller."""
        attach_namespace(self.wiring)
        self.start_daemons(self._first_configuration(), [f"ptcp:6640:{self.wiring.management_ip}"])
        self.give_tunnel_address(_TUNNEL_BRIDGE, self.wiring.tunnel_ip)

    def _first_configuration(self) -> list[str]:
        node, bridge = self.wiring, INTEGRATION_BRIDGE
        uplinks = [
            f"-- add-port {bridge} {nic} -- set Interface {nic} external_ids:physical-network={name}"
            for name, nic in PHYSICAL_NETWORKS.items()
        ]
        return " ".join(
            [
                "init",
                f"-- set Open_vSwitch . external_ids:system-id={node.name} external_ids:hostname={node.name}",
                f"external_ids:isthmus-tunnel-ip={node.tunnel_ip}",
                f"-- add-br {_TUNNEL_BRIDGE} -- set Bridge {_TUNNEL_BRIDGE} datapath_type=netdev",
                f"fail_mode=standalone -- add-port {_TUNNEL_BRIDGE} {TUNNEL_NIC}",
                f"-- add-br {bridge} -- set Bridge {bridge} datapath_type=netdev fail_mode=secure",
                f"protocols=OpenFlow13,OpenFlow14 other_config:datapath-id={self.datapath_id}",
                "other_config:disable-in-band=true",
                *uplinks,
                "--",
                *self._controller(f"tcp:{CONTROLLER_IP}:6653"),
            ]
        ).split()

    @staticmethod
    def _controller(target: str) -> list[str]:
        settings = ("connection_mode=out-of-band", "max_backoff=1000", "inactivity_probe=5000")
        return ["set-controller", INTEGRATION_BRIDGE, target, "--", "set", "Controller", INTEGRATION_BRIDGE, *settings]

    def send_to(self, target: str = f"tcp:{CONTROLLER_IP}:6653") -> None:
        """Give the switch another controller, or its own back. It must not be without any in between: Open vSwitch
        would flush its flows."""
        self.vsctl(*self._controller(target))

    def change_tunnel_address(self, address: str) -> None:
        """Move the node to another tunnel address, in the kernel and in what the switch says of itself."""
        current = self.vsctl("get", "Open_vSwitch", ".", "external_ids:isthmus-tunnel-ip").strip().strip('"')
        netns.remove_address(self.wiring.name, _TUNNEL_BRIDGE, tunnel_cidr(current))
        netns.add_address(self.wiring.name, _TUNNEL_BRIDGE, tunnel_cidr(address))
        self.vsctl("set", "Open_vSwitch", ".", f"external_ids:isthmus-tunnel-ip={address}")

    def add_port(self, device: str, port_id: str, mac: str) -> None:
        """Plug an interface in by the ordinary convention: ``iface-id`` is the port's id."""
        self.vsctl(
            *f"add-port {INTEGRATION_BRIDGE} {device} -- set Interface {device}".split(),
            f"external_ids:iface-id={port_id}",
            f'external_ids:attached-mac="{mac}"',
            "external_ids:iface-status=active",
        )

    def delete_port(self, device: str) -> None:
        """Pull an interface out."""
        self.vsctl("--if-exists", "del-port", INTEGRATION_BRIDGE, device)

    def flows(self) -> list[str]:
        """What ``dump-flows`` prints for the integration bridge, with durations and counters."""
        text = self.ofctl("dump-flows", INTEGRATION_BRIDGE)
        return [line.strip() for line in text.splitlines() if "cookie=" in line]

    def flow_ages(self) -> dict[str, tuple[float, int]]:
        """Flow without its volatile parts -> ``(seconds it is there, packets it counted)``."""
        ages = {}
        for line in self.flows():
            duration, packets = re.search(r"duration=([\d.]+)s", line), re.search(r"n_packets=(\d+)", line)
            if duration and packets:
                ages[_VOLATILE.sub("", line)] = (float(duration[1]), int(packets[1]))
        return ages

    def groups(self) -> list[str]:
        """What ``dump-groups`` prints."""
        return self.ofctl("dump-groups", INTEGRATION_BRIDGE).splitlines()[1:]

    def connected(self) -> bool:
        """Whether the switch has its controller."""
        return "true" in self.vsctl("--columns=is_connected", "list", "Controller")


def run(command: Sequence[str], environment: dict[str, str] | None = None) -> str:
    """Run a command and return its output; raises RuntimeError with what it said when it fails."""
    done = subprocess.run(
        command, env={**os.environ, **(environment or {})}, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout
