"""The command line's view of the REST API: JSON by urllib, errors as one line."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException
from ssl import SSLError
from typing import Any

from controller.identity import Credentials, NoToken

MARGIN = 10.0
"""Seconds that an answer may take beyond what the request itself waits for."""


class ClientError(Exception):
    """The API cannot be reached or refused; the message is for the user."""


class Client:
    """GET requests below one base URL, e.g. ``http://127.0.0.1:9696``."""

    def __init__(self, url: str, credentials: Credentials | None = None) -> None:
        """``credentials`` are shown only to an API that asks for them."""
        self._url = url.rstrip("/")
        self._credentials = credentials or Credentials()
        self._headers: dict[str, str] = {}
        if not _is_http(self._url):
            raise ClientError(f"'{url}' is no http:// or https:// URL (--url or ISTHMUS_URL)")

    def get(self, path: str, waits: float = 0.0, accept: tuple[int, ...] = ()) -> Any:
        """The JSON object that ``GET path`` answers. ``waits``: seconds the server itself may wait; ``accept``: other
        statuses whose body is an answer too. Raises :class:`ClientError`."""
        status, reason, content = self._ask(path, waits)
        if status == 401:
            self._headers = self._token()
            status, reason, content = self._ask(path, waits)
        fault = _fault(content)
        if fault or status not in (200, *accept):
            raise ClientError(f"{fault or reason or 'no reason given'} (HTTP {status})")
        found = _parsed(content)
        if not isinstance(found, dict):
            raise self._stranger()
        return found

    def member(self, path: str, name: str) -> Any:
        """One member of the answer to ``GET path``. Raises :class:`ClientError`."""
        found = self.get(path)
        if name not in found:
            raise self._stranger()
        return found[name]

    def _stranger(self) -> ClientError:
        return ClientError(f"{self._url} does not answer as the Isthmus API does")

    def _ask(self, path: str, waits: float) -> tuple[int, str, bytes]:
        request = urllib.request.Request(self._url + path, headers=self._headers)
        try:
            with self._open(request, waits + MARGIN) as response:
                return int(response.status or 0), str(response.reason), response.read()
        except (OSError, HTTPException, UnicodeError) as error:
            reason = getattr(error, "reason", None) or error
            doubt = "is its certificate trusted?" if isinstance(reason, SSLError) else "is the controller running?"
            raise ClientError(f"no answer from {self._url}: {reason}; {doubt}") from error

    def _open(self, request: urllib.request.Request, seconds: float) -> Any:
        try:
            return urllib.request.urlopen(request, timeout=seconds, context=self._credentials.tls)
        except urllib.error.HTTPError as error:
            return error  # an answer like others, whose body is still to be read

    def _token(self) -> dict[str, str]:
        try:
            headers = self._credentials.headers()
        except NoToken as error:
            raise ClientError(str(error)) from error
        if not headers:
            raise ClientError("the API wants a token: set OS_CLOUD, or OS_AUTH_URL and its like (HTTP 401)")
        return headers


def quoted(word: str) -> str:
    """A word as one path segment."""
    return urllib.parse.quote(word, safe=":")


def _is_http(url: str) -> bool:
    try:
        return urllib.parse.urlsplit(url).scheme in ("http", "https")
    except ValueError:
        return False


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _fault(content: bytes) -> str:
    """The message of an error that the API answers with; also keystonemiddleware's. In one line."""
    found = _parsed(content)
    for name in ("NeutronError", "error"):
        fault = found.get(name) if isinstance(found, dict) else None
        if isinstance(fault, dict) and fault.get("message"):
            return " ".join(str(fault["message"]).split())
    return ""
