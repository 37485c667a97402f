"""Where clients reach the API when something is in between, so that links in answers lead there."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from controller.errors import ConfigurationError

SCHEMES = ("http", "https")
HOST = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?", re.ASCII)
PREFIX = re.compile(r"(/[\w.~%-]+)+", re.ASCII)


def public_url(text: str | None) -> SplitResult | None:
    """``[api] public_url``. Raises ConfigurationError."""
    if not text:
        return None
    parts = urlsplit(text.rstrip("/"))
    if parts.scheme not in SCHEMES or not HOST.fullmatch(parts.netloc) or parts.query or parts.fragment:
        raise ConfigurationError(f"[api] public_url must look like https://network.example.org, not {text!r}")
    return parts


def as_clients_see_it(environ: MutableMapping[str, Any], public: SplitResult | None) -> None:
    """Have a request say the URL that its client used: ``public``, else what proxies say in ``X-Forwarded-*``. Nothing
    but links depends on it, and those only who asks gets to see."""
    if public is not None:
        scheme, host, prefix = public.scheme, public.netloc, public.path
    else:
        scheme, host, prefix = (_forwarded(environ, name) for name in ("PROTO", "HOST", "PREFIX"))
    if scheme.lower() in SCHEMES:
        environ["wsgi.url_scheme"] = scheme.lower()
    if HOST.fullmatch(host):
        environ["HTTP_HOST"] = host
    if PREFIX.fullmatch(prefix.rstrip("/")):
        environ["SCRIPT_NAME"] = prefix.rstrip("/") + environ.get("SCRIPT_NAME", "")


def _forwarded(environ: MutableMapping[str, Any], name: str) -> str:
    """What the outermost proxy says."""
    return str(environ.get(f"HTTP_X_FORWARDED_{name}", "")).split(",")[0].strip()
