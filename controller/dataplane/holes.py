"""Numbers that are not known yet: what stands in a sentence while its form is found out.

A :class:`Hole` can be shifted and combined like a number, and writes down the expression that it has become. Asked
whether it is zero it says yes, and writes down that this must then be so: conditions under which what was found out
holds. Anything else that depends on the number is a ``TypeError``, so nothing can be decided by a value unnoticed.
"""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


class Hole:
    """One such number; ``possible`` are the bits that may be set in it (-1: any, and it may be negative)."""

    __slots__ = ("_narrows", "expression", "must_be_zero", "possible")

    def __init__(self, expression: str, must_be_zero: dict[str, None], possible: int = -1) -> None:
        self.expression = expression
        self.must_be_zero = must_be_zero
        """Expressions, shared by all holes of a sentence."""
        self.possible = possible
        self._narrows: tuple[Hole, int] | None = None

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise TypeError(f"the form of a flow cannot depend on whether {self.expression} is {other!r}")

    def __format__(self, specification: str) -> str:
        return f"<{self.expression}>"

    def __bool__(self) -> bool:
        self.must_be_zero[self.expression] = None
        if self._narrows is not None:
            number, bits = self._narrows
            number.possible &= bits
        return False

    def __lshift__(self, bits: int) -> Hole | int:
        return self if bits == 0 else self._become(f"({self.expression} << {bits})", self.possible << bits)

    def __rshift__(self, bits: int) -> Hole | int:
        shifted = self._become(f"({self.expression} >> {bits})", self.possible >> bits)
        if isinstance(shifted, Hole):
            shifted._narrows = self, (1 << bits) - 1
        return shifted

    def __and__(self, other: Hole | int) -> Hole | int:
        return self._become(f"({self.expression} & {_said(other)})", self.possible & _possible(other))

    def __or__(self, other: Hole | int) -> Hole | int:
        if isinstance(other, int) and other == 0:
            return self
        return self._become(f"({self.expression} | {_said(other)})", self.possible | _possible(other))

    def __xor__(self, other: Hole | int) -> Hole | int:
        return self._become(f"({self.expression} ^ {_said(other)})", self.possible | _possible(other))

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def _become(self, expression: str, possible: int) -> Hole | int:
        return Hole(expression, self.must_be_zero, possible) if possible else 0


def expression_of(value: object, otherwise: str) -> str:
    """The expression that a value has become if it is a hole."""
    return value.expression if isinstance(value, Hole) else otherwise


def _said(value: Hole | int) -> str:
    return value.expression if isinstance(value, Hole) else str(int(value))


def _possible(value: Hole | int) -> int:
    return value.possible if isinstance(value, Hole) else value
