"""The controller's API over TLS."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from controller import config, identity
from legacy_agent.host_plan import HostReport
from legacy_agent.watch import ControllerClient, ControllerGone
from tests.api.test_launch import arguments, configuration, running


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One PEM file with a self-signed certificate and its key."""
    folder = tmp_path_factory.mktemp("tls")
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
               "-days", "2", *names, "-keyout", folder / "key.pem", "-out", folder / "cert.pem"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    path = folder / "both.pem"
    path.write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    return path


def ask(port: int, context: ssl.SSLContext) -> dict[str, object]:
    url = f"https://127.0.0.1:{port}/v2.0/isthmus/health"
    with urllib.request.urlopen(url, timeout=5, context=context) as answer:
        return dict(json.load(answer))


def agent_reports(port: int, certificate: Path, path: Path) -> None:
    """An agent that trusts the certificate gets through, another one does not."""
    path.write_text(f"[auth]\ncafile = {certificate}\n")
    url = f"https://127.0.0.1:{port}"
    conf = config.load(["--config-file", str(path)])
    ControllerClient(url, "rack7", identity.from_configuration(conf)).report(HostReport("rack7"))
    with pytest.raises(ControllerGone, match="CERTIFICATE"):
        ControllerClient(url, "rack7").report(HostReport("rack7"))


@pytest.mark.parametrize("command", ["osken-manager", "isthmus-controller"])
def test_https(command: str, certificate: Path, tmp_path: Path) -> None:
    path, port, _ = configuration(tmp_path, api="")
    path.write_text(path.read_text().replace("[api]", f"[api]\nbind_port = {port}\ntls_cert = {certificate}"))
    log = tmp_path / "log"
    trusting = ssl.create_default_context(cafile=str(certificate))
    with running(command, path, log) as process:
        deadline = time.monotonic() + 30
        while True:
            try:
                assert "revision" in ask(port, trusting)
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
        with socket.create_connection(("127.0.0.1", port)) as silent:
            silent.sendall(b"\x16")
            assert ask(port, trusting), "a client that never finishes its handshake holds up nobody"
        with pytest.raises(OSError, match="CERTIFICATE"):
            ask(port, ssl.create_default_context())
        for _ in range(30):
            with socket.create_connection(("127.0.0.1", port)) as gone:
                gone.sendall(b"\x16")
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert ask(port, trusting), "nor do clients that are gone before they are accepted"
        with socket.create_connection(("127.0.0.1", port)) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert ask(port, trusting)
        agent_reports(port, certificate, tmp_path / "agent.conf")
    assert f"https://127.0.0.1:{port}" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_a_certificate_that_cannot_be_used(tmp_path: Path) -> None:
    path, _, _ = configuration(tmp_path, api=f"tls_cert = {tmp_path / 'missing.pem'}")
    done = subprocess.run(arguments("isthmus-controller", path), capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "[api] tls_cert" in done.stderr
    assert "Traceback" not in done.stderr
