"""Tags: words on a resource, set and asked for. They are part of it, so its revision number moves with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, not_

from controller.db.json_list import contains_any
from controller.plugin.api import Body
from controller.plugin.bodies import invalid
from controller.plugin.faults import TagNotFound

MAX_LENGTH, MAX_TAGS = 255, 50
ACTIONS: Mapping[str, str] = {
    "tags": "update",
    "put_tags": "update",
    "add_tags": "create",
    "remove_tags": "delete",
    "clear_tags": "delete",
}
"""What an update may say of tags: all of them, more, or less; and which action that is to the rules."""

CHANGES = frozenset(ACTIONS)


def change(row: Any, body: Body) -> None:
    """Set, add or remove tags as ``body`` says. Raises 400, and TagNotFound for one that cannot be removed."""
    before = list(row.tags)
    more = [*body.get("add_tags", ()), *body.get("put_tags", ())]
    after = [] if body.get("clear_tags") else list(body.get("tags", before))
    after += [tag for tag in more if tag not in before]
    for tag in body.get("remove_tags", ()):
        if tag not in after:
            raise TagNotFound(tag=tag)
        after.remove(tag)
    if set(after) != set(before):
        row.tags = checked(after)


def checked(tags: Sequence[Any]) -> list[str]:
    """Tags without doubles. Raises 400."""
    wrong = [tag for tag in tags if not isinstance(tag, str) or not 0 < len(tag) <= MAX_LENGTH]
    if wrong:
        raise invalid(f"{wrong[0]!r:.60} is no tag: a tag is a text of 1 to {MAX_LENGTH} characters")
    found = sorted(set(tags))
    if len(found) > MAX_TAGS:
        raise invalid(f"a resource can have {MAX_TAGS} tags, not {len(found)}")
    return found


def words(accepted: Sequence[Any]) -> list[str]:
    """The tags that a filter names, between commas."""
    return [word for text in accepted for word in str(text).split(",") if word]


def filters(column: Any) -> Mapping[str, Any]:
    """The filters of a resource with tags: all of these, any of these, and their opposites."""

    def every(accepted: Sequence[Any]) -> ColumnElement[bool]:
        return and_(True, *(contains_any(column, [word]) for word in words(accepted)))

    def some(accepted: Sequence[Any]) -> ColumnElement[bool]:
        return contains_any(column, words(accepted))

    return {
        "tags": every,
        "tags-any": some,
        "not-tags": lambda accepted: not_(every(accepted)),
        "not-tags-any": lambda accepted: not_(some(accepted)),
    }
