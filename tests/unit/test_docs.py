"""What the pages name exists: options, commands, addresses, make targets, rules, events, files, links."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from webob import Request

from controller import config
from controller.api.policy_rules import RULES
from controller.api.wsgi import make_application
from controller.cli import describe_config
from controller.cli.check_config import READ_BY_LIBRARIES, READ_BY_OS_KEN, problems, unknown_options
from controller.cli.main import _parser
from controller.identity import plugin_options
from tests.unit.api.fakes import FakeIsthmus, FakeResources
from topology.cables import Difference

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "bench/RESULTS.md", *sorted(DOCS.rglob("*.md"))]
SAMPLE = ROOT / "etc/isthmus.conf"

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def names_of(group: str) -> set[str]:
    """The options that somebody reads in a group."""
    known = {option.name for option in config.GROUPS[group]} | {option.dest for option in plugin_options("password")
                                                                if group == "auth"}  # fmt: skip
    for own, options in config.GROUPS.items():
        for option in options:
            known |= {old.name or option.name for old in option.deprecated_opts if (old.group or own) == group}
    return known | READ_BY_OS_KEN if group == "DEFAULT" else known


def settings(text: str) -> Iterator[tuple[str, str, str, bool]]:
    """``(group, option, value, commented)`` of every line of INI in a page or a file."""
    group = ""
    for line in map(str.strip, text.splitlines()):
        if found := re.fullmatch(r"\[(\w+)\]", line):
            group = found[1]
        elif found := re.match(r"(# ?)?(\w+) =(?: (.*))?$", line):
            if group:
                yield group, found[2], (found[3] or "").split(" #")[0].strip(), bool(found[1])
        elif line.startswith("```") or (line and not line.startswith("#")):
            group = ""


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


@pages
def test_options_are_registered(page: Path) -> None:
    text = page.read_text()
    named = [(group, name) for group, name, _, _ in settings(text)] + re.findall(r"`\[(\w+)\] (\w+)", text)
    for group, name in named:
        assert group in READ_BY_LIBRARIES or name in names_of(group), f"[{group}] {name}"


def test_the_page_of_options_is_fresh_and_has_every_group() -> None:
    assert describe_config.SECTIONS.keys() == config.GROUPS.keys()
    assert (DOCS / "configuration.md").read_text() == describe_config.page(), "run: make docs"


def test_the_options_of_the_fabric_are_all_told_with_their_defaults() -> None:
    told = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", (DOCS / "fabric.md").read_text(), re.M))
    for option in config.GROUPS["topology"]:
        if option.default is None:
            assert told[option.name] in ("none", "new at every start")
        else:
            assert told[option.name].replace("none", "[]") == f"{option.default}".removesuffix(".0").lower()


def test_the_sample_configuration_says_what_is() -> None:
    """It has no faults, and what is commented out is the default, or an example where there is none."""
    assert problems(str(SAMPLE)) == []
    assert unknown_options(str(SAMPLE)) == []
    conf = config.load()
    commented = [(group, name, value) for group, name, value, off in settings(SAMPLE.read_text()) if off]
    assert len(commented) > 30
    for group, name, value in commented:
        (option,) = (option for option in config.GROUPS[group] if option.name == name)
        default = (conf if group == "DEFAULT" else conf[group])[option.dest]
        assert default in (None, [], {}) or option.type(value) == default, f"[{group}] {name}"


def commands() -> Iterator[str]:
    """Every ``isthmus`` command line in the pages."""
    for page in PAGES:
        text = page.read_text()
        yield from re.findall(r"`(isthmus [^`]+)`", text)
        for line in re.findall(r"^ *(?:/opt/isthmus/bin/)?(isthmus (?!command).*)$", text, re.M):
            yield line.split(" #")[0]


def test_commands_are_understood_and_all_are_told() -> None:
    parser, used = _parser(), set()
    (known,) = (dict(action.choices) for action in parser._actions if action.choices)
    for line in commands():
        words = shlex.split(line)[1:]
        assert len(words) > 1 or words[0] in known, line
        used.add(words[0] if len(words) == 1 else parser.parse_args(words).run.__name__.replace("_", "-"))
    assert used == known.keys()


def test_make_help_lists_the_targets_that_there_are() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = {name for line in re.findall(r"^\.PHONY: (.*)$", text, re.M) for name in line.split()}
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    said = subprocess.run(["make", "help"], cwd=ROOT, env=clean, capture_output=True, text=True, check=True).stdout
    listed = {name for line in said.splitlines() for name in line.partition("  ")[0].split()}
    assert listed == phony
    assert all(len(line.split(maxsplit=1)) == 2 for line in said.splitlines())
    assert {
        name for page in PAGES for name in re.findall(r"(?:`|^    )make ([a-z-]+)", page.read_text(), re.M)
    } <= phony


@pages
def test_addresses_of_the_api_are_served(page: Path) -> None:
    application = make_application(config.load(), FakeResources(), FakeIsthmus())
    described = Request.blank("/v2.0/isthmus/openapi.json").get_response(application).json["paths"]
    served = re.compile("|".join(re.sub(r"\\{\w+\\}", r"[\\w{}.-]+", re.escape(path)) for path in described))
    for path in re.findall(r"/v2\.0/isthmus/[\w{}.-][\w{}/.-]*", page.read_text()):
        assert served.fullmatch(path.rstrip("/.")), path


@pages
def test_rules_are_those_of_the_policy(page: Path) -> None:
    actions = r"`((?:get|create|update|delete)_[a-z_]+(?::[a-z_:]+)?|isthmus:\w+)`"
    for rule in re.findall(actions, page.read_text()):
        assert rule in RULES, rule


def test_events_are_those_that_are_made() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "topology").glob("*.py"))
    made = set(re.findall(r"events\.add\(now, \"([a-z-]+)\"", sources))
    cables = {f"cable-{kind}" for kind in Difference}
    table = (DOCS / "fabric.md").read_text().split("| event | meaning |")[1].split("\n\n")[0]
    told = {name for row in re.findall(r"^\| (`.*?) \|", table, re.M) for name in re.findall(r"`([a-z-]+)`", row)}
    assert made | cables <= told
    assert all(f'"{name}"' in sources for name in told - cables)


PACKAGES = ("controller", "typedrivers", "mechanisms", "legacy_agent", "topology")
FOLDERS = (*PACKAGES, "tests", "bench", "demo", "etc", "docs")


@pages
def test_files_are_there(page: Path) -> None:
    for name in re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*)`", page.read_text()):
        assert (ROOT / name).exists(), name


def test_the_architecture_page_names_every_place() -> None:
    """A newcomer finds the room for a change from names alone: every folder, and every module beside those of the
    controller."""
    text = (DOCS / "architecture.md").read_text()
    table = text[text.index("## Where things are") :]
    for path in sorted((ROOT / "controller").glob("*.py")):
        assert path.name == "__init__.py" or re.search(rf"`(?:controller/)?{path.name}`", table), path.name
    for folder in (*PACKAGES, "tests", "bench", "demo"):
        for path in sorted({ROOT / folder, *(ROOT / folder).iterdir()}):
            if path.is_dir() and any(path.glob("*.py")):
                assert re.search(rf"`(?:[\w/]+/)?{path.name}/", table), path.name
