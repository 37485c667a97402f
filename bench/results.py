"""Figures: printed, and kept in ``bench/RESULTS.md``: a section per benchmark, and the machine they come from."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

PATH = Path(__file__).with_name("RESULTS.md")
TITLE = "# Measured\n\nWritten by `make bench`; each figure stands beside its reference from the same run.\n"
PACKAGES = ("os-ken", "eventlet", "SQLAlchemy")


@dataclass
class Result:
    """One benchmark's figures. ``rows`` are (what, reference, measured, ratio); ``bar`` is what is asked for."""

    name: str
    bar: str
    met: bool = True
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    written: bool = False
    """Whether its section is already in the file (a benchmark in a process of its own)."""

    def add(self, what: str, reference: str, measured: str, ratio: str = "") -> None:
        """One line of figures; printed at once."""
        self.rows.append((what, reference, measured, ratio))
        print(f"  {what}: {measured} (reference {reference}) {ratio}", flush=True)

    def judge(self, well: bool) -> None:
        """Note whether a bar is met."""
        self.met = self.met and well

    def text(self) -> str:
        """The section."""
        lines = [f"## {self.name}", "", f"Asked for: {self.bar}. **{'Met' if self.met else 'Not met'}.**", "",
                 "| what | reference | measured | ratio |", "|---|---|---|---|"]  # fmt: skip
        lines += [f"| {' | '.join(row)} |" for row in self.rows]
        return "\n".join([*lines, "", *(f"{note}\n" for note in self.notes)]).rstrip() + "\n"


def machine() -> str:
    """Processor, memory, kernel, versions."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = int(Path("/proc/meminfo").read_text().split()[1]) >> 20
    cores = len(os.sched_getaffinity(0))
    return (
        f"{cores} cores ({model[1].strip() if model else platform.machine()}), {memory} GiB, "
        f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}, {_open_vswitch()}, "
        + ", ".join(f"{name} {version(name)}" for name in PACKAGES)
        + f". Load average {os.getloadavg()[0]:.1f} when this was written."
    )


def write(results: Sequence[Result]) -> None:
    """Replace the sections of these results; others stay."""
    sections = _sections()
    sections["machine"] = f"## Machine\n\n{machine()}\n"
    for result in results:
        sections[result.name] = result.text()
    PATH.write_text("\n".join([TITLE, *sections.values()]))


def _sections() -> dict[str, str]:
    found = {"machine": ""}
    if PATH.exists():
        for part in re.split(r"\n(?=## )", PATH.read_text())[1:]:
            name = part.splitlines()[0].removeprefix("## ")
            found["machine" if name == "Machine" else name] = part.rstrip() + "\n"
    return found


def _open_vswitch() -> str:
    try:
        said = subprocess.run(["ovs-vswitchd", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "no Open vSwitch"
    return said.splitlines()[0].replace("ovs-vswitchd (Open vSwitch)", "Open vSwitch")
