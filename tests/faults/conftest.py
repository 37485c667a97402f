"""The tests of this directory run in a sandbox, each file in one of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.sandboxed import run_in_sandbox


def pytest_configure(config: pytest.Config) -> None:
    """When this directory is named on the command line."""
    run_in_sandbox(config, Path(__file__).parent, per_file=True)
