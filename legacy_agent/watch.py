"""The agent's client of the controller: watch the host's plan by long poll, put its report.

Plain ``http.client`` over one persistent connection per client; a client belongs to one thread.
"""

from __future__ import annotations

import http.client
import json
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote, urlsplit

from controller.errors import ConfigurationError, IsthmusError, UnknownNode
from controller.identity import Credentials, NoToken
from legacy_agent.host_plan import HostPlan, HostReport

LOG = logging.getLogger(__name__)

_ANSWER_TIME = 10.0
_NOTHING_NEW = (204, 304)
_SHORTEST_POLL = 1.0


class ControllerGone(IsthmusError):
    """The controller cannot be reached, or its answer cannot be understood."""


class Controllers:
    """The base URLs of one or more controllers, of which all clients use the same one: that which gives the plan must
    hear of it. When it fails the next one is used."""

    def __init__(self, urls: str) -> None:
        """``urls`` are separated by commas; raises :class:`ConfigurationError`."""
        self._urls = [url.strip() for url in urls.split(",")]
        for url in self._urls:
            if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
                raise ConfigurationError(f"[agent] controller_url must look like http://controller:9696, not {url!r}")
        self._lock = threading.Lock()
        self._turn = 0

    @property
    def current(self) -> str:
        """The one in use."""
        return self._urls[self._turn % len(self._urls)]

    def failed(self, url: str) -> None:
        """This one does not serve; nothing happens when another is in use already."""
        with self._lock:
            if url == self.current:
                self._turn += 1


