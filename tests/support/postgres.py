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


class Cluster:
    """A cluster in a temporary directory; :meth:`stop` and :meth:`start` take it away and bring it back,
    :meth:`frozen` lets it hang."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._data, self._port = directory, directory / "data", _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        if os.getuid() == 0:
            shutil.chown(directory, USER)
        directory.chmod(0o700)
        _run(
            [binary("initdb"), "-D", self._data, "-U", "isthmus", "-A", "trust", "-E", "UTF8", "--no-sync"], directory
        )

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of its empty database."""
        return f"postgresql+psycopg2://isthmus@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Start the server and wait until it answers. Raises RuntimeError with its log."""
        settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        where = ["-h", "127.0.0.1", "-p", str(self._port), "-k", self._directory]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(  # type: ignore[call-overload]
                [binary("postgres"), "-D", self._data, *where, *settings],
                cwd=self._directory, stdout=log, stderr=log, **_identity(),
            )  # fmt: skip
        self._wait()

    def stop(self) -> None:
        """Fast shutdown: it ends sessions and does not wait for them."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """For a while no process of it does anything; its connections stay open."""
        assert self._process is not None
        server = self._process.pid
        os.kill(server, signal.SIGSTOP)  # first: nobody is born any more
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        processes = [server, *map(int, children)]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)

    def _wait(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        ready: list[str | Path] = [binary("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            if subprocess.run(ready, check=False).returncode == 0:
                return
            time.sleep(0.05)
        log = ""
        with suppress(OSError):
            log = (self._directory / "log").read_text(errors="replace")
        raise RuntimeError(f"PostgreSQL did not start:\n{log}")


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A running cluster; stopped and removed at the end."""
    with tempfile.TemporaryDirectory(prefix="isthmus-postgres-", ignore_cleanup_errors=True) as name:
        found = Cluster(Path(name))
        try:
            found.start()
            yield found
        finally:
            found.stop()


@contextmanager
def server() -> Iterator[str]:
    """The SQLAlchemy URL of an empty database of a cluster of its own."""
    with cluster() as found:
        yield found.url
