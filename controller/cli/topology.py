"""The fabric as text, as a table and as a Graphviz graph. Pure: the API's answers in, lines out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from controller.cli.table import printable

Row = dict[str, Any]


def as_text(
    switches: Sequence[Row], links: Sequence[Row], neighbours: Sequence[Row], differences: Sequence[Row] = ()
) -> str:
    """A paragraph per switch: its links by port, one-way ones marked, then its ordinary LLDP neighbours; in the end
    how the links differ from the cable plan."""
    lines = [line for switch in switches for line in _paragraph(switch, links, neighbours)]
    return "\n".join(map(printable, lines + difference_lines(differences)))


def difference_lines(differences: Sequence[Row]) -> list[str]:
    """A sentence per difference from the cable plan."""
    return [f"cable plan: {row['kind']}: {row['text']}" for row in differences]


def switch_notes(switches: Sequence[Row]) -> list[str]:
    """A sentence per declaration that cannot be."""
    return [f"note: {row.get('host') or row['id']}: {text}" for row in switches for text in row.get("problems", ())]


def as_dot(
    switches: Sequence[Row], links: Sequence[Row], neighbours: Sequence[Row], differences: Sequence[Row] = ()
) -> str:
    """The graph for ``dot -Tsvg``: links on a broadcast tree are bold, one-way ones dashed; what is not as the cable
    plan has it is red."""
    lines = ["graph fabric {", "  node [shape=box];"]
    for switch in switches:
        lines.append(f"  {_quoted(switch['id'])} [label={_quoted(switch.get('host') or switch['id'])}];")
    for row in links:
        style = "bold" if row["broadcast"] else "solid" if row["state"] == "up" else "dashed"
        colour = "" if row.get("plan", "planned") in ("planned", None) else ", color=red"
        lines.append(
            f"  {_quoted(row['a']['switch'])} -- {_quoted(row['b']['switch'])} "
            f'[taillabel="{row["a"]["port"]}", headlabel="{row["b"]["port"]}", style={style}{colour}];'
        )
    for row in neighbours:
        name = row["system_name"] or row["chassis"]
        lines.append(f"  {_quoted(name)} [shape=ellipse];")
        lines.append(f'  {_quoted(row["switch"])} -- {_quoted(name)} [taillabel="{row["port"]}", style=dotted];')
    names = {switch.get("host"): switch["id"] for switch in switches}
    for row in differences:
        if row["planned"] is not None:
            a, b = row["planned"]["a"], row["planned"]["b"]
            ends = (_quoted(names.get(end["switch"]) or node_id(end["switch"])) for end in (a, b))
            labels = f"taillabel={_quoted(a['port'])}, headlabel={_quoted(b['port'])}"
            lines.append(f'  {" -- ".join(ends)} [{labels}, style=dotted, color=red, label="{row["kind"]}"];')
    return "\n".join([*lines, "}"])


def node_id(name: str) -> str:
    """The id of a switch that a cable plan calls by its datapath id; other names are given back."""
    digits = name.lower().removeprefix("switch:")
    is_number = len(digits) == 16 and all(digit in "0123456789abcdef" for digit in digits)
    return f"switch:{digits}" if is_number else name


def link_rows(links: Sequence[Row], switches: Sequence[Row]) -> list[Row]:
    """The links for a table."""
    names = {switch["id"]: switch for switch in switches}
    return [{"a": _end(row["a"], names), "b": _end(row["b"], names), "state": row["state"],
             "broadcast": ", ".join(row["broadcast"]), "plan": row.get("plan")} for row in links]  # fmt: skip


def _paragraph(switch: Row, links: Sequence[Row], neighbours: Sequence[Row]) -> Iterator[str]:
    yield f"{switch.get('host') or switch['id']} ({switch['id']})"
    names = {switch["id"]: switch}
    for row in links:
        for near, far in ((row["a"], row["b"]), (row["b"], row["a"])):
            if near["switch"] == switch["id"]:
                note = "" if row["state"] == "up" else f" ({row['state']})"
                yield f"  {_port(near, names)} -- {far['switch']} port {far['port']}{note}"
    for row in neighbours:
        if row["switch"] == switch["id"]:
            yield f"  {_port(row, names)} -- {row['system_name'] or row['chassis']} port {row['neighbour_port']}"


def _end(end: Row, switches: dict[str, Row]) -> str:
    return f"{end['switch']} {_port(end, switches)}"


def _port(end: Row, switches: dict[str, Row]) -> str:
    name = switches.get(end["switch"], {}).get("ports", {}).get(str(end["port"]))
    return f"port {end['port']} ({name})" if name else f"port {end['port']}"


def _quoted(text: str) -> str:
    escaped = printable(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
