"""The one error of this package."""

from __future__ import annotations

from controller.errors import IsthmusError


class KernelError(IsthmusError):
    """The kernel refused a change. ``code`` is its errno."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code
