"""The fabric on a terminal."""

from __future__ import annotations

from typing import Any

import pytest

from controller import config
from controller.api.wsgi import make_application
from controller.cli.drawing import as_svg
from controller.cli.main import main
from controller.cli.topology import as_dot, as_text, link_rows
from tests.unit.api.fakes import FakeIsthmus, FakeResources
from tests.unit.api.server import serving

SWITCHES = [
    {"id": "switch:1", "host": 'leaf "1"', "ports": {"7": "eth7"}},
    {"id": "switch:2", "host": "leaf2", "ports": {}},
]
LINKS: list[dict[str, Any]] = [
    {"a": {"switch": "switch:1", "port": 7}, "b": {"switch": "switch:2", "port": 8}, "state": "up",
     "broadcast": ["physnet1"]},
    {"a": {"switch": "switch:2", "port": 9}, "b": {"switch": "switch:1", "port": 3}, "state": "one-way",
     "broadcast": []},
]  # fmt: skip
NEIGHBOURS = [{"switch": "switch:2", "port": 4, "system_name": "old-core", "chassis": "02:00:00:00:00:07",
               "neighbour_port": "Gi0/1", "port_description": ""}]  # fmt: skip


def test_text() -> None:
    assert as_text(SWITCHES, LINKS, NEIGHBOURS).splitlines() == [
        'leaf "1" (switch:1)',
        "  port 7 (eth7) -- switch:2 port 8",
        "  port 3 -- switch:2 port 9 (one-way)",
        "leaf2 (switch:2)",
        "  port 8 -- switch:1 port 7",
        "  port 9 -- switch:1 port 3 (one-way)",
        "  port 4 -- old-core port Gi0/1",
    ]


def test_names_that_a_terminal_would_obey() -> None:
    evil = [{"id": "switch:1", "host": "leaf\x1b[2J\n", "ports": {"7": "eth\x07"}}, SWITCHES[1]]
    for draw in (as_text, as_dot, as_svg):
        drawn = draw(evil, LINKS, NEIGHBOURS)
        assert "leaf?[2J?" in drawn
        assert all(letter.isprintable() or letter == "\n" for letter in drawn)


def test_dot() -> None:
    drawn = as_dot(SWITCHES, LINKS, NEIGHBOURS)
    assert '"switch:1" [label="leaf \\"1\\""];' in drawn
    assert '"switch:1" -- "switch:2" [taillabel="7", headlabel="8", style=bold];' in drawn
    assert "style=dashed" in drawn
    assert drawn.count("{") == drawn.count("}")


def test_dot_shows_what_is_not_as_planned() -> None:
    links = [{**LINKS[0], "plan": "unexpected"}]
    ends = {"a": {"switch": "leaf2", "port": "e1"}, "b": {"switch": "00000000000000AB", "port": "2"}}
    drawn = as_dot(SWITCHES, links, [], [{"kind": "missing", "text": "", "planned": ends, "found": []}])
    assert "style=bold, color=red" in drawn
    assert '"switch:2" -- "switch:00000000000000ab" [taillabel="e1"' in drawn


def test_table_of_links() -> None:
    assert [row["a"] for row in link_rows(LINKS, SWITCHES)] == ["switch:1 port 7 (eth7)", "switch:2 port 9"]


class Linked(FakeIsthmus):
    """A fake with a fabric."""

    def links(self) -> dict[str, Any]:
        return {"links": LINKS, "neighbours": NEIGHBOURS}

    def events(self, since: int) -> dict[str, Any]:
        event = {"number": since + 1, "time": 0.0, "kind": "link-up", "text": "a - b", "count": 1}
        return {"events": [event], "totals": {"link-up": 1}}


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["links"], 1, "one-way"),
        (["topology"], 0, "switch:0000000000000001"),
        (["topology", "--dot"], 0, "graph fabric {"),
        (["events", "--since", "41"], 0, "42"),
        (["path", "p1", "p2"], 0, "p1 -> p2 (by links)"),
        (["--json", "links"], 1, '"state": "one-way"'),
    ],
)
def test_commands(capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, words: str) -> None:
    with serving(make_application(config.load(), FakeResources(), Linked())) as url:
        assert main(["--url", url, *arguments]) == status
    assert words in capsys.readouterr().out
