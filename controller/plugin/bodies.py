"""Small readers of request bodies, and what every resource shows."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from typing import Any

from neutron_lib.constants import ATTR_NOT_SPECIFIED
from neutron_lib.exceptions import InvalidInput

from controller.db.base import Address
from controller.db.models import Standard
from controller.plugin.api import Body
from controller.plugin.context import RequestContext


def given(body: Body, name: str, default: Any = None) -> Any:
    """The value of an attribute, or the default when the caller left it out."""
    value = body.get(name, ATTR_NOT_SPECIFIED)
    return default if value is ATTR_NOT_SPECIFIED else value


def is_given(body: Body, name: str) -> bool:
    """Whether the caller said anything about an attribute (None counts)."""
    return body.get(name, ATTR_NOT_SPECIFIED) is not ATTR_NOT_SPECIFIED


def project_of(body: Body, context: RequestContext) -> str:
    """The project that a new resource belongs to."""
    return str(given(body, "project_id") or given(body, "tenant_id") or context.project_id)


def time_text(moment: datetime) -> str:
    """A time stamp as Neutron writes it."""
    return moment.isoformat()[:19] + "Z"  # a tenth of what strftime costs, twice in everything that is listed


def moment(text: Any) -> datetime:
    """The time of a filter ``changed_since``, in UTC unless it says otherwise. Raises 400."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        raise invalid(f"'{text}' in changed_since is no time of the form 2026-01-31T12:00:00") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def standard(row: Standard) -> Body:
    """The standard attributes of a resource."""
    return {
        "id": row.id,
        "description": row.description,
        "created_at": time_text(row.created_at),
        "updated_at": time_text(row.updated_at),
        "revision_number": row.revision_number,
    }


def invalid(message: str) -> InvalidInput:
    """A 400 with a message for the caller."""
    return InvalidInput(error_message=message)


def address_of(text: Any, attribute: str) -> Address:
    """An IP address without a zone. Raises 400 naming the attribute."""
    try:
        address = ipaddress.ip_address(str(text))
    except ValueError:
        raise invalid(f"'{text}' in {attribute} is not a valid IP address") from None
    if "%" in str(text):
        raise invalid(f"'{text}' in {attribute} has a zone, which means nothing here")
    return address


def set_plain(row: Any, body: Body, *names: str) -> None:
    """Copy attributes that need no thought; None becomes the empty text."""
    for name in names:
        if is_given(body, name):
            value = body[name]
            setattr(row, name, "" if value is None else value)
