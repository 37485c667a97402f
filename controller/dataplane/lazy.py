"""Fragments that are made when they are first looked into.

What a fragment is a function of, its *inputs*, is known long before its flows are: a switch that already holds what
follows from the same inputs is recognised without compiling anything. See docs/decisions/008.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Hashable
from functools import cached_property
from hashlib import blake2b
from typing import Any, NamedTuple

from controller.dataplane.values import Flow, Fragment, Group, Meter


class Content(NamedTuple):
    """What is in a fragment; ``kept`` is handed to the making of its successor, which may take over parts."""

    flows: tuple[Flow, ...] = ()
    groups: tuple[Group, ...] = ()
    kept: Any = None
    meters: tuple[Meter, ...] = ()


PLAIN = 2
"""The version of marshal's format in which equal values are equal bytes; later ones note which are one object."""

Make = Callable[[Any], Content]
"""Makes the content from immutable values it holds. Its argument is what the predecessor kept, None if there is none;
the content must not depend on it."""


class LazyFragment(Fragment):
    """A fragment whose content follows from ``inputs``: equal keys and equal inputs are equal fragments.

    ``inputs`` are made of strings, numbers, None, and tuples and dataclasses of such, so that their ``repr`` is the
    same in every process. ``earlier`` is the fragment that this one takes the place of: if it is made by then, parts
    of it are taken over. (Chains do not grow: of fragments that nobody looked into the first is remembered.)
    """

    inputs: Hashable

    def __init__(self, key: Hashable, inputs: Hashable, make: Make, earlier: Fragment | None = None) -> None:
        before = earlier if isinstance(earlier, LazyFragment) else None
        if before is not None:
            before = vars(before)["_earlier"] or before
        vars(self).update(key=key, inputs=inputs, _make=make, _earlier=before)

    @property
    def is_made(self) -> bool:
        """Whether anybody has looked into it."""
        return "content" in vars(self)

    @cached_property
    def content(self) -> Content:
        """Flows, groups and meters; made here and now. Raises what the making raises."""
        own = vars(self)
        earlier: LazyFragment | None = own["_earlier"]
        made: Content = own["_make"](earlier.content.kept if earlier is not None and earlier.is_made else None)
        own.update(_earlier=None, _make=None)
        return made

    @cached_property
    def flows(self) -> tuple[Flow, ...]:
        """The flows."""
        return self.content.flows

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The groups."""
        return self.content.groups

    @cached_property
    def meters(self) -> tuple[Meter, ...]:
        """The meters."""
        return self.content.meters

    @cached_property
    def mark(self) -> int:
        """64-bit hash of key and inputs."""
        return mark_of((self.key, self.inputs))


def mark_of(inputs: Hashable, size: int = 8) -> int:
    """A hash of ``size`` bytes of such inputs as :class:`LazyFragment` has; the same in every process."""
    try:
        text = marshal.dumps(inputs, PLAIN)  # type: ignore[arg-type]
    except ValueError:  # there is a dataclass in it
        text = repr(inputs).encode()
    return int.from_bytes(blake2b(text, digest_size=size).digest(), "big")
