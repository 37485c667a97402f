"""``isthmus-agent`` as a process in a namespace: plans, events, reports, crashes, with traffic running."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.delta import difference
from legacy_agent.host_plan import bridge_name, device_name
from tests.kernel.capabilities import possible_types
from tests.kernel.lab import Host, Lab, Net, Vm
from tests.support import ethernet, netns
from tests.support.fake_controller import FakeController

TYPES = possible_types()
NETS = {
    "flat": Net(1, "flat", "physnet1"),
    "vlan": Net(2, "vlan", "physnet1", 100),
    "gre": Net(5, "gre", None, 77),
    "vxlan": Net(7, "vxlan", None, 77),
}
PACE = 0.01


class AgentProcess:
    """The agent of one host, and the controller it talks to."""

    def __init__(self, host: Host, directory: Path) -> None:
        self.host = host
        self.controller: FakeController = host.run(lambda: FakeController(host.name))
        self._log = directory / "agent.log"
        self._configuration = directory / "agent.conf"
        self.configure(
            "drivers = linuxbridge",
            "[linux_bridge]\nphysical_interface_mappings = physnet1:eth0,physnet2:eth2\n"
            f"[vxlan]\nlocal_ip = {host.tunnel_ip}\n",
        )
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, general: str, rest: str) -> None:
        """Write its configuration: more of the group ``agent``, and other groups."""
        head = f"[agent]\nhost = {self.host.name}\ncontroller_url = {self.controller.url}\nreport_interval = 1\n"
        self._configuration.write_text(f"{head}{general}\n{rest}")

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "legacy_agent.main", "--config-file", str(self._configuration)]

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = self.host.run(lambda: subprocess.Popen(self.command, stdout=log, stderr=log))

    def stop(self, how: signal.Signals) -> float:
        """Seconds until it was gone."""
        assert self._process is not None
        begin = time.monotonic()
        self._process.send_signal(how)
        self._process.wait(10)
        return time.monotonic() - begin

    @property
    def log(self) -> str:
        return self._log.read_text()

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)
        self.controller.close()


class Stream(threading.Thread):
    """Frames from one VM to another, a hundred a second; afterwards: how many never arrived."""

    def __init__(self, source: Vm, target: Vm) -> None:
        super().__init__(daemon=True)
        self._source, self._target = source, target
        self._end = threading.Event()
        self.sent: list[bytes] = []

    def run(self) -> None:
        while not self._end.wait(PACE):
            frame = self._source.token(f"{len(self.sent)}", self._target)
            self._source.send(frame)
            self.sent.append(ethernet.trimmed(frame))

    def lost(self) -> int:
        self._end.set()
        self.join()
        time.sleep(0.3)
        arrived = Counter(map(ethernet.trimmed, self._target.received()))
        assert len(self.sent) > 20
        assert all(arrived[frame] <= 1 for frame in self.sent)
        return sum(not arrived[frame] for frame in self.sent)


@pytest.fixture
def agent(lab: Lab, tmp_path: Path) -> Iterator[AgentProcess]:
    process = AgentProcess(lab.host(), tmp_path)
    lab.host()
    yield process
    print(process.log)
    process.close()


def pair(lab: Lab, network_type: str) -> tuple[Vm, Vm]:
    """A VM on the agent's host and one on the other, which is wired in this process."""
    near, far = lab.hosts.values()
    vms = lab.vm(NETS[network_type], near), lab.vm(NETS[network_type], far)
    assert far.realise(lab.networks_of(far)).errors == {}
    return vms


def running(lab: Lab, agent: AgentProcess, network_type: str) -> tuple[Vm, Vm]:
    """The agent with a plan in force."""
    a, b = pair(lab, network_type)
    agent.controller.plan(7, *lab.networks_of(agent.host))
    agent.start()
    agent.controller.wait(lambda report: report.applied_revision == 7)
    talk(lab, a, b)
    return a, b


def talk(lab: Lab, a: Vm, b: Vm) -> None:
    there, back = a.token("there", b), b.token("back", a)
    found = lab.deliveries([(a, there), (b, back)])
    assert found[b.number, ethernet.trimmed(there)] == found[a.number, ethernet.trimmed(back)] == 1


def until(condition, timeout: float = 5.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)


def test_first_contact(lab: Lab, agent: AgentProcess) -> None:
    """An unknown host introduces itself, then gets its plan and reports that it is in force."""
    a, _ = running(lab, agent, "vxlan")
    first, last = agent.controller.reports[0], agent.controller.reports[-1]
    assert (first.host, first.applied_revision) == (agent.host.name, 0)
    assert last.tunnel_ip == agent.host.tunnel_ip
    assert last.physical_networks == {"physnet1": "eth0", "physnet2": "eth2"}
    assert last.drivers == {"linuxbridge": ("local", "flat", "vlan", "gre", "vxlan")}
    assert set(last.tunnel_types) == {"gre", "vxlan"} & set(TYPES)
    assert set(last.limits) == {"flat", "vlan", "gre", "vxlan"} - set(TYPES)
    assert last.devices == {a.port.port_id[:11]: device_name(a.port.port_id)}
    assert last.errors == {}


