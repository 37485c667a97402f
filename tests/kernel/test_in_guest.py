"""The tests of this directory again, on a kernel that has 802.1q and GRE, so that no network type goes untested."""

from __future__ import annotations

import pytest

from tests.kernel import guest
from tests.kernel.capabilities import IN_GUEST, in_guest, possible_types

FILES = ("test_linuxbridge_driver.py", "test_port_security.py", "test_agent_process.py")
_EVERYTHING = {"flat", "vlan", "gre", "vxlan"}

pytestmark = pytest.mark.skipif(in_guest(), reason="this is the guest")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("file", FILES)
def test_in_guest(file: str) -> None:
    if set(possible_types()) == _EVERYTHING:
        return  # this very kernel has everything: the tests have run here
    assert guest.available(), "this kernel lacks network types and there is no linux.uml: apt install user-mode-linux"
    name = file.removeprefix("test_").removesuffix(".py")
    status, output = guest.pytest_in_guest(name, [f"tests/kernel/{file}"], {IN_GUEST: "1"}, timeout=300)
    print(output)
    assert status == 0, output
    assert "skipped" not in output
