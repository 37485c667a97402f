"""The flows of a bridge, read and written by ``ovs-ofctl``, which comes with every Open vSwitch."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from io import TextIOWrapper
from typing import Protocol

from controller.errors import IsthmusError

_COOKIE = re.compile(r"\bcookie=(0x[0-9a-f]+)")
_VERSION = "OpenFlow14"
"""The first with bundles, so that a change is seen by a frame as a whole or not at all."""


class FlowError(IsthmusError):
    """``ovs-ofctl`` cannot be run, the bridge does not answer it, or it refused flows."""


class Flows(Protocol):
    """What the driver asks of a bridge's flows; :class:`Ofctl` is the real one."""

    def cookies(self) -> frozenset[int]: ...
    def change(self, add: Iterable[str], remove: Iterable[int]) -> None: ...


class Ofctl:
    """The flows of the bridge whose management socket is ``socket``. ``timeout`` is in seconds."""

    def __init__(self, socket: str, timeout: float = 10.0) -> None:
        self._target, self._timeout = f"unix:{socket}", timeout

    def cookies(self) -> frozenset[int]:
        """The cookies of all flows; raises :class:`FlowError`."""
        text = self._run(["--no-names", "dump-flows", self._target])
        return frozenset(int(cookie, 16) for cookie in _COOKIE.findall(text))

    def change(self, add: Iterable[str], remove: Iterable[int]) -> None:
        """Add flows, then remove those with these cookies, in one atomic bundle; raises :class:`FlowError`."""
        lines = [f"add {flow}" for flow in add] + [f"delete cookie={cookie:#x}/-1" for cookie in remove]
        if lines:
            self._run(["--bundle", "add-flows", self._target, "-"], "\n".join(lines) + "\n")

    def _run(self, arguments: Sequence[str], given: str = "") -> str:
        command = ["ovs-ofctl", "-O", _VERSION, *arguments]
        try:
            with _file(given) as stdin:
                done = subprocess.run(command, stdin=stdin, capture_output=True, text=True, timeout=self._timeout)
        except FileNotFoundError as error:
            raise FlowError("there is no ovs-ofctl on this host (install Open vSwitch)") from error
        except subprocess.TimeoutExpired as error:
            raise FlowError(f"ovs-vswitchd did not answer within {self._timeout:.0f} s") from error
        if done.returncode:
            said = done.stderr.strip().splitlines()
            raise FlowError(f"ovs-ofctl: {said[-1].removeprefix('ovs-ofctl: ') if said else done.returncode}")
        return done.stdout


def _file(text: str) -> TextIOWrapper:
    """The text as a file, all of it before anybody reads. Of a pipe ``ovs-ofctl`` would take a part for the whole when
    the agent is killed while it writes, and the last flow would have the cookie of what it was to be."""
    file = os.fdopen(os.memfd_create("flows"), "w+")
    file.write(text)
    file.seek(0)
    return file
