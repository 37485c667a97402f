"""The HTTP server in the controller's process: eventlet's, with deadlines and an orderly end.

Who only connects, or says one byte now and then, holds a connection no longer than the deadlines here. What goes wrong
when a connection is accepted costs that connection, never the server.
"""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

import eventlet
import eventlet.wsgi
from eventlet.green import ssl
from webob import exc

from controller.errors import ConfigurationError
from controller.listening import Listener

LOG = logging.getLogger(__name__)

MAX_CLIENTS = 8192
"""Connections at once; every watching agent holds one."""

BACKLOG = 1024

IDLE = 120.0
"""Seconds that a connection may wait for its next request; longer than agents wait between two reports."""

HEAD = 15.0
"""Seconds that a request's headers may take."""

BODY = 120.0
"""Seconds that a request's body may take."""

SILENCE = 60.0
"""Seconds that a client in the middle of a request may say nothing, or take nothing of its answer."""

LINGER = 5.0
"""Seconds that the rest of a body that nobody wants (413, 401) is read, for the client to get to the answer."""

DRAIN = 5.0
"""Seconds that requests may take to be answered once the server is to stop."""

LONG_POLL = re.compile("/v2.0/isthmus/(hosts/[^/]*/plan|wait)/?")
"""Paths of requests that wait for something else than their own work."""


class ApiServer:
    """Serves a WSGI application on a listening socket, see :func:`listen` and :func:`with_tls`."""

    def __init__(self, listener: socket.socket, application: Callable[..., Iterable[bytes]]) -> None:
        self._listener = Listener(listener, "API")
        self._application = application
        self._unanswered = 0
        host, port = listener.getsockname()[:2]
        scheme = "https" if isinstance(listener, ssl.SSLSocket) else "http"
        self.url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    def run(self) -> None:
        """Serve until :meth:`stop`."""
        # The body ends where it ends, also a chunked one, which WebOb would otherwise not read.
        environ = {"wsgi.input_terminated": True}
        eventlet.wsgi.server(self._listener, self._answer, environ=environ, log_output=False, debug=False,
                             custom_pool=eventlet.GreenPool(MAX_CLIENTS), protocol=_Protocol, keepalive=IDLE,
                             socket_timeout=SILENCE)  # fmt: skip

    def stop(self) -> None:
        """Accept nobody any more, and return once all requests are answered but those that wait for something else,
        or after :data:`DRAIN` seconds."""
        self._listener.stop()
        deadline = time.monotonic() + DRAIN
        while self._unanswered and time.monotonic() < deadline:
            eventlet.sleep(0.01)

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not LONG_POLL.fullmatch(environ["PATH_INFO"]):
            self._unanswered += 1
            environ["eventlet.posthooks"].append((self._answered, (), {}))
        return self._application(environ, start_response)

    def _answered(self, _: dict[str, Any]) -> None:
        self._unanswered -= 1


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError that names the options."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return eventlet.listen((host, port), family=family, backlog=BACKLOG)  # type: ignore[no-any-return]
    except OSError as error:
        raise OSError(f"cannot listen on [api] bind_host {host} port {port}: {error.strerror}") from error


def with_tls(listener: socket.socket, cert: str, key: str | None) -> socket.socket:
    """Serve https. The handshake is each connection's own: one that dawdles holds up nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key)
    except OSError as error:
        raise ConfigurationError(f"[api] tls_cert {cert}, tls_key {key or cert}: cannot be used: {error}") from error
    return context.wrap_socket(  # type: ignore[no-any-return]
        listener, server_side=True, do_handshake_on_connect=False
    )


class _Protocol(eventlet.wsgi.HttpProtocol):  # type: ignore[misc]
    """One connection; whoever does not speak TLS where it is spoken, or goes away, costs a line of the log."""

    def handle(self) -> None:
        try:
            super().handle()
        except TimeoutError:
            LOG.debug("API: %s was silent for too long", self.client_address)
        except ssl.SSLError as error:
            LOG.info("API: no TLS with %s: %s", self.client_address, error)
        except OSError as error:
            LOG.info("API: %s is gone: %s", self.client_address, error)

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def _read_request_line(self) -> bytes:
        with eventlet.Timeout(IDLE, False):
            return bytes(super()._read_request_line() or b"")
        return b""

    def parse_request(self) -> bool:
        with eventlet.Timeout(HEAD, False):
            if not super().parse_request():
                return False
            if self._body_has_one_end():
                return True
            self.send_error(400, "The length of the body is not clear")
        self.close_connection = True
        return False

    def _body_has_one_end(self) -> bool:
        """Whether everybody who reads the request finds the same end of it (RFC 9112, 6.3). Eventlet takes the first
        of several lengths, and codings other than ``chunked`` for none."""
        codings = self.headers.get_all("Transfer-Encoding", [])
        return len(set(self.headers.get_all("Content-Length", []))) <= 1 and (
            not codings or [coding.strip().lower() for coding in codings] == ["chunked"]
        )

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        if self.headers.get("Content-Type") is None:
            environ["CONTENT_TYPE"] = ""  # eventlet says text/plain
        body = environ["wsgi.input"]
        body.read = _within(BODY, exc.HTTPRequestTimeout, body.read)
        body.discard = _within(LINGER, TimeoutError, body.discard)
        return environ


def _within(seconds: float, late: type[Exception], action: Callable[..., Any]) -> Callable[..., Any]:
    """The same action, which raises ``late`` if all calls of it together take longer."""
    ends: list[float] = []

    def limited(*args: Any) -> Any:
        now = time.monotonic()
        if not ends:
            ends.append(now + seconds)
        with eventlet.Timeout(max(0.0, ends[0] - now), late):
            return action(*args)

    return limited
