"""What the type drivers read from the configuration: ranges, MTUs, and which of them are loaded."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from neutron_lib.exceptions import InvalidInput, NoNetworkAvailable
from oslo_config import cfg
from sqlalchemy import BigInteger, Column, MetaData, String, Table, event

from controller.errors import ConfigurationError, DriverLoadError
from controller.model import Segment
from controller.plugin.plugin import open_store
from tests.support.store import World, configuration, new_store, new_world
from typedrivers.gre import GreTypeDriver
from typedrivers.intervals import Interval, Pool
from typedrivers.manager import ProviderRequest, TypeManager
from typedrivers.pools import IdPool
from typedrivers.tunnel import TunnelTypeDriver

TUNNELS = {"gre": 42, "vxlan": 50, "geneve": 58}


def mtu(kind: str, physical: str | None = None, **options: Any) -> int:
    default = {"global_physnet_mtu": options.pop("global_physnet_mtu", 1500)}
    conf = configuration({"ml2": options, "DEFAULT": default})
    return TypeManager.load(conf).driver(kind).mtu(physical)


@pytest.mark.parametrize(("kind", "overhead"), TUNNELS.items())
def test_tunnels_leave_less(kind: str, overhead: int) -> None:
    assert mtu(kind) == 1500 - overhead
    assert mtu(kind, overlay_ip_version=6) == 1480 - overhead
    assert mtu(kind, path_mtu=1400) == 1400 - overhead
    assert mtu(kind, path_mtu=9000) == 1500 - overhead
    assert mtu(kind, path_mtu=9000, global_physnet_mtu=9000) == 9000 - overhead


@pytest.mark.parametrize("kind", ["flat", "vlan"])
def test_physical_networks_have_their_own(kind: str) -> None:
    assert mtu(kind, "physnet1") == 1500
    assert mtu(kind, "physnet1", physical_network_mtus=["physnet1:1400"]) == 1400
    assert mtu(kind, "physnet1", physical_network_mtus=["physnet2:1400"]) == 1500
    assert mtu(kind, "physnet1", physical_network_mtus=["physnet1:9000"], global_physnet_mtu=9000) == 9000
    assert mtu("local", global_physnet_mtu=9000) == 9000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ml2_type_gre": {"tunnel_id_ranges": ["1:x"]}}, "[ml2_type_gre] tunnel_id_ranges"),
        ({"ml2_type_vxlan": {"vni_ranges": ["1:16777216"]}}, "[ml2_type_vxlan] vni_ranges"),
        ({"ml2_type_geneve": {"vni_ranges": ["5"]}}, "[ml2_type_geneve] vni_ranges"),
        ({"ml2_type_vlan": {"network_vlan_ranges": ["physnet1:1"]}}, "[ml2_type_vlan] network_vlan_ranges"),
        ({"ml2_type_vlan": {"network_vlan_ranges": ["physnet1:0:5"]}}, "exist, 1:4094 (in 'physnet1:0:5')"),
        ({"ml2_type_vlan": {"network_vlan_ranges": [":1:5"]}}, "[ml2_type_vlan] network_vlan_ranges"),
        ({"ml2": {"physical_network_mtus": ["physnet1"]}}, "[ml2] physical_network_mtus"),
        ({"ml2": {"physical_network_mtus": ["physnet1:5"]}}, "[ml2] physical_network_mtus"),
        ({"ml2": {"path_mtu": 100}}, "path_mtu, global_physnet_mtu: of 100 bytes gre takes 42"),
        ({"DEFAULT": {"global_physnet_mtu": 105}}, "less than the 68 that IPv4 needs"),
        ({"ml2": {"type_drivers": ["vxlan"], "project_network_types": ["gre"]}}, "(loaded: vxlan)"),
    ],
)  # fmt: skip
def test_wrong_options_are_named(options: Mapping[str, Mapping[str, Any]], words: str) -> None:
    with pytest.raises(ConfigurationError) as failure:
        TypeManager.load(configuration(options))
    assert words in str(failure.value)


def test_spaces_in_ranges_do_not_count(world: World) -> None:
    world = new_world({"ml2_type_vlan": {"network_vlan_ranges": [" a : 7 : 7 ", " b "]}})
    assert _place(world.provider("vlan")) == ("a", 7)
    assert _place(world.provider("vlan", "b", 9)) == ("b", 9)


def test_headers_of_geneve_without_options() -> None:
    """30 is what Neutron's own files say."""
    conf = configuration({"ml2_type_geneve": {"max_header_size": 30}})
    assert TypeManager.load(conf).driver("geneve").mtu(None) == 1450


def test_an_unknown_driver_is_named() -> None:
    with pytest.raises(DriverLoadError, match=r"no type driver 'token-ring' is installed .*isthmus\.type_drivers"):
        TypeManager.load(configuration({"ml2": {"type_drivers": ["token-ring"], "project_network_types": []}}))


def test_names_of_physical_networks_may_have_colons(world: World) -> None:
    world = new_world({"ml2_type_vlan": {"network_vlan_ranges": ["rack:1:5:6"]}})
    assert world.provider("vlan", "rack:1")["provider:segmentation_id"] == 5


