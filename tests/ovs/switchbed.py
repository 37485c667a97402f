"""One private Open vSwitch (userspace datapath) for the southbound's tests; to be used inside a sandbox only."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
OVSDB_PORT = 6640


class SwitchBed:
    """The two daemons and the commands to speak to them. ``run`` runs a command (a cooperative one in the driver)."""

    def __init__(self, directory: Path, run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run) -> None:
        self.directory = directory
        self._run = run

    def start(self) -> None:
        """Start both daemons; no bridge yet."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._call("ovsdb-tool", "create", self._path("conf.db"), SCHEMA)
        self.start_ovsdb()
        self.vsctl("--no-wait", "init")
        self._call("ovs-vswitchd", f"unix:{self._path('db.sock')}", *self._daemon("vswitchd"))

    def start_ovsdb(self) -> None:
        """Start the database server (again)."""
        remotes = (f"--remote=punix:{self._path('db.sock')}", f"--remote=ptcp:{OVSDB_PORT}:127.0.0.1",
                   "--remote=db:Open_vSwitch,Open_vSwitch,manager_options")  # fmt: skip
        self._call("ovsdb-server", self._path("conf.db"), *remotes, *self._daemon("ovsdb"))

    def stop_ovsdb(self) -> None:
        """End the database server and wait for it."""
        pid = int((self.directory / "ovsdb.pid").read_text())
        os.kill(pid, 15)
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.02)

    def add_bridge(self, name: str = "br0", datapath_id: int = 1, protocols: str = "OpenFlow13,OpenFlow14") -> None:
        """A bridge without a controller."""
        self.vsctl(
            *("add-br", name, "--", "set", "bridge", name, "datapath_type=netdev", f"protocols={protocols}"),
            f"other_config:datapath-id={datapath_id:016x}",
        )

    def connect(self, name: str = "br0", port: int = 6653, protocol: str = "tcp") -> None:
        """Send the bridge to its controller."""
        self.vsctl(
            *("set-controller", name, f"{protocol}:127.0.0.1:{port}", "--", "set", "controller", name),
            *("connection_mode=out-of-band", "max_backoff=1000", "inactivity_probe=5000"),
        )

    def disconnect(self, name: str = "br0") -> None:
        """Send the bridge where nobody listens (without any controller Open vSwitch would flush its flows)."""
        self.connect(name, port=1)

    def plug(self, device: str, *columns: str) -> None:
        """An internal port on br0."""
        self.vsctl("add-port", "br0", device, "--", "set", "Interface", device, "type=internal", *columns)

    def vsctl(self, *arguments: str) -> str:
        """``ovs-vsctl``."""
        return self._call("ovs-vsctl", "--timeout=10", f"--db=unix:{self._path('db.sock')}", *arguments)

    def ofctl(self, *arguments: str, stdin: str | None = None) -> str:
        """``ovs-ofctl`` with OpenFlow 1.4."""
        return self._call("ovs-ofctl", "-O", "OpenFlow13,OpenFlow14", *arguments, stdin=stdin)

    def appctl(self, *arguments: str) -> str:
        """``ovs-appctl`` to the switch daemon."""
        return self._call("ovs-appctl", "-T", "10", "-t", self._path("vswitchd.ctl"), *arguments)

    def flows(self, name: str = "br0", *match: str) -> list[str]:
        """The flows without durations and counters, sorted."""
        lines = self.ofctl("--no-stats", "dump-flows", name, *match).splitlines()
        return sorted(line.strip() for line in lines if "cookie=" in line)

    def ages(self, name: str = "br0") -> dict[str, float]:
        """Cookie (as printed) and table of each flow -> seconds since it was added."""
        text = self.ofctl("dump-flows", name)
        return {f"{cookie} {table}": float(age) for cookie, age, table in
                re.findall(r"cookie=(\S+), duration=([\d.]+)s, table=(\d+)", text)}  # fmt: skip

    def groups(self, name: str = "br0") -> list[str]:
        """The groups, sorted."""
        return sorted(line.strip() for line in self.ofctl("dump-groups", name).splitlines() if "group_id" in line)

    def flow_mods(self) -> int:
        """How many flow-mods ovs-vswitchd has executed since its start (its coverage counter)."""
        found = re.search(r"^ofproto_flow_mod .*total: (\d+)|flow_mod.*total: (\d+)", self.coverage(), re.MULTILINE)
        return int(found.group(1) or found.group(2)) if found else 0

    def coverage(self) -> str:
        """``coverage/show``."""
        return self.appctl("coverage/show")

    def _daemon(self, name: str) -> list[str]:
        return [
            f"--unixctl={self._path(name)}.ctl",
            f"--pidfile={self._path(name)}.pid",
            f"--log-file={self._path(name)}.log",
            *("-vconsole:off", "--detach", "--no-chdir"),
        ]

    def _path(self, name: str) -> str:
        return str(self.directory / name)

    def _call(self, *command: str, stdin: str | None = None) -> str:
        done = self._run(
            command,
            env={**os.environ, "OVS_RUNDIR": str(self.directory), "OVS_DBDIR": str(self.directory)},
            input=stdin if stdin is not None else "",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
        return done.stdout
