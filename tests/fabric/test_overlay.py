"""Flat, VLAN, GRE and VXLAN networks over one fabric of six switches, with everything cabled to it.

Hypervisors hang on the fabric by one link and carry tunnels; Linux-bridge hosts (their real agent, VLAN devices, GRE)
by a port that nobody configured; the tunnels' IP network is a VLAN network of the fabric; a cloud has two uplinks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.fabric.bed import device
from tests.fabric.overlay import CABLES, Overlay
from tests.support import netns
from tests.support.matrix import Matrix

CABLED = {"hv1": (1, 4), "hv2": (5, 2), "lb1": (2, 6), "lb2": (4, 3)}
PLACES = {
    "flat": ("s1", "s5", "hv1", "lb1", "lb2", "cloud"),
    "vlan": ("s2", "s6", "hv1", "hv2", "lb1", "lb2"),
    "gre": ("hv1", "hv2", "lb1", "lb2"),
    "vxlan": ("hv1", "hv2", "lb1", "lb2"),
}


@pytest.fixture(scope="module")
def overlay() -> Iterator[Overlay]:
    made = Overlay(CABLED)
    try:
        made.start()
        for place, (name, number) in enumerate((("flat", None), ("vlan", 100), ("gre", 77), ("vxlan", 77))):
            made.network(name, name, number, f"10.1.{place}.0/24")
        made.plug([(network, node) for network, nodes in PLACES.items() for node in nodes])
    except Exception:
        print(made.diagnosis())
        raise
    yield made
    print(made.bed.log())


def problems(overlay: Overlay, tcp: bool) -> list[str]:
    """What is wrong with the full matrix. The cloud is a trunk: its machines see tagged frames of other networks."""
    matrix = Matrix(list(overlay.vms.values()))
    found = matrix.problems(matrix.run(tcp=tcp))
    return [fault for fault in found if not ("-> flat-cloud" in fault and fault.endswith("frames crossed"))]


@pytest.mark.timeout(240)
def test_every_pair_of_a_network_talks_and_no_other(overlay: Overlay) -> None:
    assert problems(overlay, tcp=True) == []


@pytest.mark.timeout(120)
def test_tunnels_survive_every_cable(overlay: Overlay) -> None:
    pairs = [(overlay.vms[f"{kind}-hv1"], overlay.vms[f"{kind}-lb1"]) for kind in ("gre", "vxlan")]
    for one, other in CABLES:
        for place, (source, target) in enumerate(pairs):
            source.site.ping_start(str(place), source.name, target.ip, 500)
        time.sleep(0.3)
        netns.set_link(None, device(one, other), up=False)
        time.sleep(0.7)
        netns.set_link(None, device(one, other), up=True)
        overlay.bed.wait_for_links(len(CABLES) + 2)
        found = [source.site.ping_stop(str(place)) for place, (source, _) in enumerate(pairs)]
        lost = [2 * len(each["lost"]) for each in found]
        print(f"cable {one}-{other} pulled and put back: GRE {lost[0]} ms, VXLAN {lost[1]} ms lost", flush=True)
        assert max(lost) < 500
        assert [each["duplicates"] for each in found] == [0, 0]
    assert problems(overlay, tcp=False) == []
