"""Who our own clients are: how the agent and the ``isthmus`` command get through TLS and Keystone to the API.

keystoneauth1 is imported only where somebody has credentials; everything else needs the standard library alone.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Protocol

from oslo_config import cfg

from controller.errors import ConfigurationError, IsthmusError

GROUP = "auth"


class NoToken(IsthmusError):
    """Keystone refused or did not answer; the message names it and why."""


class Session(Protocol):
    """The part of a ``keystoneauth1.session.Session`` that is needed here; it is used by several threads."""

    def get_auth_headers(self) -> Mapping[str, str] | None: ...
    def invalidate(self) -> bool: ...


class Credentials:
    """What a request is sent with: a token, renewed before it expires, and a TLS context. Without a session there is
    no token, which is right for ``auth_strategy = noauth``."""

    def __init__(
        self, session: Session | None = None, tls: ssl.SSLContext | None = None, source: str = f"[{GROUP}]"
    ) -> None:
        """``source`` tells in messages where the credentials are written down."""
        self._session = session
        self._source = source
        self.tls = tls

    def headers(self) -> dict[str, str]:
        """Headers for one request. Raises :class:`NoToken`."""
        if self._session is None:
            return {}
        from keystoneauth1.exceptions import ClientException

        try:
            return dict(self._session.get_auth_headers() or {})
        except ClientException as error:
            reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            raise NoToken(f"no token from Keystone: {reason}; look at {self._source}") from error

    def renew(self) -> bool:
        """Forget the token after a 401; True if another one can be had."""
        return self._session is not None and self._session.invalidate()


def from_configuration(conf: cfg.ConfigOpts) -> Credentials:
    """The agent's own, as ``[auth]`` says. Raises ConfigurationError naming the option."""
    own = conf[GROUP]
    try:
        tls = tls_context(own.cafile, own.certfile, own.keyfile, own.insecure)
    except OSError as error:
        raise ConfigurationError(f"[{GROUP}] cafile, certfile or keyfile cannot be used: {error}") from error
    return Credentials(_session(conf) if own.auth_type else None, tls)


def tls_context(cafile: str | None, certfile: str | None, keyfile: str | None, insecure: bool) -> ssl.SSLContext:
    """Whom to trust and as whom to appear. Raises OSError (``ssl.SSLError`` is one)."""
    context = ssl.create_default_context(cafile=cafile)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certfile:
        context.load_cert_chain(certfile, keyfile)
    return context


def plugin_options(name: str) -> list[cfg.Opt]:
    """The options that a keystoneauth1 plugin reads. Raises ConfigurationError for an unknown one."""
    from keystoneauth1 import loading
    from keystoneauth1.exceptions import NoMatchingPlugin

    try:
        options: list[cfg.Opt] = loading.get_auth_plugin_conf_options(name)
        return options
    except NoMatchingPlugin as error:
        raise ConfigurationError(f"[{GROUP}] auth_type: {error}") from error


def _session(conf: cfg.ConfigOpts) -> Session:
    from keystoneauth1 import loading
    from keystoneauth1.exceptions import MissingRequiredOptions
    from keystoneauth1.session import Session as KeystoneSession

    own = conf[GROUP]
    conf.register_opts(plugin_options(own.auth_type), group=GROUP)
    try:
        plugin = loading.get_plugin_loader(own.auth_type).load_from_options_getter(lambda opt: own[opt.dest])
    except MissingRequiredOptions as error:
        raise ConfigurationError(f"[{GROUP}] lacks {', '.join(opt.dest for opt in error.options)}") from error
    certificate = (own.certfile, own.keyfile or own.certfile) if own.certfile else None
    verify = False if own.insecure else own.cafile or True
    session: Session = KeystoneSession(auth=plugin, verify=verify, cert=certificate, timeout=own.timeout)
    return session
