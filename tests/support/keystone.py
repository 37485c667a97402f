"""A private Keystone: SQLite in a temporary directory, on loopback under waitress, gone with the test."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import openstack
from openstack.connection import Connection

START_TIMEOUT = 60.0
PASSWORD = "secret"
DOMAIN = "default"
REGION = "RegionOne"

CONFIGURATION = """\
[DEFAULT]
use_stderr = true
[database]
connection = sqlite:///{directory}/keystone.sqlite
[fernet_tokens]
key_repository = {directory}/fernet
[fernet_receipts]
key_repository = {directory}/fernet
[credential]
key_repository = {directory}/credential
[identity]
password_hash_rounds = 4
"""

SERVE = """\
from keystone.wsgi.api import application
from waitress import serve
serve(application, host="127.0.0.1", port={port}, threads=4)
"""
"""Keystone takes the command line for its own, so waitress must not have one."""


@dataclass(frozen=True)
class Keystone:
    """A running one; ``url`` ends with /v3."""

    url: str

    def credentials(self, user: str, project: str) -> dict[str, str]:
        """What a client needs to get a token of a user for a project."""
        return {
            "auth_url": self.url,
            "username": user,
            "password": PASSWORD,
            "project_name": project,
            "user_domain_id": DOMAIN,
            "project_domain_id": DOMAIN,
        }

    def environment(self, user: str, project: str) -> dict[str, str]:
        """The same for the openstack command."""
        told = {f"OS_{name.upper()}": value for name, value in self.credentials(user, project).items()}
        return {**told, "OS_IDENTITY_API_VERSION": "3", "OS_AUTH_TYPE": "password", "OS_REGION_NAME": REGION}

    def connect(self, user: str, project: str) -> Connection:
        """openstacksdk as a user; endpoints come from the catalogue."""
        return openstack.connect(
            load_yaml_config=False,
            load_envvars=False,
            auth_type="password",
            auth=self.credentials(user, project),
            region_name=REGION,
        )

    def user(self, name: str, project: str, *roles: str) -> None:
        """Make a user who has the roles in the project, which is made if it does not exist."""
        with self.connect("admin", "admin") as cloud:
            there = cloud.identity.find_project(project, ignore_missing=True)
            owner = there or cloud.identity.create_project(name=project, domain_id=DOMAIN)
            made = cloud.identity.create_user(name=name, password=PASSWORD, domain_id=DOMAIN)
            for role in roles:
                found = cloud.identity.find_role(role, ignore_missing=False)
                cloud.identity.assign_project_role_to_user(owner, made, found)

    def network_service(self, url: str) -> None:
        """Put the Networking API into the catalogue, in place of an earlier one."""
        with self.connect("admin", "admin") as cloud:
            for old in cloud.identity.services(type="network"):
                cloud.identity.delete_service(old)
            service = cloud.identity.create_service(type="network", name="isthmus")
            cloud.identity.create_endpoint(service_id=service.id, interface="public", url=url, region_id=REGION)


@contextmanager
def server() -> Iterator[Keystone]:
    """Start one with the user ``admin`` of the project ``admin``."""
    with tempfile.TemporaryDirectory(prefix="isthmus-keystone-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        configuration = directory / "keystone.conf"
        configuration.write_text(CONFIGURATION.format(directory=directory))
        for keys in ("fernet", "credential"):
            (directory / keys).mkdir(mode=0o700)
        port = _free_port()
        url = f"http://127.0.0.1:{port}/v3"
        _manage(configuration, "db_sync")
        _manage(configuration, "fernet_setup", "--keystone-user", str(os.getuid()),
                "--keystone-group", str(os.getgid()))  # fmt: skip
        urls = [word for kind in ("public", "internal") for word in (f"--bootstrap-{kind}-url", url)]
        _manage(configuration, "bootstrap", "--bootstrap-password", PASSWORD, "--bootstrap-region-id", REGION, *urls)
        with (directory / "log").open("wb") as log, _process(configuration, port, log.fileno()) as process:
            _wait(process, url, directory / "log")
            yield Keystone(url)


def _manage(configuration: Path, *arguments: str) -> None:
    program = Path(sys.executable).with_name("keystone-manage")
    done = subprocess.run([program, "--config-file", configuration, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"keystone-manage {arguments[0]} failed:\n{done.stdout}{done.stderr}")


@contextmanager
def _process(configuration: Path, port: int, log: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", SERVE.format(port=port)]
    environment = {**os.environ, "OS_KEYSTONE_CONFIG_FILES": str(configuration)}
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"Keystone did not start:\n{log.read_text(errors='replace')}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
