"""The real controller as a process: configuration, start, death and rebirth."""

from __future__ import annotations

import signal
import sys
import urllib.error
from pathlib import Path

from tests.support.client import ApiFault, Client, wait_until
from tests.support.process import Program
from tests.support.sandbox import BED_DIRECTORY
from tests.support.underlay import CONTROLLER_IP

API_URL = f"http://{CONTROLLER_IP}:9696"

_CONFIGURATION = """\
[DEFAULT]
[database]
connection = {connection}
[api]
bind_host = {address}
bind_port = 9696
[openflow]
listen_host = {address}
listen_port = 6653
[ml2]
type_drivers = local,flat,vlan,gre,vxlan,geneve
mechanism_drivers = openflow,linuxbridge,openvswitch
project_network_types = vxlan,gre,vlan
[ml2_type_vlan]
network_vlan_ranges = physnet1:100:199,physnet2:100:199
[ml2_type_gre]
tunnel_id_ranges = 1:4294967295
[ml2_type_vxlan]
vni_ranges = 1:16777215
[agent]
agent_down_time = 10
"""


class Controller:
    """One controller with a database that outlives it."""

    def __init__(self, launcher: str = "osken-manager", connection: str = "") -> None:
        """``launcher`` is ``osken-manager`` or ``isthmus-controller``; ``connection`` a database (default: SQLite)."""
        directory = BED_DIRECTORY / "controller"
        directory.mkdir(parents=True, exist_ok=True)
        self.configuration = directory / "isthmus.conf"
        connection = connection or f"sqlite:///{directory}/isthmus.sqlite"
        self.configuration.write_text(_CONFIGURATION.format(connection=connection, address=CONTROLLER_IP))
        self.launcher = launcher
        self.api = Client(API_URL)
        self.program = Program("controller", _command(launcher, self.configuration), directory / "controller.log")

    def start(self, timeout: float = 30.0) -> None:
        """Start it and wait until the API answers. Raises RuntimeError with its log when it does not."""
        self.program.start()
        try:
            wait_until(self._answers_or_ended, timeout, lambda: "the API does not answer")
        except TimeoutError as error:
            raise RuntimeError(f"controller: {error}\n{self.program.tail()}") from error
        if not self.program.running:
            raise RuntimeError(f"controller ended with status {self.program.exit_status}:\n{self.program.tail()}")

    def kill(self) -> None:
        """SIGKILL."""
        self.program.stop(signal.SIGKILL)

    def stop(self) -> float:
        """SIGTERM: seconds until it was gone."""
        return self.program.stop()

    def _answers_or_ended(self) -> bool:
        try:
            self.api.request("GET", "extensions", timeout=2.0)
        except ApiFault as fault:
            return fault.status < 500
        except (urllib.error.URLError, OSError):
            return not self.program.running
        return True


def _command(launcher: str, configuration: Path) -> list[str]:
    program = str(Path(sys.executable).with_name(launcher))
    application = ["controller.app"] if launcher == "osken-manager" else []
    return [program, "--config-file", str(configuration), *application]
