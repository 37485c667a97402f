"""Long-running programs under test: start, end, wait, and what they wrote."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path


class Program:
    """One program at a time, in a session of its own (Ctrl-C on the terminal is for the tests), writing to a file."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name, self.log = name, log
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; output is appended to the log."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def stop(self, how: signal.Signals = signal.SIGTERM, timeout: float = 10.0) -> float:
        """Send a signal and wait for the end: the seconds it took. SIGKILL follows after ``timeout``."""
        if self._process is None:
            return 0.0
        began = time.monotonic()
        self._process.send_signal(how)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        return time.monotonic() - began

    @property
    def exit_status(self) -> int | None:
        """How it ended (negative: by that signal), None while it runs."""
        return None if self._process is None else self._process.poll()

    def tail(self, lines: int = 40, without: str = "\0") -> str:
        """The last lines that it wrote, those that have ``without`` in them left out."""
        if not self.log.exists():
            return ""
        written = self.log.read_text(errors="replace").splitlines()
        return "\n".join([line for line in written if without not in line][-lines:])
