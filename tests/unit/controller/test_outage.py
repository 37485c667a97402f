"""A database that is away is no traceback a second."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy.exc import OperationalError

from controller.outage import Outage


def told(outage: Outage, error: Exception) -> bool:
    """What it makes of an error that is being handled."""
    try:
        raise error
    except Exception as problem:
        return outage.failed(problem)


def test_it_is_said_once_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "controller.outage")
    outage = Outage("reading the change feed")
    away = OperationalError("SELECT 1", {}, Exception("connection refused\nIs the server running?"))
    assert [told(outage, away) for _ in range(3)] == [True] * 3
    outage.over()
    outage.over()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "connection refused" in caplog.text
    assert "Is the server running" not in caplog.text


def test_a_fault_of_ours_is_a_traceback_every_time(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage("reading the change feed")
    assert [told(outage, ValueError("a fault of ours")) for _ in range(2)] == [False] * 2
    assert caplog.text.count("Traceback") == 2
