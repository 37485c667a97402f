"""A PostgreSQL that says nothing: how long it is waited for.

A server that hangs, or is stopped, keeps its connections open, and its kernel acknowledges what it is sent: neither
keepalives nor ``tcp_user_timeout`` notice, nor does any limit that the server itself is to keep. So the client looks
at the clock. psycopg2 calls :func:`wait` whenever it waits; what it raises there closes the connection.
"""

from __future__ import annotations

import select
from typing import Any

import psycopg2
from psycopg2.extensions import POLL_READ, connection, set_wait_callback
from sqlalchemy.engine import URL

from controller.db.engine import CONNECTING, WRITING


class Connection(connection):  # type: ignore[misc]
    """One that knows how many seconds of silence end it, until the first word of an answer or from each word to the
    next; None: none do."""

    silence: float | None = CONNECTING


def connections(url: URL) -> type[Connection]:
    """What is to make the connections of a URL, all with a deadline."""
    set_wait_callback(wait)

    class OfUrl(Connection):
        """Its ``silence`` counts while it is being made, too."""

        silence = limit(url)

    return OfUrl


def limit(url: URL) -> float | None:
    """Seconds that a server may take to let somebody in. Where the URL names several, libpq goes on to the next when
    the kernel gives one up, which must come first."""
    named = url.query.get("host", url.host or "")
    if not isinstance(named, str) or "," in named:
        return WRITING
    said = url.query.get("connect_timeout", "")
    return (float(said) or None) if isinstance(said, str) and said.isdecimal() else CONNECTING


def wait(waiting: Any) -> None:
    """Until the connection has done what it was asked. Raises OperationalError when the server is silent too long."""
    seconds = getattr(waiting, "silence", None)
    while wanted := waiting.poll():
        if not _ready(waiting.fileno(), wanted == POLL_READ, seconds):
            raise psycopg2.OperationalError(f"PostgreSQL has said nothing for {seconds:.0f} s")


def _ready(descriptor: int, to_read: bool, seconds: float | None) -> bool:
    """Wait; whether it was not in vain. Where threads are green there is no ``poll``, and ``select`` lets others run
    and takes any descriptor."""
    if not hasattr(select, "poll"):
        one, none = [descriptor], list[int]()
        return any(select.select(one if to_read else none, none if to_read else one, none, seconds))
    waiter = select.poll()
    waiter.register(descriptor, select.POLLIN if to_read else select.POLLOUT)
    return bool(waiter.poll(None if seconds is None else seconds * 1000))
