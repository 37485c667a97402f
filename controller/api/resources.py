"""Every path of the Networking API's resources."""

from __future__ import annotations

from collections.abc import Iterator

from controller.api.attributes import PORT_BINDING, RESOURCE_TYPES
from controller.api.collection import Collection, Limits
from controller.api.router import Route
from controller.api.subresources import Bindings, PrefixChanges, QuotaViews, Tags
from controller.plugin.api import Resources

__all__ = ["Limits", "routes"]


def routes(resources: Resources, limits: Limits) -> Iterator[Route]:
    """The routes of all collections, and of what is below them."""
    yield from QuotaViews(resources).routes()  # before the collection, where "project" would be some project's id
    for resource in RESOURCE_TYPES:
        yield from Collection(resource, resources, limits).routes()
        if resource.tagged:
            yield from Tags(resource, resources, limits).routes()
    yield from Bindings(PORT_BINDING, resources, limits).routes()
    yield from PrefixChanges(resources, limits).routes()
