"""What goes wrong meanwhile. Each runs in a thread of its own beside the operations."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from pyroute2.netlink.exceptions import NetlinkError

from tests.soak.host_audit import MADE
from tests.soak.world import World
from tests.support import netns
from tests.support.controller_process import Controller
from tests.support.datacentre import SwitchNode
from tests.support.ovs import INTEGRATION_BRIDGE
from tests.support.underlay import CONTROLLER_IP, MANAGEMENT_NIC


@dataclass(frozen=True, slots=True)
class Disturbance:
    """``lossy``: frames may be lost, because the dataplane itself is touched."""

    name: str
    act: Callable[[World, Random], None]
    lossy: bool = False


def controller_dies(world: World, dice: Random) -> None:
    """SIGKILL, and a start by either launcher."""
    pause, launcher = dice.uniform(0, 4), dice.choice(("osken-manager", "osken-manager", "isthmus-controller"))
    world.note(f"! controller killed for {pause:.1f} s, then {launcher}")
    old = world.site.controller
    old.kill()
    time.sleep(pause)
    text = old.configuration.read_text()
    new = Controller(launcher)
    new.configuration.write_text(text)
    new.start()
    world.site.controller = new
    world.note("! controller is back")


def agent_dies(world: World, dice: Random) -> None:
    """SIGKILL, and a start."""
    node = dice.choice(world.site.hosts)
    pause = dice.choice((0.0, dice.uniform(0, 4), 14.0))
    world.note(f"! agent of {node.wiring.name} killed for {pause:.1f} s")
    node.host.machine.agent_stop(signal.SIGKILL)
    time.sleep(pause)
    node.host.machine.agent_start()
    world.note(f"! agent of {node.wiring.name} is back")


def switch_restarts(world: World, dice: Random) -> None:
    """ovs-vswitchd ends and starts; flows are gone, and so is the address of its tunnels."""
    node = _switch(world, dice)
    world.note(f"! ovs-vswitchd of {node.wiring.name} restarts")
    node.ovs.restart_vswitchd()
    address = node.ovs.vsctl("get", "Open_vSwitch", ".", "external_ids:isthmus-tunnel-ip").strip().strip('"')
    with contextlib.suppress(NetlinkError):  # it is still there
        node.ovs.give_tunnel_address("br-ul", address)


def flows_deleted(world: World, dice: Random) -> None:
    """By hand: all, or those of one table, or the groups."""
    node = _switch(world, dice)
    what = dice.choice(("del-flows", "del-flows table", "del-groups"))
    table = dice.choice(sorted({line.split("table=")[1].split(",")[0] for line in node.ovs.flows()}) or ["0"])
    world.note(f"! {what} {table if what.endswith('table') else ''} on {node.wiring.name}")
    arguments = [f"table={table}"] if what.endswith("table") else []
    node.ovs.ofctl(what.split()[0], INTEGRATION_BRIDGE, *arguments)


def flow_altered(world: World, dice: Random) -> None:
    """A flow keeps its cookie and drops everything."""
    node = _switch(world, dice)
    flows = sorted(line.split("cookie=")[1].split(",")[0] for line in node.ovs.flows())
    chosen = dice.sample(flows, min(3, len(flows)))
    world.note(f"! flows altered on {node.wiring.name}: {', '.join(chosen)}")
    for cookie in chosen:
        node.ovs.ofctl("mod-flows", INTEGRATION_BRIDGE, f"cookie={cookie}/-1,actions=drop")


def device_deleted(world: World, dice: Random) -> None:
    """A device that the agent made is deleted by hand."""
    node = dice.choice(world.site.hosts)
    names = [name for name in node.host.machine.links() if name.startswith(MADE)]
    if names:
        name = dice.choice(sorted(names))
        world.note(f"! {name} deleted on {node.wiring.name}")
        node.host.machine.execute(["ip", "link", "del", "dev", name])


def guards_deleted(world: World, dice: Random) -> None:
    """The agent's packet filter is flushed by hand."""
    node = dice.choice(world.site.hosts)
    world.note(f"! nft flush ruleset on {node.wiring.name}")
    node.host.machine.execute(["nft", "flush", "ruleset"])


def management_cut(world: World, dice: Random) -> None:
    """A node does not reach the controller for some seconds."""
    node = dice.choice([*world.site.switches, *world.site.hosts])
    seconds = dice.choice((dice.uniform(0.5, 4), dice.uniform(8, 16)))
    world.note(f"! {node.wiring.name} without management network for {seconds:.1f} s")
    end = node.wiring.far_end(MANAGEMENT_NIC)
    netns.set_link(None, end, up=False)
    time.sleep(seconds)
    netns.set_link(None, end, up=True)
    world.note(f"! {node.wiring.name} has its management network again")


def connection_cut(world: World, dice: Random) -> None:
    """A switch is sent away and called back."""
    node = _switch(world, dice)
    world.note(f"! {node.wiring.name} is sent away and connects anew")
    for send in (lambda: node.ovs.send_to(f"tcp:{CONTROLLER_IP}:6699"), node.ovs.send_to):
        send()
        time.sleep(dice.uniform(0.1, 2))


def database_away(world: World, dice: Random) -> None:
    """SQLite locked by another process, or PostgreSQL stopped."""
    seconds = dice.choice((dice.uniform(1, 5), dice.uniform(5, 12), 30.0 if world.database else 8.0))
    world.note(f"! database away for {seconds:.1f} s")
    if world.database is not None:
        world.database.stop()
        time.sleep(seconds)
        world.database.start()
    else:
        path = world.site.controller.configuration.with_name("isthmus.sqlite")
        connection = sqlite3.connect(path, timeout=30, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        connection.execute("ROLLBACK")
        connection.close()
    world.note("! database is back")


def tunnel_address(world: World, dice: Random) -> None:
    """A node is renumbered on the tunnel network."""
    node = dice.choice([*world.site.switches, *world.site.hosts])
    address = f"10.200.0.{node.wiring.number + 10 * dice.randint(1, 20)}"
    world.note(f"! tunnel address of {node.wiring.name} is {address} now")
    node.change_tunnel_address(address)


def _switch(world: World, dice: Random) -> SwitchNode:
    return dice.choice(world.site.switches)


CALM = (
    Disturbance("controller", controller_dies),
    Disturbance("agent", agent_dies),
    Disturbance("management", management_cut),
    Disturbance("connection", connection_cut),
    Disturbance("database", database_away),
)
ROUGH = (
    Disturbance("vswitchd", switch_restarts, True),
    Disturbance("flows", flows_deleted, True),
    Disturbance("altered", flow_altered, True),
    Disturbance("device", device_deleted, True),
    Disturbance("guards", guards_deleted, True),
    Disturbance("tunnel address", tunnel_address, True),
)


def chosen(dice: Random) -> list[Disturbance]:
    """None, one or two; in half of the batches nothing that may cost a frame."""
    kinds = CALM if dice.random() < 0.6 else CALM + ROUGH + ROUGH
    found = dice.sample(kinds, dice.choice((0, 1, 1, 2)))
    return list({item.name: item for item in found}.values())
