"""Whatever is sent, the answer is of the API's shape and never a 5xx."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from webob import Request, Response

from controller.api.wsgi import Application
from controller.plugin.api import Query
from controller.plugin.context import RequestContext
from controller.plugin.plugin import Plugin
from tests.api.fuzzing import filled, requests

RELAXED = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ADMIN = RequestContext(is_admin=True)


def check(request: Request, response: Response) -> None:
    told = f"{request.method} {request.path_qs} {request.body!r} -> {response.status_int} {response.text}"
    assert response.status_int < 500, told
    if response.status_int >= 400:
        assert set(response.json) == {"NeutronError"}, told
        assert set(response.json["NeutronError"]) == {"type", "message", "detail"}, told
        assert response.json["NeutronError"]["message"], told
    elif response.status_int == 204:
        assert response.body == b"", told
    else:
        assert isinstance(response.json, dict), told


@RELAXED
@given(sequence=st.lists(requests(), min_size=1, max_size=8))
def test_requests_around_the_attributes(sequence: list[Request], application: Application, plugin: Plugin) -> None:
    for name in ("port", "network"):
        for item in plugin.list(ADMIN, name, Query()):
            plugin.delete(ADMIN, name, item["id"])
    plugin.create(ADMIN, "network", {"name": "there", "provider:network_type": "gre"})
    for request in sequence:
        ids = [item["id"] for name in ("network", "subnet", "port", "segment")
               for item in plugin.list(ADMIN, name, Query())]  # fmt: skip
        check(request, filled(request, ids).get_response(application))


@RELAXED
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "x"]),
    path=st.text(alphabet=st.characters(codec="utf-8"), max_size=20),
    root=st.sampled_from(["/", "/v2.0/", "/v2.0/isthmus/", "/v2.0/isthmus/hosts/", "/v2.0/isthmus/nodes/"]),
    body=st.binary(max_size=64),
)
def test_any_path_and_any_bytes(method: str, path: str, root: str, body: bytes, application: Application) -> None:
    request = Request.blank("/", method=method, content_type="application/json")
    request.path_info = root + path
    request.body = body
    response = request.get_response(application)
    if method not in ("HEAD", "OPTIONS") and root + path != "/metrics":
        check(request, response)
    assert response.status_int < 500


@RELAXED
@given(report=st.dictionaries(
    st.sampled_from(["applied_revision", "tunnel_ip", "tunnel_types", "physical_networks", "drivers", "devices"]),
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=4),
                 lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
                 max_leaves=4),
))  # fmt: skip
def test_reports_of_agents_out_of_their_mind(report: dict[str, object], application: Application) -> None:
    request = Request.blank("/v2.0/isthmus/hosts/web1/report", method="PUT")
    request.json = {"host": "web1", **report}
    request.content_type = "application/json"
    check(request, request.get_response(application))
