"""Run a command in a User Mode Linux guest, on the host's own file tree, and take its exit status."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support import sandbox, uml
from tests.support.sandbox import BED_DIRECTORY

_SOURCES = Path(__file__).resolve().parents[2]
_INIT = _SOURCES / "tests" / "support" / "guest_init.sh"


def available() -> bool:
    """Whether there is a guest kernel."""
    return uml.available()


def run_in_guest(name: str, command: Sequence[str], environment: dict[str, str], timeout: float) -> tuple[int, str]:
    """Run ``command`` in the sources' directory: its exit status and what it printed. The guest has a kernel with
    everything and no network. Raises TimeoutError, and RuntimeError when the guest dies before the command ends."""
    directory = BED_DIRECTORY / name
    directory.mkdir(parents=True)
    exports = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in environment.items())
    script = directory / "command"
    script.write_text(
        f"cd {shlex.quote(str(_SOURCES))}\n{exports}"
        f"{shlex.join(command)} >{directory}/out 2>&1\necho $? >{directory}/status\n"
    )
    kernel = [
        *("linux.uml", "mem=512M", f"umid={name}", f"uml_dir={directory}/uml/", "rootfstype=hostfs", "rootflags=/"),
        *("ro", "quiet", "noreboot", "con=null", "con0=null,fd:1", f"init={_INIT}"),
        *(f"BED_DIRECTORY={BED_DIRECTORY}", f"COMMAND_FILE={script}"),
    ]
    with (
        (directory / "console").open("wb") as console,
        subprocess.Popen(
            kernel,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(BED_DIRECTORY)},
        ) as process,
    ):
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.terminate()
            raise TimeoutError(f"not done after {timeout:.0f} s:\n{_tail(directory / 'out')}") from None
    if not (directory / "status").exists():
        raise RuntimeError(f"the guest died:\n{_tail(directory / 'console')}\n{_tail(directory / 'out')}")
    return int((directory / "status").read_text()), (directory / "out").read_text(errors="replace")


def pytest_in_guest(
    name: str, arguments: Sequence[str], environment: dict[str, str], timeout: float
) -> tuple[int, str]:
    """pytest in the guest, which is sandbox enough by itself."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp=/run/pytest", *arguments]
    return run_in_guest(name, command, {**environment, sandbox.MARK: "guest"}, timeout)


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-40:]) if path.exists() else ""
