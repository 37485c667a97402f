"""Six switches in a ring with a chord, two Linux-bridge hosts cabled to two of them, a cloud behind two uplinks.

Hosts are cabled to ports that nobody configured: their agents' LLDP tells. (Flat network: not every kernel has VLAN
devices for the hosts.)
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from tests.fabric.bed import FabricBed, Stream, device, uplink
from tests.support import netns
from tests.support.client import wait_until

CABLES = ((1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 1), (1, 4))


@pytest.fixture(scope="module")
def bed() -> Iterator[FabricBed]:
    made = FabricBed(6, CABLES)
    made.start()
    made.add_cloud((3, 6))
    plain = made.network("plain", "flat", None, "10.1.0.0/24")
    red = made.network("red", "vlan", 100, "10.1.1.0/24")
    made.plug([(switch, network) for network in (plain, red) for switch in made.switches])
    made.add_stranger("legacy1", plain, "10.1.0.201/16")
    for name, switch in (("lb1", 2), ("lb2", 5)):
        made.add_host(name, switch)
    wait_until(lambda: len(made.api.isthmus("hosts")["hosts"]) == 2, 20, lambda: made.hosts["lb1"].tail())
    for name in made.hosts:
        made.plug_into_host(name, plain)
    made.api.wait_for_status([vm.port_id for vm in made.vms], "ACTIVE")
    wait_until(lambda: made.api.isthmus("events")["totals"].get("attached") == 2, 20, lambda: made.log())
    made.wait_in_sync()
    yield made
    print(made.log(), *(host.tail() for host in made.hosts.values()))


def test_everybody_talks(bed: FabricBed) -> None:
    assert bed.matrix() == []
    assert {row["system_name"] for row in bed.api.isthmus("links")["neighbours"]} == {"lb1", "lb2"}


def test_traces_name_who_talks(bed: FabricBed) -> None:
    """As the test before found: over links, to and from the hosts that are cabled to switches."""
    for vm in bed.vms:
        mates = sorted(other.port_id for other in bed.vms if other.network == vm.network and other is not vm)
        assert bed.api.isthmus(f"trace?port={vm.port_id}")["trace"]["received"] == mates
        for other in bed.vms:
            if other is vm:
                continue
            found = bed.api.isthmus(f"trace?port={vm.port_id}&to={other.port_id}")["trace"]
            assert found["outcome"] == ("delivered" if other.port_id in mates else "lost"), found["result"]
            if other.port_id in mates:
                way = bed.api.isthmus(f"path?from={vm.port_id}&to={other.port_id}")["path"]["nodes"]
                assert [hop["node"] for hop in found["hops"]] == list(dict.fromkeys(way))


@pytest.mark.timeout(400)
def test_every_cable_and_uplink_is_pulled_and_put_back(bed: FabricBed) -> None:
    legacy = [vm for vm in bed.vms if vm.switch == 0]
    for name in (*(device(*cable) for cable in CABLES), *(uplink(number) for number in (3, 6))):
        lost = []
        for up in (False, True):
            streams = [Stream(legacy[0], legacy[1].ip, 1.8), Stream(legacy[1], bed.strangers[0].ip, 1.8),
                       Stream(legacy[0], bed.vms[3].ip, 1.8)]  # fmt: skip
            time.sleep(0.3)
            netns.set_link(None, name, up=up)
            lost.append([stream.lost() for stream in streams])
        print(f"{name}: {lost[0]} ms lost when pulled, {lost[1]} ms when put back", flush=True)
        assert max(lost[0] + lost[1]) < 1000
    assert bed.matrix() == []


def test_an_agent_that_restarts_loses_nothing(bed: FabricBed) -> None:
    legacy = [vm for vm in bed.vms if vm.switch == 0]
    stream = Stream(legacy[0], legacy[1].ip, 6.0)
    bed.hosts["lb1"].stop()
    time.sleep(1.0)
    bed.hosts["lb1"].start()
    assert stream.lost() <= 1


@pytest.mark.timeout(120)
def test_restart_of_the_controller_loses_nothing(bed: FabricBed) -> None:
    """It knows where hosts and the cloud's entrance are before it hears of them."""
    legacy = [vm for vm in bed.vms if vm.switch == 0]
    for up in (False, True):
        netns.set_link(None, uplink(3), up=up)
        time.sleep(1.0)
    bed.broadcast(bed.strangers[0], 1)
    time.sleep(1.0)
    streams = [Stream(legacy[0], legacy[1].ip, 10.0), Stream(legacy[1], bed.vms[3].ip, 10.0),
               Stream(bed.strangers[0], bed.vms[1].ip, 10.0)]  # fmt: skip
    time.sleep(0.5)
    bed.restart_controller(signal.SIGKILL)
    lost = [stream.lost() for stream in streams]
    print(f"{lost} ms lost while the controller was killed and started", flush=True)
    assert max(lost) <= 1
    assert bed.matrix() == []
