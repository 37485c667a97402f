"""A trace as text. Pure: the API's answer in, lines out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from controller.cli.table import printable

Row = Mapping[str, Any]


def trace_text(found: Row, flows: bool = False) -> str:
    """The frame, a paragraph per node that it comes to, and in the end what becomes of it. With ``flows`` also the
    flow that matched in each table, and the tables that just passed it on."""
    lines = [found["frame"], ""]
    for hop in found["hops"]:
        lines += [*_paragraph(hop, flows), ""]
    left_out = found.get("not_followed", ())
    if left_out:
        lines += [f"not followed: {', '.join(left_out)}", ""]
    lines += [f"result: {found['result']}", f"note: {found['note']}"]
    return "\n".join(map(printable, lines))


def _passes_on(step: Row) -> bool:
    """Whether a table had no flow for the frame."""
    return str(step.get("why", "")).startswith("table-miss")


def _paragraph(hop: Row, flows: bool) -> Iterator[str]:
    name = f" ({hop['host']})" if hop.get("host") and not hop["node"].endswith(f":{hop['host']}") else ""
    yield f"{hop['number']}. {hop['node']}{name}, {hop['came']}"
    yield from (f"   note: {note}" for note in hop["notes"])
    for step in hop["steps"]:
        if not flows and _passes_on(step) and not (hop["ended"] and step is hop["steps"][-1]):
            continue
        yield f"   {step['text']}"
        if flows and step.get("flow"):
            yield f"      {step['cookie']} {step['flow']}"
            yield from (f"      {group}" for group in step["groups"])
    for leaf in hop["leaves"]:
        onward = f", on at {', '.join(map(str, leaf['to']))}" if leaf["to"] else ""
        yield f"   -> {leaf['text']}{onward}"
    if hop["ended"]:
        yield f"   ends: {hop['ended']}"
