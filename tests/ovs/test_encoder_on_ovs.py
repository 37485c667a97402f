"""What the encoder writes is what a real Open vSwitch takes, and tells again in the same bytes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOT_ROOT = 77
"""Exit status of the sandbox when it may not make namespaces."""

pytestmark = pytest.mark.skipif(shutil.which("ovs-vswitchd") is None, reason="Open vSwitch is not installed")


@pytest.fixture(scope="module")
def facts() -> dict[str, dict[str, Any]]:
    """One private Open vSwitch, both versions."""
    inside = [sys.executable, "-m", "tests.ovs.encoder_probe"]
    command = [sys.executable, "-m", "tests.support.sandbox", *inside]
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=280)
    if done.returncode == NOT_ROOT:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    read: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return read


@pytest.mark.parametrize("version", ["4", "5"])
def test_open_vswitch_takes_every_shape(facts: dict[str, dict[str, Any]], version: str) -> None:
    assert facts[version] == {
        "errors": [],
        "meters": True,
        "meter in a bundle": "BUNDLE_FAILED/MSG_UNSUP",
        "errors of a changed meter": 0,
        "flows missing": [],
        "flows extra": 0,
        "matches spelled otherwise": [],
        "groups spelled otherwise": [],
        "errors of deletes": 0,
        "flows after deletes": 0,
        "groups after deletes": 0,
        "bundle errors": [],
        "bundle committed": True,
        "flows after bundle": True,
        "refused flow in bundle": [True, "BAD_ACTION/BAD_OUT_GROUP", False],
        "refused flow": [True, "BAD_ACTION/BAD_OUT_GROUP"],
        "refused group": [True, "GROUP_MOD_FAILED/GROUP_EXISTS"],
        "overwritten flow stays": [True],
        "left after deleting ours": ["0x1234"],
        "groups in the end": 0,
        "unknown meter": [True, "METER_MOD_FAILED/INVALID_METER"],
        "meters and their flows in the end": [0, 0],
    }
