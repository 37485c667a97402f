"""``isthmus-controller``: starts the same application as ``osken-manager controller.app``, without osken-manager."""

from __future__ import annotations

import contextlib
import os
import sys


def main() -> int:
    """Read ``--config-file`` options from the command line, run until SIGTERM; the exit status."""
    os.environ["OSKEN_HUB_TYPE"] = "eventlet"  # the default before os-ken 4
    from os_ken.lib import hub

    hub.patch(thread=False)  # sockets and time, as osken-manager does at import; the second call only adds threads
    hub.patch(thread=True)

    from os_ken import cfg, log
    from os_ken.base.app_manager import AppManager

    try:
        cfg.CONF(args=sys.argv[1:], project="isthmus", prog="isthmus-controller", default_config_files=[])
    except cfg.ConfigFilesNotFoundError as error:
        print(f"isthmus-controller: {error}", file=sys.stderr)
        return 2
    log.init_log()
    with contextlib.suppress(KeyboardInterrupt):
        AppManager.run_apps(["controller.app"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
