"""The picture is well-formed, shows everything, and is the same every time."""

from __future__ import annotations

import math
import time
from typing import Any
from xml.etree import ElementTree

from controller.cli.drawing import as_svg, layout
from tests.unit.cli.test_topology import LINKS, NEIGHBOURS, SWITCHES

SVG = "{http://www.w3.org/2000/svg}"
PLANNED = {"a": {"switch": "leaf2", "port": "eth9"}, "b": {"switch": "spine", "port": "1"}}
DIFFERENCES = [{"kind": "missing", "text": "planned <x>", "found": [], "planned": PLANNED}]


def test_everything_is_drawn() -> None:
    text = as_svg(SWITCHES, LINKS, NEIGHBOURS, DIFFERENCES)
    assert text == as_svg(SWITCHES, LINKS, NEIGHBOURS, DIFFERENCES)
    root = ElementTree.fromstring(text)
    names = {title.text for group in root.findall(f"{SVG}g") for title in group.findall(f"{SVG}title")}
    assert names == {'leaf "1"', "leaf2", "old-core", "spine"}
    kinds = [line.get("class") for line in root.findall(f"{SVG}line")]
    assert kinds == ["tree", "oneway", "attached", "planned"]
    assert [ellipse.get("class") for ellipse in root.iter(f"{SVG}ellipse")] == ["neighbour"]
    assert {label.text for label in root.iter(f"{SVG}text")} >= {"7", "8", "Gi0/1", "eth9"}


def test_an_empty_fabric_is_an_empty_picture() -> None:
    assert list(ElementTree.fromstring(as_svg([], [], [])))[1:] == []


def test_a_ring_keeps_its_nodes_apart_and_its_links_alike() -> None:
    nodes = [f"n{number}" for number in range(12)]
    edges = [(nodes[number], nodes[(number + 1) % 12]) for number in range(12)]
    places = layout(nodes, edges)
    lengths = [math.dist(places[a], places[b]) for a, b in edges]
    assert max(lengths) < 1.5 * min(lengths)
    assert min(math.dist(places[a], places[b]) for a in nodes for b in nodes if a < b) > 0.5 * min(lengths)


def size(text: str) -> tuple[int, int]:
    root = ElementTree.fromstring(text)
    return int(root.get("width", "0")), int(root.get("height", "0"))


def test_what_no_link_joins_stays_together() -> None:
    pair = as_svg(SWITCHES, [], [])
    assert pair.count("<rect") == 2
    assert max(size(pair)) < 600
    many = as_svg([{"id": f"switch:{number}"} for number in range(100)], [], [])
    assert max(size(many)) < 1500
    rings = [{"a": {"switch": f"switch:{ring}{number}", "port": 1},
              "b": {"switch": f"switch:{ring}{(number + 1) % 4}", "port": 2}, "state": "up", "broadcast": []}
             for ring in (1, 2, 3) for number in range(4)]  # fmt: skip
    assert max(size(as_svg([], rings, []))) < 2500


def test_hundreds_of_switches_take_seconds_at_most() -> None:
    switches: list[dict[str, Any]] = [{"id": f"switch:{number:016x}"} for number in range(500)]
    links = [{"a": {"switch": switches[number]["id"], "port": 1}, "b": {"switch": switches[number // 2]["id"],
             "port": 2}, "state": "up", "broadcast": []} for number in range(1, 500)]  # fmt: skip
    began = time.process_time()
    as_svg(switches, links, [])
    assert time.process_time() - began < 20
