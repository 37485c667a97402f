"""Documents: versions, resources, extensions, methods."""

from __future__ import annotations

import logging

import pytest

from controller import config
from controller.api.attributes import RESOURCE_TYPES
from controller.api.auth import PUBLIC
from controller.api.extensions import EXTENSIONS
from controller.api.wsgi import make_application
from controller.errors import ConfigurationError
from tests.unit.api.conftest import Api, fault


def test_versions_link_to_the_place_asked(api: Api) -> None:
    version = api.get("/", Host="example.org:9696").json["versions"][0]
    assert (version["id"], version["status"]) == ("v2.0", "CURRENT")
    assert version["links"] == [{"rel": "self", "href": "http://example.org:9696/v2.0/"}]


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({"X_Forwarded_Proto": "https", "Host": "api.example"}, "https://api.example"),
        ({"X_Forwarded_Proto": "https, http", "X_Forwarded_Host": "a.example:8443, b"}, "https://a.example:8443"),
        ({"X_Forwarded_Host": "[2001:db8::1]:9696"}, "http://[2001:db8::1]:9696"),
        ({"X_Forwarded_Prefix": "/networking/"}, "http://localhost/networking"),
        ({"X_Forwarded_Proto": "gopher", "X_Forwarded_Host": "a/b", "X_Forwarded_Prefix": "x"}, "http://localhost"),
    ],
)
def test_links_lead_where_the_client_came_from(api: Api, headers: dict[str, str], base: str) -> None:
    assert api.get("/", **headers).json["versions"][0]["links"][0]["href"] == f"{base}/v2.0/"
    api.network()
    link = api.get("/v2.0/networks?limit=1", **headers).json["networks_links"][0]["href"]
    assert link.startswith(f"{base}/v2.0/networks?limit=1&marker=")


def test_links_lead_to_the_public_url(api: Api) -> None:
    conf = config.load()
    conf.set_override("public_url", "https://cloud.example/network/", "api")
    api.application = make_application(conf, api.resources, api.isthmus)
    shown = api.get("/", X_Forwarded_Host="elsewhere").json["versions"][0]["links"][0]["href"]
    assert shown == "https://cloud.example/network/v2.0/"
    for wrong in ("cloud.example", "ftp://cloud.example", "https://", "https://cloud.example/?x=1"):
        conf.set_override("public_url", wrong, "api")
        with pytest.raises(ConfigurationError, match="public_url"):
            make_application(conf, api.resources, api.isthmus)


def test_load_balancers_ask_without_a_token_and_a_line_of_the_log(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        answer = api.get("/healthcheck")
        api.get("/v2.0/networks")
    assert (answer.status_int, answer.text) == (200, "OK")
    assert ("/healthcheck" in caplog.text, "/v2.0/networks" in caplog.text) == (False, True)
    assert "/healthcheck" in PUBLIC


def test_the_suffix_of_older_clients(api: Api) -> None:
    network = api.network(name="blue")
    assert api.get("/v2.0/networks.json").json == {"networks": [network]}
    assert api.get(f"/v2.0/networks/{network['id']}.json").json == {"network": network}
    assert api.get("/v2.0/extensions/segment.json").status_int == 200
    assert "openapi" in api.get("/v2.0/isthmus/openapi.json").json
    fault(api.get("/v2.0/routers.json"), 404, "HTTPNotFound")


@pytest.mark.parametrize("path", ["/v2.0", "/v2.0/"])
def test_resource_list_names_every_collection_and_each_answers(api: Api, path: str) -> None:
    links = {entry["collection"]: entry["links"][0]["href"] for entry in api.get(path).json["resources"]}
    assert set(links) == {resource.collection for resource in RESOURCE_TYPES}
    assert all(api.get(link.removeprefix("http://localhost")).json == {name: []} for name, link in links.items())


def test_extensions_list_and_show(api: Api) -> None:
    listed = api.get("/v2.0/extensions").json["extensions"]
    assert {entry["alias"] for entry in listed} == set(EXTENSIONS)
    assert all(set(entry) == {"alias", "name", "description", "updated", "links"} for entry in listed)
    for entry in listed:
        assert api.get(f"/v2.0/extensions/{entry['alias']}").json == {"extension": entry}
    assert "nonsense" in fault(api.get("/v2.0/extensions/nonsense"), 404, "HTTPNotFound")


def test_unknown_paths_are_404(api: Api) -> None:
    for path in ("/v3", "/v2.0/routers", "/v2.0/networks/a/b", "/v2.0//networks/x", "/v2.0/networks%00"):
        fault(api.get(path), 404, "HTTPNotFound")


def test_path_and_query_that_are_no_utf8_are_400(api: Api) -> None:
    fault(api.get("/v2.0/%ff"), 400, "HTTPBadRequest")
    fault(api.get("/v2.0/networks?name=%ff"), 400, "HTTPBadRequest")
    fault(api.get("/v2.0/networks?name=%00"), 400, "HTTPBadRequest")


def test_wrong_method_is_405_with_the_right_ones(api: Api) -> None:
    response = api.request("PATCH", "/v2.0/networks")
    assert "PATCH" in fault(response, 405, "HTTPMethodNotAllowed")
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    fault(api.post("/v2.0/agents", {"agent": {}}), 405, "HTTPMethodNotAllowed")
    fault(api.request("DELETE", "/v2.0/isthmus/health"), 405, "HTTPMethodNotAllowed")


def test_options_and_head(api: Api) -> None:
    options = api.request("OPTIONS", "/v2.0/networks/some-id")
    assert (options.status_int, options.headers["Allow"]) == (204, "DELETE, GET, HEAD, OPTIONS, PUT")
    head, get = api.request("HEAD", "/v2.0/extensions"), api.get("/v2.0/extensions")
    assert (head.status_int, head.body) == (200, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


def test_every_answer_has_a_request_id(api: Api) -> None:
    ids = {api.get(path).headers["X-Openstack-Request-Id"] for path in ("/", "/v2.0/networks", "/nowhere")}
    assert len(ids) == 3
    assert all(request_id.startswith("req-") for request_id in ids)
