"""The agent's configuration: what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller import config
from controller.errors import ConfigurationError, DriverLoadError
from legacy_agent import main
from legacy_agent.drivers.api import HostSettings
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
