"""The command line's view of the REST API: JSON by urllib, errors as one line."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException
from typing import Any

MARGIN = 10.0
"""Seconds that an answer may take beyond what the request itself waits for."""


class ClientError(Exception):
    """The API cannot be reached or refused; the message is for the user."""


class Client:
    """GET requests below one base URL, e.g. ``http://127.0.0.1:9696``."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        if urllib.parse.urlsplit(self._url).scheme not in ("http", "https"):
            raise ClientError(f"'{url}' is no http:// or https:// URL (--url or ISTHMUS_URL)")

    def get(self, path: str, waits: float = 0.0, accept: tuple[int, ...] = ()) -> Any:
        """The JSON answer to ``GET path``. ``waits``: seconds the server itself may wait; ``accept``: further statuses
        whose body is an answer too. Raises :class:`ClientError`."""
        try:
            with urllib.request.urlopen(self._url + path, timeout=waits + MARGIN) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            content = error.read()
            if error.code in accept:
                return _parsed(content)
            raise ClientError(f"{_fault(content) or error.reason} (HTTP {error.code})") from error
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise ClientError(f"no answer from {self._url}: {reason}; is the controller running?") from error
        except ValueError as error:
            raise ClientError(f"{self._url} does not answer as the Isthmus API does") from error


def quoted(word: str) -> str:
    """A word as one path segment."""
    return urllib.parse.quote(word, safe=":")


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise ClientError("the answer is no JSON") from error


def _fault(content: bytes) -> str:
    try:
        return str(json.loads(content)["NeutronError"]["message"])
    except (ValueError, KeyError, TypeError):
        return ""
