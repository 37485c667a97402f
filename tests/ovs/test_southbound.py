"""The southbound against a real Open vSwitch: each scenario in a process and a sandbox of its own."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

HERE = Path(__file__).parent
MODULES = ("scenarios_sync", "scenarios_peers", "scenarios_ovsdb")


def scenarios() -> list[str]:
    """``module:function`` of the public functions that take a world and nothing else."""
    return [
        f"tests.ovs.{module}:{name}"
        for module in MODULES
        for name in re.findall(r"^def ([a-z]\w*)\(world: World\) -> None:", (HERE / f"{module}.py").read_text(), re.M)
    ]


needs = pytest.mark.skipif(
    os.geteuid() != 0 or importlib.util.find_spec("os_ken") is None,
    reason="namespaces need root, and os-ken must be installed",
)


@needs
@pytest.mark.parametrize("scenario", scenarios())
def test_scenario(scenario: str, tmp_path: Path) -> None:
    run(scenario, tmp_path)


@needs
def test_openflow_over_tls(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
               "-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=isthmus"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    files = f"[DEFAULT]\nctl_privkey = {key}\nctl_cert = {certificate}\nca_certs = {certificate}\n"
    environment = {"TLS_KEY": str(key), "TLS_CERTIFICATE": str(certificate)}
    run("tests.ovs.scenarios_tls:openflow_over_tls", tmp_path, files, environment)


def run(scenario: str, tmp_path: Path, more: str = "", environment: Mapping[str, str] = MappingProxyType({})) -> None:
    """Run a scenario with ``more`` configuration."""
    settings = tmp_path / "isthmus.conf"
    settings.write_text(more + "[openflow]\nlisten_host = 127.0.0.1\nrequest_timeout = 3\n[ovsdb]\ntimeout = 3\n")
    command = [sys.executable, "-W", "ignore", "-m"]
    done = subprocess.run(
        [*command, "tests.support.sandbox", *command, "tests.ovs.driver", scenario, str(settings)],
        cwd=HERE.parent.parent, env={**os.environ, **environment}, capture_output=True, text=True, timeout=280,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]
