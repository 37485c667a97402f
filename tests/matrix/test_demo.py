"""``make demo``: what it prints can be typed, and Ctrl-C ends it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import sandbox
from tests.support.client import wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(600)
def test_what_the_demo_offers_works(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != sandbox.MARK}
    said = tmp_path / "said"
    with said.open("w") as output:
        demo = subprocess.Popen([sys.executable, "-m", "demo.main"], cwd=ROOT, env=environment,
                                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)  # fmt: skip
    try:
        wait_until(lambda: "Ctrl-C ends it all" in said.read_text() or demo.poll() is not None, 100, said.read_text)
        assert "All well" in said.read_text(), said.read_text()
        lines = [line.strip() for line in said.read_text().splitlines() if line.startswith(f"  {ROOT}/demo/on ")]
        assert len(lines) >= 10
        for line in lines:
            if " tail -f " not in line:
                done = subprocess.run(shlex.split(line, comments=True), env=environment, stdin=subprocess.DEVNULL,
                                      capture_output=True, text=True, check=False)  # fmt: skip
                assert done.returncode == 0, line + done.stdout + done.stderr
                assert done.stdout, line
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 0
        assert "Gone without a trace" in said.read_text()
    finally:
        demo.kill()
