"""The example of docs/drivers.md, built and installed: found by its entry points, it passes the suites."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package installed into it."""
    folder = tmp_path_factory.mktemp("example")
    source = shutil.copytree(ROOT / "docs/examples/isthmus-nvgre", folder / "source")
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", str(folder / "site"), str(source)],
                   check=True, stdin=subprocess.DEVNULL)  # fmt: skip
    return folder / "site"


def test_the_example_package_passes_both_suites(installed: Path, tmp_path: Path) -> None:
    suite = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path}/run",
             "tests/conformance/example_suite.py"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": f"{installed}:{ROOT}"}
    ended = subprocess.run(suite, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                           check=False)  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "skipped" not in ended.stdout
