"""Imports go down only, and only the southbound and the composition root know os-ken, ovsdbapp and eventlet."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("controller", "typedrivers", "mechanisms", "legacy_agent", "topology")

LAYERS: list[tuple[str, ...]] = [
    ("controller.config", "controller.model", "controller.errors", "controller.delta", "controller.local_links",
     "controller.declared", "controller.endpoints", "controller.entry_points",
     "controller.turns", "controller.pace", "controller.garbage", "controller.measures", "controller.identity",
     "controller.listening",
     "legacy_agent.host_plan"),
    ("typedrivers", "topology", "controller.dataplane", "controller.intent", "controller.db",
     "controller.plugin.context"),
    ("mechanisms",),
    ("controller.reconciler", "controller.node_state", "controller.status", "controller.status_writer",
     "controller.mailbox", "controller.switches", "controller.fabric", "controller.owners", "controller.hosts",
     "controller.overview", "controller.tracing", "controller.plugin", "controller.compiler", "controller.host_plans",
     "controller.feed_follower", "controller.sightings", "controller.switch_loops", "controller.outage"),
    ("controller.api", "controller.southbound", "controller.metrics"),
    ("controller.app", "controller.main", "controller.api_server", "controller.cli"),
]  # fmt: skip
"""From the bottom up."""

WORLD = ("os_ken", "ovsdbapp", "ovs", "eventlet")
MAY_TOUCH_THE_WORLD = ("controller.southbound", "controller.app", "controller.api_server", "controller.main")


def modules() -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            yield name, path


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(module: str) -> int | None:
    """The layer with the longest prefix that fits; None for what has no layer (packages' own roots, the agent)."""
    fits = [(len(prefix), number) for number, prefixes in enumerate(LAYERS) for prefix in prefixes
            if module == prefix or module.startswith(prefix + ".")]  # fmt: skip
    return max(fits)[1] if fits else None


@pytest.mark.parametrize(("module", "path"), [pytest.param(*item, id=item[0]) for item in modules()])
def test_imports_go_down(module: str, path: Path) -> None:
    own = layer(module)
    for imported in imports(path):
        theirs = layer(imported)
        if own is not None and theirs is not None:
            assert theirs <= own, f"{module} (layer {own}) imports {imported} (layer {theirs})"
        if imported.split(".")[0] in WORLD:
            assert module.startswith(MAY_TOUCH_THE_WORLD), f"{module} imports {imported}"


def test_the_agent_stands_alone() -> None:
    allowed = ("controller.model", "controller.errors", "controller.delta", "controller.config",
               "controller.entry_points", "controller.identity")  # fmt: skip
    for module, path in modules():
        if module.startswith("legacy_agent"):
            ours = [name for name in imports(path) if name.split(".")[0] in set(PACKAGES) - {"legacy_agent"}]
            assert all(name.startswith(allowed) for name in ours), f"{module} imports {ours}"


def test_every_module_has_a_layer() -> None:
    roots = {"controller", "legacy_agent"}
    missing = [name for name, _ in modules()
               if layer(name) is None and name not in roots and not name.startswith("legacy_agent")]  # fmt: skip
    assert not missing
