"""A database that is away: said when it begins and when it is over, not at every attempt in between."""

from __future__ import annotations

import logging

from controller.db.engine import UNAVAILABLE

LOG = logging.getLogger(__name__)


class Outage:
    """What one thread that tries for ever tells the log. ``what`` is what it tries, e.g. "reading the change feed"."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._away = False

    def failed(self, error: Exception) -> bool:
        """An attempt failed; call it while the exception is handled. Whether it was because the database is away; a
        traceback is written if it was not."""
        if not isinstance(error, UNAVAILABLE):
            LOG.exception("%s: failed; it is tried again", self._what)
            return False
        if not self._away:
            reason = str(error).partition("\n")[0]
            LOG.warning("%s: the database is away; tried again until it is back: %s", self._what, reason)
        self._away = True
        return True

    def over(self) -> None:
        """An attempt succeeded."""
        if self._away:
            LOG.info("%s: the database is back", self._what)
        self._away = False
