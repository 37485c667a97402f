"""A throw-away network namespace, entered by one thread: asking the kernel what it can do without leaving a trace."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_CLONE_NEWNET = 0x40000000


def in_new_namespace(work: Callable[[], T]) -> T:
    """Run ``work`` in a network namespace of its own and return what it returns; the namespace and everything made in
    it vanish with the thread. Raises ``OSError`` when no namespace can be had, or what ``work`` raises."""
    results: list[T] = []
    failures: list[BaseException] = []

    def body() -> None:
        try:
            _unshare_network()
            results.append(work())
        except BaseException as error:  # handed to the caller below
            failures.append(error)

    thread = threading.Thread(target=body, name="probe", daemon=True)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


def _unshare_network() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
