"""Private net, mount and pid namespaces for everything the test bed starts.

``python -m tests.support.sandbox CMD...`` runs CMD in them. When CMD ends, or any process of the chain is killed in
any way, the kernel ends every process inside, and with them every namespace, bridge, interface and temporary file:
there is no clean-up code that could be skipped. The chain is: keeper (outside) -> init (pid 1 inside) -> CMD.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

BED_DIRECTORY = Path("/run/isthmus")
"""Where the test bed keeps its files: on a tmpfs that exists only inside the sandbox."""

MARK = "ISTHMUS_SANDBOX"
"""Environment variable that is set inside."""

_CLONE_NEWNS, _CLONE_NEWPID, _CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_PR_SET_PDEATHSIG = 1
_SI_KERNEL = 0x80
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_libc = ctypes.CDLL(None, use_errno=True)


def inside() -> bool:
    """Whether this process runs in a sandbox."""
    return MARK in os.environ


def run(command: Sequence[str]) -> int:
    """Run ``command`` in a sandbox of its own and return its exit status (128 + signal when it was killed).

    Raises PermissionError when not root.
    """
    if os.geteuid() != 0:
        raise PermissionError("namespaces need root: run this with sudo")
    # A signal that comes while it is blocked is not lost, so nothing can slip in between fork and wait.
    signal.pthread_sigmask(signal.SIG_BLOCK, {*_FORWARDED, signal.SIGCHLD})
    _check(_libc.unshare(_CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWNET), "unshare")
    sys.stdout.flush()
    sys.stderr.flush()
    keeper = os.getpid()
    alive, held = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(held)
        _end_process_with(lambda: _init(command, keeper, alive))
    os.close(alive)
    return _wait_for(child)


def _end_process_with(body) -> None:
    """Call ``body`` and end this process with its value; never returns into the parent's code."""
    status = 125
    try:
        status = body()
    except BaseException as error:  # the child of a fork must not unwind into its parent's frames
        print(f"sandbox: {error}", file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _init(command: Sequence[str], keeper: int, alive: int) -> int:
    """Pid 1 of the sandbox: mounts, starts the command, reaps; when it ends the kernel kills all that is left.
    ``alive`` is at its end when the keeper is gone."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL), "prctl")
    if select.select([alive], [], [], 0)[0]:
        return 125  # it was killed before that: nobody would ever end us
    os.close(alive)
    _mount_private_trees()
    subprocess.run(["ip", "link", "set", "dev", "lo", "up"], check=True)
    os.environ[MARK] = str(keeper)
    child = os.fork()
    if child == 0:
        _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL), "prctl")
        # Before they are let in: Python's handler would lose one that comes just before exec, and who is started in
        # the background of a script has SIGINT ignored, which is inherited.
        for number in _FORWARDED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        os.execvp(command[0], list(command))
    return _wait_for(child)


def _mount_private_trees() -> None:
    """/proc and /sys of the new namespaces, and an empty /run."""
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    _mount("proc", "/proc", "proc", 0)
    _mount("sysfs", "/sys", "sysfs", 0)
    _mount("tmpfs", "/run", "tmpfs", 0)
    for directory in ("/run/netns", "/run/lock", str(BED_DIRECTORY)):
        os.makedirs(directory, exist_ok=True)


def _wait_for(child: int) -> int:
    """Reap every child; pass signals on to ``child`` (Ctrl-C reaches the terminal's whole group by itself)."""
    while True:
        info = signal.sigwaitinfo({*_FORWARDED, signal.SIGCHLD})
        if info.si_signo != signal.SIGCHLD:
            if info.si_code != _SI_KERNEL:
                os.kill(child, info.si_signo)
            continue
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 125
            if pid == 0:
                break
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code


def _mount(source: str | None, target: str, kind: str | None, flags: int) -> None:
    encoded = [None if item is None else item.encode() for item in (source, target, kind)]
    _check(_libc.mount(*encoded, ctypes.c_ulong(flags), None), f"mount {target}")


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def main() -> int:
    """The command line: run what is given in a sandbox."""
    if len(sys.argv) < 2:
        print("usage: python -m tests.support.sandbox COMMAND [ARGUMENT...]", file=sys.stderr)
        return 64
    try:
        return run(sys.argv[1:])
    except PermissionError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 77


if __name__ == "__main__":
    sys.exit(main())
