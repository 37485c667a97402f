"""Legacy hosts: plain Linux machines whose bridges the agent makes.

Where the kernel has 802.1q and GRE a host is a namespace; else it is a User Mode Linux guest. Both look the same.
"""

from __future__ import annotations

import os
from typing import Protocol

from tests.support import netns, rpc, uml
from tests.support.machine import PORT, READY, Machine
from tests.support.sandbox import BED_DIRECTORY
from tests.support.underlay import Wiring, attach_namespace, attach_taps

REALISATION = "ISTHMUS_LEGACY_HOSTS"
"""Environment variable that chooses: ``namespace`` or ``uml`` (default: what the kernel makes necessary)."""

_BOOT_TIMEOUT = 60.0


class LinuxHost(Protocol):
    """What the data centre asks of a legacy host."""

    wiring: Wiring
    machine: Machine

    def start(self) -> None:
        """Power on; returns when the machine can be spoken to. The agent is not started."""

    def diagnosis(self) -> str:
        """What is worth reading when something went wrong."""


class NamespaceHost:
    """A legacy host in a namespace of this kernel."""

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        self.machine = Machine(wiring, wiring.name, BED_DIRECTORY / wiring.name)

    def start(self) -> None:
        """Make the namespace and configure its NICs."""
        attach_namespace(self.wiring)
        self.machine.configure()

    def diagnosis(self) -> str:
        """The agent's log."""
        return self.machine.agent_log()


class UmlHost:
    """A legacy host with a kernel of its own; ``machine`` is a stand-in for the one inside the guest."""

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        self.machine: Machine = rpc.Remote(wiring.management_ip, PORT)  # type: ignore[assignment]
        self._guest = uml.Guest(wiring)

    def start(self) -> None:
        """Boot the guest and wait until it serves."""
        attach_taps(self.wiring)
        self._guest.start()
        try:
            self._guest.wait_for_file(READY, _BOOT_TIMEOUT)
            rpc.wait_for(self.wiring.management_ip, PORT, 10.0)
        except (ConnectionError, TimeoutError) as error:
            raise RuntimeError(f"{self.wiring.name}: {error}; its console says:\n{self._guest.console()}") from error

    def diagnosis(self) -> str:
        """The guest's console and the agent's log."""
        if not self._guest.running:
            return f"the guest ended:\n{self._guest.console()}"
        return f"{self.machine.agent_log()}\nconsole:\n{self._guest.console(5)}"


def make_host(wiring: Wiring) -> LinuxHost:
    """A legacy host in the realisation that this kernel allows.

    Raises RuntimeError when the kernel lacks something and there is no User Mode Linux to have it.
    """
    return UmlHost(wiring) if choose_realisation() == "uml" else NamespaceHost(wiring)


def choose_realisation() -> str:
    """``namespace`` or ``uml``."""
    if chosen := os.environ.get(REALISATION):
        return chosen
    lacking = netns.kernel_lacks()
    if not lacking:
        return "namespace"
    if not uml.available():
        raise RuntimeError(
            f"this kernel lacks {', '.join(lacking)} and there is no linux.uml to run legacy hosts in: "
            "apt install user-mode-linux"
        )
    return "uml"
