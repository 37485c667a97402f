"""Errors: status, shape, and what a user may see."""

from __future__ import annotations

import logging

import pytest
from neutron_lib import exceptions
from sqlalchemy.exc import OperationalError
from webob import exc

from controller import config
from controller.api.auth import warn_if_exposed
from controller.errors import OutcomeUnknown, ReportError, UnknownNode
from tests.unit.api.conftest import Api, fault

NOWHERE = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (exceptions.InvalidInput(error_message="wrong"), 400),
        (exceptions.NetworkNotFound(net_id="x"), 404),
        (exceptions.NetworkInUse(net_id="x", reason="r"), 409),
        (exceptions.VlanIdInUse(vlan_id=1, physical_network="p"), 409),
        (exceptions.OverQuota(overs="network"), 409),
        (exceptions.NoNetworkAvailable(), 503),
        (exceptions.IpAddressGenerationFailure(net_id="x"), 409),
        (exceptions.NotAuthorized(), 403),
        (exceptions.ServiceUnavailable(), 503),
        (ReportError("field 'x'"), 400),
        (UnknownNode("no node 'x'"), 404),
    ],
)
def test_errors_have_neutrons_status_and_their_own_name(api: Api, error: Exception, status: int) -> None:
    api.resources.error = error
    message = fault(api.post("/v2.0/networks", {"network": {}}), status, type(error).__name__)
    assert message == str(error)


def test_unforeseen_errors_are_logged_and_not_shown(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.resources.error = RuntimeError("the password is 1234")
    with caplog.at_level(logging.ERROR):
        response = api.post("/v2.0/networks", {"network": {}})
    message = fault(response, 500, "HTTPInternalServerError")
    assert "1234" not in response.text
    assert response.headers["X-Openstack-Request-Id"] in message
    assert "the password is 1234" in caplog.text
    assert "Traceback" in caplog.text


def test_nobody_is_told_to_do_again_what_may_have_been_done(api: Api) -> None:
    api.resources.error = OutcomeUnknown("the database does not say whether it did")
    response = api.post("/v2.0/networks", {"network": {}})
    assert fault(response, 503, "ServiceUnavailable") == "the database does not say whether it did"
    assert "Retry-After" not in response.headers


@pytest.mark.parametrize("collection", ["networks", "subnets", "ports", "agents"])
def test_what_is_not_there_is_404(api: Api, collection: str) -> None:
    body = {collection[:-1]: {"description": "x"}}
    path = f"/v2.0/{collection}/{NOWHERE}"
    for response in (api.get(path), api.put(path, body), api.delete(path)):
        assert response.status_int == 404
        assert set(response.json) == {"NeutronError"}


def test_if_match(api: Api) -> None:
    path = f"/v2.0/networks/{api.network()['id']}"
    assert api.put(path, {"network": {"name": "a"}}, If_Match="revision_number=1").status_int == 200
    response = api.put(path, {"network": {"name": "b"}}, If_Match="revision_number=1")
    message = fault(response, 412, "RevisionNumberConstraintFailed")
    assert message == "Constrained to revision 1, but current revision is 2; read the resource again."
    fault(api.delete(path, If_Match="revision_number=1"), 412, "RevisionNumberConstraintFailed")
    fault(api.delete(path, If_Match='"revision_number=1"'), 412, "RevisionNumberConstraintFailed")
    assert api.put(path, {"network": {"name": "a"}}, If_Match="*").status_int == 200
    fault(api.put(path, {"network": {"name": "b"}}, If_Match='"etag"'), 400, "BadRequest")
    deleted = api.delete(path, If_Match='"revision_number=3"')
    assert (deleted.status_int, deleted.body) == (204, b"")


@pytest.mark.parametrize(
    ("host", "exposed"), [("127.0.0.1", False), ("::1", False), ("localhost", False), ("0.0.0.0", True), ("api", True)]
)
def test_noauth_beyond_loopback_is_warned_about(host: str, exposed: bool, caplog: pytest.LogCaptureFixture) -> None:
    assert warn_if_exposed(config.load().api.auth_strategy, host) is exposed
    assert ("everybody who reaches" in caplog.text) is exposed


def test_what_is_foreseen_is_one_line_of_the_log(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """Clients and agents try again all the time."""
    for error in (exc.HTTPServiceUnavailable("Keystone is away"), exceptions.ServiceUnavailable()):
        api.resources.error = error
        fault(api.post("/v2.0/networks", {"network": {}}), 503, type(error).__name__)
    assert "Keystone is away" in caplog.text
    assert "Traceback" not in caplog.text


def test_pages_of_other_sites_may_not_ask_without_authentication(api: Api) -> None:
    for origin in ("https://evil.example", "http://localhost:8080", "null"):
        fault(api.post("/v2.0/networks", {"network": {}}, Origin=origin), 403, "HTTPForbidden")
    assert api.post("/v2.0/networks", {"network": {}}, Origin="http://localhost:80").status_int == 201


def test_a_database_that_is_away_says_when_to_come_back(api: Api) -> None:
    api.resources.error = OperationalError("SELECT 1", {}, Exception("connection refused"))
    response = api.post("/v2.0/networks", {"network": {}})
    fault(response, 503, "ServiceUnavailable")
    assert int(response.headers["Retry-After"]) > 0
    api.resources.error = exceptions.NetworkNotFound(net_id="x")
    assert "Retry-After" not in api.post("/v2.0/networks", {"network": {}}).headers
