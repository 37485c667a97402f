"""``isthmus check``."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from controller import config
from controller.cli.main import main
from controller.plugin.plugin import open_store
from typedrivers.manager import TypeManager


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    path = tmp_path / "isthmus.conf"
    path.write_text(f"[database]\nconnection = sqlite:///{tmp_path}/isthmus.sqlite\n")
    return path


def test_check(configured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["check", "--config-file", str(configured)]
    assert main(command) == 2
    assert "there is no file" in capsys.readouterr().err
    assert not (tmp_path / "isthmus.sqlite").exists(), "a check makes nothing"
    conf = config.load(["--config-file", str(configured)])
    open_store(conf, TypeManager.load(conf)).dispose()
    assert main(command) == 0
    assert "sound" in capsys.readouterr().out
    with sqlite3.connect(tmp_path / "isthmus.sqlite") as database:
        database.execute("INSERT INTO vxlan_allocations (tunnel_id, segment_id) VALUES (7, 'nobody')")
    assert main(command) == 1
    assert "nobody" in capsys.readouterr().out
    assert main(["--json", *command]) == 1
    assert "findings" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("connection", "told"),
    [
        ("nonsense", "is no database URL"),
        ("mysql://nobody@127.0.0.1/x", "sqlite and postgresql are supported"),
        ("postgresql+psycopg2://nobody@127.0.0.1:1/nothing", "Connection refused"),
        ("sqlite:///{directory}/text", "file is not a database"),
        ("sqlite:///{directory}/empty", "the store has schema none"),
    ],
)
def test_stores_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], connection: str, told: str
) -> None:
    (tmp_path / "text").write_text("this is a text and no database" * 100)
    (tmp_path / "empty").touch()
    path = tmp_path / "isthmus.conf"
    path.write_text(f"[database]\nconnection = {connection.format(directory=tmp_path)}\n")
    assert main(["check", "--config-file", str(path)]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
