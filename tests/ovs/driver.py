"""The child process of the southbound's tests: os-ken with everything patched as under ``osken-manager``, a private
Open vSwitch, and one scenario. ``python -m tests.ovs.driver MODULE:FUNCTION [CONFIGURATION]``, inside a sandbox; exits
with 0 if it passed.
"""

from __future__ import annotations

from os_ken.lib import hub

hub.patch(thread=False)  # as osken-manager does; its first call leaves out nothing but threads,
hub.patch(thread=True)  # its second patches nothing but threads

import importlib  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import traceback  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

from eventlet.green import subprocess as green_subprocess  # noqa: E402
from os_ken import cfg as os_ken_cfg  # noqa: E402
from os_ken.base.app_manager import AppManager, OSKenApp  # noqa: E402

from controller import config  # noqa: E402
from controller.southbound.openflow_app import OpenFlowSessions  # noqa: E402
from controller.southbound.service import Southbound  # noqa: E402
from tests.ovs.switchbed import SwitchBed  # noqa: E402
from tests.ovs.world import Events, World  # noqa: E402


class Root(OSKenApp):
    """Stands for the composition root."""

    _CONTEXTS = {"openflow": OpenFlowSessions}  # noqa: RUF012
    scenario: Callable[[World], None]

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        conf = os_ken_cfg.CONF
        config.register(conf)
        self.events_seen = Events()
        self.southbound = Southbound(conf, self.events_seen)
        kwargs["openflow"].connect(self.southbound)

    def start(self) -> None:
        super().start()
        self.southbound.start()
        threading.Thread(target=self._run_scenario, daemon=True).start()

    def _run_scenario(self) -> None:
        code = 1
        try:
            bed = SwitchBed(Path("/run/isthmus/ovs"), green_subprocess.run)
            bed.start()
            type(self).scenario(World(bed, self.southbound, self.events_seen))
            code = 0
        except SystemExit as ending:
            print(ending, file=sys.stderr)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Run one scenario."""
    module, _, function = sys.argv[1].partition(":")
    logging.basicConfig(
        level=os.environ.get("SCENARIO_LOG", "INFO"), format="%(relativeCreated)6d %(levelname)s %(name)s %(message)s"
    )
    arguments = ["--config-file", sys.argv[2]] if len(sys.argv) > 2 else []
    os_ken_cfg.CONF(args=arguments, project="os_ken", default_config_files=[])
    Root.scenario = staticmethod(getattr(importlib.import_module(module), function))
    Root.__module__ = "tests.ovs.root"
    manager = AppManager.get_instance()
    manager.applications_cls["root"] = Root
    manager.contexts_cls["openflow"] = OpenFlowSessions
    manager.load_apps(["os_ken.controller.ofp_handler"])
    contexts = manager.create_contexts()
    hub.joinall(manager.instantiate_apps(**contexts))
    raise SystemExit("the OpenFlow listener ended")


if __name__ == "__main__":
    main()
