"""All benchmarks, one after another, each in private namespaces: ``python -m bench.all [NAME...]`` (root).

Prints every figure with its reference and rewrites ``bench/RESULTS.md``. The status is 1 if a bar is missed.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence

from bench import results
from bench.results import Result
from tests.support import sandbox

NAMES = ("program_sync", "encode_only", "allocation", "resync", "echo_latency", "rest_to_active", "one_port",
         "connect_storm", "discovery", "fabric", "agents", "memory", "api", "restarts")  # fmt: skip


def single(name: str, run: Callable[..., Result], arguments: Sequence[object] = ()) -> int:
    """One benchmark in a sandbox (this process is moved into one if need be); 1 if its bar is missed."""
    if not sandbox.inside():
        return sandbox.run([sys.executable, "-m", f"bench.{name}", *map(str, arguments)])
    print(f"{name}:", flush=True)
    began = time.monotonic()
    result = run(*arguments)
    if not result.written:
        results.write([result])
    print(f"  {'met' if result.met else 'NOT MET'}: {result.bar} ({time.monotonic() - began:.0f} s)", flush=True)
    return 0 if result.met else 1


def main() -> int:
    """Each in a process and a sandbox of its own."""
    names = sys.argv[1:] or NAMES
    if not sandbox.inside():
        statuses = [_in_sandbox(name) for name in names]
        return max(statuses, default=0)
    try:
        return single(names[0], importlib.import_module(f"bench.{names[0]}").run)
    except Exception:
        traceback.print_exc()
        return 2


def _in_sandbox(name: str) -> int:
    return subprocess.call([sys.executable, "-m", "tests.support.sandbox", sys.executable, "-m", "bench.all", name])


if __name__ == "__main__":
    sys.exit(main())
