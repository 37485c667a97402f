"""The linuxbridge agent driver."""

from legacy_agent.drivers.linuxbridge.driver import LinuxBridgeAgentDriver

__all__ = ["LinuxBridgeAgentDriver"]
