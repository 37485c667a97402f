"""The test bed itself: whatever ends it, nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.client import wait_until

SANDBOX = (sys.executable, "-m", "tests.support.sandbox")
DAEMON = "setsid sleep 1000 & ip netns add left && ip link add left type bridge && touch /run/left && exec sleep 1000"


def processes(mark: str) -> list[int]:
    """The processes with a mark in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes() and "Z" not in _state(process):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def _state(process: Path) -> str:
    return (process / "stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_survives_a_killed_sandbox(how: signal.Signals) -> None:
    """Daemons, namespaces, interfaces and files inside end with the process that was started outside."""
    mark = f"BED={uuid4()}"
    environment = {**os.environ, **dict([mark.split("=")])}
    keeper = subprocess.Popen([*SANDBOX, "sh", "-c", DAEMON], env=environment)
    wait_until(lambda: len(processes(mark)) >= 4, 30, lambda: f"only {processes(mark)} run")
    keeper.send_signal(how)
    assert keeper.wait(30) != 0
    wait_until(lambda: not processes(mark), 5, lambda: f"{processes(mark)} survived {how.name}")
    assert not Path("/run/netns/left").exists()
    assert not Path("/run/left").exists()
    assert not Path("/sys/class/net/left").exists()


def test_interrupt_ends_a_sandbox_that_was_started_in_the_background() -> None:
    """Shells without job control have what they start in the background ignore SIGINT."""
    shell = ["sh", "-c", '"$@" & echo $!; wait', "sh", *SANDBOX, "sh", "-c", "echo; exec sleep 1000"]
    with subprocess.Popen(shell, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        keeper, _ = int(started.stdout.readline()), started.stdout.readline()
        os.kill(keeper, signal.SIGINT)
        try:
            started.wait(60)
        except subprocess.TimeoutExpired:
            os.kill(keeper, signal.SIGKILL)
            raise


@pytest.mark.parametrize("status", [0, 7])
def test_the_exit_status_comes_through(status: int) -> None:
    """And a daemon that still runs does not keep the sandbox."""
    command = ["sh", "-c", f"setsid sleep 1000 & exit {status}"]
    assert subprocess.run([*SANDBOX, *command], timeout=60).returncode == status
