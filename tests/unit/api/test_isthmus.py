"""Our own endpoints, and the metrics."""

from __future__ import annotations

import math

import pytest

from controller.tracing.frame import Wanted
from legacy_agent.host_plan import HostPlan, HostReport
from tests.unit.api.conftest import Api, fault

ROOT = "/v2.0/isthmus"


def test_host_plan_newer_and_none(api: Api) -> None:
    answer = api.get(f"{ROOT}/hosts/web1/plan?revision=6&timeout=2.5")
    assert answer.status_int == 200
    assert HostPlan.from_dict(answer.json) == HostPlan("web1", 7)
    nothing = api.get(f"{ROOT}/hosts/web1/plan?revision=7&timeout=0")
    assert (nothing.status_int, nothing.body) == (204, b"")
    assert api.isthmus.asked == [("host_plan", "web1", 6, 2.5), ("host_plan", "web1", 7, 0.0)]


def test_timeouts_have_a_default_and_an_end(api: Api) -> None:
    api.get(f"{ROOT}/hosts/web1/plan")
    api.get(f"{ROOT}/hosts/web1/plan?timeout=1e9")
    api.get(f"{ROOT}/hosts/web1/plan?timeout=inf")
    assert [asked[3] for asked in api.isthmus.asked] == [30.0, 300.0, 300.0]
    assert all(math.isfinite(asked[3]) for asked in api.isthmus.asked)


@pytest.mark.parametrize(
    "query", ["revision=-1", "revision=x", "revision=1.5", "timeout=-1", "timeout=nan", "timeout=x"]
)
def test_bad_numbers(api: Api, query: str) -> None:
    for endpoint in ("hosts/web1/plan", "wait"):
        if endpoint == "wait" or "revision" in query or "timeout" in query:
            fault(api.get(f"{ROOT}/{endpoint}?{query}"), 400, "BadRequest")


def test_report(api: Api) -> None:
    report = HostReport("web1", applied_revision=7, tunnel_ip="10.0.0.1", drivers={"linuxbridge": ("flat", "gre")})
    assert api.put(f"{ROOT}/hosts/web1/report", report.to_dict()).status_int == 204
    assert api.isthmus.reports == [report]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, "JSON object"),
        ([], "JSON object"),
        ({}, "'host'"),
        ({"host": ""}, "'host'"),
        ({"host": "web2"}, "sent as host 'web1'"),
        ({"host": "web1", "applied_revision": -1}, "'applied_revision'"),
        ({"host": "web1", "applied_revision": True}, "'applied_revision'"),
        ({"host": "web1", "devices": []}, "'devices'"),
        ({"host": "web1", "drivers": {"linuxbridge": "flat"}}, "'drivers.linuxbridge'"),
        ({"host": "web1", "physical_networks": {"physnet1": None}}, "'physical_networks'"),
        ({"host": "web1", "colour": "blue"}, "'colour'"),
    ],
)
def test_bad_reports_name_the_field(api: Api, body: object, message: str) -> None:
    assert message in fault(api.put(f"{ROOT}/hosts/web1/report", body), 400, "ReportError")
    assert not api.isthmus.reports


def test_lists_and_health(api: Api) -> None:
    assert api.get(f"{ROOT}/switches").json["switches"][0]["capabilities"] == ["bundles"]
    assert api.get(f"{ROOT}/hosts").json["hosts"][0]["host"] == "web1"
    assert api.get(f"{ROOT}/health").status_int == 200
    api.isthmus.healthy = False
    unwell = api.get(f"{ROOT}/health")
    assert (unwell.status_int, unwell.json["healthy"]) == (503, False)


def test_trace(api: Api) -> None:
    query = "port=p1&to=p2&eth_src=fa:16:3e:00:00:09&ip_dst=10.0.0.7&protocol=tcp&dst_port=80&vlan=5"
    answer = api.get(f"{ROOT}/trace?{query}").json["trace"]
    assert (answer["port"], answer["to"], answer["outcome"]) == ("p1", "p2", "delivered")
    wanted = Wanted(eth_src="fa:16:3e:00:00:09", ip_dst="10.0.0.7", protocol="tcp", dst_port=80, vlan=5)
    assert api.isthmus.asked == [("trace", "p1", "p2", wanted)]
    assert api.get(f"{ROOT}/trace?port=p1&to=").json["trace"]["to"] is None
    fault(api.get(f"{ROOT}/trace?port=p2"), 404, "PortNotFound")


@pytest.mark.parametrize(
    "query", ["", "to=p1", "port=", "port=p1&colour=blue", "port=p1&vlan=0", "port=p1&vlan=x", "port=p1&eth_dst=1",
              "port=p1&ip_src=10", "port=p1&protocol=ospf", "port=p1&src_port=65536"]
)  # fmt: skip
def test_traces_that_cannot_be(api: Api, query: str) -> None:
    assert api.get(f"{ROOT}/trace?{query}").status_int == 400
    assert api.isthmus.asked == []


def test_node_plan_and_port(api: Api) -> None:
    assert api.get(f"{ROOT}/nodes/switch:0000000000000001/plan").json["plan"]["revision"] == 7
    assert "host:db" in fault(api.get(f"{ROOT}/nodes/host:db/plan"), 404, "UnknownNode")
    assert api.get(f"{ROOT}/ports/p1").json["port"]["status"] == "ACTIVE"
    fault(api.get(f"{ROOT}/ports/p2"), 404, "PortNotFound")


def test_wait(api: Api) -> None:
    assert api.get(f"{ROOT}/wait").json == {"revision": 7, "done": True, "waiting_for": []}
    api.isthmus.done = False
    assert api.get(f"{ROOT}/wait?revision=9&timeout=1").json["waiting_for"] == ["host:web1"]
    assert api.isthmus.asked == [("wait", None, 60.0), ("wait", 9, 1.0)]


def test_metrics_count_by_template(api: Api) -> None:
    network = api.network()
    api.get(f"/v2.0/networks/{network['id']}")
    api.get("/nowhere")
    api.request("BREW", "/v2.0/networks")
    answer = api.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    for line in (
        'isthmus_api_requests_total{method="GET",route="/v2.0/networks/{id}",status="200"} 1.0',
        'isthmus_api_requests_total{method="GET",route="unknown",status="404"} 1.0',
        'isthmus_api_requests_total{method="other",route="/v2.0/networks",status="405"} 1.0',
        'isthmus_api_request_seconds_count{method="POST",route="/v2.0/networks"} 1.0',
    ):
        assert line in answer.text
