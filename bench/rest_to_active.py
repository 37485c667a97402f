"""Network, subnet and port by REST until the port is ACTIVE on a real Open vSwitch, with a small and a large store.

``python -m bench.rest_to_active``.
"""

from __future__ import annotations

import statistics
import sys
import time

from bench import bed, scale
from bench.results import Result
from tests.ovs.switchbed import SwitchBed

SMALL, LARGE, TIMES = 100, 10_000, 60
OURS = 0xABC
BAR = "p50 with 10,000 ports in the store under 1.5 times that with 100"


def layout(ports: int) -> scale.Layout:
    """Ports on switches that are not connected; the Open vSwitch is not among them."""
    return scale.Layout(20, [[1 + (place + network) % 20 for place in range(50)] for network in range(ports // 50)])


def measure(ports: int) -> list[float]:
    """Seconds of each round."""
    scale.seed(bed.DIRECTORY, layout(ports))
    controller = bed.Controller()
    switch = SwitchBed(bed.DIRECTORY / f"ovs-{ports}")
    switch.start()
    try:
        controller.start()
        switch.add_bridge("br0", OURS)
        for name in ("uplink", *(f"p{number}" for number in range(TIMES))):
            switch.plug(name)
            switch._call("ip", "link", "set", "dev", name, "up")
        switch.connect()
        bed.wait_for(lambda: controller.api.isthmus("health")["nodes_connected"], "the switch is connected", 30)
        time.sleep(1)
        return [_round(controller, number) for number in range(TIMES)]
    finally:
        controller.stop()
        for name in ("vswitchd", "ovsdb"):
            switch._call("ovs-appctl", "-t", str(switch.directory / f"{name}.ctl"), "exit")


def _round(controller: bed.Controller, number: int) -> float:
    api, began = controller.api, time.monotonic()
    network = api.create("network", name=f"n{number}")
    api.create("subnet", network_id=network["id"], ip_version=4, cidr=f"10.200.{number}.0/24", enable_dhcp=False)
    link = {"local_link_information": [{"switch_id": f"{OURS:016x}", "port_id": f"p{number}"}]}
    port = api.create("port", network_id=network["id"], **{"binding:vnic_type": "baremetal", "binding:profile": link})
    bed.wait_for_quickly(lambda: api.show("port", port["id"])["status"] == "ACTIVE", "the port is ACTIVE", 10)
    return time.monotonic() - began


def run() -> Result:
    """Both stores."""
    result = Result("rest_to_active", BAR)
    small, large = measure(SMALL), measure(LARGE)
    ratio = statistics.median(large) / statistics.median(small)
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        here, there = bed.quantile(small, share) * 1e3, bed.quantile(large, share) * 1e3
        result.add(f"{name} of network + subnet + port until ACTIVE, {LARGE:,} ports in the store",
                   f"{SMALL} ports: {here:.0f} ms", f"{there:.0f} ms", f"{there / here:.2f} x")  # fmt: skip
    result.judge(ratio < 1.5)
    return result


if __name__ == "__main__":
    from bench.all import single

    sys.exit(single("rest_to_active", run))
