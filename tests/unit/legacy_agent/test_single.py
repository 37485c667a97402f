"""One agent per host."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from legacy_agent.single import AnotherAgent, hold


def test_second_agent_is_told_of_the_first_and_waits_for_its_end(tmp_path: Path) -> None:
    first = hold(tmp_path / "locks")
    assert first is not None
    with pytest.raises(AnotherAgent, match=f"process {os.getpid()}"):
        hold(tmp_path / "locks", patience=0.0)
    threading.Timer(0.2, first.close).start()
    second = hold(tmp_path / "locks", patience=5.0)
    assert second is not None
    second.close()


def test_only_its_owner_can_lock(tmp_path: Path) -> None:
    """Else any user of the host could keep the agent from starting."""
    lock = hold(tmp_path / "locks")
    assert lock is not None
    [path] = (tmp_path / "locks").iterdir()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    lock.close()


def test_host_without_a_place_for_locks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    assert hold(tmp_path / "file" / "locks") is None
    assert "only agent" in caplog.text
