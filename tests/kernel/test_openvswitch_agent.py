"""``isthmus-agent`` as a process on a host with Open vSwitch: crashes, events, Open vSwitch away and back, and both
drivers at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from legacy_agent.host_plan import HostNetwork, device_name
from tests.kernel.lab import Lab, Net, Vm
from tests.kernel.ovs_host import BRIDGE, PROVIDER_BRIDGE, OvsHost
from tests.kernel.test_agent_process import AgentProcess, Stream, until
from tests.kernel.test_openvswitch_driver import ovs_host, talk
from tests.support import ethernet, netns

VLAN, VXLAN = Net(2, "vlan", "physnet1", 100), Net(7, "vxlan", None, 77)


class OvsAgentProcess(AgentProcess):
    """The agent of a host with Open vSwitch."""

    host: OvsHost

    def __init__(self, host: OvsHost, directory: Path, drivers: str = "openvswitch") -> None:
        super().__init__(host, directory)
        self.general = f"drivers = {drivers}"
        self.rest = (
            "[linux_bridge]\nphysical_interface_mappings = physnet2:eth2\n"
            f"[ovs]\novsdb_connection = {host.ovs.remote}\ndatapath_type = netdev\n"
            f"physical_interface_mappings = physnet1:eth0\nlocal_ip = {host.tunnel_ip}\n"
        )
        self.configure(self.general, self.rest)

    def plan(self, revision: int, *networks: HostNetwork) -> None:
        """Give it a plan, and wait until it is in force without an error."""
        self.controller.plan(revision, *networks)
        report = self.controller.wait(lambda report: report.applied_revision == revision)
        assert report.errors == {}


@pytest.fixture
def agent(lab: Lab, tmp_path: Path) -> Iterator[OvsAgentProcess]:
    process = OvsAgentProcess(ovs_host(lab), tmp_path)
    yield process
    print(process.log)
    process.close()


def pair(lab: Lab, agent: OvsAgentProcess, net: Net) -> tuple[Vm, Vm]:
    """A VM on the agent's host and one on a host that is wired in this process; the agent runs."""
    far = ovs_host(lab)
    vms = lab.vm(net, agent.host), lab.vm(net, far)
    assert far.realise(lab.networks_of(far)).errors == {}
    agent.start()
    agent.plan(7, *lab.networks_of(agent.host))
    assert talk(lab, *vms)
    return vms


def test_first_contact(lab: Lab, agent: OvsAgentProcess) -> None:
    """What the agent says of its host, and where VMs are plugged in."""
    vm, _ = pair(lab, agent, VLAN)
    report = agent.controller.reports[-1]
    assert report.drivers == {"openvswitch": ("local", "flat", "vlan", "gre", "vxlan", "geneve")}
    assert report.vif_details == {"openvswitch": {"bridge_name": BRIDGE, "datapath_type": "netdev"}}
    assert report.physical_networks == {"physnet1": "eth0"}
    assert report.tunnel_types == ("geneve", "gre", "vxlan")
    assert (report.limits, report.tunnel_ip) == ({}, agent.host.tunnel_ip)
    assert report.devices == {vm.port.port_id[:11]: device_name(vm.port.port_id)}


def test_killed_and_started(lab: Lab, agent: OvsAgentProcess) -> None:
    """Nothing is lost, nothing is written anew."""
    a, b = pair(lab, agent, VXLAN)
    flows, links = agent.host.flows(), agent.host.links()
    stream = Stream(a, b)
    stream.start()
    agent.stop(signal.SIGKILL)
    agent.controller.forget_reports()
    written = len(agent.log)
    agent.start()
    agent.controller.wait(lambda report: report.applied_revision == 7)
    assert stream.lost() == 0
    assert (agent.host.flows(), agent.host.links()) == (flows, links)
    assert "to add" not in agent.log[written:]


