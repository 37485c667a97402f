"""Fragments and programs that are made when they are first looked into.

What a fragment is a function of, its *inputs*, is known long before its flows are: a switch that already holds what
follows from the same inputs is recognised without compiling anything. See docs/decisions/008.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Hashable, Sequence
from functools import cached_property, reduce
from hashlib import blake2b
from operator import xor
from typing import Any, NamedTuple, Protocol

from controller.dataplane.values import Flow, Fragment, Group, Meter, Program


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

    ``inputs`` are made of strings, bytes, numbers, None, and tuples and dataclasses of such, so that their ``repr`` is
    the same in every process. ``earlier`` is the fragment that this one takes the place of: if it is made by then,
    parts of it are taken over. (Chains do not grow: of fragments that nobody looked into the first is remembered.)
    ``mark`` is another hash of key and inputs than the usual one, where there is one that costs less.
    """

    inputs: Hashable

    def __init__(
        self, key: Hashable, inputs: Hashable, make: Make, earlier: Fragment | None = None, mark: int | None = None
    ) -> None:
        own = vars(self)
        own["key"], own["inputs"], own["_make"], own["_earlier"], own["_mark"] = key, inputs, make, None, mark
        if isinstance(earlier, LazyFragment):
            own["_earlier"] = vars(earlier)["_earlier"] or earlier

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

    @property
    def mark(self) -> int:
        """64-bit hash of key and inputs."""
        own = vars(self)
        mark: int | None = own["_mark"]
        if mark is None:  # worked out here, as a cached property takes a lock and every switch has many of these
            mark = own["_mark"] = mark_of((self.key, self.inputs))
        return mark


class Part(Protocol):
    """Fragments that programs have or have not together, and the XOR of their marks."""

    @property
    def mark(self) -> int: ...

    @property
    def fragments(self) -> tuple[Fragment, ...]: ...


class Listed(NamedTuple):
    """A part that is there. Make one with :meth:`of`."""

    mark: int
    fragments: tuple[Fragment, ...]

    @classmethod
    def of(cls, *fragments: Fragment) -> Listed:
        """That of these fragments."""
        return cls(reduce(xor, [fragment.mark for fragment in fragments], 0), fragments)


class LazyProgram(Program):
    """A program of parts. Its stamp follows from theirs; their fragments are listed for those who ask for them."""

    def __init__(self, revision: int, parts: Sequence[Part]) -> None:
        stamp = reduce(xor, [part.mark for part in parts], 0)  # which is that of a program of their fragments
        vars(self).update(revision=revision, stamp=stamp, _parts=parts)

    @cached_property
    def fragments(self) -> dict[Hashable, Fragment]:
        """All fragments of all parts."""
        return {fragment.key: fragment for part in vars(self)["_parts"] for fragment in part.fragments}


def mark_of(inputs: Hashable) -> int:
    """A 64-bit hash of such inputs as :class:`LazyFragment` has; the same in every process."""
    return int.from_bytes(digest_of(inputs, 8), "big")


def mark_in(content: bytes) -> int:
    """A 64-bit hash of bytes, where inputs are no more than that."""
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big")


def digest_of(inputs: Hashable, size: int = 16) -> bytes:
    """A hash of ``size`` bytes of such inputs, which may be an input itself."""
    try:
        text = marshal.dumps(inputs, PLAIN)  # type: ignore[arg-type]
    except ValueError:  # there is a dataclass in it
        text = repr(inputs).encode()
    return blake2b(text, digest_size=size).digest()
