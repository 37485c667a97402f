"""List requests on resources that are computed rather than stored: some thousands at most, so this needs no SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neutron_lib.exceptions import NotFound

from controller.plugin import tags
from controller.plugin.api import Body, Query
from controller.plugin.bodies import invalid, moment, time_text


def select_bodies(bodies: Sequence[Body], query: Query) -> list[Body]:
    """Those that are asked for, in the order and from the page that are asked for."""
    found = [body for body in bodies if _matches(body, query)]
    for name, ascending in reversed(query.sorts):
        found.sort(key=lambda body, name=name: _key(body.get(name)), reverse=not ascending)  # type: ignore[misc]
    return _page(found, query)


def _key(value: Any) -> tuple[int, float, str]:
    """Nothing before numbers before texts."""
    if value is None:
        return 0, 0, ""
    return (1, value, "") if isinstance(value, (int, float)) else (2, 0, str(value))


def _matches(body: Body, query: Query) -> bool:
    return all(_fits(body, name, accepted) for name, accepted in query.filters.items())


def _fits(body: Body, name: str, accepted: Sequence[Any]) -> bool:
    if name == "changed_since" and "updated_at" in body:
        return (body["updated_at"] or "") >= time_text(moment(accepted[-1]))
    if "tags" in body and name.endswith(("tags", "tags-any")):
        wanted, present = set(tags.words(accepted)), set(body["tags"])
        found = bool(wanted & present) if name.endswith("any") else wanted <= present
        return found != name.startswith("not-")
    if name not in body:
        raise invalid(f"'{name}' cannot be filtered by")
    return body[name] in accepted or _word(body[name]) in {_word(value) for value in accepted}


def _word(value: Any) -> str:
    return "" if value is None else str(value).lower()


def _page(bodies: Sequence[Body], query: Query) -> list[Body]:
    found = list(bodies)[::-1] if query.page_reverse else list(bodies)
    if query.marker is not None:
        ids = [body["id"] for body in found]
        if query.marker not in ids:
            raise NotFound()
        found = found[ids.index(query.marker) + 1 :]
    found = found if query.limit is None else found[: query.limit]
    return found[::-1] if query.page_reverse else found