def test_plug_and_tampering_are_noticed_at_once(lab: Lab, agent: OvsAgentProcess) -> None:
    """By event, long before the next audit: VMs by tap or by ``iface-id``, flows and a port that somebody deletes, a
    restart of Open vSwitch (whose userspace datapath is the dataplane)."""
    a, b = pair(lab, agent, VXLAN)
    tap = device_name(a.port.port_id)
    complete = len(agent.host.flows())
    agent.host.ovs.ofctl("del-flows", BRIDGE, "table=3")
    until(lambda: len(agent.host.flows()) == complete, 3)
    control = "table=0,priority=200,dl_dst=01:80:c2:00:00:00/ff:ff:ff:ff:ff:f0"
    agent.host.ovs.ofctl("add-flow", BRIDGE, f"{control},actions=FLOOD")  # in place of the agent's
    until(lambda: not any("FLOOD" in flow for flow in agent.host.flows()), 3)
    agent.host.ovs.vsctl("del-port", BRIDGE, tap)
    until(lambda: tap in agent.host.ports())
    assert talk(lab, a, b)
    late = lab.vm(VXLAN, agent.host, plugged=False)
    agent.plan(8, *lab.networks_of(agent.host))
    late = lab.plug(late)
    key = late.port.port_id[:11]
    agent.controller.wait(lambda report: key in report.devices, 3)
    assert talk(lab, a, late)
    agent.controller.forget_reports()
    netns.delete_link(agent.host.name, device_name(late.port.port_id))
    agent.controller.wait(lambda report: key not in report.devices, 3)
    flows = len(agent.host.flows())
    agent.host.ovs.restart_vswitchd()
    until(lambda: len(agent.host.flows()) == flows)
    assert talk(lab, a, b)


def test_open_vswitch_comes_after_the_agent_and_goes(lab: Lab, agent: OvsAgentProcess) -> None:
    """While it is away nothing can be bound there, what is bound is not well, and the report says why."""
    agent.host.ovs.stop_daemons()
    agent.start()
    agent.controller.plan(3)
    report = agent.controller.wait(lambda report: "vlan" in report.limits)
    assert "Open vSwitch is not there" in report.limits["vlan"]
    agent.host.ovs.start_again()
    agent.controller.wait(lambda report: not report.limits)
    until(lambda: BRIDGE in agent.host.ovs.vsctl("list-br"))
    vm = lab.vm(VLAN, agent.host)
    agent.plan(4, *lab.networks_of(agent.host))
    agent.controller.forget_reports()
    agent.host.ovs.stop_daemons()
    report = agent.controller.wait(lambda report: "cannot be reached" in report.errors.get(vm.net.id, ""), 10)
    assert report.applied_revision == 4


def test_both_drivers_on_one_host(lab: Lab, tmp_path: Path) -> None:
    """Each with its network types, on one physical network by one cable: it ends in a bridge of the operator's, which
    has an internal port for the Linux bridges. One driver's trouble is not the other's."""
    host, away = ovs_host(lab), ovs_host(lab)
    host.ovs.vsctl(*f"add-port {PROVIDER_BRIDGE} lb0 -- set Interface lb0 type=internal".split())
    agent = OvsAgentProcess(host, tmp_path)
    rest = agent.rest.replace("physnet2:eth2", "physnet2:lb0") + f"bridge_mappings = physnet2:{PROVIDER_BRIDGE}\n"
    agent.configure("drivers = linuxbridge:flat,local openvswitch:vlan,gre", rest)
    flat, vlan, local = Net(1, "flat", "physnet2"), Net(2, "vlan", "physnet2", 100), Net(3, "local")
    try:
        one, far_one, two, far_two = (lab.vm(net, place) for net in (flat, vlan) for place in (host, away))
        assert away.realise(lab.networks_of(away)).errors == {}
        agent.start()
        agent.plan(5, *map(networks_by, lab.networks_of(host)))
        report = agent.controller.reports[-1]
        assert report.drivers == {"linuxbridge": ("flat", "local"), "openvswitch": ("vlan", "gre")}
        assert report.physical_networks == {"physnet1": "eth0", "physnet2": PROVIDER_BRIDGE}
        assert talk(lab, one, far_one)
        assert talk(lab, two, far_two)
        sent = {vm: vm.token("to everybody") for vm in (one, far_one, two, far_two)}
        heard = set(lab.deliveries(sent.items()))
        pairs = ((one, far_one), (far_one, one), (two, far_two), (far_two, two))
        assert heard == {(receiver.number, ethernet.trimmed(sent[sender])) for sender, receiver in pairs}
        host.ovs.stop_daemons()
        agent.controller.forget_reports()
        late, neighbour = lab.vm(local, host), lab.vm(local, host)
        agent.controller.plan(6, *map(networks_by, lab.networks_of(host)))
        report = agent.controller.wait(lambda report: report.applied_revision == 6)
        assert set(report.errors) == {vlan.id}
        assert talk(lab, late, neighbour)
        host.ovs.start_again()
        agent.controller.wait(lambda report: report.applied_revision == 6 and not report.errors)
        assert talk(lab, one, far_one)
        assert talk(lab, two, far_two)
    finally:
        print(agent.log)
        agent.close()


def networks_by(network: HostNetwork) -> HostNetwork:
    """The network, for the driver that serves its type."""
    driver = "linuxbridge" if network.network_type in ("flat", "local") else "openvswitch"
    return replace(network, driver=driver)