@pytest.mark.parametrize("network_type", TYPES)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_restart_loses_no_frame(lab: Lab, agent: AgentProcess, network_type: str, how: signal.Signals) -> None:
    a, b = running(lab, agent, network_type)
    links, fdb = agent.host.links(), agent.host.fdb()
    streams = [Stream(a, b), Stream(b, a)]
    for stream in streams:
        stream.start()
    time.sleep(0.3)
    assert agent.stop(how) < 2
    agent.controller.forget_reports()
    written = len(agent.log)
    agent.start()
    agent.controller.wait(lambda report: report.applied_revision == 7)
    time.sleep(0.3)
    assert [stream.lost() for stream in streams] == [0, 0]
    assert agent.host.links() == links
    assert agent.host.fdb() == fdb
    assert "to add" not in agent.log[written:]


def test_controller_gone_and_back(lab: Lab, agent: AgentProcess) -> None:
    """The host forwards on; when the controller is back the agent asks for the full plan, and changes nothing."""
    a, b = running(lab, agent, "vxlan")
    links = agent.host.links()
    stream = Stream(a, b)
    stream.start()
    old = agent.controller
    old.close()
    time.sleep(1)
    agent.controller = agent.host.run(lambda: FakeController(agent.host.name, old.port))
    agent.controller.plan(7, *lab.networks_of(agent.host))
    agent.controller.wait(lambda report: report.applied_revision == 7, 20)
    until(lambda: agent.controller.asked)
    assert agent.controller.asked[0] == 0
    assert stream.lost() == 0
    assert agent.host.links() == links


def test_plug_is_noticed(lab: Lab, agent: AgentProcess) -> None:
    """By event: within a second, long before the next audit; unplugging too."""
    a, b = running(lab, agent, "vxlan")
    late = lab.vm(a.net, agent.host, plugged=False)
    agent.controller.plan(8, *lab.networks_of(agent.host))
    agent.controller.wait(lambda report: report.applied_revision == 8)
    key = late.port.port_id[:11]
    assert key not in agent.controller.reports[-1].devices
    late = lab.plug(late)
    agent.controller.wait(lambda report: report.devices.get(key) == device_name(late.port.port_id), 3)
    talk(lab, a, late)
    agent.controller.forget_reports()
    netns.delete_link(agent.host.name, device_name(late.port.port_id))
    agent.controller.wait(lambda report: key not in report.devices, 3)
    talk(lab, a, b)


def test_tampering_is_repaired_at_once(lab: Lab, agent: AgentProcess) -> None:
    a, b = running(lab, agent, "vxlan")
    for command in (["nft", "flush", "ruleset"], ["ip", "link", "del", "dev", "vxlan-77"],
                    ["ip", "link", "set", "dev", device_name(a.port.port_id), "nomaster"]):  # fmt: skip
        agent.host.run(lambda command=command: subprocess.run(command, check=True))
        until(lambda: not agent.host.run(lambda: _differs(lab, agent.host)))
        talk(lab, a, b)


def _differs(lab: Lab, host: Host) -> bool:
    """Whether the host is not as it should be; looks only."""
    snapshot = host.driver.snapshot()
    wanted = host.driver.desired(lab.networks_of(host), snapshot)
    return bool(difference(wanted.items, snapshot.items))


def test_error_is_reported_and_goes_away(lab: Lab, agent: AgentProcess) -> None:
    """One network's trouble is its own; once the obstacle is gone, all is well without a new plan."""
    a, b = pair(lab, "vxlan")
    blocked = lab.vm(NETS["flat"], agent.host)
    bridge = bridge_name(blocked.net.id)
    netns.bridge(agent.host.name, bridge)
    netns.veth((agent.host.name, "spare"), (agent.host.name, "cable"))
    netns.enslave(agent.host.name, "spare", bridge)
    agent.controller.plan(3, *lab.networks_of(agent.host))
    agent.start()
    report = agent.controller.wait(lambda report: report.applied_revision == 3)
    assert bridge in report.errors[blocked.net.id]
    talk(lab, a, b)
    agent.controller.forget_reports()
    netns.delete_link(agent.host.name, bridge)
    agent.controller.wait(lambda report: not report.errors, 5)
    assert agent.host.links()[device_name(blocked.port.port_id)].master == bridge


def test_second_agent_on_the_host_ends_at_once(agent: AgentProcess) -> None:
    """Not one in another namespace, which is another host."""
    agent.start()
    until(lambda: "started" in agent.log, 20)
    again = agent.host.run(lambda: subprocess.run(agent.command, capture_output=True, text=True, timeout=30))
    assert again.returncode == 1
    assert "another isthmus-agent serves this host" in again.stderr
    assert "Traceback" not in again.stderr
    assert agent.stop(signal.SIGTERM) < 2


def test_term_during_start_and_without_controller(agent: AgentProcess) -> None:
    agent.controller.close()
    agent.start()
    until(lambda: "keeps forwarding" in agent.log, 20)
    assert agent.stop(signal.SIGTERM) < 2
    assert "Traceback" not in agent.log
