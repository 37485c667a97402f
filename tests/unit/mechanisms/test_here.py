"""What is plugged into a switch is resolved again when, and only when, something of it is another object."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model import Attachment, Fabric, Node, NodeKind, Observation
from mechanisms.openflow.here import Locator, locate

NODE = Node("switch:1", 1, NodeKind.SWITCH, "s1", ("openflow",))
SEEN = Observation(NODE.id, {"p1": Attachment("p1", "eth1", 5)}, {"physnet1": 1}, {"gre": 9})


@pytest.mark.parametrize(
    "changed",
    [
        {"attachments": {"p1": Attachment("p1", "eth1", 6)}},
        {"uplinks": {"physnet1": 2}},
        {"tunnel_ports": {}},
        {"fabric": Fabric(links=(3,))},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_every_change_is_followed(changed: dict[str, object]) -> None:
    locator, later = Locator(), replace(SEEN, **changed)  # type: ignore[arg-type]
    first = locator(NODE, SEEN)
    assert first == locate(NODE, SEEN)
    assert locator(NODE, SEEN) is first
    assert locator(NODE, later) == locate(NODE, later) != first
    assert locator(NODE, SEEN) == first


def test_another_node_is_another_place() -> None:
    locator, other = Locator(), replace(NODE, key=2)
    locator(NODE, SEEN)
    assert locator(other, SEEN).node is other


claims = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 9), max_size=5)


@given(tunnels=claims, uplinks=claims, ports=claims)
def test_every_number_means_one_thing(tunnels: dict[str, int], uplinks: dict[str, int], ports: dict[str, int]) -> None:
    attached = {name: Attachment(name, name, ofport) for name, ofport in ports.items()}
    here = locate(NODE, Observation(NODE.id, attached, uplinks, tunnels))
    meanings: dict[int, tuple[int, str]] = {}
    for kind, wanted in enumerate((tunnels, uplinks, ports)):
        for name, ofport in sorted(wanted.items()):
            meanings.setdefault(ofport, (kind, name))
    found = {ofport: (kind, name) for kind, known in enumerate((here.tunnels, here.uplinks, here.ports))
             for name, ofport in known.items()}  # fmt: skip
    assert found == meanings
    assert sum(map(len, (here.tunnels, here.uplinks, here.ports))) == len(meanings)
