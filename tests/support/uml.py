"""A User Mode Linux guest as one machine of the test bed: its own kernel, with 802.1q and GRE, on taps of the host.

It runs on the host's own file tree (read-only) and interpreter, so nothing has to be installed into it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from tests.support.sandbox import BED_DIRECTORY
from tests.support.underlay import BRIDGES, Wiring

_KERNEL = "linux.uml"
_MEMORY = "256M"
_SOURCES = Path(__file__).resolve().parents[2]


class Guest:
    """One guest; it ends with the sandbox, or by :meth:`stop`."""

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        self.directory = BED_DIRECTORY / wiring.name
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Boot it; the command (:mod:`tests.support.machine`) runs some seconds later."""
        self.directory.mkdir(parents=True)
        command = self.directory / "command"
        arguments = [sys.executable, "-m", "tests.support.machine", self.wiring.name, str(self.wiring.number)]
        command.write_text(f"cd {shlex.quote(str(_SOURCES))}\n{shlex.join([*arguments, str(self.directory)])}\n")
        nics = [f"{nic}=tuntap,{self.wiring.far_end(nic)},{self.wiring.mac(nic)}" for nic in BRIDGES]
        kernel = [
            *(_KERNEL, f"mem={_MEMORY}", f"umid={self.wiring.name}", f"uml_dir={self.directory}/uml/"),
            *("rootfstype=hostfs", "rootflags=/", "ro", "quiet", "noreboot", "con=null", "con0=null,fd:1"),
            f"init={Path(__file__).with_name('guest_init.sh')}",
            *(f"BED_DIRECTORY={BED_DIRECTORY}", f"COMMAND_FILE={command}"),
            *nics,
        ]
        with (self.directory / "console").open("wb") as console:
            self._process = subprocess.Popen(
                kernel,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # The guest's memory is a file; on the sandbox's tmpfs it cannot outlive the sandbox.
                env={**os.environ, "TMPDIR": str(BED_DIRECTORY)},
            )

    @property
    def running(self) -> bool:
        """Whether the guest's kernel runs."""
        return self._process is not None and self._process.poll() is None

    def wait_for_file(self, name: str, timeout: float) -> None:
        """Return once the guest has made a file in its directory.

        Looking for a file costs the guest nothing; trying to connect to a machine that does not answer ARP yet makes
        the kernel wait for seconds. Raises ConnectionError when the guest ends first, TimeoutError.
        """
        end = time.monotonic() + timeout
        while not (self.directory / name).exists():
            if not self.running:
                raise ConnectionError("the guest ended while booting")
            if time.monotonic() > end:
                raise TimeoutError(f"the guest was not ready after {timeout:.0f} s")
            time.sleep(0.05)

    def stop(self) -> None:
        """Switch it off."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    def console(self, lines: int = 30) -> str:
        """The end of what it printed."""
        text = (self.directory / "console").read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])


def available() -> bool:
    """Whether the guest kernel is installed (Debian package user-mode-linux)."""
    return any((Path(folder) / _KERNEL).exists() for folder in os.get_exec_path())
