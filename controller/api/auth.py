"""Who asks: turns a request into a :class:`RequestContext`.

``noauth`` trusts every caller as administrator, which is why the API then listens on loopback unless told otherwise.
Another strategy is another callable of the same shape.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable

from neutron_lib.db import constants as db_constants
from neutron_lib.exceptions import InvalidInput
from webob import Request

from controller.plugin.context import RequestContext

LOG = logging.getLogger(__name__)

Authenticator = Callable[[Request], RequestContext]


def noauth(request: Request) -> RequestContext:
    """Everybody is administrator; ``X-Project-Id`` names the project that new resources belong to."""
    project = request.headers.get("X-Project-Id", "")
    if len(project) > db_constants.PROJECT_ID_FIELD_SIZE or not project.isprintable():
        raise InvalidInput(
            error_message=f"X-Project-Id must be at most {db_constants.PROJECT_ID_FIELD_SIZE} printable characters"
        )
    return RequestContext(
        project_id=project,
        user_id=request.headers.get("X-User-Id", ""),
        roles=("admin",),
        is_admin=True,
    )


STRATEGIES: dict[str, Authenticator] = {"noauth": noauth}
"""Value of ``[api] auth_strategy`` -> authenticator."""


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
