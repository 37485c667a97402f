"""One data centre for all tests of this directory, in a sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.matrix.networks import NETWORKS
from tests.support.datacentre import DataCentre
from tests.support.matrix import Matrix
from tests.support.sandboxed import run_in_sandbox

_started: list[DataCentre] = []
_diagnosed: list[str] = []
_MOST_DIAGNOSES = 2
"""What follows from an earlier failure would only bury it."""


def pytest_configure(config: pytest.Config) -> None:
    """When this directory is named on the command line."""
    run_in_sandbox(config, Path(__file__).parent)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """The first failed tests show the logs of everything."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.failed and len(_started) == 1 and len(_diagnosed) < _MOST_DIAGNOSES:
        _diagnosed.append(item.nodeid)
        report.sections.append(("data centre", _started[0].diagnosis()))


@pytest.fixture(scope="session")
def datacentre() -> DataCentre:
    """Nodes, controller, agents and networks; no VMs yet. It ends with the sandbox."""
    site = DataCentre()
    _started.append(site)
    site.start()
    site.create_networks(NETWORKS)
    return site


@pytest.fixture(autouse=True)
def _as_it_was(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a failed test leaves behind would fail those after it."""
    site: DataCentre | None = request.getfixturevalue("datacentre") if "datacentre" in request.fixturenames else None
    before = set(site.vms) if site is not None else set()
    yield
    if site is not None:
        site.put_back(before)


@pytest.fixture(scope="session")
def matrix(datacentre: DataCentre) -> Matrix:
    """A VM called ``network-node`` of every network on every node, all ports ACTIVE."""
    vms = datacentre.create_vms([(spec.name, node) for spec in NETWORKS for node in datacentre.nodes])
    datacentre.wait_active(vms)
    return Matrix(vms)
