"""List requests: filters, sorting, paging and the selection of fields, from a query string.

Words and messages are Neutron's. Unknown filters and sort keys are refused (extensions ``filter-validation`` and
``sort-key-validation``); values are converted by the attribute's type, so ``admin_state_up=true`` finds what it
should.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from neutron_lib.exceptions import BadRequest, InvalidInput
from webob import Request, exc

from controller.api.attributes import TAG_FILTERS, ResourceType
from controller.api.body import WRONG_KIND, check_storable
from controller.plugin.api import Body, Query

RESERVED = frozenset({"fields", "sort_key", "sort_dir", "limit", "marker", "page_reverse"})
DIRECTIONS = {"asc": True, "desc": False}
TRUE_WORDS = frozenset({"true", "1", "t", "yes", "y", "on"})

Parameters = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Page:
    """A list request as parsed: what the plugin is asked, the page size that the caller wanted, and the fields."""

    query: Query
    fields: frozenset[str]


def parse(resource: ResourceType, request: Request, max_limit: int = -1) -> Page:
    """Read the query string of a list request. Raises 400."""
    parameters = parse_parameters(request)
    limit, chosen = _limit(parameters, max_limit), fields(parameters)
    query = Query(
        filters=_filters(resource, parameters),
        sorts=_sorts(resource, parameters, paged=limit is not None),
        limit=limit,
        marker=_last(parameters, "marker") if limit is not None else None,
        page_reverse=(_last(parameters, "page_reverse") or "").lower() in TRUE_WORDS,
        fields=chosen,
    )
    return Page(query, chosen)


def parse_parameters(request: Request) -> Parameters:
    """Names and values of the query string in order. Raises 400 for text that is no UTF-8."""
    try:
        parameters = list(request.GET.items())
    except UnicodeDecodeError as error:
        raise exc.HTTPBadRequest("The query string is not valid UTF-8") from error
    if any("\x00" in text for pair in parameters for text in pair):
        raise exc.HTTPBadRequest("The query string contains the character U+0000")
    return parameters


def fields(parameters: Parameters) -> frozenset[str]:
    """The attributes that the caller wants to see; empty means all."""
    return frozenset(value for value in _all(parameters, "fields") if value)


def page_links(request: Request, page: Page, items: Sequence[Body]) -> list[dict[str, str]]:
    """``next`` and ``previous`` links of a page, as Neutron has them: a full page may be followed by an empty one, and
    only a page that is not full tells that there is nothing behind it."""
    limit = page.query.limit
    if limit is None:
        return []
    full, backwards = len(items) >= limit, page.query.page_reverse
    links = []
    if full or backwards:
        links.append({"rel": "next", "href": _page_url(request, limit, items[-1:], False)})
    if full or not backwards:
        links.append({"rel": "previous", "href": _page_url(request, limit, items[:1], True)})
    return links


def _page_url(request: Request, limit: int, edge: Sequence[Body], reverse: bool) -> str:
    replaced = {"marker", "page_reverse", "limit"}
    parameters = [(name, value) for name, value in request.GET.items() if name not in replaced]
    parameters += [("limit", str(limit)), *(("marker", str(item["id"])) for item in edge)]
    if reverse:
        parameters.append(("page_reverse", "True"))
    return f"{request.path_url}?{urlencode(parameters)}"


def _filters(resource: ResourceType, parameters: Parameters) -> Mapping[str, Sequence[Any]]:
    names = {name for name, _ in parameters} - RESERVED
    unknown = sorted(names - resource.filters)
    if unknown:
        raise exc.HTTPBadRequest(f"{unknown} is invalid attribute for filtering")
    filters: dict[str, Sequence[Any]] = {}
    for name in sorted(names):
        key = "project_id" if name == "tenant_id" else name
        filters[key] = _convert(resource, name, _all(parameters, name))
    return filters


def _convert(resource: ResourceType, name: str, values: list[str]) -> list[Any]:
    spec = {} if name in TAG_FILTERS else resource.attributes.get(name, {})
    if "convert_list_to" in spec:
        return [_key_and_value(name, value) for value in values]
    convert = spec.get("convert_to")
    if convert is None:
        return values
    try:
        converted = [convert(value) for value in values]
        check_storable(converted)
        return converted
    except WRONG_KIND as error:
        raise InvalidInput(error_message=f"{values} is no valid filter for {name}") from error


def _key_and_value(name: str, text: str) -> dict[str, str]:
    key, separator, value = text.partition("=")
    if not separator:
        raise InvalidInput(error_message=f"'{text}' is not of the form <key>=<value> in the filter {name}")
    return {key: value}


def _sorts(resource: ResourceType, parameters: Parameters, paged: bool) -> tuple[tuple[str, bool], ...]:
    keys, directions = _all(parameters, "sort_key"), _all(parameters, "sort_dir")
    directions = directions or ["asc"] * len(keys)
    if len(keys) != len(directions):
        raise exc.HTTPBadRequest("The number of sort_keys and sort_dirs must be same")
    unknown = sorted(set(keys) - resource.sort_keys)
    if unknown:
        raise exc.HTTPBadRequest(f"{unknown} is invalid attribute for sort_keys")
    wrong = sorted(set(directions) - set(DIRECTIONS))
    if wrong:
        raise exc.HTTPBadRequest(f"{wrong} is invalid value for sort_dirs, valid value is 'asc' and 'desc'")
    names = ["project_id" if key == "tenant_id" else key for key in keys]
    sorts = tuple((name, DIRECTIONS[direction]) for name, direction in zip(names, directions, strict=True))
    if (sorts or paged) and "id" not in names:
        sorts += (("id", True),)
    return sorts


def _limit(parameters: Parameters, max_limit: int) -> int | None:
    text = _last(parameters, "limit") or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadRequest(resource="limit", msg=f"Limit must be an integer 0 or greater and not '{text}'")
    limit = int(text)
    if max_limit > 0:
        return min(limit, max_limit) if limit else max_limit
    return limit or None


def _all(parameters: Parameters, name: str) -> list[str]:
    return [value for key, value in parameters if key == name]


def _last(parameters: Parameters, name: str) -> str | None:
    values = _all(parameters, name)
    return values[-1] if values and values[-1] else None
