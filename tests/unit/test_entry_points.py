"""Drivers by entry point: what an operator reads when one of them is missing or broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from oslo_config import cfg
from stevedore import ExtensionManager

from controller.entry_points import Drivers
from controller.errors import ConfigurationError, DriverLoadError
from mechanisms.manager import MechanismManager
from tests.support.store import configuration
from typedrivers.manager import TypeManager

GROUP = "isthmus_test.drivers"
DRIVERS = Drivers(GROUP, "test driver", "[test] drivers")

MODULE = """
from oslo_config import cfg
from controller.errors import ConfigurationError

class Good:
    name = network_type = "good"
    def __init__(self, *arguments):
        self.arguments = arguments

def broken(*arguments):
    return {}["kilometres"]

def misconfigured(*arguments):
    raise ConfigurationError("[test] speed is negative")

def mistyped(*arguments):
    raise cfg.ConfigFileValueError("Value for option speed is not valid")
"""
ENTRIES = """
good = isthmus_test_drivers:Good
broken = isthmus_test_drivers:broken
misconfigured = isthmus_test_drivers:misconfigured
mistyped = isthmus_test_drivers:mistyped
absent = isthmus_test_no_such_module:Driver
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with drivers good and bad, installed for one test."""
    (tmp_path / "isthmus_test_drivers.py").write_text(MODULE)
    info = tmp_path / "isthmus_test-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: isthmus-test\nVersion: 1\n")
    groups = (GROUP, "isthmus.type_drivers", "isthmus.mechanism_drivers")
    (info / "entry_points.txt").write_text("".join(f"[{group}]{ENTRIES}\n" for group in groups))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(ExtensionManager, "ENTRY_POINT_CACHE", {})


@pytest.mark.usefixtures("package")
def test_a_driver_is_made_with_what_it_needs_and_others_are_not_imported() -> None:
    assert DRIVERS.make("good", 1, "two").arguments == (1, "two")


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(("name", "reason"), [
    ("absent", "test driver 'absent' cannot be imported: ModuleNotFoundError: No module named 'isthmus_test_no_such"),
    ("broken", "test driver 'broken' cannot be started: KeyError: 'kilometres'"),
    ("unheard", "no test driver 'unheard' is installed (entry point group isthmus_test.drivers); available are: "
                "absent, broken, good, misconfigured, mistyped"),
])  # fmt: skip
def test_the_operator_reads_which_driver_and_why(name: str, reason: str) -> None:
    with pytest.raises(DriverLoadError) as failure:
        DRIVERS.make(name)
    assert str(failure.value).startswith(f"[test] drivers: {reason}")


@pytest.mark.usefixtures("package")
def test_what_a_driver_says_of_the_configuration_is_left_as_it_is() -> None:
    with pytest.raises(ConfigurationError, match=r"^\[test\] speed is negative$"):
        DRIVERS.make("misconfigured")
    with pytest.raises(cfg.ConfigFileValueError):
        DRIVERS.make("mistyped")


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("name", ["absent", "broken"])
def test_both_managers_say_so_too(name: str) -> None:
    reason = "ModuleNotFoundError" if name == "absent" else "KeyError: 'kilometres'"
    with pytest.raises(DriverLoadError, match=rf"^\[ml2\] type_drivers: type driver '{name}' .*{reason}"):
        TypeManager.load(configuration({"ml2": {"type_drivers": [name], "project_network_types": []}}))
    with pytest.raises(DriverLoadError, match=rf"^\[ml2\] mechanism_drivers: mechanism driver '{name}' .*{reason}"):
        MechanismManager.load([name])


def test_names_of_neutrons_configuration_that_need_no_driver() -> None:
    names = [driver.name for driver in MechanismManager.load(["openvswitch", "linuxbridge", "l2population"]).drivers]
    assert names == ["openvswitch", "linuxbridge"]
