"""Runs one Mininet topology until its input ends; for the system's Python, which has Mininet.

    /usr/bin/python3 tests/fabric/mininet_topology.py torus,3,3

prints one line of JSON: hosts (name, pid, mac, switch by datapath id, port number there) and the number of links.
"""

import json
import sys

from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.node import OVSSwitch, RemoteController
from mininet.topo import LinearTopo, Topo
from mininet.topolib import TorusTopo, TreeTopo


class MeshTopo(Topo):
    """Every switch cabled to every other, a host each."""

    def build(self, count=5):
        names = [self.addSwitch(f"s{number}") for number in range(1, count + 1)]
        for place, name in enumerate(names):
            self.addLink(name, self.addHost(f"h{place + 1}"))
            for other in names[place + 1 :]:
                self.addLink(name, other)


def made(text):
    name, *numbers = text.split(",")
    kinds = {"torus": TorusTopo, "tree": TreeTopo, "linear": LinearTopo, "mesh": MeshTopo}
    return kinds[name](*map(int, numbers))


def main():
    setLogLevel("error")
    net = Mininet(made(sys.argv[1]), switch=OVSSwitch, controller=None, autoSetMacs=True)
    net.addController("c0", controller=RemoteController, ip="127.0.0.1", port=6653)
    for switch in net.switches:
        switch.datapath, switch.failMode, switch.protocols = "user", "secure", "OpenFlow13"
    net.start()
    hosts = []
    for host in net.hosts:
        ours = host.defaultIntf()
        theirs = ours.link.intf1 if ours.link.intf2 is ours else ours.link.intf2
        host.cmd("sysctl -w net.ipv6.conf.all.disable_ipv6=1")
        host.cmd(f"ethtool -K {ours} tx off")
        switch = theirs.node
        hosts.append(
            {
                "name": host.name,
                "pid": host.pid,
                "mac": host.MAC(),
                "device": str(ours),
                "dpid": switch.dpid,
                "port": switch.ports[theirs],
            }
        )
    between = sum(1 for link in net.links if link.intf1.node in net.switches and link.intf2.node in net.switches)
    devices = [
        str(intf)
        for link in net.links
        for intf in (link.intf1, link.intf2)
        if link.intf1.node in net.switches and link.intf2.node in net.switches
    ]
    found = {"hosts": hosts, "links": between, "devices": devices, "switches": len(net.switches)}
    print(json.dumps(found), flush=True)
    sys.stdin.read()
    net.stop()


main()