class ControllerClient:
    """One connection to the controller, made anew when it breaks."""

    def __init__(self, controllers: Controllers | str, host: str, credentials: Credentials | None = None) -> None:
        """``controllers`` and ``credentials`` may be shared by the clients of several threads."""
        self._controllers = Controllers(controllers) if isinstance(controllers, str) else controllers
        self._credentials = credentials or Credentials()
        self._host = quote(host, safe="")
        self._url = ""
        self._connection: http.client.HTTPConnection | None = None

    def plan(self, revision: int, wait: float) -> HostPlan | None:
        """The plan newer than ``revision`` as soon as there is one, None after ``wait`` seconds without. Raises
        :class:`UnknownNode` while the controller does not know this host, else :class:`ControllerGone`."""
        if self._url != self._controllers.current:
            revision = 0  # another one may count otherwise
        path = f"plan?revision={revision}&timeout={wait:g}"
        status, body = self._exchange("GET", path, None, wait + _ANSWER_TIME)
        if status in _NOTHING_NEW:
            return None
        if status == 404:
            raise UnknownNode("the controller does not know this host yet")
        if status != 200:
            raise self._unexpected(status, body)
        try:
            return HostPlan.from_dict(json.loads(body))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self.close()
            raise ControllerGone(f"the plan from {self._url} cannot be understood: {error!r}") from error

    def report(self, report: HostReport) -> None:
        """Put the report; raises :class:`ControllerGone`."""
        body = json.dumps(report.to_dict()).encode()
        status, answer = self._exchange("PUT", "report", body, _ANSWER_TIME)
        if status not in (200, 201, 202, 204):
            raise self._unexpected(status, answer)

    def close(self) -> None:
        """Drop the connection; the next exchange makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, method: str, path: str, body: bytes | None, timeout: float) -> tuple[int, bytes]:
        """One request; repeated once with a new token when the old one is refused."""
        status, answer = self._ask(method, path, body, timeout)
        if status == 401 and self._credentials.renew():
            return self._ask(method, path, body, timeout)
        return status, answer

    def _ask(self, method: str, path: str, body: bytes | None, timeout: float) -> tuple[int, bytes]:
        headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if body else {})
        try:
            headers |= self._credentials.headers()
            connection = self._connected(timeout)
            if connection.sock is not None:
                connection.sock.settimeout(timeout)
            connection.request(method, self._path(path), body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except NoToken as error:
            raise ControllerGone(str(error)) from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            self._controllers.failed(self._url)
            raise ControllerGone(f"no answer from {self._url}: {error!r}") from error

    def _connected(self, timeout: float) -> http.client.HTTPConnection:
        url = self._controllers.current
        if url != self._url:
            self.close()
            self._url = url
        if self._connection is None:
            parts = urlsplit(url)
            address = (parts.hostname or "", parts.port)
            self._connection = (
                http.client.HTTPSConnection(*address, timeout=timeout, context=self._credentials.tls)
                if parts.scheme == "https"
                else http.client.HTTPConnection(*address, timeout=timeout)
            )
        return self._connection

    def _path(self, rest: str) -> str:
        return f"{urlsplit(self._url).path.rstrip('/')}/v2.0/isthmus/hosts/{self._host}/{rest}"

    def _unexpected(self, status: int, body: bytes) -> ControllerGone:
        self.close()
        if status >= 500:
            self._controllers.failed(self._url)
        hint = "; the agent's credentials belong into [auth]" if status == 401 else ""
        return ControllerGone(f"{self._url} answered {status}: {body[:200].decode(errors='replace')}{hint}")


@dataclass
class Backoff:
    """Growing waits with jitter, so that many agents do not come back at one moment."""

    first: float = 0.2
    largest: float = 30.0
    uniform: Callable[[float, float], float] = random.uniform
    _current: float = field(default=0.0, init=False)

    def next(self) -> float:
        """Seconds to wait now."""
        self._current = min(self.largest, self._current * 2 or self.first)
        return self.uniform(self._current / 2, self._current)

    def reset(self) -> None:
        """It worked: start small the next time."""
        self._current = 0.0


class PlanSource(Protocol):
    """Where plans come from; :class:`ControllerClient` over HTTP, something simpler in tests."""

    def plan(self, revision: int, wait: float) -> HostPlan | None: ...


class PlanSink(Protocol):
    """Who gets them: the agent."""

    def accept(self, plan: HostPlan) -> None: ...
    def unknown(self) -> None: ...
    def in_touch(self) -> None: ...


class PlanWatch:
    """Follows the host's plan until ``stopped``. After the controller was gone it asks for the full plan at once, so
    that a restored or replaced controller with other revisions is understood too; an equal plan costs nothing."""

    def __init__(self, source: PlanSource, sink: PlanSink, stopped: threading.Event, wait: float = 30.0,
                 backoff: Backoff | None = None) -> None:  # fmt: skip
        self._source = source
        self._sink = sink
        self._stopped = stopped
        self._wait = wait
        self._backoff = backoff or Backoff()
        self._revision = 0
        self._connected = True

    def run(self) -> None:
        """Ask again and again."""
        while not self._stopped.is_set():
            try:
                pause = self.step()
            except Exception:
                LOG.exception("internal error; the plan is asked for again")
                self._revision, pause = 0, self._backoff.next()
            self._stopped.wait(pause)

    def step(self) -> float:
        """Ask once; seconds to wait before the next time."""
        asked = time.monotonic()
        try:
            plan = self._source.plan(self._revision, self._wait)
        except UnknownNode:
            self._revision = 0
            self._sink.unknown()
            return self._backoff.next()
        except ControllerGone as error:
            return self._gone(error)
        self._in_touch()
        if plan is not None and plan.revision != self._revision:
            self._revision = plan.revision
            self._sink.accept(plan)
            return 0.0
        self._sink.in_touch()
        return max(0.0, min(_SHORTEST_POLL, self._wait) - (time.monotonic() - asked))

    def _gone(self, error: ControllerGone) -> float:
        self._revision = 0
        pause = self._backoff.next()
        if self._connected:
            LOG.warning("%s; the host keeps forwarding as it is", error)
        self._connected = False
        return pause

    def _in_touch(self) -> None:
        if not self._connected:
            LOG.info("in touch with the controller again")
        self._connected = True
        self._backoff.reset()
