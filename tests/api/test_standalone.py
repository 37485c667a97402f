"""The API under any WSGI server, in a process without a controller."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from webob import Request, Response

from controller.api import wsgi
from tests.api.world import CONFIGURATION


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "isthmus.conf"
    path.write_text(CONFIGURATION.format(path=tmp_path / "isthmus.sqlite"))
    monkeypatch.setenv("ISTHMUS_CONFIG", str(path))
    wsgi._standalone.cache_clear()


def send(method: str, path: str, body: object = None) -> Response:
    request = Request.blank(path, method=method, content_type="application/json")
    request.body = b"" if body is None else json.dumps(body).encode()
    return request.get_response(wsgi.application)


@pytest.mark.usefixtures("configured")
def test_resources_work_and_the_rest_says_where_to_ask() -> None:
    made = send("POST", "/v2.0/networks", {"network": {"name": "blue"}})
    assert made.status_int == 201
    assert [item["name"] for item in send("GET", "/v2.0/networks").json["networks"]] == ["blue"]
    for path in ("health", "switches", "hosts", "wait", "hosts/web1/plan", "nodes/host:web1/plan", "ports/x"):
        answer = send("GET", f"/v2.0/isthmus/{path}")
        assert answer.status_int == 503
        assert "controller.app" in answer.json["NeutronError"]["message"]
    report = send("PUT", "/v2.0/isthmus/hosts/web1/report", {"host": "web1"})
    assert report.status_int == 503
