"""Run on a legacy host: what of ours is there that the plan does not have, or the other way round.

``python -m tests.soak.host_audit AGENT.CONF`` asks the controller for the plan and prints one line per difference.
"""

from __future__ import annotations

import json
import sys
import urllib.request

from controller.config import load
from controller.delta import difference
from legacy_agent.drivers.linuxbridge.driver import LinuxBridgeAgentDriver
from legacy_agent.host_plan import HostPlan
from legacy_agent.main import host_settings
from legacy_agent.netlink.links import KernelLinks

MADE = ("brq", "vxlan-", "gre-", "eth0.", "eth3.")
"""How the names of devices begin that only the agent makes on a host of the test bed."""


def main() -> None:
    """Print the differences."""
    conf = load(["--config-file", sys.argv[1]])
    url = f"{conf.agent.controller_url}/v2.0/isthmus/hosts/{conf.agent.host}/plan?revision=0&timeout=5"
    with urllib.request.urlopen(url, timeout=20) as answer:
        plan = HostPlan.from_dict(json.loads(answer.read()))
    driver = LinuxBridgeAgentDriver(host_settings(conf))
    snapshot = driver.snapshot()
    wanted = driver.desired(plan.networks, snapshot)
    delta = difference(wanted.items, snapshot.items)
    for word, items in (("missing", delta.add), ("different", delta.change), ("too much", delta.remove)):
        for key, item in items.items():
            print(f"{word}: {key}: {item}")
    for network_id, reason in wanted.errors.items():
        print(f"cannot be: network {network_id}: {reason}")
    wanted_devices = {key[1] for key in wanted.items if key[0] == "device"}
    for name in sorted(KernelLinks().links()):
        if name.startswith(MADE) and name not in wanted_devices:
            print(f"stray: {name}")


if __name__ == "__main__":
    main()
