"""Request bodies: defaults, conversion, and everything that can be wrong with them."""

from __future__ import annotations

from typing import Any

import pytest
from neutron_lib.constants import ATTR_NOT_SPECIFIED
from webob import Request

from controller import config
from controller.api.wsgi import make_application
from tests.unit.api.conftest import Api, fault

NETWORK_ID = "7a1c4b0e-3b1f-4a55-9f0d-0f4d0b1b2c3d"


def port(**attributes: Any) -> dict[str, Any]:
    return {"port": {"network_id": NETWORK_ID, **attributes}}


def test_create_fills_neutrons_defaults(api: Api) -> None:
    shown = api.network(name="blue")
    assert api.resources.last_body["provider:network_type"] is ATTR_NOT_SPECIFIED
    assert api.resources.last_body["admin_state_up"] is True
    assert api.resources.last_body["mtu"] == 0
    assert shown["port_security_enabled"] is True
    assert "secret" not in shown


def test_values_are_converted(api: Api) -> None:
    response = api.post("/v2.0/ports", port(mac_address="AA-BB-CC-DD-EE-FF", admin_state_up="false"))
    assert response.status_int == 201
    assert api.resources.last_body["mac_address"] == "aa:bb:cc:dd:ee:ff"
    assert api.resources.last_body["admin_state_up"] is False


@pytest.mark.parametrize("name", ["project_id", "tenant_id"])
def test_project_by_either_name_is_shown_by_both(api: Api, name: str) -> None:
    shown = api.network(**{name: "red"})
    assert shown["project_id"] == shown["tenant_id"] == "red"


def test_project_from_the_header_or_none(api: Api) -> None:
    body: dict[str, Any] = {"network": {}}
    assert api.post("/v2.0/networks", body, X_Project_Id="red").json["network"]["project_id"] == "red"
    assert api.post("/v2.0/networks", body).json["network"]["project_id"] == ""
    fault(api.post("/v2.0/networks", body, X_Project_Id="x" * 256), 400, "InvalidInput")


def test_projects_that_differ_are_refused(api: Api) -> None:
    response = api.post("/v2.0/networks", {"network": {"project_id": "a", "tenant_id": "b"}})
    assert "do not match" in fault(response, 400, "HTTPBadRequest")


def test_bulk_create_bare_and_wrapped(api: Api) -> None:
    for items in ([{"name": "a"}, {"name": "b"}], [{"network": {"name": "a"}}, {"network": {"name": "b"}}]):
        response = api.post("/v2.0/networks", {"networks": items})
        assert response.status_int == 201
        assert [item["name"] for item in response.json["networks"]] == ["a", "b"]


def test_bulk_create_is_checked_before_anything_is_made(api: Api) -> None:
    response = api.post("/v2.0/networks", {"networks": [{"name": "a"}, {"nmae": "b"}]})
    assert "nmae" in fault(response, 400, "HTTPBadRequest")
    assert not api.resources.items["network"]


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (None, "HTTPBadRequest", "Resource body required"),
        (b"", "HTTPBadRequest", "Resource body required"),
        (b"{", "HTTPBadRequest", "Malformed request body"),
        (b"\xff", "HTTPBadRequest", "Malformed request body"),
        (b"[" * 100_000, "HTTPBadRequest", "nested too deeply"),
        (b'{"network": {"mtu": NaN}}', "HTTPBadRequest", "NaN is not a JSON number"),
        (b'{"network": {"mtu": 1e999}}', "HTTPBadRequest", "out of range"),
        (b'{"network": {"mtu": 99999999999999999999}}', "HTTPBadRequest", "out of range"),
        (b'{"network": {"name": "\\u0000"}}', "HTTPBadRequest", "U+0000"),
        (b'{"network": {"name": "\\ud800"}}', "HTTPBadRequest", "surrogate"),
        ([], "HTTPBadRequest", "JSON object"),
        ("x", "HTTPBadRequest", "JSON object"),
        ({}, "HTTPBadRequest", "Unable to find 'network' in request body"),
        ({"network": []}, "HTTPBadRequest", "Object 'network' contains invalid data"),
        ({"networks": {}}, "HTTPBadRequest", "'networks' must be a list"),
        ({"networks": []}, "HTTPBadRequest", "Resources required"),
        ({"networks": [1]}, "HTTPBadRequest", "JSON object"),
        ({"network": {"nmae": "x", "adress": 1}}, "HTTPBadRequest", "Unrecognized attribute(s) 'adress, nmae'"),
        ({"network": {"id": NETWORK_ID}}, "HTTPBadRequest", "Attribute 'id' not allowed in POST"),
        ({"network": {"name": 5}}, "HTTPBadRequest", "Invalid input for name. Reason: '5' is not a valid string."),
        ({"network": {"name": "x" * 256}}, "HTTPBadRequest", "exceeds maximum length of 255"),
        ({"network": {"admin_state_up": "maybe"}}, "InvalidInput", "'maybe' cannot be converted to boolean"),
        ({"network": {"mtu": "big"}}, "InvalidInput", "'big' is not an integer"),
        ({"network": {"mtu": "9" * 20}}, "HTTPBadRequest", "out of range"),
        ({"network": {"mtu": -1}}, "HTTPBadRequest", "Invalid input for mtu"),
        ({"network": {"segments": 7}}, "HTTPBadRequest", "Invalid input for segments"),
        ({"network": {"description": {"a": 1}}}, "HTTPBadRequest", "Invalid input for description"),
    ],
)
def test_bad_network_bodies(api: Api, body: Any, kind: str, message: str) -> None:
    assert message in fault(api.post("/v2.0/networks", body), 400, kind)
    assert not api.resources.items["network"]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"mac_address": "nonsense"}, "'nonsense' is not a valid MAC address; it has the form"),
        ({"mac_address": {"a": 1}}, "Invalid input for mac_address"),
        ({"fixed_ips": [{"ip_address": "10.0.0.999"}]}, "'10.0.0.999' is not a valid IP address."),
        ({"fixed_ips": "10.0.0.1"}, "Invalid input for fixed_ips"),
        (
            {"allowed_address_pairs": [{"mac_address": "aa:bb:cc:dd:ee:ff"}]},
            "AllowedAddressPair must contain ip_address",
        ),
        ({"allowed_address_pairs": [{"ip_address": f"10.0.0.{n}"} for n in range(11)]}, "exceeds the maximum 10"),
        ({"allowed_address_pairs": "x"}, "Allowed address pairs must be a list."),
        ({"allowed_address_pairs": [{"ip_address": 5}]}, "Invalid input for allowed_address_pairs"),
        ({"network_id": "blue"}, "'blue' is not a valid UUID."),
        ({"binding:profile": "x"}, "Invalid input for binding:profile"),
        ({"binding:host_id": ["web1"]}, "Invalid input for binding:host_id"),
        ({"binding:host_id": "x" * 256}, "exceeds maximum length of 255"),
        ({"binding:vnic_type": "x"}, "Invalid input for binding:vnic_type"),
        ({"security_groups": [NETWORK_ID]}, "security groups are not available here"),
    ],
)
def test_bad_port_attributes(api: Api, attributes: dict[str, Any], message: str) -> None:
    response = api.post("/v2.0/ports", port(**attributes))
    assert response.status_int == 400
    assert message in response.text
    fault(response, 400, response.json["NeutronError"]["type"])


