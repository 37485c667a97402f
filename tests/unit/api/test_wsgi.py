"""The application keeps to the WSGI specification, under the checker of the standard library and a real server."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from tests.unit.api.conftest import Api
from tests.unit.api.server import serving


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/v2.0/networks", "/v2.0/networks/x", "/v2.0/isthmus/health", "/metrics", "/x"])
@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
def test_specification(api: Api, method: str, path: str) -> None:
    environ: dict[str, object] = {}
    setup_testing_defaults(environ)
    environ |= {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": ""}
    started: list[str] = []

    def start_response(status: str, headers: object, exc_info: object = None) -> object:
        started.append(status)
        return lambda data: None

    body = validator(api.application)(environ, start_response)
    content = b"".join(body)
    body.close()
    assert len(started) == 1
    assert method != "HEAD" or content == b""


def test_one_connection_serves_many_requests_and_answers_are_complete(api: Api) -> None:
    with serving(api.application) as url:
        for number in range(3):
            connection = http.client.HTTPConnection(str(urlsplit(url).netloc), timeout=10)
            body = json.dumps({"network": {"name": f"n{number}"}})
            connection.request("POST", "/v2.0/networks", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert answer.status == 201
            assert json.load(answer)["network"]["name"] == f"n{number}"
            connection.close()
