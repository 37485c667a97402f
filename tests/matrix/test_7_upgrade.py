"""An upgrade that changes the pipeline: the switches go over in one atomic bundle, and nobody notices."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.matrix.test_2_restarts import ping_during
from tests.support.controller_process import Controller
from tests.support.datacentre import DataCentre
from tests.support.matrix import Matrix

NEW_VERSION = '''
"""A version of Isthmus with one more table in front, so that every flow is another."""

from controller.dataplane import tables

original = tables.Pipeline.__init__


def with_intake(self, layout, *declared):
    first = declared[0].name
    original(self, layout, tables.Table("intake", "The new first table.", goes_to=(first,), miss=first), *declared)


tables.Pipeline.__init__ = with_intake
'''


@pytest.fixture
def new_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Controllers started from here on have another pipeline."""
    (tmp_path / "sitecustomize.py").write_text(NEW_VERSION)
    monkeypatch.setenv(
        "PYTHONPATH", f"{tmp_path}:{Path(__file__).resolve().parents[2]}:{os.environ.get('PYTHONPATH', '')}"
    )
    return


def tables_in_use(datacentre: DataCentre) -> list[set[str]]:
    """The table numbers of each switch's flows."""
    flows = [node.ovs.flows() for node in datacentre.switches]
    return [{part for flow in lines for part in flow.split(",") if "table=" in part} for lines in flows]


def change_over(datacentre: DataCentre) -> None:
    """SIGKILL, and start what is installed now."""
    datacentre.controller.kill()
    datacentre.controller = Controller()
    datacentre.controller.start()
    datacentre.wait_in_force()
    datacentre.wait_active()


def test_to_a_new_pipeline_and_back(
    datacentre: DataCentre, matrix: Matrix, new_version: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tables_in_use(datacentre)
    ping_during(matrix, lambda: change_over(datacentre), 2)
    assert all(old != new for old, new in zip(before, tables_in_use(datacentre), strict=True))
    assert not matrix.problems(matrix.run())
    monkeypatch.undo()
    ping_during(matrix, lambda: change_over(datacentre), 2)
    assert tables_in_use(datacentre) == before
    assert not matrix.problems(matrix.run())
