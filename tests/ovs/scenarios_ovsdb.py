"""Scenarios of OVSDB: facts, tunnel ports, what is plugged in, and a database that goes away."""

from __future__ import annotations

import time

from controller.model import Attachment, switch_node_id
from tests.ovs.programs import flow, program
from tests.ovs.world import World

PORT = "5d9c1c8e-7a5e-4a6c-9f53-8c3c1b8a0f01"
TUNNELS = {"gre", "vxlan", "geneve"}


def host_ids(world: World, **ids: str) -> None:
    """Set ``Open_vSwitch external_ids``; underscores stand for hyphens."""
    world.bed.vsctl("set", "Open_vSwitch", ".", *(f"external_ids:{key.replace('_', '-')}={value}"
                                                  for key, value in ids.items()))  # fmt: skip


def tunnel_options(world: World, name: str) -> str:
    return world.bed.vsctl("get", "Interface", name, "options").strip()


def facts_and_tunnel_ports(world: World) -> None:
    host_ids(world, hostname="rack1", system_id="s", isthmus_tunnel_ip="127.0.0.5")
    world.bed.add_bridge("other", 9)
    world.bed.add_bridge()
    world.bed.plug("up0", "external_ids:physical-network=physnet1")
    node = world.connect()
    world.wait(lambda: set(world.last()[1].tunnel_ports) == TUNNELS, "tunnel ports are there")
    facts, observation = world.last()
    assert (facts.id, facts.host, facts.mechanisms) == (node, "rack1", ("openflow",))
    assert facts.tunnel_ip == "127.0.0.5"
    assert facts.tunnel_types == TUNNELS
    assert facts.limits == {}
    assert facts.physical_networks == {"physnet1": "up0"}
    assert observation.uplinks == {"physnet1": int(world.bed.vsctl("get", "Interface", "up0", "ofport"))}
    assert {"ovsdb", "nicira", "bundles"} <= facts.capabilities
    for kind in TUNNELS:
        assert tunnel_options(world, f"isthmus-{kind}") == '{key=flow, local_ip="127.0.0.5", remote_ip=flow}'
        assert world.bed.vsctl("iface-to-br", f"isthmus-{kind}").strip() == "br0"
    assert world.bed.vsctl("get-fail-mode", "br0").strip() == "secure"
    assert "disable-in-band" in world.bed.vsctl("get", "bridge", "br0", "other_config")
    assert world.bed.vsctl("get-fail-mode", "other").strip() == "", "a bridge that is not ours was changed"
    state = world.southbound.state(node)
    assert state is not None
    assert set(state.ports.values()) == {"br0", "up0", *(f"isthmus-{kind}" for kind in TUNNELS)}


def tunnel_address_changes(world: World) -> None:
    host_ids(world, hostname="rack1", isthmus_tunnel_ip="127.0.0.5")
    world.switch()
    world.wait(lambda: set(world.last()[1].tunnel_ports) == TUNNELS, "tunnel ports are there")
    world.bed.vsctl(
        "add-port", "br0", "mine", "--", "set", "Interface", "mine", "type=vxlan", "options:remote_ip=127.0.0.9"
    )
    host_ids(world, isthmus_tunnel_ip="127.0.0.6")
    world.wait(lambda: "127.0.0.6" in tunnel_options(world, "isthmus-gre"), "the local address follows")
    world.wait(lambda: world.last()[0].tunnel_ip == "127.0.0.6", "it is reported")
    world.bed.vsctl("del-port", "isthmus-vxlan")
    world.wait(lambda: "isthmus-vxlan" in world.bed.vsctl("list-ports", "br0"), "a deleted tunnel port comes back")
    world.bed.vsctl("remove", "Open_vSwitch", ".", "external_ids", "isthmus-tunnel-ip")
    world.wait(
        lambda: world.bed.vsctl("list-ports", "br0").split() == ["mine"], "tunnel ports are removed, others stay"
    )
    world.wait(lambda: world.last()[1].tunnel_ports == {}, "the observation follows")
    facts, _ = world.last()
    assert facts.tunnel_types == frozenset()
    assert "isthmus-tunnel-ip" in facts.limits["gre"]


