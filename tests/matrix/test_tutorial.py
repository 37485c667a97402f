"""The tutorial's shell blocks, run as they stand, on an Open vSwitch of the sandbox's own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PRELUDE = r"""
set -euo pipefail
trap 'status=$?; [ $status = 0 ] || tail -50 isthmus.log; kill $(jobs -p) 2>/dev/null || true; exit $status' EXIT
mkdir -p /run/openvswitch
export OVS_RUNDIR=/run/openvswitch OVS_DBDIR="$PWD"
ovsdb-tool create conf.db /usr/share/openvswitch/vswitch.ovsschema
ovsdb-server conf.db --remote=punix:/run/openvswitch/db.sock \
  --remote=db:Open_vSwitch,Open_vSwitch,manager_options --pidfile -vconsole:off >/dev/null 2>&1 &
until ovs-vsctl --no-wait init 2>/dev/null; do sleep 0.1; done
ovs-vswitchd unix:/run/openvswitch/db.sock --pidfile -vconsole:off >/dev/null 2>&1 &
"""


def blocks() -> str:
    """The shell blocks of the tutorial, in order."""
    return "\n".join(re.findall(r"```sh\n(.*?)```", (ROOT / "docs/tutorial.md").read_text(), re.DOTALL))


@pytest.mark.timeout(600)
def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "etc").symlink_to(ROOT / "etc")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/sbin:{os.environ['PATH']}"}
    sandbox = [sys.executable, "-m", "tests.support.sandbox", "bash", "-c"]
    script = f"cd {tmp_path}\n{PRELUDE}\n{blocks()}"
    done = subprocess.run([*sandbox, script], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=550, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert " 0% packet loss" in done.stdout
    assert done.stdout.count("ACTIVE") >= 2, done.stdout
