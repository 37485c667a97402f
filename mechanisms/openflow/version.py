"""Which compiler this is: another compiler may make other flows of the same inputs.

The version is a hash of the sources of everything that takes part in compiling and encoding, and of the pipeline as
it was declared. Nobody has to remember to count it up; a change that alters no flow costs one comparison per switch.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from importlib import metadata, resources

from mechanisms.openflow.pipeline import PIPELINE

SOURCES = {
    "controller": ("errors.py", "intent.py", "local_links.py", "model.py", "turns.py"),
    "controller.dataplane": (),
    "legacy_agent": ("host_plan.py",),
    "mechanisms": ("api.py", "reasons.py", "reuse.py", "sources.py", "view.py"),
    "mechanisms.openflow": (),
}
"""Package -> modules that count; none named: all of them."""


def _sources() -> Iterator[bytes]:
    for package, wanted in SOURCES.items():
        modules = sorted(resources.files(package).iterdir(), key=lambda item: item.name)
        for module in modules:
            if module.name.endswith(".py") and (not wanted or module.name in wanted):
                yield f"{package} {module.name}\n".encode()
                yield module.read_bytes()


def _version() -> str:
    declared = [(table.id, table.declaration) for table in PIPELINE]
    state = blake2b(repr((declared, list(PIPELINE.layout))).encode(), digest_size=16)
    sources = list(_sources())
    for source in sources or [metadata.version("isthmus").encode()]:
        state.update(source)
    return state.hexdigest()


VERSION = _version()
"""The same in all processes that run the same code."""
