"""The agent's configuration: what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller import config
from controller.errors import ConfigurationError, DriverLoadError
from legacy_agent import main
from legacy_agent.drivers.api import HostSettings, OpenVSwitchSettings
from legacy_agent.drivers.linuxbridge import LinuxBridgeAgentDriver


def settings(tmp_path: Path, text: str) -> HostSettings:
    (tmp_path / "agent.conf").write_text(text)
    return main.host_settings(config.load(["--config-file", str(tmp_path / "agent.conf")]))


def test_settings(tmp_path: Path) -> None:
    found = settings(tmp_path, "[agent]\nhost = rack7\n[linux_bridge]\nphysical_interface_mappings = a:eth0, b:eth1\n"
                               "[vxlan]\nlocal_ip = 192.0.2.1\nudp_dstport = 8472\n")  # fmt: skip
    assert found == HostSettings("rack7", {"a": "eth0", "b": "eth1"}, "192.0.2.1", 8472)


def test_tunnels_can_be_switched_off(tmp_path: Path) -> None:
    assert settings(tmp_path, "[vxlan]\nlocal_ip = 192.0.2.1\nenable_vxlan = false\n").local_ip is None


@pytest.mark.parametrize("pairs", [["eth0"], [":eth0"], ["a:"], ["a:eth0", "a:eth1"], ["a:eth0", "b:eth0"]])
def test_bad_mapping_is_named(pairs: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="physical_interface_mappings"):
        main.parse_mappings(pairs)


def test_drivers_come_from_entry_points() -> None:
    [driver] = main.load_drivers({"linuxbridge": ()}, HostSettings("h")).values()
    assert isinstance(driver, LinuxBridgeAgentDriver)


@pytest.mark.parametrize(("option", "wanted"), [
    ("linuxbridge", {"linuxbridge": ()}),
    ("linuxbridge, openvswitch", {"linuxbridge": (), "openvswitch": ()}),
    ("linuxbridge:vlan,flat openvswitch:vxlan,gre",
     {"linuxbridge": ("vlan", "flat"), "openvswitch": ("vxlan", "gre")}),
    ("openvswitch:gre, linuxbridge", {"openvswitch": ("gre",), "linuxbridge": ()}),
    ("patchbay:nvgre linuxbridge:local", {"patchbay": ("nvgre",), "linuxbridge": ("local",)}),
])  # fmt: skip
def test_drivers_and_their_network_types(tmp_path: Path, option: str, wanted: dict[str, tuple[str, ...]]) -> None:
    """As oslo.config splits the option at its commas."""
    (tmp_path / "agent.conf").write_text(f"[agent]\ndrivers = {option}\n")
    conf = config.load(["--config-file", str(tmp_path / "agent.conf")])
    assert main.parse_drivers(conf.agent.drivers) == wanted


@pytest.mark.parametrize("entries", [["a", "a"], ["a:flat", "a:vlan"], ["a:"], [":flat"]])
def test_bad_division_is_named(entries: list[str]) -> None:
    with pytest.raises(ConfigurationError, match=r"\[agent\] drivers"):
        main.parse_drivers(entries)


def test_a_driver_without_types_serves_what_no_other_was_given() -> None:
    found = main.load_drivers({"linuxbridge": (), "openvswitch": ("vlan", "gre")}, HostSettings("h"))
    assert {name: driver.network_types for name, driver in found.items()} == {
        "linuxbridge": ("local", "flat", "vxlan"),
        "openvswitch": ("vlan", "gre"),
    }
    assert LinuxBridgeAgentDriver.network_types == ("local", "flat", "vlan", "gre", "vxlan")


def test_a_driver_is_not_given_what_it_cannot_do() -> None:
    with pytest.raises(DriverLoadError, match=r"'linuxbridge' does not serve geneve; it can do local, flat"):
        main.load_drivers({"linuxbridge": ("geneve",)}, HostSettings("h"))


def test_open_vswitch_settings(tmp_path: Path) -> None:
    found = settings(tmp_path, "[ovs]\novsdb_connection = unix:/x/db.sock\nbridge_mappings = a:br-ex\n"
                               "physical_interface_mappings = b:eth1\nlocal_ip = 192.0.2.9\ndatapath_type = netdev\n"
                               "integration_bridge = br-vm\n")  # fmt: skip
    assert found.open_vswitch == OpenVSwitchSettings("br-vm", "unix:/x/db.sock", "/x", "netdev", {"b": "eth1"},
                                                     {"a": "br-ex"})  # fmt: skip
    assert found.local_ip == "192.0.2.9"
    assert settings(tmp_path, "").open_vswitch == OpenVSwitchSettings()
    with pytest.raises(ConfigurationError, match=r"\[ovs\] bridge_mappings"):
        settings(tmp_path, "[ovs]\nbridge_mappings = br-ex\n")


@pytest.mark.parametrize("remote", ["ssl:192.0.2.1:6640", "unix:", "tcp:192.0.2.1", "nonsense"])
def test_bad_database_is_named(remote: str) -> None:
    with pytest.raises(ConfigurationError, match=r"\[ovs\] ovsdb_connection"):
        main.load_drivers({"openvswitch": ()}, HostSettings("h", open_vswitch=OpenVSwitchSettings(remote=remote)))


@pytest.mark.parametrize("names", [["linuxbrigde"], []])
def test_unknown_driver_is_named(names: list[str]) -> None:
    with pytest.raises(DriverLoadError, match=r"\[agent\] drivers"):
        main.load_drivers(dict.fromkeys(names, ()), HostSettings("h"))


def test_bad_configuration_is_status_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "agent.conf").write_text("[agent]\ndrivers = nonsense\n")
    monkeypatch.setattr("sys.argv", ["isthmus-agent", "--config-file", str(tmp_path / "agent.conf")])
    assert main.main() == 1
    monkeypatch.setattr("sys.argv", ["isthmus-agent", "--config-file", str(tmp_path / "missing.conf")])
    assert main.main() == 1
