"""Counts and latencies of API requests, and ``/metrics`` in Prometheus text."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from webob import Response

from controller.api.router import Call, Route

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})


class ApiMetrics:
    """The API's metrics in a registry that the rest of the controller may share."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._requests = Counter(
            "isthmus_api_requests",
            "Requests answered, by route template.",
            ("method", "route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "isthmus_api_request_seconds",
            "Time from request to answer; long polls include their waiting.",
            ("method", "route"),
            registry=registry,
        )

    def routes(self) -> Iterator[Route]:
        """``/metrics``"""
        yield Route("/metrics", {"GET": self.show})

    def show(self, call: Call) -> Response:  # noqa: ARG002 - the shape of a handler
        """``GET /metrics``"""
        response = Response(generate_latest(self._registry))
        response.headers["Content-Type"] = CONTENT_TYPE_LATEST
        return response

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request. ``route`` is a template, so that labels stay few whatever is asked for."""
        known = method if method in METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(known, route).observe(seconds)
