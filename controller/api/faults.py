"""Errors as Neutron shows them: ``{"NeutronError": {"type": ..., "message": ..., "detail": ""}}``."""

from __future__ import annotations

import json
import logging

from neutron_lib import exceptions
from neutron_lib.api import faults
from webob import Response, exc

from controller.db.engine import UNAVAILABLE
from controller.errors import IsthmusError, OutcomeUnknown, ReportError, UnknownNode
from controller.plugin.faults import RevisionNumberConstraintFailed

LOG = logging.getLogger(__name__)

RETRY_AFTER = 2
"""Seconds after which a client may try again when the database was away; the store looks for it at every request."""

STATUS: tuple[tuple[type[Exception], int], ...] = (
    (exceptions.InvalidQuotaValue, 400),
    (ReportError, 400),
    (UnknownNode, 404),
    (RevisionNumberConstraintFailed, 412),
    *((kind, 503) for kind in UNAVAILABLE),
    *((kind, answer.code) for kind, answer in faults.FAULT_MAP.items()),
)
"""First match wins. A limit below what is used (``check_limit``) is a 400, as Neutron answers it, whatever
neutron-lib's map says."""


KEPT_HEADERS = ("Allow", "WWW-Authenticate")
"""What an error's own answer says beyond its body."""


def status_of(error: Exception) -> int:
    """The HTTP status of an error, 500 for what nobody foresaw."""
    if isinstance(error, exc.HTTPException):
        return int(error.wsgi_response.status_int)
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def fault_response(error: Exception, request_id: str) -> Response:
    """The answer to a request that failed. Unforeseen errors are logged with their traceback and shown without."""
    status = status_of(error)
    kind, message = type(error).__name__, _message(error)
    if status >= 500:
        kind, message = _server_fault(error, request_id, kind, message)
    response = neutron_error(status, kind, message)
    if isinstance(error, exc.HTTPException):
        kept = ((name, error.wsgi_response.headers.get(name)) for name in KEPT_HEADERS)
        response.headers.update({name: value for name, value in kept if value})
    if isinstance(error, UNAVAILABLE) and not isinstance(error, OutcomeUnknown):
        response.headers["Retry-After"] = str(RETRY_AFTER)
    return response


def _server_fault(error: Exception, request_id: str, kind: str, message: str) -> tuple[str, str]:
    """Log what is wrong here, with a traceback only if nobody foresaw it: clients and agents try again all the time,
    and would bury everything else. Returns type and message as they are shown."""
    if isinstance(error, UNAVAILABLE):
        LOG.warning("request %s failed: the database does not answer: %s", request_id, str(error).split("\n")[0])
        if isinstance(error, OutcomeUnknown):
            return "ServiceUnavailable", message
        return "ServiceUnavailable", "The database does not answer or is too busy just now; try again."
    if isinstance(error, (exc.HTTPException, exceptions.ServiceUnavailable)):
        LOG.warning("request %s failed: %s", request_id, message)
        return kind, message
    LOG.error("request %s failed", request_id, exc_info=error)
    if isinstance(error, (exceptions.NeutronException, IsthmusError)):
        return kind, message
    return "HTTPInternalServerError", (
        f"Request failed: internal server error while processing your request; the controller's log has the cause "
        f"under {request_id}."
    )


def neutron_error(status: int, kind: str, message: str) -> Response:
    """A response of Neutron's fault shape."""
    body = {"NeutronError": {"type": kind, "message": message, "detail": ""}}
    return Response(json.dumps(body).encode(), status=status, content_type="application/json", charset="UTF-8")


def _message(error: Exception) -> str:
    if isinstance(error, exc.HTTPException):
        return str(error.detail or error.explanation)
    return str(error)