def test_required_attribute(api: Api) -> None:
    assert "'network_id' not specified" in fault(api.post("/v2.0/ports", {"port": {}}), 400, "HTTPBadRequest")


def test_no_security_groups_may_be_said(api: Api) -> None:
    response = api.post("/v2.0/ports", port(security_groups=[]))
    assert response.status_int == 201
    assert "security_groups" not in api.resources.last_body
    assert "security_groups" not in response.json["port"]


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset=UTF-8", "application/x-www-form-urlencoded", "text/plain", "text/xml", ""],
)
def test_the_content_type_does_not_matter_as_in_neutron(api: Api, content_type: str) -> None:
    request = Request.blank("/v2.0/networks", method="POST", body=b'{"network": {"name": "blue"}}')
    request.headers["Content-Type"] = content_type
    assert request.get_response(api.application).json["network"]["name"] == "blue"
    request = Request.blank("/v2.0/networks", method="POST", body=b"name=blue")
    request.headers["Content-Type"] = content_type
    assert "Malformed request body" in fault(request.get_response(api.application), 400, "HTTPBadRequest")


def test_large_bodies_are_413(api: Api) -> None:
    conf = config.load()
    conf.set_override("max_body_size", 1024, "api")
    api.application = make_application(conf, api.resources, api.isthmus)
    body = {"network": {"description": "x" * 1024}}
    assert "1024 bytes" in fault(api.post("/v2.0/networks", body), 413, "HTTPRequestEntityTooLarge")
    chunked = Request.blank("/v2.0/networks", method="POST", content_type="application/json")
    chunked.body_file = _Endless()
    chunked.environ["wsgi.input_terminated"] = True
    chunked.environ.pop("CONTENT_LENGTH", None)
    fault(chunked.get_response(api.application), 413, "HTTPRequestEntityTooLarge")


class _Endless:
    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "the body must be read with a limit"
        return b" " * size


def test_chunked_bodies_that_the_server_does_not_decode_are_411(api: Api) -> None:
    request = Request.blank("/v2.0/networks", method="POST", content_type="application/json")
    request.environ.pop("CONTENT_LENGTH", None)
    request.headers["Transfer-Encoding"] = "chunked"
    fault(request.get_response(api.application), 411, "HTTPLengthRequired")


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (TimeoutError("timed out"), 408, "HTTPRequestTimeout"),
        (ConnectionResetError("gone"), 400, "HTTPBadRequest"),
        (ValueError("no chunk"), 400, "HTTPBadRequest"),
    ],
)
def test_bodies_that_do_not_come(
    api: Api, error: Exception, status: int, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def read(self, size: int = -1) -> bytes:
            raise error

    request = Request.blank("/v2.0/networks", method="POST", content_type="application/json")
    request.body_file = Broken()
    request.environ["wsgi.input_terminated"] = True
    request.environ.pop("CONTENT_LENGTH", None)
    fault(request.get_response(api.application), status, kind)
    assert "Traceback" not in caplog.text


def test_content_length_nonsense(api: Api) -> None:
    request = Request.blank("/v2.0/networks", method="POST", content_type="application/json")
    request.environ["CONTENT_LENGTH"] = "many"
    fault(request.get_response(api.application), 400, "HTTPBadRequest")


def test_update_changes_only_what_is_given(api: Api) -> None:
    network = api.network(name="blue")
    response = api.put(f"/v2.0/networks/{network['id']}", {"network": {"name": "red"}})
    assert response.status_int == 200
    assert response.json["network"] == {**network, "name": "red", "revision_number": 2}


@pytest.mark.parametrize("attribute", ["id", "status", "project_id", "revision_number", "created_at"])
def test_read_only_attributes(api: Api, attribute: str) -> None:
    path = f"/v2.0/networks/{api.network()['id']}"
    response = api.put(path, {"network": {attribute: "x"}})
    wanted = "tenant_id" if attribute == "project_id" else attribute
    message = fault(response, 400, "HTTPBadRequest")
    assert message in (f"Cannot update read-only attribute {attribute}", f"Cannot update read-only attribute {wanted}")
