"""The tests of this directory again, on a kernel that has 802.1q and GRE, so that no network type goes untested."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.kernel import guest
from tests.kernel.capabilities import IN_GUEST, in_guest, possible_types

FILES = ("test_linuxbridge_driver.py", "test_port_security.py", "test_agent_process.py")
_EVERYTHING = {"flat", "vlan", "gre", "vxlan"}
_TIMEOUT = 400.0

pytestmark = pytest.mark.skipif(in_guest(), reason="this is the guest")

Runs = dict[str, "Future[tuple[int, str]]"]


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    """A guest per file, all at once: a guest has one processor."""
    assert guest.available(), "this kernel lacks network types and there is no linux.uml: apt install user-mode-linux"
    with ThreadPoolExecutor(len(FILES)) as pool:
        yield {file: pool.submit(_run, file) for file in FILES}


def _run(file: str) -> tuple[int, str]:
    name = file.removeprefix("test_").removesuffix(".py")
    return guest.pytest_in_guest(name, [f"tests/kernel/{file}"], {IN_GUEST: "1"}, _TIMEOUT)


@pytest.mark.timeout(_TIMEOUT + 20)
@pytest.mark.parametrize("file", FILES)
def test_in_guest(file: str, request: pytest.FixtureRequest) -> None:
    if set(possible_types()) == _EVERYTHING:
        return  # this very kernel has everything: the tests have run here
    runs: Runs = request.getfixturevalue("runs")
    status, output = runs[file].result()
    assert status == 0, output
    assert "skipped" not in output
    assert " passed" in output
