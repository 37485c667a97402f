"""How ``ovs-ofctl`` is called."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

CHANGE = """
from legacy_agent.drivers.openvswitch.ofctl import Ofctl
Ofctl("/nowhere").change([f"cookie={number:#x},table=3,actions=drop" for number in range(20000)], [])
"""


def test_an_agent_that_is_killed_leaves_no_half_of_a_change(tmp_path: Path) -> None:
    """Whoever reads the flows gets all of them, or was never started."""
    program, started, taken = tmp_path / "ovs-ofctl", tmp_path / "started", tmp_path / "taken"
    program.write_text(f"#!/bin/sh\ntouch {started}\nsleep 0.5\ncat >{taken}.part\nmv {taken}.part {taken}\n")
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with subprocess.Popen([sys.executable, "-c", CHANGE], env=environment) as agent:
        wait_for(started)
        agent.kill()
    wait_for(taken)
    assert len(taken.read_text().splitlines()) == 20000


def wait_for(path: Path) -> None:
    end = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.01)
