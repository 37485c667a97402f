"""Request bodies: from bytes to checked, converted attributes with defaults.

The rules are neutron-lib's (``AttributeInfo``); what comes out can be given to the plugin as it is. Everything that
is wrong with a body is a 4xx that names the attribute.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from netaddr import AddrFormatError
from neutron_lib.api import attributes as lib_attributes
from oslo_config import cfg
from webob import Request, exc

from controller.api.attributes import UNSTORED, ResourceType
from controller.plugin.api import Body
from controller.plugin.context import RequestContext
from controller.turns import in_turns

LARGEST_INTEGER = 2**63 - 1
"""What every database can hold; a larger number is a mistake in any attribute."""

WRONG_KIND = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, AddrFormatError)
"""What neutron-lib's converters and validators raise over, say, a list where they expect a string."""


def read_json(request: Request, max_size: int) -> Any:
    """The body as JSON, None when there is none. Raises 400, 408, 411 or 413.

    The content type does not matter, as in Neutron: ``curl -d`` says that it is a form.
    """
    content = _read(request, max_size)
    if not content:
        return None
    try:
        value = json.loads(content, parse_constant=_no_constant, parse_float=_finite)
        check_storable(value)
    except RecursionError:
        raise exc.HTTPBadRequest("Malformed request body: nested too deeply") from None
    except ValueError as error:
        raise exc.HTTPBadRequest(f"Malformed request body: {_printable(str(error))}") from error
    return value


def prepare_create(resource: ResourceType, body: Any, context: RequestContext) -> Body | list[Body]:
    """One checked body with all defaults, or a list of them for a bulk create."""
    if isinstance(body, dict) and resource.collection in body:
        items = body[resource.collection]
        if not isinstance(items, list):
            raise exc.HTTPBadRequest(f"'{resource.collection}' must be a list")
        if not items:
            raise exc.HTTPBadRequest("Resources required")
        return [_create_one(resource, _bulk_item(resource, item), context) for item in in_turns(items)]
    return _create_one(resource, _unwrap(resource, body), context)


def prepare_update(resource: ResourceType, body: Any) -> Body:
    """The checked changes of one resource."""
    values = _unwrap(resource, body)
    lib_attributes.populate_project_info(values)
    _verify_known(resource, values)
    for attribute in values:
        if not resource.attributes[attribute]["allow_put"]:
            raise exc.HTTPBadRequest(f"Cannot update read-only attribute {attribute}")
    return _converted(resource, values)


def _create_one(resource: ResourceType, values: Body, context: RequestContext) -> Body:
    lib_attributes.populate_project_info(values)
    if "project_id" in resource.attributes and "project_id" not in values:
        values["project_id"] = values["tenant_id"] = context.project_id
    _verify_known(resource, values)
    lib_attributes.AttributeInfo(resource.attributes).fill_post_defaults(values, exc_cls=exc.HTTPBadRequest)
    return _converted(resource, values)


def _verify_known(resource: ResourceType, values: Mapping[str, Any]) -> None:
    """``AttributeInfo.verify_attributes`` with the names in a stable order."""
    unknown = sorted(set(values) - set(resource.attributes))
    if unknown:
        raise exc.HTTPBadRequest(f"Unrecognized attribute(s) '{', '.join(unknown)}'")


def _converted(resource: ResourceType, values: Body) -> Body:
    """Convert and validate. neutron-lib's validators expect about the right kind of value and may stumble over another
    one; which is the caller's mistake, not ours."""
    for attribute in values:
        info = lib_attributes.AttributeInfo({attribute: resource.attributes[attribute]})
        try:
            info.convert_values(values, exc_cls=exc.HTTPBadRequest)
            check_storable(values[attribute])
        except cfg.Error:
            raise
        except WRONG_KIND as error:
            raise exc.HTTPBadRequest(
                f"Invalid input for {attribute}. Reason: {_excerpt(values[attribute])} is of the wrong kind or out of "
                "range."
            ) from error
    return {attribute: value for attribute, value in values.items() if attribute not in UNSTORED}


def _unwrap(resource: ResourceType, body: Any) -> Body:
    if body is None:
        raise exc.HTTPBadRequest("Resource body required")
    if not isinstance(body, dict):
        raise exc.HTTPBadRequest("Body contains invalid data: it must be a JSON object")
    values = body.get(resource.key)
    if values is None:
        raise exc.HTTPBadRequest(f"Unable to find '{resource.key}' in request body")
    if not isinstance(values, dict):
        raise exc.HTTPBadRequest(f"Object '{resource.key}' contains invalid data: it must be a JSON object")
    return dict(values)


def _bulk_item(resource: ResourceType, item: Any) -> Body:
    """Items of a bulk create may be wrapped each (``{"port": {...}}``) or bare."""
    if isinstance(item, dict) and resource.key not in item:
        return dict(item)
    return _unwrap(resource, item)


def _read(request: Request, max_size: int) -> bytes:
    length = request.content_length
    if length is None and request.headers.get("Transfer-Encoding") and not request.is_body_readable:
        raise exc.HTTPLengthRequired("Send the body with a Content-Length; chunked bodies are not read here")
    content = b"" if length is not None and length > max_size else _arriving(request, max_size + 1)
    if len(content) > max_size or (length or 0) > max_size:
        raise exc.HTTPRequestEntityTooLarge(f"The body may have at most {max_size} bytes ([api] max_body_size)")
    return content


def _arriving(request: Request, size: int) -> bytes:
    """The first bytes of the body. Raises 408 and 400 for one that does not come."""
    try:
        content: bytes = request.body_file.read(size)
        return content
    except TimeoutError:
        raise exc.HTTPRequestTimeout("The body did not arrive in time") from None
    except (OSError, ValueError) as error:
        raise exc.HTTPBadRequest(f"The body ended early, or is not chunked as it should be: {error}") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"number {text[:32]} is out of range")
    return number


def check_storable(value: Any) -> None:
    """Refuse what JSON can carry and no database can store. Raises ``ValueError``."""
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            check_storable(item)
    elif isinstance(value, list):
        for item in value:
            check_storable(item)
    elif isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise ValueError(f"number {str(value)[:32]} is out of range")


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise ValueError("a string contains the character U+0000")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("a string contains half of a surrogate pair")


def _excerpt(value: Any, length: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= length else text[: length - 3] + "..."


def _printable(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()
