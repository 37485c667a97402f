"""One agent per host: two would undo each other's work for ever."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from io import TextIOWrapper
from pathlib import Path

from controller.errors import IsthmusError

LOG = logging.getLogger(__name__)

_POLL = 0.1


class AnotherAgent(IsthmusError):
    """Another agent serves this host."""


def hold(directory: Path, patience: float = 2.0) -> TextIOWrapper | None:
    """Be the only agent of this network namespace until the process ends or what is returned is closed. ``directory``
    (of all agents' locks) becomes root's alone: nobody else can keep the agent from starting.

    The kernel gives the lock back however the process ends. One that is about to end is waited for, ``patience``
    seconds; then :class:`AnotherAgent` is raised. None, with a warning, where there can be no lock.
    """
    path = directory / f"{os.stat('/proc/self/ns/net').st_ino}.lock"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        lock = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
    except OSError as error:
        LOG.warning("cannot make sure that this is the only agent here: %s", error)
        return None
    deadline = time.monotonic() + patience
    while not _taken(lock):
        if time.monotonic() > deadline:
            owner = lock.read().strip() or "of unknown number"
            lock.close()
            raise AnotherAgent(f"another isthmus-agent serves this host (process {owner}); stop it first")
        time.sleep(_POLL)
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _taken(lock: TextIOWrapper) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
