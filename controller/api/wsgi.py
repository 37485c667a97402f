"""The northbound API as a WSGI application that any WSGI server can run.

:func:`make_application` wires the routes to the plugin and the controller; the application authenticates, routes,
answers, and turns every error into a fault of Neutron's shape.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import SplitResult

from oslo_config import cfg
from prometheus_client import CollectorRegistry
from webob import Request, Response, exc

from controller import config
from controller.api import auth, discovery, proxies
from controller.api.declarations import Declarations
from controller.api.faults import fault_response
from controller.api.guard import GuardedResources
from controller.api.isthmus import IsthmusEndpoints
from controller.api.metrics import ApiMetrics
from controller.api.openapi import OpenApi
from controller.api.policy import Policy
from controller.api.resources import Limits
from controller.api.resources import routes as resource_routes
from controller.api.router import Call, Route, Router
from controller.api.service import IsthmusService
from controller.plugin.api import Resources
from controller.plugin.context import RequestContext

LOG = logging.getLogger(__name__)

UNROUTED = "unknown"

UNLOGGED = frozenset({"/healthcheck"})
"""Asked every second by each load balancer."""

AGENTS_ROUTES = frozenset({"/v2.0/isthmus/hosts/{host}/plan", "/v2.0/isthmus/hosts/{host}/report"})


class Application:
    """A WSGI callable."""

    def __init__(
        self,
        routes: Iterable[Route],
        authenticate: auth.Authenticator,
        policy: Policy,
        metrics: ApiMetrics,
        public: SplitResult | None = None,
    ) -> None:
        """``public``: where clients reach it, if that is elsewhere than their requests say."""
        self.routes = tuple(routes)
        self._public = public
        self._router = Router(self.routes)
        self._authenticate = authenticate
        self._policy = policy
        self._metrics = metrics

    def __call__(self, environ: dict[str, object], start_response: Callable[..., object]) -> Iterable[bytes]:
        """The WSGI entry point."""
        started = time.monotonic()
        proxies.as_clients_see_it(environ, self._public)
        request = Request(environ)
        response, template, request_id = self._answer(request)
        response.headers["X-Openstack-Request-Id"] = request_id
        seconds = time.monotonic() - started
        self._metrics.observe(request.method, template, response.status_int, seconds)
        level = logging.DEBUG if template in UNLOGGED else logging.INFO
        LOG.log(level, "%s %s %s %d %.3f s", request_id, request.method, template, response.status_int, seconds)
        body: Iterable[bytes] = response(environ, start_response)
        return body

    def _answer(self, request: Request) -> tuple[Response, str, str]:
        """The answer, the template of the route and the request id. Whatever goes wrong becomes an answer."""
        context, template = RequestContext(), UNROUTED
        try:
            context = self._authenticate(request)
            route, variables = self._router.find(_path(request))
            template = route.template
            self._check_route(context, template)
            response = route.handler(request.method)(Call(request, context, variables))
        except Exception as error:
            response = fault_response(error, context.request_id)
        return response, template, context.request_id

    def _check_route(self, context: RequestContext, template: str) -> None:
        """What is no resource is guarded by its path. Raises PolicyNotAuthorized."""
        if not context.is_admin and (rule := route_rule(template)) is not None:
            self._policy.judge(context).require(rule, {})


def route_rule(template: str) -> str | None:
    """The rule that guards a path as a whole, None for those whose handlers ask the rules themselves."""
    if template in auth.PUBLIC:
        return None
    if template in AGENTS_ROUTES:
        return "isthmus:agent"
    if template == "/metrics":
        return "isthmus:get_metrics"
    return "isthmus:get_status" if template.startswith("/v2.0/isthmus/") else None


def make_application(
    conf: cfg.ConfigOpts,
    resources: Resources,
    isthmus: IsthmusService,
    registry: CollectorRegistry | None = None,
) -> Application:
    """The application for a plugin and a controller. ``registry`` holds the controller's own metrics; ``/metrics``
    shows them with the API's."""
    metrics = ApiMetrics(registry if registry is not None else CollectorRegistry())
    limits = Limits(max_body_size=conf.api.max_body_size, max_page=conf.api.pagination_max_limit)
    _tell_neutron_lib(conf)
    auth.warn_if_exposed(conf.api.auth_strategy, conf.api.bind_host)
    policy = Policy(conf)
    guarded = GuardedResources(resources, policy)
    routes = [*_routes(guarded, isthmus, metrics, limits)]
    described = OpenApi(routes, with_tokens=conf.api.auth_strategy != "noauth")
    public = proxies.public_url(conf.api.public_url)
    return Application([*routes, *described.routes()], auth.authenticator(conf, policy), policy, metrics, public)


@functools.cache
def _standalone() -> Application:
    from controller.api.standalone import from_environment

    return from_environment()


def application(environ: dict[str, object], start_response: Callable[..., object]) -> Iterable[bytes]:
    """For WSGI servers that load ``controller.api.wsgi:application``: made at the first request, configured by the
    file that ``ISTHMUS_CONFIG`` names. See :mod:`controller.api.standalone`."""
    return _standalone()(environ, start_response)


def _routes(resources: Resources, isthmus: IsthmusService, metrics: ApiMetrics, limits: Limits) -> Iterator[Route]:
    yield from discovery.routes()
    yield from resource_routes(resources, limits)
    yield from IsthmusEndpoints(isthmus, limits).routes()
    yield from Declarations(resources, limits).routes()
    yield from metrics.routes()


def _tell_neutron_lib(conf: cfg.ConfigOpts) -> None:
    """neutron-lib's validators read this limit from the process-wide configuration, whichever one is ours."""
    if conf is not cfg.CONF:
        config.register(cfg.CONF)
        cfg.CONF.set_override("max_allowed_address_pair", conf.max_allowed_address_pair)


def _path(request: Request) -> str:
    try:
        return str(request.path_info)
    except UnicodeDecodeError as error:
        raise exc.HTTPBadRequest("The path is not valid UTF-8") from error
