"""A client of the application without a server: ``api.post("/v2.0/networks", {...})``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from webob import Request, Response

from controller import config
from controller.api.wsgi import Application, make_application
from tests.unit.api.fakes import FakeIsthmus, FakeResources


@dataclass
class Api:
    """Sends requests to the application and hands back WebOb responses."""

    application: Application
    resources: FakeResources
    isthmus: FakeIsthmus

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        request = Request.blank(path, method=method)
        if body is not None:
            request.body = body if isinstance(body, bytes) else json.dumps(body).encode()
            request.content_type = "application/json"
        for name, value in headers.items():
            request.headers[name.replace("_", "-")] = value
        return request.get_response(self.application)

    def get(self, path: str, **headers: str) -> Response:
        return self.request("GET", path, **headers)

    def post(self, path: str, body: Any, **headers: str) -> Response:
        return self.request("POST", path, body, **headers)

    def put(self, path: str, body: Any, **headers: str) -> Response:
        return self.request("PUT", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Response:
        return self.request("DELETE", path, **headers)

    def network(self, **attributes: Any) -> Any:
        """Create a network and return it."""
        response = self.post("/v2.0/networks", {"network": attributes})
        assert response.status_int == 201, response.text
        return response.json["network"]


def fault(response: Response, status: int, kind: str) -> str:
    """The message of a fault, after its shape has been checked."""
    assert response.status_int == status, response.text
    assert set(response.json) == {"NeutronError"}
    error = response.json["NeutronError"]
    assert set(error) == {"type", "message", "detail"}
    assert error["type"] == kind
    assert "Traceback" not in error["message"]
    return str(error["message"])


@pytest.fixture
def api() -> Api:
    resources, isthmus = FakeResources(), FakeIsthmus()
    return Api(make_application(config.load(), resources, isthmus), resources, isthmus)
