"""The suites on the example package; run by ``test_example_package.py`` where the package is installed."""

from __future__ import annotations

from isthmus_nvgre import PatchbayMechanismDriver  # type: ignore[import-not-found]

from mechanisms.api import MechanismDriver
from mechanisms.manager import MechanismManager
from tests.conformance.mechanisms import MechanismConformance
from tests.conformance.typedrivers import Case, TypeDriverConformance


class TestNvgre(TypeDriverConformance):
    case = Case(
        "nvgre",
        options={"ml2_type_nvgre": {"vsid_ranges": ["5000:5009"]}},
        project_size=10,
        reserved={"segmentation_id": 6000},
        refused=({"segmentation_id": 77}, {"segmentation_id": 2**24}, {"physical_network": "physnet1"}),
    )


class TestPatchbay(MechanismConformance):
    network_types = ("nvgre",)

    def make_driver(self) -> MechanismDriver:
        driver: MechanismDriver = PatchbayMechanismDriver()
        return driver


def test_it_is_found_beside_ours() -> None:
    names = [driver.name for driver in MechanismManager.load(["openflow", "linuxbridge", "patchbay"]).drivers]
    assert names == ["openflow", "linuxbridge", "patchbay"]
