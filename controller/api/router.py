"""From a path and a method to a handler: a table of templates such as ``/v2.0/networks/{id}``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from webob import Request, Response, exc

from controller.api.views import empty_response
from controller.plugin.context import RequestContext


@dataclass(frozen=True, slots=True)
class Call:
    """One request with what the router and the authentication found out about it."""

    request: Request
    context: RequestContext
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


Handler = Callable[[Call], Response]


@dataclass(frozen=True, slots=True)
class Route:
    """A path template and what each method does there. HEAD follows from GET, OPTIONS from the table."""

    template: str
    methods: Mapping[str, Handler]

    @property
    def allowed(self) -> str:
        """The value of the ``Allow`` header."""
        implied = {"OPTIONS"} | ({"HEAD"} if "GET" in self.methods else set())
        return ", ".join(sorted(implied | set(self.methods)))

    def match(self, path: str) -> Mapping[str, str] | None:
        """The variables of the template in ``path``, None if it is another path."""
        parts, words = path.split("/"), self.template.split("/")
        if len(parts) != len(words):
            return None
        variables: dict[str, str] = {}
        for part, word in zip(parts, words, strict=True):
            if word.startswith("{") and part:
                variables[word[1:-1]] = part
            elif part != word:
                return None
        return variables

    def handler(self, method: str) -> Handler:
        """What answers ``method`` here. Raises 405 naming the methods that do work."""
        if method == "OPTIONS":
            return self._options
        handler = self.methods.get("GET" if method == "HEAD" else method)
        if handler is None:
            raise exc.HTTPMethodNotAllowed(
                f"The method {method} is not allowed for this resource; allowed: {self.allowed}",
                headers=[("Allow", self.allowed)],
            )
        return handler

    def _options(self, call: Call) -> Response:  # noqa: ARG002 - the shape of a handler
        response = empty_response()
        response.headers["Allow"] = self.allowed
        return response


class Router:
    """All routes; the first that matches answers."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = tuple(routes)
        self._known: dict[tuple[int, str], list[Route]] = {}
        """Routes by how many parts they have and by the third one, which names the collection ("": whatever it is)."""
        for route in self._routes:
            self._known.setdefault(_place(route.template), []).append(route)

    def find(self, path: str) -> tuple[Route, Mapping[str, str]]:
        """The route of a path with its variables. Raises 404."""
        normal = _plain("/" + path.strip("/"))
        if "\x00" not in normal:
            parts, third = _place(normal)
            for route in (*self._known.get((parts, third), ()), *self._known.get((parts, ""), ())):
                variables = route.match(normal)
                if variables is not None:
                    return route, variables
        raise exc.HTTPNotFound("The resource could not be found.")


def _plain(path: str) -> str:
    """Without the suffix that older clients add to resources, as Neutron takes it; tags and hosts may end so."""
    if path.endswith(".json") and path.count("/") < 5 and not path.startswith("/v2.0/isthmus/"):
        return path.removesuffix(".json")
    return path


def _place(path: str) -> tuple[int, str]:
    parts = path.split("/")
    third = parts[2] if len(parts) > 2 else ""
    return len(parts), "" if third.startswith("{") else third
