"""A ring of four with two uplinks into one legacy cloud, in which hosts live that nobody manages."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.fabric.bed import FabricBed, Stream, device, uplink
from tests.support import netns

CABLES = ((1, 2), (2, 3), (3, 4), (4, 1))
UPLINKS = (1, 3)


@pytest.fixture(scope="module")
def bed() -> Iterator[FabricBed]:
    made = FabricBed(4, CABLES)
    made.start()
    made.add_cloud(UPLINKS)
    plain = made.network("plain", "flat", None, "10.1.0.0/24")
    red = made.network("red", "vlan", 100, "10.1.1.0/24")
    made.plug([(switch, network) for network in (plain, red) for switch in made.switches])
    for number in (1, 2):
        made.add_stranger(f"legacy{number}", plain, f"10.1.0.{200 + number}/16")
    yield made
    print(made.log())


def test_the_cloud_is_part_of_the_flat_network_and_nothing_is_heard_twice(bed: FabricBed) -> None:
    assert bed.matrix() == []


def test_no_storm_and_no_loop_through_the_cloud(bed: FabricBed) -> None:
    before = bed.traffic()
    for source in (*bed.vms[:4], *bed.strangers):
        bed.broadcast(source, 100)
    time.sleep(0.5)
    crossed = {name: sent - before[name][1] for name, (_, sent) in bed.traffic().items()}
    assert max(crossed.values()) < 6 * 100 + 60


@pytest.mark.timeout(300)
def test_every_cable_and_uplink_is_pulled_and_put_back(bed: FabricBed) -> None:
    for name in (*(device(*cable) for cable in CABLES), *(uplink(number) for number in UPLINKS)):
        for place, up in enumerate((False, True)):
            streams = [Stream(bed.strangers[0], vm.ip, 3.0) for vm in bed.vms[:4]]
            time.sleep(1.0)
            netns.set_link(None, name, up=up)
            lost = [stream.lost() for stream in streams]
            print(f"{name} {'put back' if place else 'pulled'}: {lost} ms lost", flush=True)
            assert max(lost) < 1000
        assert bed.matrix() == []
