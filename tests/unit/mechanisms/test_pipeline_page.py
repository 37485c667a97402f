"""docs/pipeline.md is what the declared tables say."""

from __future__ import annotations

from pathlib import Path

from mechanisms.openflow.describe import page
from mechanisms.openflow.pipeline import PIPELINE

PAGE = Path(__file__).resolve().parents[3] / "docs" / "pipeline.md"


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m mechanisms.openflow.describe > docs/pipeline.md"


def test_every_table_has_a_section() -> None:
    assert all(f"\n## {table.id} `{table.name}`\n" in page() for table in PIPELINE)
