"""The southbound against a real Open vSwitch: each scenario in a process and a sandbox of its own."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MODULES = ("scenarios_sync", "scenarios_peers", "scenarios_ovsdb")


def scenarios() -> list[str]:
    """``module:function`` of the public functions that take a world and nothing else."""
    return [
        f"tests.ovs.{module}:{name}"
        for module in MODULES
        for name in re.findall(r"^def ([a-z]\w*)\(world: World\) -> None:", (HERE / f"{module}.py").read_text(), re.M)
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
@pytest.mark.skipif(importlib.util.find_spec("os_ken") is None, reason="os-ken is not installed")
@pytest.mark.parametrize("scenario", scenarios())
def test_scenario(scenario: str, tmp_path: Path) -> None:
    settings = tmp_path / "isthmus.conf"
    settings.write_text("[openflow]\nlisten_host = 127.0.0.1\nrequest_timeout = 3\n[ovsdb]\ntimeout = 3\n")
    command = [sys.executable, "-W", "ignore", "-m"]
    done = subprocess.run(
        [*command, "tests.support.sandbox", *command, "tests.ovs.driver", scenario, str(settings)],
        cwd=HERE.parent.parent, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]
