"""Scenarios of programming a switch."""

from __future__ import annotations

from tests.ovs.world import World
from tests.ovs.programs import flow, group, program, to_group, to_tunnel

def from_nothing(world: World) -> None:
    node = world.switch()
    wanted = program(3, *(flow(number) for number in range(100)), group(1, 2), to_group(), to_tunnel(1))
    applied = world.southbound.apply(node, wanted)
    print(applied, world.southbound.state(node))
    print("\n".join(world.bed.flows()[-5:]), world.bed.groups())
