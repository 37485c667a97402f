"""A ring of four with two uplinks into one legacy cloud, in which hosts live that nobody manages."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.fabric.bed import FabricBed, Stream, device, ping, uplink
from tests.support import ethernet, netns
from tests.support.client import wait_until
from tests.support.listener import Listener

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


def test_frames_to_unknown_addresses_are_heard_in_the_cloud_only(bed: FabricBed) -> None:
    """Nobody else hears them; on the VLAN network, of which nobody is in the cloud, nobody at all."""
    unknown = "02:00:00:00:99:99"
    for vm in (bed.vms[1], bed.vms[5]):
        listeners = {other.name: Listener(other.name, "eth0") for other in (*bed.vms, *bed.strangers) if other != vm}
        bed.inject(vm, ethernet.token((vm.mac, vm.ip), (unknown, "10.1.9.9"), "who"))
        time.sleep(0.5)
        wanted = ethernet.mac_bytes(unknown)
        heard = {name for name, ear in listeners.items() if any(frame[:6] == wanted for frame in ear.frames())}
        for ear in listeners.values():
            ear.close()
        assert heard == {stranger.name for stranger in bed.strangers}


def learned(bed: FabricBed, switch: int, mac: str) -> list[str]:
    """The flows by which a switch finds an address that was learned."""
    return [
        flow for flow in bed.ovs.flows(f"s{switch}") if "priority=50,metadata=" in flow and f"dl_dst={mac}" in flow
    ]


def test_addresses_in_the_cloud_are_learned_once_and_found_by_all(bed: FabricBed) -> None:
    stranger = bed.strangers[0]
    ping(bed.vms[1], stranger.ip, "-c", "1", "-W", "1")
    for switch in bed.switches:
        wait_until(lambda switch=switch: len(learned(bed, switch, stranger.mac)) == 1, 5, bed.log)
    entrance = [switch for switch in bed.switches if any(
        f"dl_src={stranger.mac}" in flow and "table=4," in flow for flow in bed.ovs.flows(f"s{switch}"))]  # fmt: skip
    assert len(entrance) == 1
    before = packet_ins(bed)
    stream = Stream(bed.vms[1], stranger.ip, 1.0)
    assert stream.lost() == 0
    assert packet_ins(bed) - before < 5, "frames from a learned address still come to the controller"


def packet_ins(bed: FabricBed) -> int:
    """Frames that switches showed because they did not know the source."""
    found = 0
    for switch in bed.switches:
        for line in bed.ovs.ofctl("dump-flows", f"s{switch}", "table=4").splitlines():
            if "CONTROLLER" in line:
                found += int(line.partition("n_packets=")[2].partition(",")[0])
    return found


def test_nobody_in_the_cloud_takes_the_address_of_a_port(bed: FabricBed) -> None:
    victim, friend, thief = bed.vms[1], bed.vms[2], bed.strangers[1]
    frame = ethernet.token((victim.mac, victim.ip), (friend.mac, friend.ip), "mine now")
    stream = Stream(friend, victim.ip, 2.0)
    for _ in range(20):
        bed.inject(thief, frame)
        time.sleep(0.05)
    assert stream.lost() == 0
    assert bed.api.isthmus("events")["totals"]["impostor"] >= 1
    assert learned(bed, 1, victim.mac) == []
    bed.broadcast(victim, 1)  # the cloud's own bridge believed the thief


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
