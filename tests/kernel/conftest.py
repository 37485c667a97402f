"""The tests of each file run in a sandbox: namespaces of their own, gone with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.lab import Lab
from tests.support.sandboxed import run_in_sandbox


def pytest_configure(config: pytest.Config) -> None:
    """When this directory is named on the command line."""
    run_in_sandbox(config, Path(__file__).parent, per_file=True)


@pytest.fixture
def lab() -> Iterator[Lab]:
    """An underlay without hosts."""
    laboratory = Lab()
    yield laboratory
    laboratory.close()
