"""Six Open vSwitch bridges in a ring with a chord; VLAN networks and a flat one over it; every cable is pulled."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from tests.fabric.bed import FabricBed, Stream, Vm, device, ping
from tests.support import netns
from tests.support.client import wait_until
from tests.support.listener import Listener
from topology import lldp

CABLES = ((1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 1), (1, 4))
MANY = 10_000


@pytest.fixture(scope="module")
def bed() -> Iterator[FabricBed]:
    made = FabricBed(6, CABLES)
    made.start()
    networks = [
        made.network("red", "vlan", 100, "10.1.0.0/24"),
        made.network("blue", "vlan", 101, "10.1.1.0/24"),
        made.network("plain", "flat", None, "10.1.2.0/24"),
    ]
    made.plug([(switch, network) for network in networks for switch in made.switches])
    yield made
    print(made.log())


def red(bed: FabricBed) -> dict[int, Vm]:
    """The VM of the first network on each switch."""
    return {vm.switch: vm for vm in bed.vms if vm.network == bed.vms[0].network}


def totals(bed: FabricBed) -> dict[str, int]:
    """How many events of each kind there were."""
    return dict(bed.api.isthmus("events")["totals"])


def test_every_pair_of_a_network_talks_and_no_other(bed: FabricBed) -> None:
    assert bed.matrix() == []


def test_broadcast_crosses_each_cable_once(bed: FabricBed) -> None:
    before = bed.traffic()
    for vm in bed.vms:
        bed.broadcast(vm, 100)
    time.sleep(0.5)
    crossed = {name: sent - before[name][1] for name, (_, sent) in bed.traffic().items()}
    on_tree = sorted(crossed.values())[-10:]
    assert max(on_tree) < 100 * len(bed.vms) + 100
    assert sum(crossed.values()) >= 5 * 100 * len(bed.vms)
    assert sum(crossed.values()) < 5 * 100 * len(bed.vms) + 500


def pull_all(bed: FabricBed, what: str) -> list[int]:
    """Pull each cable under a stream between its ends, put it back under another; prints the milliseconds lost."""
    worst = []
    for one, other in CABLES:
        source, target = red(bed)[one], red(bed)[other]
        pulled = Stream(source, target.ip, 1.6)
        time.sleep(0.3)
        bed.set_cable(one, other, up=False)
        lost = pulled.lost()
        bed.wait_for_links(len(CABLES) - 1)
        mended = Stream(source, target.ip, 1.6)
        time.sleep(0.3)
        bed.set_cable(one, other, up=True)
        back = mended.lost()
        bed.wait_for_links(len(CABLES))
        print(f"{what}: cable {one}-{other}: {lost} ms lost when pulled, {back} ms when put back", flush=True)
        worst += [lost, back]
    return worst


@pytest.mark.timeout(300)
def test_pull_every_cable_and_put_it_back(bed: FabricBed) -> None:
    assert max(pull_all(bed, "few flows")) < 100
    assert bed.matrix() == []


def test_forged_and_replayed_lldp_of_a_tenant_makes_no_link(bed: FabricBed) -> None:
    before, links = totals(bed), bed.links()
    tenant = bed.vms[0]
    bed.inject(tenant, lldp.encode(lldp.Probe(3, 1, 12345), b"guessed", bytes(6)))
    captured = lldp.encode(lldp.Probe(2, 1, 1), b"guessed", bytes(6))
    bed.inject(tenant, captured)
    bed.inject(tenant, captured[:40])
    wait_until(lambda: totals(bed).get("malformed", 0) > before.get("malformed", 0), 5, lambda: str(totals(bed)))
    assert totals(bed)["forged"] == before.get("forged", 0) + 2
    assert bed.links() == links
    texts = [event["text"] for event in bed.api.isthmus("events")["events"] if event["kind"] == "forged"]
    assert any("switch:0000000000000001" in text for text in texts)


def test_a_genuine_probe_that_is_sent_again_makes_no_link(bed: FabricBed) -> None:
    """Captured on a cable; sent by a tenant at once, and once more when its port has long sent others."""
    before, links, tenant = totals(bed), bed.links(), bed.vms[3]
    ear = Listener(None, "c1-2")
    captured: list[bytes] = []
    wait_until(lambda: bool(captured.extend(_probes(ear)) or captured), 10, lambda: "no probe on the cable")
    ear.close()
    bed.inject(tenant, captured[0])
    time.sleep(6.0)
    bed.inject(tenant, captured[0])
    wanted = before.get("replayed", 0) + 2
    wait_until(lambda: totals(bed).get("replayed", 0) >= wanted, 5, lambda: str(totals(bed)))
    assert bed.links() == links
    last = [event for event in bed.api.isthmus("events")["events"] if event["kind"] == "replayed"][-1]
    assert f"switch:{tenant.switch:016x}" in last["text"]
    assert "switch:0000000000000002" in last["text"]


def _probes(ear: Listener) -> list[bytes]:
    return [frame for frame in ear.frames() if frame[12:14] == b"\x88\xcc"]


@pytest.mark.timeout(120)
def test_partition_and_merge(bed: FabricBed) -> None:
    """Two halves go on by themselves, broadcast and unicast; joined again nothing is heard twice."""
    cut, halves = ((3, 4), (6, 1), (1, 4)), ({1, 2, 3}, {4, 5, 6})
    inside = [Stream(red(bed)[1], red(bed)[3].ip, 3.0), Stream(red(bed)[4], red(bed)[6].ip, 3.0)]
    time.sleep(0.5)
    for cable in cut:
        bed.set_cable(*cable, up=False)
    assert max(stream.lost() for stream in inside) < 200
    bed.wait_for_links(len(CABLES) - len(cut))
    bed.wait_in_sync()
    for half in halves:
        assert bed.matrix([vm for vm in bed.vms if vm.switch in half]) == []
    assert " 100% packet loss" in ping(red(bed)[1], red(bed)[5].ip, "-c", "1", "-W", "1")
    inside = [Stream(red(bed)[1], red(bed)[3].ip, 3.0), Stream(red(bed)[4], red(bed)[6].ip, 3.0)]
    time.sleep(0.5)
    for cable in cut:
        bed.set_cable(*cable, up=True)
    lost = [stream.lost() for stream in inside]
    print(f"merge: {lost} ms lost within the halves", flush=True)
    assert max(lost) < 100
    bed.wait_for_links(len(CABLES))
    bed.wait_in_sync()
    assert bed.matrix() == []


@pytest.mark.timeout(120)
def test_a_cable_that_dies_silently_is_found_by_its_missing_probes(bed: FabricBed) -> None:
    """Both ports stay up; nothing comes through in either direction."""
    before = totals(bed)
    bed.block_cable(2, 3, True)
    bed.wait_for_links(len(CABLES) - 1, 20)
    bed.wait_in_sync()
    assert bed.matrix() == []
    bed.block_cable(2, 3, False)
    bed.wait_for_links(len(CABLES))
    assert totals(bed)["silent"] > before.get("silent", 0)


@pytest.mark.timeout(120)
def test_a_switch_dies_and_comes_back(bed: FabricBed) -> None:
    """Its cables lose their carrier; the others go around it."""
    around = [vm for vm in bed.vms if vm.switch != 3]
    streams = [Stream(red(bed)[2], red(bed)[4].ip, 4.0), Stream(red(bed)[1], red(bed)[5].ip, 4.0)]
    time.sleep(1.0)
    for other in (2, 4):
        bed.set_cable(3, other, up=False)
    bed.ovs.disconnect("s3")
    assert max(stream.lost() for stream in streams) < 200
    assert bed.matrix(around) == []
    for other in (2, 4):
        bed.set_cable(3, other, up=True)
    bed.ovs.connect("s3")
    bed.wait_for_links(len(CABLES), 30)
    bed.wait_in_sync()
    assert bed.matrix() == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_restart_of_the_controller_loses_nothing(bed: FabricBed, how: signal.Signals) -> None:
    """Three hops; and nothing is changed, though the tree is not the one that a fresh start would choose."""
    on_tree = next(row for row in bed.links() if row["broadcast"])
    cable = [int(on_tree[side]["switch"].removeprefix("switch:"), 16) for side in ("a", "b")]  # type: ignore[index]
    for up in (False, True):
        bed.set_cable(cable[0], cable[1], up=up)
        bed.wait_for_links(len(CABLES) - (not up))
    time.sleep(2.5)
    bed.wait_in_sync()
    stream = Stream(red(bed)[2], red(bed)[5].ip, 12.0)
    time.sleep(0.5)
    flow_mods = bed.ovs.flow_mods()
    assert bed.restart_controller(how) == []
    assert bed.ovs.flow_mods() == flow_mods
    lost = stream.lost()
    print(f"{lost} ms lost while the controller was ended by {how.name} and started", flush=True)
    assert lost <= 1
    assert bed.matrix(list(red(bed).values())) == []


def test_a_tenant_hears_no_probe(bed: FabricBed) -> None:
    """Neither when it is plugged in, before the controller knows whose the new port is, nor later."""
    port = bed.api.create("port", network_id=bed.vms[0].network)
    netns.create("late")
    netns.veth((None, "late"), ("late", "eth0"), port["mac_address"])
    ear = Listener("late", "eth0")
    bed.ovs.vsctl("add-port", "s2", "late", "--", "set", "Interface", "late", f"external_ids:iface-id={port['id']}")
    bed.api.wait_for_status([port["id"]], "ACTIVE")
    time.sleep(3.0)
    assert _probes(ear) == []
    ear.close()
    bed.ovs.vsctl("del-port", "s2", "late")
    bed.api.delete("port", port["id"])


@pytest.mark.timeout(120)
def test_a_cable_that_is_moved_while_the_controller_is_down_is_found_where_it_is(bed: FabricBed) -> None:
    stream = Stream(red(bed)[2], red(bed)[6].ip, 12.0)
    bed.stop_controller()
    bed.ovs.vsctl("del-port", "s4", device(4, 1), "--", "add-port", "s5", device(4, 1))
    bed.start_controller()
    wait_until(lambda: (1, 5) in _cabled(bed) and (1, 4) not in _cabled(bed), 20, lambda: f"{_cabled(bed)}")
    bed.wait_in_sync()
    assert stream.lost() < 100
    assert bed.matrix(list(red(bed).values())) == []
    bed.ovs.vsctl("del-port", "s5", device(4, 1), "--", "add-port", "s4", device(4, 1))
    wait_until(lambda: (1, 4) in _cabled(bed) and len(bed.links()) == len(CABLES), 20, lambda: f"{_cabled(bed)}")


def _cabled(bed: FabricBed) -> set[tuple[int, ...]]:
    """The links as pairs of switch numbers."""
    return {tuple(int(row[side]["switch"].removeprefix("switch:"), 16) for side in ("a", "b"))  # type: ignore[index]
            for row in bed.links()}  # fmt: skip


@pytest.mark.timeout(120)
def test_a_switch_comes_back_empty_and_with_other_port_numbers(bed: FabricBed) -> None:
    """What was the number of a cable is a tenant's now, and the other way round; nobody hears what is not for it."""
    mine = [vm for vm in bed.vms if vm.switch == 3]
    stream = Stream(red(bed)[2], red(bed)[4].ip, 8.0)
    time.sleep(0.5)
    bed.ovs.vsctl("del-br", "s3")
    bed.ovs.add_bridge("s3", 3)
    bed.ovs.vsctl("set", "bridge", "s3", "fail_mode=secure", "other_config:disable-in-band=true")
    for vm in mine:
        bed.ovs.vsctl("add-port", "s3", vm.name, "--", "set", "Interface", vm.name,
                      f"external_ids:iface-id={vm.port_id}")  # fmt: skip
    for other in (2, 4):
        bed.ovs.vsctl("add-port", "s3", device(3, other))
    bed.ovs.connect("s3")
    bed.wait_for_links(len(CABLES))
    bed.wait_in_sync()
    bed.api.wait_for_status([vm.port_id for vm in mine], "ACTIVE")
    assert stream.lost() < 1000
    assert bed.matrix([vm for vm in bed.vms if vm.switch in (2, 3)]) == []


@pytest.mark.timeout(600)
def test_pull_every_cable_with_ten_thousand_ports(bed: FabricBed) -> None:
    network = bed.vms[0].network
    mine = [
        {"network_id": network, "binding:host_id": f"{number % 6 + 1:016x}", "fixed_ips": []} for number in range(MANY)
    ]
    for start in range(0, MANY, 1000):
        bed.api.request("POST", "ports", {"ports": mine[start : start + 1000]}, timeout=300)
    bed.wait_in_sync(180)
    assert len(bed.ovs.flows("s1")) > MANY
    assert max(pull_all(bed, f"{MANY} ports")) < 500
