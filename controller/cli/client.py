"""The command line's view of the REST API: JSON by urllib, errors as one line."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException
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
        if urllib.parse.urlsplit(self._url).scheme not in ("http", "https"):
            raise ClientError(f"'{url}' is no http:// or https:// URL (--url or ISTHMUS_URL)")

    def get(self, path: str, waits: float = 0.0, accept: tuple[int, ...] = ()) -> Any:
        """The JSON answer to ``GET path``. ``waits``: seconds the server itself may wait; ``accept``: further statuses
        whose body is an answer too. Raises :class:`ClientError`."""
        status, reason, content = self._ask(path, waits)
        if status == 401:
            self._headers = self._token()
            status, reason, content = self._ask(path, waits)
        if status == 200:
            return _parsed(content, f"{self._url} does not answer as the Isthmus API does")
        if status in accept:
            return _parsed(content, "the answer is no JSON")
        raise ClientError(f"{_fault(content) or reason} (HTTP {status})")

    def _ask(self, path: str, waits: float) -> tuple[int, str, bytes]:
        request = urllib.request.Request(self._url + path, headers=self._headers)
        try:
            with urllib.request.urlopen(request, timeout=waits + MARGIN, context=self._credentials.tls) as response:
                return int(response.status), str(response.reason), response.read()
        except urllib.error.HTTPError as error:
            return error.code, str(error.reason), error.read()
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise ClientError(f"no answer from {self._url}: {reason}; is the controller running?") from error

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


def _parsed(content: bytes, otherwise: str) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise ClientError(otherwise) from error


def _fault(content: bytes) -> str:
    try:
        return str(json.loads(content)["NeutronError"]["message"])
    except (ValueError, KeyError, TypeError):
        return ""
