"""The fabric as a picture (SVG), laid out here: no Graphviz is needed. Pure and repeatable: the same fabric gives the
same picture.

Nodes begin on a circle in the order of a walk along the links and are then moved by springs: links pull their ends
together, nodes push each other apart (Fruchterman and Reingold, 1991).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from controller.cli.table import printable
from controller.cli.topology import node_id

Row = dict[str, Any]
Point = tuple[float, float]

WIDTH, HEIGHT = 130, 34
"""Of a node, in pixels."""

MARGIN = 90
MOST_MOVES = 4_000_000
"""Pairs of nodes looked at while laying out: a few seconds at most, also for a thousand switches."""

_STYLE = """
 text{font:12px sans-serif;text-anchor:middle;dominant-baseline:central}
 .port{font-size:10px;fill:#555} .switch{fill:#e8f0fe;stroke:#345} .away{fill:#eee;stroke:#999}
 .neighbour{fill:#fff8e1;stroke:#a80} line{stroke:#345;stroke-width:1.5} .tree{stroke-width:3.5}
 .oneway{stroke-dasharray:7 4} .attached{stroke:#a80;stroke-dasharray:2 3} .wrong{stroke:#c00}
 .planned{stroke:#c00;stroke-dasharray:2 5}
"""


@dataclass(frozen=True, slots=True)
class Line:
    """An edge: ``a`` and ``b`` with their port labels, ``kind`` the classes of its style, ``title`` its tool tip."""

    a: str
    b: str
    ports: tuple[str, str]
    kind: str
    title: str


def as_svg(
    switches: Sequence[Row], links: Sequence[Row], neighbours: Sequence[Row], differences: Sequence[Row] = ()
) -> str:
    """The picture: switches as boxes, ordinary LLDP neighbours as ellipses; links on a broadcast tree are bold,
    one-way ones dashed, what is not as the cable plan has it is red."""
    nodes = {switch["id"]: printable(str(switch.get("host") or switch["id"])) for switch in switches}
    boxes = dict.fromkeys(nodes, "switch")
    boxes.update({switch["id"]: "away" for switch in switches if not switch.get("alive", True)})
    lines = [
        *_links(links),
        *_attached(neighbours),
        *_planned(differences, {name: key for key, name in nodes.items()}),
    ]
    for line in lines:
        for end in (line.a, line.b):
            boxes.setdefault(end, "neighbour" if end.startswith("neighbour ") else "away")
            nodes.setdefault(end, end.removeprefix("neighbour "))
    linked = {end for line in lines for end in (line.a, line.b)}
    places = _placed(layout([key for key in nodes if key in linked], [(line.a, line.b) for line in lines]))
    places |= _in_rows([key for key in nodes if key not in linked], places)
    width = max((x for x, _ in places.values()), default=0.0) + MARGIN
    height = max((y for _, y in places.values()), default=0.0) + MARGIN
    body = [*_drawn(lines, places), *(_box(places[key], nodes[key], boxes[key]) for key in nodes)]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}">'
    return "\n".join([head, f"<style>{_STYLE}</style>", *body, "</svg>"])


def layout(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, Point]:
    """A place for every node, in units of the wanted length of a link. Parts that no link joins are held together as
    by one more, or they would drift apart for ever."""
    order, parts = _walk(nodes, edges)
    edges = [*edges, *pairwise(parts)]
    radius = max(1.0, len(order) / (2 * math.pi))
    places = {node: (radius * math.cos(2 * math.pi * number / len(order)),
                     radius * math.sin(2 * math.pi * number / len(order)))
              for number, node in enumerate(order)}  # fmt: skip
    rounds = max(10, min(300, MOST_MOVES // max(1, len(order) ** 2)))
    for number in range(rounds):
        _step(places, edges, heat=0.5 * radius * (1 - number / rounds) ** 2 + 0.001)
    return places


def _walk(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    """The nodes so that neighbours come one after the other; and the first one of each part that links join."""
    near: dict[str, list[str]] = {node: [] for node in nodes}
    for a, b in edges:
        near[a].append(b)
        near[b].append(a)
    found: dict[str, None] = {}
    parts = []
    for start in nodes:
        waiting = [start]
        parts += [start] if start not in found else []
        while waiting:
            node = waiting.pop()
            if node not in found:
                found[node] = None
                waiting += sorted(set(near[node]) - found.keys(), reverse=True)
    return list(found), parts


def _step(places: dict[str, Point], edges: Sequence[tuple[str, str]], heat: float) -> None:
    names = list(places)
    force = {name: [0.0, 0.0] for name in names}
    for number, one in enumerate(names):
        x, y = places[one]
        mine = force[one]
        for other in names[number + 1 :]:
            dx, dy = x - places[other][0], y - places[other][1]
            push = 1.0 / (dx * dx + dy * dy or 1e-9)
            mine[0] += dx * push
            mine[1] += dy * push
            force[other][0] -= dx * push
            force[other][1] -= dy * push
    for one, other in edges:
        dx, dy = places[one][0] - places[other][0], places[one][1] - places[other][1]
        pull = math.hypot(dx, dy)
        for name, sign in ((one, -1), (other, 1)):
            force[name][0] += sign * dx * pull
            force[name][1] += sign * dy * pull
    for name, (dx, dy) in force.items():
        length = math.hypot(dx, dy) or 1e-9
        move = min(length, heat) / length
        places[name] = (places[name][0] + dx * move, places[name][1] + dy * move)


def _placed(places: Mapping[str, Point]) -> dict[str, Point]:
    """In pixels, from the margin on."""
    left = min((x for x, _ in places.values()), default=0.0)
    top = min((y for _, y in places.values()), default=0.0)
    return {key: (MARGIN + (x - left) * 190, MARGIN + (y - top) * 140) for key, (x, y) in places.items()}


def _in_rows(alone: Sequence[str], others: Mapping[str, Point]) -> dict[str, Point]:
    """Nodes without a link, in pixels: in rows below all others."""
    top = max((y + 140 for _, y in others.values()), default=float(MARGIN))
    columns = max(1, math.ceil(math.sqrt(len(alone) / 2)))
    return {key: (MARGIN + number % columns * (WIDTH + 30), top + number // columns * (HEIGHT + 30))
            for number, key in enumerate(alone)}  # fmt: skip


def _links(links: Sequence[Row]) -> Iterator[Line]:
    for row in links:
        a, b = row["a"], row["b"]
        kinds = ["tree"] if row["broadcast"] else []
        kinds += ["oneway"] if row["state"] != "up" else []
        kinds += ["wrong"] if row.get("plan") not in (None, "planned") else []
        said = [row["state"], *(f"broadcast of {name}" for name in row["broadcast"])]
        said += [str(row["plan"])] if row.get("plan") else []
        yield Line(a["switch"], b["switch"], (str(a["port"]), str(b["port"])), " ".join(kinds), ", ".join(said))


def _attached(neighbours: Sequence[Row]) -> Iterator[Line]:
    for row in neighbours:
        name = row["system_name"] or row["chassis"]
        ports = (str(row["port"]), str(row["neighbour_port"]))
        yield Line(row["switch"], f"neighbour {name}", ports, "attached", f"LLDP of {name}")


def _planned(differences: Sequence[Row], ids: Mapping[str, str]) -> Iterator[Line]:
    for row in differences:
        if row["planned"] is not None:
            a, b = row["planned"]["a"], row["planned"]["b"]
            ends = [ids.get(end["switch"]) or node_id(end["switch"]) for end in (a, b)]
            yield Line(ends[0], ends[1], (str(a["port"]), str(b["port"])), "planned", row["text"])


def _drawn(lines: Sequence[Line], places: Mapping[str, Point]) -> Iterator[str]:
    """The edges; parallel ones side by side."""
    drawn: dict[frozenset[str], int] = {}
    for line in lines:
        number = drawn[frozenset((line.a, line.b))] = drawn.get(frozenset((line.a, line.b)), -1) + 1
        (x1, y1), (x2, y2) = places[line.a], places[line.b]
        length = math.hypot(x2 - x1, y2 - y1) or 1.0
        away = (number + 1) // 2 * 12 * (1 if number % 2 else -1) * (1 if line.a < line.b else -1)
        dx, dy = -(y2 - y1) / length * away, (x2 - x1) / length * away
        ends = f'x1="{x1 + dx:.1f}" y1="{y1 + dy:.1f}" x2="{x2 + dx:.1f}" y2="{y2 + dy:.1f}"'
        yield f"<line class={quoteattr(line.kind)} {ends}><title>{escape(line.title)}</title></line>"
        near = min(0.42, (WIDTH / 2 + 12) / length)
        for share, port in ((near, line.ports[0]), (1 - near, line.ports[1])):
            x, y = x1 + (x2 - x1) * share + dx, y1 + (y2 - y1) * share + dy
            yield f'<text class="port" x="{x:.1f}" y="{y - 7:.1f}">{escape(port)}</text>'


def _box(place: Point, name: str, kind: str) -> str:
    x, y = place
    corner = f'x="{x - WIDTH / 2:.1f}" y="{y - HEIGHT / 2:.1f}"'
    shape = f'<rect class="{kind}" {corner} width="{WIDTH}" height="{HEIGHT}" rx="4"/>'
    if kind == "neighbour":
        shape = f'<ellipse class="{kind}" cx="{x:.1f}" cy="{y:.1f}" rx="{WIDTH / 2}" ry="{HEIGHT / 2}"/>'
    shown = name if len(name) <= 19 else f"{name[:9]}…{name[-9:]}"
    return f'<g><title>{escape(name)}</title>{shape}<text x="{x:.1f}" y="{y:.1f}">{escape(shown)}</text></g>'
