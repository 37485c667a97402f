"""Who asks: turns a request into a :class:`RequestContext`.

``noauth`` trusts every caller as administrator, which is why the API then listens on loopback unless told otherwise.
``keystone`` has keystonemiddleware check the token; what the caller may do is then the rules' question
(:mod:`controller.api.policy`).
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Iterable
from typing import Any

from neutron_lib.db import constants as db_constants
from neutron_lib.exceptions import InvalidInput
from oslo_config import cfg
from webob import Request, Response, exc

from controller.api.policy import Policy
from controller.plugin.context import RequestContext

LOG = logging.getLogger(__name__)

Authenticator = Callable[[Request], RequestContext]

PUBLIC = frozenset({"", "/", "/healthcheck", "/v2.0/isthmus/openapi.json"})
"""Paths that need no token: clients read them before they have one."""

KEYSTONE_PATIENCE = 10
"""Seconds that Keystone has to answer unless ``[keystone_authtoken] http_connect_timeout`` says otherwise; without a
limit each request of a client would wait as long as the kernel tries to connect."""


def noauth(request: Request) -> RequestContext:
    """Everybody is administrator; ``X-Project-Id`` names the project that new resources belong to. Raises 403 for
    pages of other sites: a browser on this machine would reach loopback for them."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.host:
        raise exc.HTTPForbidden("Web pages of other sites may not ask here while [api] auth_strategy is noauth")
    return RequestContext(
        project_id=_identity(request, "X-Project-Id"),
        user_id=_identity(request, "X-User-Id"),
        roles=("admin",),
        is_admin=True,
    )


def _identity(request: Request, header: str) -> str:
    value = str(request.headers.get(header, ""))
    if len(value) > db_constants.PROJECT_ID_FIELD_SIZE or not value.isprintable():
        raise InvalidInput(
            error_message=f"{header} must be at most {db_constants.PROJECT_ID_FIELD_SIZE} printable characters"
        )
    return value


class Keystone:
    """Tokens, checked by keystonemiddleware as ``[keystone_authtoken]`` says."""

    def __init__(self, conf: cfg.ConfigOpts, policy: Policy) -> None:
        # Imported here: the two are a sixth of what the controller's start takes, and noauth needs neither.
        from keystoneauth1.exceptions import ClientException
        from keystonemiddleware import auth_token, opts

        self._policy, self._failure = policy, ClientException
        for group, options in opts.list_auth_token_opts():
            conf.register_opts(options, group=group)
            conf.set_default("http_connect_timeout", KEYSTONE_PATIENCE, group=group)
        self._middleware = auth_token.AuthProtocol(_accept, {"oslo_config_config": conf})

    def __call__(self, request: Request) -> RequestContext:
        """The caller of a request. Raises 401 without a valid token, 503 when Keystone does not answer."""
        if request.path_info in PUBLIC:
            return RequestContext()
        try:
            answer = request.get_response(self._middleware)
        except self._failure as error:
            raise exc.HTTPServiceUnavailable(f"The token cannot be checked: {error} ([keystone_authtoken])") from error
        if answer.status_int == 401:
            headers = [("WWW-Authenticate", answer.headers.get("WWW-Authenticate", "Keystone"))]
            raise exc.HTTPUnauthorized("The request you have made requires authentication.", headers=headers)
        if answer.status_int != 200:
            raise exc.HTTPServiceUnavailable("Keystone does not answer; the token cannot be checked now")
        return self._context(request)

    def _context(self, request: Request) -> RequestContext:
        """What the middleware left in the request's headers, in place of whatever the caller put there; None is what
        the token does not say, as the project in one for a domain."""
        names = ("X-Roles", "X-Project-Id", "X-User-Id", "OpenStack-System-Scope")
        said, project, user, scope = (request.headers.get(name) or "" for name in names)
        roles = tuple(role.strip() for role in said.split(",") if role.strip())
        told = {"roles": list(roles), "project_id": project, "tenant_id": project, "user_id": user}
        told["system_scope"] = scope
        is_admin = self._policy.is_admin(told)
        return RequestContext(project, user, roles, is_admin, not is_admin and self._policy.sees_all(told))


def _accept(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """What the middleware calls for a valid token."""
    response: Iterable[bytes] = Response()(environ, start_response)
    return response


def authenticator(conf: cfg.ConfigOpts, policy: Policy) -> Authenticator:
    """The authenticator that ``[api] auth_strategy`` names."""
    return Keystone(conf, policy) if conf.api.auth_strategy == "keystone" else noauth


def warn_if_exposed(strategy: str, bind_host: str) -> bool:
    """Log a warning and return True when an unauthenticated API listens beyond loopback."""
    if strategy != "noauth" or _is_loopback(bind_host):
        return False
    LOG.warning(
        "[api] auth_strategy is noauth and bind_host is %s: everybody who reaches this address is administrator; "
        "bind to 127.0.0.1 or keep others out by other means",
        bind_host,
    )
    return True


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
