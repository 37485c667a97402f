"""Reads the change feed, in a thread of its own and when asked, and has every change taken over once and in order."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from controller.errors import FeedExpired
from controller.intent import Change
from controller.node_state import Board
from controller.outage import Outage
from controller.plugin.api import Feed
from controller.switches import Spawn

LOG = logging.getLogger(__name__)

LOOK = 1.0
"""Seconds after which the feed is read though nobody told of a commit, or again after it could not be read."""


@dataclass(frozen=True, slots=True)
class FeedProgress:
    """The newest revision that is known to be committed, the newest that the intent has, and how many seconds ago the
    feed was last read."""

    committed: int
    taken_over: int
    silence: float


class FeedFollower:
    """Keeps the board's intent as new as the store. ``take_over`` applies a change to it, in the reader's thread."""

    def __init__(self, board: Board, feed: Feed, take_over: Callable[[Change], None], spawn: Spawn) -> None:
        self._board, self._feed, self._take_over, self._spawn = board, feed, take_over, spawn
        self._news = threading.Event()
        self._stopped = threading.Event()
        self._following = threading.RLock()
        self._followed = 0
        """The revision up to which the feed was read; later than the intent's when only statuses changed since."""
        self._committed = 0
        self._read_at = float("-inf")

    def load(self) -> None:
        """Make the whole store the board's intent."""
        with self._board.changed:
            self._board.intent = self._feed.load()

    def start(self) -> None:
        """Start the thread; the intent was just loaded."""
        self._read_at = self._board.clock()
        self._feed.subscribe(self._hear)
        self._spawn(self._follow)

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._news.set()

    def progress(self) -> FeedProgress:
        """How far the intent is behind the store, by what is known here."""
        followed = max(self._followed, self._board.intent.revision)
        return FeedProgress(max(self._committed, followed), followed, self._board.clock() - self._read_at)

    def catch_up(self) -> None:
        """Take over every committed change; after it the intent is as new as the store was at the call."""
        with self._following:
            newest = self._feed.latest()
            self._read_at = self._board.clock()
            self._committed = max(self._committed, newest)
            if newest == self._followed:
                return
            try:
                changes = self._feed.since(max(self._followed, self._board.intent.revision))
            except FeedExpired as error:
                LOG.warning("%s", error)
                changes = [self._everything()]
            for change in changes:
                self._take_over(change)
            self._followed = newest

    def _hear(self, revision: int) -> None:
        self._committed = max(self._committed, revision)
        self._news.set()

    def _follow(self) -> None:
        outage = Outage("reading the change feed")
        while not self._stopped.is_set():
            self._news.wait(timeout=LOOK)
            self._news.clear()
            try:
                self.catch_up()
                outage.over()
            except Exception as error:
                outage.failed(error)
                self._stopped.wait(LOOK)

    def _everything(self) -> Change:
        """The difference between the intent and the whole store, as one change."""
        new, old = self._feed.load(), self._board.intent
        return Change.of(
            new.revision,
            dict.fromkeys(old.networks) | new.networks,
            dict.fromkeys(old.ports) | new.ports,
            dict.fromkeys(old.nodes) | new.nodes,
            dict.fromkeys(old.switches) | new.switches,
            new.cables,
        )