def interfaces_come_and_go(world: World) -> None:
    world.switch()
    world.bed.plug("tap1", f"external_ids:iface-id={PORT}")
    ofport = int(world.bed.vsctl("get", "Interface", "tap1", "ofport"))
    world.wait(lambda: PORT in world.last()[1].attachments, "the attachment is seen")
    world.wait(lambda: world.last()[1].attachments[PORT].ofport == ofport, "with its number")
    assert world.last()[1].attachments[PORT].device == "tap1"
    _ip(world, "link", "set", "dev", "tap1", "up")
    world.wait(lambda: world.last()[1].attachments[PORT] == Attachment(PORT, "tap1", ofport, True), "its link is up")
    started = time.monotonic()
    _ip(world, "link", "set", "dev", "tap1", "down")
    world.wait(lambda: not world.last()[1].attachments[PORT].link_up, "its link is down")
    print(f"link down seen after {time.monotonic() - started:.3f} s")
    world.bed.vsctl("remove", "Interface", "tap1", "external_ids", "iface-id")
    world.wait(lambda: PORT not in world.last()[1].attachments, "a port without iface-id is nobody's")
    world.bed.vsctl("set", "Interface", "tap1", f"external_ids:iface-id={PORT}")
    world.wait(lambda: PORT in world.last()[1].attachments, "it is back")
    world.bed.vsctl("del-port", "tap1")
    world.wait(lambda: PORT not in world.last()[1].attachments, "the attachment is gone")


def _ip(world: World, *arguments: str) -> None:
    world.bed._call("ip", *arguments)


def many_interfaces_are_gathered(world: World) -> None:
    world.switch()
    reports = len(world.events.reports)
    words: list[str] = []
    for number in range(50):
        words += ["--", "add-port", "br0", f"d{number}", "--", "set", "Interface", f"d{number}", "type=internal"]
        words += [f"external_ids:iface-id=port-{number}"]
    world.bed.vsctl(*words[1:])
    world.wait(lambda: len(world.last()[1].attachments) == 50, "all are seen")
    print(f"{len(world.events.reports) - reports} reports for 50 interfaces")
    assert len(world.events.reports) - reports < 50


def database_restarts(world: World) -> None:
    host_ids(world, hostname="rack1", isthmus_tunnel_ip="127.0.0.5")
    node = world.switch()
    world.wait(lambda: set(world.last()[1].tunnel_ports) == TUNNELS, "tunnel ports are there")
    world.bed.plug("tap1", f"external_ids:iface-id={PORT}")
    world.wait(lambda: PORT in world.last()[1].attachments, "the attachment is seen")
    world.southbound.apply(node, program(1, flow(1)))
    before = world.last()
    world.bed.stop_ovsdb()
    time.sleep(1.5)
    assert world.last() == before, "the observation was not kept"
    assert world.events.lost == []
    world.bed.start_ovsdb()
    world.bed.plug("tap2", "external_ids:iface-id=x")
    world.wait(lambda: "x" in world.last()[1].attachments, "changes are seen again", 20)
    assert PORT in world.last()[1].attachments
    assert world.events.lost == []
    world.southbound.apply(node, program(2, flow(2)))


def without_ovsdb(world: World) -> None:
    world.southbound._remotes[1] = "tcp:127.0.0.1:6999"
    world.bed.add_bridge()
    started = time.monotonic()
    node = world.connect()
    assert time.monotonic() - started < 3
    facts, observation = world.last()
    assert facts.host == "0000000000000001"
    assert facts.tunnel_types == frozenset()
    assert "cannot be reached" in facts.limits["vxlan"], facts
    assert "ovsdb" not in facts.capabilities
    assert observation.attachments == {}
    world.southbound.apply(node, program(1, flow(1)))
    host_ids(world, hostname="late", isthmus_tunnel_ip="127.0.0.5")
    world.bed.vsctl("set-manager", "ptcp:6999:127.0.0.1")
    world.wait(lambda: world.last()[0].tunnel_types == TUNNELS, "OVSDB is retried", 20)
    assert world.last()[0].host == "late"


def unix_remote_and_two_bridges(world: World) -> None:
    world.southbound._remotes.update(
        {1: f"unix:{world.bed.directory}/db.sock", 2: f"unix:{world.bed.directory}/db.sock"}
    )
    host_ids(world, hostname="rack1", isthmus_tunnel_ip="127.0.0.5")
    world.switch()
    world.wait(lambda: set(world.last()[1].tunnel_ports) == TUNNELS, "tunnel ports are there")
    second = world.switch(name="br1", datapath_id=2)
    world.wait(lambda: any(facts.id == second for facts, _ in world.events.reports), "the second is reported")
    facts = [facts for facts, _ in world.events.reports if facts.id == second][-1]
    assert facts.tunnel_types == frozenset()
    assert "bridge br0" in facts.limits["gre"], facts
    assert world.bed.vsctl("list-ports", "br1").split() == []


def reconnected_switch_keeps_what_is_known(world: World) -> None:
    node = world.switch()
    world.bed.plug("tap1", f"external_ids:iface-id={PORT}")
    world.wait(lambda: PORT in world.last()[1].attachments, "the attachment is seen")
    world.southbound._remotes[1] = "tcp:127.0.0.1:6999"
    world.reconnect()
    assert PORT in world.last()[1].attachments
    world.wait(lambda: world.state(node) == "ready", "it is ready")
    assert switch_node_id(1) == node
