"""What is built from the tree is whole: the source archive has everything, and a wheel made of it runs elsewhere."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("controller", "typedrivers", "mechanisms", "legacy_agent", "topology")
FOLDERS = (*PACKAGES, "tests", "docs", "etc", "demo", "bench")
FILES = ("README.md", "CHANGELOG.md", "Makefile", "MANIFEST.in", "setup.py", "pyproject.toml", "tox.ini")
LEFT_OUT = re.compile(r"__pycache__|\.egg-info|\.py[co]$|\.sqlite|/build/")
BUILD = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"


def run(*command: str, cwd: Path, **environment: str) -> str:
    """A command's output; its whole say when it fails."""
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files_of_the_tree() -> set[str]:
    """Paths of what is written by hand."""
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    names = {str(path.relative_to(ROOT)) for path in found} | set(FILES)
    return {name for name in names if not LEFT_OUT.search(name)}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive, built from a copy of the tree and unpacked elsewhere."""
    folder = tmp_path_factory.mktemp("sdist")
    for name in files_of_the_tree():
        (folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / "tree" / name)
    run(sys.executable, "-W", "ignore", "-c", BUILD, str(folder), cwd=folder / "tree")
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as content:
        content.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def installed(unpacked: Path) -> Path:
    """A folder with the wheel of that archive installed into it."""
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
    run(sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(unpacked.parent), ".", cwd=unpacked)
    (wheel,) = unpacked.parent.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        content.extractall(unpacked.parent / "site")
    return unpacked.parent / "site"


def test_the_source_archive_has_everything(unpacked: Path) -> None:
    assert {name for name in files_of_the_tree() if not (unpacked / name).is_file()} == set()


def test_the_wheel_has_the_packages_the_samples_and_nothing_of_the_tests(installed: Path) -> None:
    wanted = {name for name in files_of_the_tree() if name.startswith(PACKAGES)}
    assert {name for name in wanted if not (installed / name).is_file()} == set()
    assert not (installed / "tests").exists()
    (share,) = installed.glob("*.data/data/share/isthmus")
    assert {path.name for path in share.iterdir()} == {path.name for path in (ROOT / "etc").rglob("*.*")}


CHECK = """
import sys
from pathlib import Path
import controller
from controller import config
from controller.plugin.plugin import open_store
from typedrivers.manager import TypeManager
from mechanisms.manager import MechanismManager

assert Path(controller.__file__).is_relative_to(sys.argv[1]), controller.__file__
conf = config.load()
conf.set_override("connection", "sqlite:///there.sqlite", "database")
open_store(conf, TypeManager.load(conf)).dispose()
print(*(driver.name for driver in MechanismManager.load(conf.ml2.mechanism_drivers).drivers))
"""


def test_what_is_installed_runs_without_the_tree(installed: Path, tmp_path: Path) -> None:
    """Migrations, drivers by their entry points, and the commands."""
    environment = {"PYTHONPATH": str(installed)}
    said = run(sys.executable, "-c", CHECK, str(installed), cwd=tmp_path, **environment)
    assert said.split() == ["openflow", "linuxbridge", "openvswitch"]
    for module, words in (("controller.cli.main", "Isthmus controller"), ("legacy_agent.main", "--config-file"),
                          ("controller.main", "--config-file")):  # fmt: skip
        assert words in run(sys.executable, "-m", module, "--help", cwd=tmp_path, **environment)


def test_what_is_imported_is_required() -> None:
    """Every module of others comes with a distribution that setup.py names."""
    text = (ROOT / "setup.py").read_text()
    required = set(map(_normal, re.findall(r"(?:^ {8}|\[)\"([A-Za-z][\w.-]*)[><=]", text, re.M)))
    distributions = metadata.packages_distributions()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for name in imports(path) - {*PACKAGES, *sys.stdlib_module_names}:
                assert required & set(map(_normal, distributions[name])), f"{path.relative_to(ROOT)} imports {name}"


def imports(path: Path) -> set[str]:
    """The first parts of the names of all that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
