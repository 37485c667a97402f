"""The mechanism drivers that come with Isthmus pass the suite."""

from __future__ import annotations

from controller.model import NodeKind
from mechanisms.api import MechanismDriver
from mechanisms.fake import FakeMechanismDriver
from mechanisms.linuxbridge import LinuxBridgeMechanismDriver
from mechanisms.openflow.driver import OpenFlowMechanismDriver
from mechanisms.openvswitch import OpenVSwitchMechanismDriver
from tests.conformance.mechanisms import MechanismConformance


class TestOpenFlow(MechanismConformance):
    network_types = ("local", "flat", "vlan", "gre", "vxlan", "geneve")

    def make_driver(self) -> MechanismDriver:
        return OpenFlowMechanismDriver()


class TestLinuxBridge(MechanismConformance):
    network_types = ("local", "flat", "vlan", "gre", "vxlan")

    def make_driver(self) -> MechanismDriver:
        return LinuxBridgeMechanismDriver()


class TestOpenVSwitch(MechanismConformance):
    network_types = ("local", "flat", "vlan", "gre", "vxlan", "geneve")

    def make_driver(self) -> MechanismDriver:
        return OpenVSwitchMechanismDriver()


class TestFakeOnHosts(MechanismConformance):
    binds_anything = True
    network_types = ("local", "flat", "vlan", "gre", "vxlan", "geneve")

    def make_driver(self) -> MechanismDriver:
        return FakeMechanismDriver()


class TestFakeOnSwitches(MechanismConformance):
    binds_anything = True
    network_types = ("flat", "vxlan")

    def make_driver(self) -> MechanismDriver:
        return FakeMechanismDriver(NodeKind.SWITCH)
