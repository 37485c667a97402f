"""Lists: filters, fields, sorting, paging."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from controller import config
from controller.api.wsgi import make_application
from controller.plugin.api import Query
from tests.unit.api.conftest import Api, fault


def names(api: Api, query: str) -> list[str]:
    return [item["name"] for item in api.get(f"/v2.0/networks?{query}").json["networks"]]


@pytest.mark.parametrize(
    ("collection", "query", "filters"),
    [
        ("networks", "name=a&name=b", {"name": ["a", "b"]}),
        ("networks", "name=", {"name": [""]}),
        ("networks", "admin_state_up=True", {"admin_state_up": [True]}),
        ("networks", "shared=0", {"shared": [False]}),
        ("networks", "router%3Aexternal=false", {"router:external": [False]}),
        ("networks", "provider:segmentation_id=77", {"provider:segmentation_id": [77]}),
        ("networks", "tenant_id=red", {"project_id": ["red"]}),
        ("networks", "revision_number=3", {"revision_number": [3]}),
        ("subnets", "cidr=2001:DB8:0::/32", {"cidr": ["2001:db8::/32"]}),
        ("subnets", "ip_version=6", {"ip_version": [6]}),
        ("ports", "mac_address=AA-BB-CC-DD-EE-FF", {"mac_address": ["aa:bb:cc:dd:ee:ff"]}),
        ("ports", "binding:host_id=web1", {"binding:host_id": ["web1"]}),
        ("ports", "fixed_ips=ip_address%3D10.0.0.1", {"fixed_ips": [{"ip_address": "10.0.0.1"}]}),
        ("agents", "alive=true&host=web1", {"alive": [True], "host": ["web1"]}),
    ],
)
def test_filters_are_converted_by_type(api: Api, collection: str, query: str, filters: dict[str, object]) -> None:
    assert api.get(f"/v2.0/{collection}?{query}").status_int == 200
    assert api.resources.last_query == Query(filters=filters)


@pytest.mark.parametrize(
    ("query", "kind", "message"),
    [
        ("colour=blue", "HTTPBadRequest", "['colour'] is invalid attribute for filtering"),
        ("subnets=x", "HTTPBadRequest", "['subnets'] is invalid attribute for filtering"),
        ("admin_state_up=maybe", "InvalidInput", "'maybe' cannot be converted to boolean"),
        ("mtu=big", "InvalidInput", "'big' is not an integer"),
        ("mtu=99999999999999999999", "InvalidInput", "is no valid filter for mtu"),
        ("limit=-1", "BadRequest", "Limit must be an integer 0 or greater and not '-1'"),
        ("limit=many", "BadRequest", "Limit must be an integer"),
        ("sort_key=colour", "HTTPBadRequest", "['colour'] is invalid attribute for sort_keys"),
        ("sort_key=name&sort_dir=up", "HTTPBadRequest", "['up'] is invalid value for sort_dirs"),
        ("sort_key=name&sort_key=id&sort_dir=asc", "HTTPBadRequest", "The number of sort_keys and sort_dirs"),
    ],
)
def test_bad_queries(api: Api, query: str, kind: str, message: str) -> None:
    assert message in fault(api.get(f"/v2.0/networks?{query}"), 400, kind)


def test_bad_fixed_ips_filter(api: Api) -> None:
    assert "<key>=<value>" in fault(api.get("/v2.0/ports?fixed_ips=10.0.0.1"), 400, "InvalidInput")


def test_fields_select_what_is_shown(api: Api) -> None:
    network = api.network(name="blue")
    assert api.get("/v2.0/networks?fields=name&fields=mtu").json == {"networks": [{"name": "blue", "mtu": 0}]}
    shown = api.get(f"/v2.0/networks/{network['id']}?fields=tenant_id&fields=secret").json
    assert shown == {"network": {"tenant_id": ""}}


def test_sorting(api: Api) -> None:
    for name in ("b", "a", "c"):
        api.network(name=name)
    assert names(api, "sort_key=name") == ["a", "b", "c"]
    assert names(api, "sort_key=name&sort_dir=desc") == ["c", "b", "a"]
    assert api.resources.last_query.sorts == (("name", False), ("id", True))


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6, 7])
def test_next_links_visit_everything_once_and_previous_links_lead_back(api: Api, limit: int) -> None:
    for number in range(6):
        api.network(name=f"n{number}")
    url, pages, backwards = f"/v2.0/networks?sort_key=name&limit={limit}", [], []
    while url:
        answer = api.get(url).json
        pages.append([item["name"] for item in answer["networks"]])
        links = {link["rel"]: _local(link["href"]) for link in answer["networks_links"]}
        url = links.get("next", "")
    assert [name for page in pages for name in page] == [f"n{number}" for number in range(6)]
    assert all(len(page) == limit for page in pages[:-1])
    assert len(pages[-1]) < limit, "a page that is not full is the last one"
    while "previous" in links:
        answer = api.get(links["previous"]).json
        backwards.append([item["name"] for item in answer["networks"]])
        links = {link["rel"]: _local(link["href"]) for link in answer["networks_links"]}
        assert "next" in links
    there = [name for page in pages for name in (page if page is not pages[-1] else [])]
    assert [name for page in backwards[::-1] for name in page] == there


def test_filters_stay_in_links(api: Api) -> None:
    for _ in range(2):
        api.network(name="same name")
    link = api.get("/v2.0/networks?name=same+name&fields=id&limit=1").json["networks_links"][0]["href"]
    assert link.startswith("http://localhost/v2.0/networks?name=same+name&fields=id&limit=1&marker=")


def test_pagination_max_limit(api: Api) -> None:
    conf = config.load()
    conf.set_override("pagination_max_limit", 2, "api")
    api.application = make_application(conf, api.resources, api.isthmus)
    for _ in range(3):
        api.network()
    for query in ("", "?limit=0", "?limit=100"):
        assert len(api.get(f"/v2.0/networks{query}").json["networks"]) == 2
    assert len(api.get("/v2.0/networks?limit=1").json["networks"]) == 1


def _local(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"
