"""Listening sockets that go on when a connection cannot be accepted, as servers of others end at any failure."""

from __future__ import annotations

import errno
import logging
import time
from typing import Any

LOG = logging.getLogger(__name__)

NO_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
CLOSED = frozenset({errno.EBADF, errno.EINVAL, errno.ENOTSOCK})
PAUSE = 0.1
"""Seconds until the next try when connections cannot be accepted for want of descriptors or memory."""

COMPLAINTS = 10.0
"""Seconds between two lines of the log about it."""


class Listener:
    """A listening socket whose ``accept`` fails only when it was stopped or closed; ``what`` listens, for the log."""

    def __init__(self, socket: Any, what: str) -> None:
        self._socket, self._what = socket, what
        self._stopped = False
        self._complained = float("-inf")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def accept(self) -> tuple[Any, Any]:
        """The next connection. Raises OSError with ESHUTDOWN, which ends the server, once :meth:`stop` was called."""
        while not self._stopped:
            try:
                connection, address = self._socket.accept()
            except OSError as error:
                if not self._stopped:
                    if error.errno in CLOSED:
                        raise
                    self._bear(error)
            else:
                return connection, address
        raise OSError(errno.ESHUTDOWN, "stopped")

    def stop(self) -> None:
        """Accept nobody any more."""
        self._stopped = True
        self._socket.close()

    def _bear(self, error: OSError) -> None:
        if error.errno not in NO_RESOURCES:
            LOG.info("%s: a connection was lost before it was accepted: %s", self._what, error)
            time.sleep(0)
            return
        now = time.monotonic()
        if now - self._complained > COMPLAINTS:
            self._complained = now
            LOG.warning("%s: connections cannot be accepted: %s; raise LimitNOFILE (ulimit -n)", self._what, error)
        time.sleep(PAUSE)
