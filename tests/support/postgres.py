"""A private PostgreSQL: a cluster of its own in a temporary directory, on loopback only, gone with the test.

``initdb`` and the server refuse to run as root, so as root they run as the user ``postgres``.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

BINARIES = "/usr/lib/postgresql"
USER = "postgres"
START_TIMEOUT, STOP_TIMEOUT = 30.0, 20.0
SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "100"}


def binary(name: str) -> Path:
    """The newest installed server's program. Skips the test when there is none."""
    found = sorted(Path(BINARIES).glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which(name)
    if not found and not on_path:
        pytest.skip(f"no {name} in {BINARIES} or on the path (Debian package postgresql)")
    return found[-1] if found else Path(str(on_path))


def _identity() -> dict[str, object]:
    """Whom the server runs as: us, or the user ``postgres`` when we are root."""
    if os.getuid() != 0:
        return {}
    entry = pwd.getpwnam(USER)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _run(command: Sequence[str | Path], directory: Path) -> None:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, **_identity())  # type: ignore[call-overload]
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server() -> Iterator[str]:
    """Start a cluster; the SQLAlchemy URL of an empty database of it. Stopped and removed at the end."""
    with tempfile.TemporaryDirectory(prefix="isthmus-postgres-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        if os.getuid() == 0:
            shutil.chown(directory, USER)
        directory.chmod(0o700)
        data, port = directory / "data", _free_port()
        _run([binary("initdb"), "-D", data, "-U", "isthmus", "-A", "trust", "-E", "UTF8", "--no-sync"], directory)
        with (directory / "log").open("wb") as log, _process(data, directory, port, log.fileno()) as process:
            _wait(process, directory, port)
            yield f"postgresql+psycopg2://isthmus@127.0.0.1:{port}/postgres"


@contextmanager
def _process(data: Path, directory: Path, port: int, log: int) -> Iterator[subprocess.Popen[bytes]]:
    settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    command = [binary("postgres"), "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", directory, *settings]
    process: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
        command, cwd=directory, stdout=log, stderr=log, **_identity()
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)  # "fast shutdown": ends sessions, does not wait for them
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], directory: Path, port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    ready: list[str | Path] = [binary("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    while time.monotonic() < deadline and process.poll() is None:
        if subprocess.run(ready, check=False).returncode == 0:
            return
        time.sleep(0.05)
    log = ""
    with suppress(OSError):
        log = (directory / "log").read_text(errors="replace")
    raise RuntimeError(f"PostgreSQL did not start:\n{log}")
