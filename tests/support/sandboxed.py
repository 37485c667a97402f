"""A pytest plugin: the tests of a directory run in a sandbox, however pytest was started.

Inside a sandbox it does nothing. Outside, all chosen tests of the directory run in one child pytest in a sandbox, and
their reports are replayed here as they come, so that selection, output and exit status are what they always are.
A ``conftest.py`` opts in by importing the two hooks.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import sandbox

_REPORTS = "ISTHMUS_SANDBOX_REPORTS"
"""Environment variable that tells a child the file descriptor for its reports."""


class Child:
    """The pytest in the sandbox, as a source of reports."""

    def __init__(self, items: list[pytest.Item]) -> None:
        reader, writer = os.pipe()
        self._config = items[0].config
        pytest_in_sandbox = ("tests.support.sandbox", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
        self._process = subprocess.Popen(
            [sys.executable, "-m", *pytest_in_sandbox, *(item.nodeid for item in items)],
            cwd=self._config.rootpath,
            pass_fds=[writer],
            env={**os.environ, _REPORTS: str(writer)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        os.close(writer)
        self._reports = os.fdopen(reader)

    def replay(self, item: pytest.Item) -> None:
        """Take over the reports of one test; a child that ended early is a failure of the test."""
        for line in self._reports:
            report = self._config.hook.pytest_report_from_serializable(config=self._config, data=json.loads(line))
            item.ihook.pytest_runtest_logreport(report=report)
            if report.when == "teardown":
                return
        status = self._process.wait()
        message = f"the sandbox ended with status {status} before this test did (not root, or no namespaces here?)"
        location = item.location
        item.ihook.pytest_runtest_logreport(
            report=pytest.TestReport(item.nodeid, location, {}, "failed", message, "call")
        )

    def end(self) -> None:
        """Stop what still runs."""
        self._process.terminate()
        self._process.wait()


class Parent:
    """Outside: sends every test of one directory to a child; with ``per_file`` every file has a child of its own."""

    def __init__(self, directory: Path, per_file: bool) -> None:
        self._directory, self._per_file = directory, per_file
        self._child: Child | None = None
        self._place: Path | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Replay instead of run."""
        if self._directory not in item.path.parents:
            return None
        place = item.path if self._per_file else self._directory
        if self._child is None or place != self._place:
            self.pytest_sessionfinish()
            self._place = place
            self._child = Child([other for other in item.session.items if place in (other.path, *other.path.parents)])
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        self._child.replay(item)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def pytest_sessionfinish(self) -> None:
        """Nothing stays behind."""
        if self._child is not None:
            self._child.end()


class Reporter:
    """Inside, as a child: writes reports to the parent."""

    def __init__(self, config: pytest.Config, descriptor: int) -> None:
        self._config, self._stream = config, os.fdopen(descriptor, "w")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One line per report."""
        data: dict[str, Any] | None = self._config.hook.pytest_report_to_serializable(
            config=self._config, report=report
        )
        self._stream.write(json.dumps(data, default=str) + "\n")
        self._stream.flush()


def run_in_sandbox(config: pytest.Config, directory: Path, per_file: bool = False) -> None:
    """Make the tests under ``directory`` run in a sandbox, or each file in one of its own; for the ``conftest.py``
    there."""
    if not sandbox.inside():
        config.pluginmanager.register(Parent(directory, per_file))
    elif descriptor := os.environ.pop(_REPORTS, ""):
        config.pluginmanager.register(Reporter(config, int(descriptor)))