def test_vlan_allocation_by_physical_network_and_across(world: World) -> None:
    world = new_world({"ml2_type_vlan": {"network_vlan_ranges": ["a:1:1", "b:1:2", "c"]}})
    assert [_place(world.provider("vlan", "b")) for _ in range(2)] == [("b", 1), ("b", 2)]
    with pytest.raises(NoNetworkAvailable, match="no more vlan ids: b 1:2 all in use"):
        world.provider("vlan", "b")
    assert _place(world.provider("vlan")) == ("a", 1)
    with pytest.raises(NoNetworkAvailable, match="a 1:1; b 1:2 all in use"):
        world.provider("vlan")
    with pytest.raises(NoNetworkAvailable, match="has no range of ids for c"):
        world.provider("vlan", "c")


def _place(network: Mapping[str, Any]) -> tuple[str, int]:
    return network["provider:physical_network"], network["provider:segmentation_id"]


def test_an_empty_list_of_project_types_is_told() -> None:
    world = new_world({"ml2": {"project_network_types": []}})
    with pytest.raises(NoNetworkAvailable, match="project_network_types is empty"):
        world.network()


def test_flat_networks_are_not_for_projects() -> None:
    world = new_world({"ml2": {"project_network_types": ["flat"]}})
    with pytest.raises(NoNetworkAvailable, match="an administrator names"):
        world.network()


def test_segments_of_a_type_that_is_no_longer_loaded_can_go(tmp_path: Path) -> None:
    manager, store = TypeManager({}, ()), new_store(tmp_path)
    store.write(lambda write: manager.release(write.session, Segment("s", "gone", None, 5)))
    assert manager.mtu([Segment("s", "gone", None, 5)]) == 0
    with pytest.raises(InvalidInput):
        store.write(lambda write: manager.allocate(write.session, ProviderRequest("gone")))


def test_huge_ranges_cost_nothing_at_start(tmp_path: Path) -> None:
    """2^24 ids and more, up to the last key: no row of a pool is read or written until a network is made."""
    ranges = {
        "ml2": {"project_network_types": ["gre"]},
        "ml2_type_gre": {"tunnel_id_ranges": ["1:16777216", "4278190080:4294967295"]},
        "ml2_type_vxlan": {"vni_ranges": ["1:16777215"]},
        "ml2_type_geneve": {"vni_ranges": ["1:16777215"]},
        "ml2_type_vlan": {"network_vlan_ranges": ["physnet1:1:4094"]},
        "database": {"connection": f"sqlite:///{tmp_path}/isthmus.sqlite"},
    }
    conf = configuration(ranges)
    open_store(conf).dispose()
    before = time.process_time()
    types = TypeManager.load(conf)
    statements: list[str] = []
    store = new_store(tmp_path)
    event.listen(store.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    world = new_world(ranges, store)
    assert time.process_time() - before < 2
    assert [statement for statement in statements if "_allocations" in statement] == []
    assert world.network()["provider:segmentation_id"] == 1
    assert world.provider("gre", None, 2**32 - 1)["provider:segmentation_id"] == 2**32 - 1
    touched = [statement for statement in statements if "gre_allocations" in statement]
    assert sum(statement.startswith("INSERT") for statement in touched) == 2
    assert types.types == ("local", "flat", "vlan", "gre", "vxlan", "geneve")
    assert GreTypeDriver.limits.last == 2**32 - 1


def test_a_third_partys_driver_brings_its_own_table(tmp_path: Path) -> None:
    class QinqTypeDriver(TunnelTypeDriver):
        network_type = "qinq"
        limits = Interval(1, 9)
        option = "ml2_type_gre.tunnel_id_ranges"
        table = Table(
            "qinq_allocations",
            MetaData(),
            Column("tunnel_id", BigInteger, primary_key=True, autoincrement=False),
            Column("segment_id", String(36), index=True),
        )

        def header(self, conf: cfg.ConfigOpts) -> int:
            return 4

    conf = configuration(
        {
            "ml2_type_gre": {"tunnel_id_ranges": ["1:2"]},
            "database": {"connection": f"sqlite:///{tmp_path}/isthmus.sqlite"},
        }
    )
    types = TypeManager({"qinq": QinqTypeDriver(conf)}, ("qinq",))
    for _ in range(2):
        store = open_store(conf, types)
        segment = store.write(lambda write: types.allocate_project(write.session))
        assert segment.network_type == "qinq"
    with pytest.raises(NoNetworkAvailable, match="no more qinq ids: 1:2 all in use"):
        store.write(lambda write: types.allocate_project(write.session))


def test_a_spare_id_that_another_thread_takes_is_no_error() -> None:
    """The threads of an API process share what a search left over."""

    class Contended(list[int]):
        def __bool__(self) -> bool:  # as it was when this thread looked; then the other one took the last
            return True

        def pop(self, *_: object) -> int:  # type: ignore[override]
            raise IndexError("pop from empty list")

    world = new_world()
    pool = IdPool(GreTypeDriver.table, "tunnel_id", Pool((Interval(5, 9),)), spare=Contended([7]))
    assert world.store.write(lambda write: pool.take_any(write.session, "mine")) == 5
