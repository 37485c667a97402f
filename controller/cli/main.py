"""The ``isthmus`` command: what a running controller knows, in plain tables.

Exit status: 0 all is well; 1 something is not (a port is not ACTIVE, a node did not acknowledge, a file has faults);
2 the question could not be asked (wrong usage, no answer, unknown object).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from argparse import SUPPRESS
from collections.abc import Callable, Sequence
from datetime import datetime
from urllib.parse import urlencode

from controller.cli import cloud
from controller.cli.client import Client, ClientError, quoted
from controller.cli.drawing import as_svg
from controller.cli.table import cell, pairs, table
from controller.cli.topology import as_dot, as_text, difference_lines, link_rows, switch_notes
from controller.cli.tracing import trace_text
from controller.errors import IsthmusError

DEFAULT_URL = "http://127.0.0.1:9696"
ROOT = "/v2.0/isthmus"
SWITCH_COLUMNS = ("id", "state", "in_sync", "address", "openflow_version", "revision", "host", "declared",
                  "last_error")  # fmt: skip
HOST_COLUMNS = ("id", "alive", "in_sync", "revision", "tunnel_ip", "physical_networks", "last_error")
LINK_COLUMNS = ("a", "b", "state", "broadcast", "plan")
EVENT_COLUMNS = ("number", "time", "kind", "text", "count")

FRAME = {
    "eth_src": ("MAC", "default: that of PORT"),
    "eth_dst": ("MAC", "default: that of TO"),
    "ip_src": ("ADDRESS", "default: one of PORT"),
    "ip_dst": ("ADDRESS", "default: one of TO; without TO somebody is asked who has it"),
    "protocol": ("NAME", "arp or nd (who has the address), icmp, udp, tcp, or ethernet (no IP at all)"),
    "src_port": ("NUMBER", "of udp and tcp"),
    "dst_port": ("NUMBER", "of udp and tcp"),
    "vlan": ("ID", "a tag that the port sends with"),
}
"""What can be said of a frame: option -> what stands for its value, and its help."""

OK, NOT_WELL, FAILED = 0, 1, 2

LONGEST_WAIT = 300
"""Seconds; the API cuts longer waits."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except ClientError as error:
        print(f"isthmus: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; nothing more can be said, not even by the interpreter's exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return FAILED
    return status


def status(options: argparse.Namespace) -> int:
    """``isthmus status``"""
    health = _client(options).get(f"{ROOT}/health", accept=(503,))
    print(_text(options, health, pairs(health)))
    return OK if health.get("healthy") else NOT_WELL


def switches(options: argparse.Namespace) -> int:
    """``isthmus switches``"""
    found = _client(options).member(f"{ROOT}/switches", "switches")
    print(_text(options, found, "\n".join([table(SWITCH_COLUMNS, found), *switch_notes(found)])))
    return OK


def hosts(options: argparse.Namespace) -> int:
    """``isthmus hosts``"""
    found = _client(options).member(f"{ROOT}/hosts", "hosts")
    print(_text(options, found, table(HOST_COLUMNS, found)))
    return OK


def topology(options: argparse.Namespace) -> int:
    """``isthmus topology``"""
    client = _client(options)
    found, known = client.get(f"{ROOT}/links"), client.member(f"{ROOT}/switches", "switches")
    draw = as_dot if options.dot else as_svg if options.svg else as_text
    parts = (known, *(found.get(name, ()) for name in ("links", "neighbours", "differences")))
    print(_text(options, {"switches": known, **found}, draw(*parts)))
    return OK


def links(options: argparse.Namespace) -> int:
    """``isthmus links``"""
    client = _client(options)
    answer = client.get(f"{ROOT}/links")
    found, differences = answer.get("links", []), answer.get("differences", [])
    rows = link_rows(found, client.member(f"{ROOT}/switches", "switches"))
    print(_text(options, found, "\n".join([table(LINK_COLUMNS, rows), *difference_lines(differences)])))
    return OK if all(row["state"] == "up" for row in found) and not differences else NOT_WELL


def events(options: argparse.Namespace) -> int:
    """``isthmus events``"""
    found = _client(options).get(f"{ROOT}/events?since={options.since}")
    rows = [{**row, "time": datetime.fromtimestamp(row["time"]).isoformat(" ", "milliseconds")}
            for row in found.get("events", ())]  # fmt: skip
    print(_text(options, found, f"{table(EVENT_COLUMNS, rows)}\n\n{pairs(found.get('totals', {}))}".rstrip()))
    return OK


def path(options: argparse.Namespace) -> int:
    """``isthmus path PORT PORT``"""
    ends = f"from={quoted(options.source)}&to={quoted(options.target)}"
    found = _client(options).member(f"{ROOT}/path?{ends}", "path")
    print(_text(options, found, f"{' -> '.join(found['nodes']) or 'no way'} (by {found['by']})"))
    return OK if found["nodes"] else NOT_WELL


def trace(options: argparse.Namespace) -> int:
    """``isthmus trace PORT [TO]``"""
    given = {"port": options.source, "to": options.target, **{name: getattr(options, name) for name in FRAME}}
    query = urlencode({name: value for name, value in given.items() if value is not None})
    found = _client(options).member(f"{ROOT}/trace?{query}", "trace")
    print(_text(options, found, trace_text(found, options.flows)))
    return NOT_WELL if found["outcome"] == "lost" else OK


def plan(options: argparse.Namespace) -> int:
    """``isthmus plan NODE``"""
    found = _client(options).member(f"{ROOT}/nodes/{quoted(options.node)}/plan", "plan")
    simple = {name: value for name, value in found.items() if not isinstance(value, (list, dict))}
    lines = [pairs(simple)]
    for name, value in found.items():
        if isinstance(value, list):
            lines += ["", f"{name}:", *(f"  {cell(item)}" for item in value)]
        elif isinstance(value, dict):
            lines += ["", f"{name}:", json.dumps(value, indent=2)]
    print(_text(options, found, "\n".join(lines)))
    return OK


def port(options: argparse.Namespace) -> int:
    """``isthmus port ID``"""
    found = _client(options).member(f"{ROOT}/ports/{quoted(options.port)}", "port")
    print(_text(options, found, pairs(found)))
    return OK if found.get("status") == "ACTIVE" else NOT_WELL


def wait(options: argparse.Namespace) -> int:
    """``isthmus wait``"""
    path = f"{ROOT}/wait?timeout={options.timeout:g}"
    if options.revision is not None:
        path += f"&revision={options.revision}"
    found = _client(options).get(path, waits=options.timeout)
    print(_text(options, found, pairs(found)))
    return OK if found.get("done") else NOT_WELL


def check_config(options: argparse.Namespace) -> int:
    """``isthmus check-config FILE``"""
    # Imported here, as below: with what they look at they take a second, for which no other command shall wait.
    from controller.cli.check_config import problems, unknown_options

    notes, faults = unknown_options(options.file), problems(options.file)
    lines = [*(f"note: {line}" for line in notes), *(f"fault: {line}" for line in faults)]
    if not faults:
        lines.append(f"{options.file}: no faults")
    print(_text(options, {"notes": notes, "faults": faults}, "\n".join(lines)))
    return NOT_WELL if faults else OK


def check(options: argparse.Namespace) -> int:
    """``isthmus check``"""
    from controller.cli.check_store import findings

    try:
        found = findings(options.config_file)
    except IsthmusError as error:
        raise ClientError(" ".join(str(error).split())) from error
    print(_text(options, {"findings": found}, "\n".join(found) or "the store is sound"))
    return NOT_WELL if found else OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="isthmus", description="Ask a running Isthmus controller.")
    _add_common(parser, url=os.environ.get("ISTHMUS_URL"), os_cloud=None, as_json=False)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        _add_common(command, url=SUPPRESS, os_cloud=SUPPRESS, as_json=SUPPRESS)
        command.set_defaults(run=run)
        return command

    add("status", status, "is all well?")
    add("switches", switches, "the OpenFlow switches")
    add("hosts", hosts, "the legacy hosts")
    form = add("topology", topology, "switches, links between them and their LLDP neighbours")
    forms = form.add_mutually_exclusive_group()
    forms.add_argument("--dot", action="store_true", help="as a Graphviz graph, e.g. for dot -Tsvg")
    forms.add_argument("--svg", action="store_true", help="as a picture (SVG); needs no Graphviz")
    add("links", links, "the links between switches")
    command = add("events", events, "what happened to links and switches")
    command.add_argument("--since", type=_revision, default=0, metavar="NUMBER", help="events after this one")
    command = add("path", path, "which way frames go from one port to another")
    command.add_argument("source", metavar="PORT", help="id of the port that sends")
    command.add_argument("target", metavar="PORT", help="id of the port that is sent to")
    command = add("trace", trace, "what would become of a frame, by the plans, and why")
    command.add_argument("source", metavar="PORT", help="the port that sends: its id, its name or the start of its id")
    command.add_argument("target", metavar="TO", nargs="?", help="the port that it is for; default: a broadcast")
    for name, (metavar, text) in FRAME.items():
        command.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, help=text)
    command.add_argument("--flows", action="store_true", help="show the flows that match, with their cookies")
    command = add("plan", plan, "what a node must look like")
    command.add_argument("node", metavar="NODE", help="e.g. switch:0000000000000001, host:web1, or the host's name")
    command = add("port", port, "why a port has its status")
    command.add_argument("port", metavar="ID", help="id of the port")
    command = add("wait", wait, "wait until every live node acknowledged a revision")
    command.add_argument("--revision", type=_revision, help="default: the newest")
    command.add_argument("--timeout", type=_seconds, default=60.0, metavar="SECONDS", help="default: 60, at most 300")
    command = add("check", check, "check that the store agrees with itself (no controller needed)")
    command.add_argument("--config-file", action="append", required=True, metavar="FILE")
    command = add("check-config", check_config, "check a configuration file (no controller needed)")
    command.add_argument("file", metavar="FILE")
    return parser


def _add_common(parser: argparse.ArgumentParser, url: str | None, os_cloud: str | None, as_json: bool | str) -> None:
    """What may be said before the command and after it."""
    parser.add_argument(
        "--url",
        default=url,
        help=f"base URL of the API (default: ISTHMUS_URL, else the cloud's network endpoint, else {DEFAULT_URL})",
    )
    parser.add_argument(
        "--os-cloud",
        metavar="NAME",
        default=os_cloud,
        help="the cloud of clouds.yaml to authenticate with (default: OS_CLOUD or other OS_* variables)",
    )
    parser.add_argument("--json", action="store_true", default=as_json, help="print the answer as JSON")


def _client(options: argparse.Namespace) -> Client:
    found = cloud.find(options.os_cloud)
    if found is None:
        return Client(options.url or DEFAULT_URL)
    return Client(options.url or found.url(), found.credentials())


def _text(options: argparse.Namespace, value: object, text: str) -> str:
    return json.dumps(value, indent=2) if options.json else text


def _revision(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"'{text}' is not a non-negative integer")
    return int(text)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= LONGEST_WAIT:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds from 0 to {LONGEST_WAIT}")
    return number


if __name__ == "__main__":
    raise SystemExit(main())
