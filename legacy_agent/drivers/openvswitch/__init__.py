"""The openvswitch agent driver."""

from legacy_agent.drivers.openvswitch.driver import OpenVSwitchAgentDriver

__all__ = ["OpenVSwitchAgentDriver"]
