"""The type drivers that come with the product pass the suite."""

from __future__ import annotations

from tests.conformance.typedrivers import Case, TypeDriverConformance

TUNNEL_REFUSED = ({"segmentation_id": 0}, {"segmentation_id": 2**32}, {"physical_network": "physnet1"})
VNIS = ["5:9", "9:20"]


class TestLocal(TypeDriverConformance):
    case = Case("local", refused=({"physical_network": "physnet1"}, {"segmentation_id": 5}))


class TestFlat(TypeDriverConformance):
    case = Case(
        "flat",
        options={"ml2_type_flat": {"flat_networks": ["physnet1", "physnet2"]}},
        project_size=0,
        reserved={"physical_network": "physnet1"},
        refused=({}, {"physical_network": "physnet9"}, {"physical_network": "physnet1", "segmentation_id": 5}),
    )


class TestVlan(TypeDriverConformance):
    case = Case(
        "vlan",
        options={"ml2_type_vlan": {"network_vlan_ranges": ["physnet1:1:10", "physnet2:4090:4094", "physnet3"]}},
        project_size=15,
        reserved={"physical_network": "physnet1", "segmentation_id": 5},
        refused=(
            {"segmentation_id": 5},
            {"physical_network": "physnet9", "segmentation_id": 5},
            {"physical_network": "physnet1", "segmentation_id": 0},
            {"physical_network": "physnet1", "segmentation_id": 4095},
        ),
    )


class TestVlanOutsideTheRanges(TypeDriverConformance):
    case = Case(
        "vlan",
        options={"ml2_type_vlan": {"network_vlan_ranges": ["physnet1:1:10", "physnet3"]}},
        project_size=10,
        reserved={"physical_network": "physnet3", "segmentation_id": 4000},
    )


class TestGre(TypeDriverConformance):
    case = Case(
        "gre",
        options={"ml2_type_gre": {"tunnel_id_ranges": ["1:10", "100:109", "4294967295:4294967295"]}},
        project_size=21,
        reserved={"segmentation_id": 2**32 - 1},
        refused=TUNNEL_REFUSED,
    )


class TestVxlan(TypeDriverConformance):
    case = Case(
        "vxlan",
        options={"ml2_type_vxlan": {"vni_ranges": VNIS}},
        project_size=16,
        reserved={"segmentation_id": 2**24 - 1},
        refused=(*TUNNEL_REFUSED, {"segmentation_id": 2**24}),
    )


class TestGeneve(TypeDriverConformance):
    case = Case(
        "geneve",
        options={"ml2_type_geneve": {"vni_ranges": VNIS}},
        project_size=16,
        reserved={"segmentation_id": 7},
        refused=(*TUNNEL_REFUSED, {"segmentation_id": 2**24}),
    )
