"""Why a node cannot carry a segment: what links between switches do not carry."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.model import Segment
from mechanisms.reasons import obstacle
from tests.support.scenarios import switch_node

NODE = replace(switch_node(1), physical_networks={"physnet1": "links between switches", "physnet2": "eth2"},
               link_tags={"physnet1": (100, 199)})  # fmt: skip


@pytest.mark.parametrize(("tag", "carried"), [(99, False), (100, True), (199, True), (200, False), (None, False)])
def test_links_carry_their_range_of_vlan_ids(tag: int | None, carried: bool) -> None:
    kind = "flat" if tag is None else "vlan"
    reason = obstacle(Segment("s", kind, "physnet1", tag), NODE)
    assert (reason is None) == carried
    if reason is not None:
        assert "links between switches carry 100 to 199 of physical network 'physnet1'" in reason
        assert ("the flat network" if tag is None else f"VLAN id {tag}") in reason
    assert obstacle(Segment("s", kind, "physnet2", tag), NODE) is None
