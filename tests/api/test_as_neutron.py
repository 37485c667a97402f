"""What a Neutron 29 (ML2, keystone's context faked) answered to these requests, asked of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from webob import Request, Response

from controller.api.wsgi import Application

NOWHERE = "00000000-0000-0000-0000-000000000000"
FREE = {"ip_version": 4, "cidr": "10.2.0.0/24"}
BAD, INVALID = "HTTPBadRequest", "InvalidInput"


@pytest.fixture
def ids(application: Application) -> dict[str, str]:
    """A network with tags, a subnet and a port of it."""
    known: dict[str, str] = {}
    for kind, body in (
        ("network", {"name": "blue"}),
        ("subnet", {"network_id": "{network}", "ip_version": 4, "cidr": "10.1.0.0/24"}),
        ("port", {"network_id": "{network}", "fixed_ips": [{"ip_address": "10.1.0.50"}], "name": "p"}),
    ):
        answer = ask(application, known, "POST", f"{kind}s", {kind: body})
        known[kind] = answer.json[kind]["id"]
    ask(application, known, "PUT", "networks/{network}/tags", {"tags": ["a,b"]})
    return known


def ask(application: Application, ids: dict[str, str], method: str, path: str, body: Any = None) -> Response:
    """``{network}`` and the like stand for ids."""
    text = "" if body is None else json.dumps(body)
    for name, value in ids.items():
        text, path = text.replace(f"{{{name}}}", value), path.replace(f"{{{name}}}", value)
    request = Request.blank(f"/v2.0/{path}", method=method, body=text.encode())
    return request.get_response(application)


REFUSED: list[tuple[str, str, Any, int, str, str]] = [
    ("POST", "networks", [], 400, BAD, "Body contains invalid data"),
    ("POST", "networks", {"network": []}, 400, BAD, "Object 'network' contains invalid data"),
    ("POST", "networks", {"network": None}, 400, BAD, "Unable to find 'network' in request body"),
    ("POST", "networks", {"networks": []}, 400, BAD, "Resources required"),
    ("POST", "networks", {"network": {"name": None}}, 400, BAD, "Invalid input for name."),
    ("POST", "networks", {"network": {"description": None}}, 400, BAD, "Invalid input for description."),
    ("POST", "networks", {"network": {"admin_state_up": None}}, 400, INVALID, "cannot be converted to boolean"),
    ("POST", "networks", {"network": {"mtu": None}}, 400, INVALID, "'None' is not an integer"),
    ("POST", "networks", {"network": {"tags": ["a"]}}, 400, BAD, "Attribute 'tags' not allowed in POST"),
    (
        "PUT",
        "networks/{network}",
        {"network": {"status": "DOWN"}},
        400,
        BAD,
        "Cannot update read-only attribute status",
    ),
    ("PUT", "networks/{network}", {"network": {"project_id": "x"}}, 400, BAD, "Cannot update read-only attribute"),
    ("PUT", "networks/{network}", {"network": {"tags": []}}, 400, BAD, "Cannot update read-only attribute tags"),
    ("GET", "networks?foo=1", None, 400, BAD, "['foo'] is invalid attribute for filtering"),
    ("GET", "networks?admin_state_up=maybe", None, 400, INVALID, "'maybe' cannot be converted to boolean"),
    ("GET", "networks?limit=-1", None, 400, "BadRequest", "Limit must be an integer 0 or greater and not '-1'"),
    ("GET", "networks?sort_key=foo&sort_dir=asc", None, 400, BAD, "['foo'] is invalid attribute for sort_keys"),
    ("GET", "networks?sort_key=name&sort_dir=up", None, 400, BAD, "['up'] is invalid value for sort_dirs"),
    (
        "GET",
        "networks?sort_key=name&sort_key=id&sort_dir=asc",
        None,
        400,
        BAD,
        "The number of sort_keys and sort_dirs",
    ),
    ("GET", f"networks?limit=1&marker={NOWHERE}", None, 404, "NetworkNotFound", NOWHERE),
    ("POST", "subnets", {"subnet": {"network_id": "{network}", "ip_version": 4, "cidr": "x"}}, 400, INVALID, "x"),
    (
        "PUT",
        "subnets/{subnet}",
        {"subnet": {"cidr": "10.1.0.0/25"}},
        400,
        BAD,
        "Cannot update read-only attribute cidr",
    ),
    ("POST", "ports", {"port": {"network_id": NOWHERE}}, 404, "NetworkNotFound", NOWHERE),
    (
        "POST",
        "ports",
        {"port": {"network_id": "{network}", "binding:vif_type": "ovs"}},
        400,
        BAD,
        "not allowed in POST",
    ),
    ("PUT", "ports/{port}", {"port": {"data_plane_status": "x"}}, 400, BAD, "Invalid input for data_plane_status"),
    ("DELETE", "networks/{network}", None, 409, "NetworkInUse", "one or more ports"),
    ("DELETE", "subnets/{subnet}", None, 409, "SubnetInUse", ""),
    ("GET", "networks/{network}/tags/zz", None, 404, "TagNotFound", "zz"),
    ("PUT", "networks/{network}/tags", {"tags": ["a", "a"]}, 400, INVALID, "Duplicate items in the list"),
    ("PUT", "agents/nope", {"agent": {"admin_state_up": True}}, 404, "AgentNotFound", "nope"),
    ("GET", "quotas/project", None, 400, "QuotaMissingTenant", "missing from quota request"),
    ("GET", "routers", None, 404, "HTTPNotFound", "The resource could not be found."),
    ("PATCH", "networks", None, 405, "HTTPMethodNotAllowed", ""),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "kind", "words"), REFUSED)
def test_refused(
    application: Application,
    ids: dict[str, str],
    method: str,
    path: str,
    body: Any,
    status: int,
    kind: str,
    words: str,
) -> None:
    answer = ask(application, ids, method, path, body)
    error = answer.json["NeutronError"]
    assert (answer.status_int, error["type"]) == (status, kind), error
    assert words in error["message"]


def test_ids_and_addresses_run_out(application: Application, ids: dict[str, str]) -> None:
    """Of ids a 503, of addresses a 409: by the classes of neutron-lib that Neutron raises."""
    vlan = {"network": {"provider:network_type": "vlan", "provider:physical_network": "physnet1"}}
    made = [ask(application, ids, "POST", "networks", vlan) for _ in range(4)]
    assert [answer.status_int for answer in made] == [201, 201, 201, 503]
    assert made[-1].json["NeutronError"]["type"] == "NoNetworkAvailable"
    assert "no more vlan ids" in made[-1].json["NeutronError"]["message"]
    assert "Retry-After" not in made[-1].headers
    ids["small"] = made[0].json["network"]["id"]
    small = {"network_id": "{small}", "ip_version": 4, "cidr": "10.3.0.0/30"}
    assert ask(application, ids, "POST", "subnets", {"subnet": small}).status_int == 201
    ports = [ask(application, ids, "POST", "ports", {"port": {"network_id": "{small}"}}) for _ in range(2)]
    assert [answer.status_int for answer in ports] == [201, 409]
    assert ports[-1].json["NeutronError"]["type"] == "IpAddressGenerationFailure"


DONE: list[tuple[str, str, Any, int, Any]] = [
    ("GET", "networks?name=blue&fields=name&limit=0&marker=nope", None, 200, {"networks": [{"name": "blue"}]}),
    ("GET", "networks?fields=nope", None, 200, {"networks": [{}]}),
    ("GET", "networks?name=", None, 200, {"networks": []}),
    ("GET", "ports?fields=name&fixed_ips=ip_address_substr%3D1.0.5", None, 200, {"ports": [{"name": "p"}]}),
    ("GET", "ports?fields=name&fixed_ips=ip_address_substr%3D9.9", None, 200, {"ports": []}),
    ("PUT", "networks/{network}/tags", {"tags": ["b", "a"]}, 200, {"tags": ["a", "b"]}),
    ("POST", "networks/{network}/tags", {"tags": ["b"]}, 200, {"tags": ["b"]}),
    ("PUT", "networks/{network}/tags/c", None, 201, None),
    ("GET", "networks/{network}/tags/a%2Cb", None, 204, None),
    ("DELETE", "networks/{network}/tags", None, 204, None),
    ("DELETE", "ports/{port}", None, 204, None),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "content"), DONE)
def test_done(
    application: Application, ids: dict[str, str], method: str, path: str, body: Any, status: int, content: Any
) -> None:
    answer = ask(application, ids, method, path, body)
    assert answer.status_int == status, answer.text
    assert (answer.json if answer.body else None) == content


MADE: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("subnet", {**FREE, "allocation_pools": []}, {"allocation_pools": [{"start": "10.2.0.2", "end": "10.2.0.254"}]}),
    ("subnet", {**FREE, "allocation_pools": None}, {"allocation_pools": [{"start": "10.2.0.2", "end": "10.2.0.254"}]}),
    ("subnet", {**FREE, "gateway_ip": None}, {"gateway_ip": None, "dns_nameservers": []}),
    ("subnet", {**FREE, "dns_nameservers": None, "host_routes": None}, {"dns_nameservers": [], "host_routes": []}),
    ("subnet", {**FREE, "cidr": "10.2.0.7/24"}, {"cidr": "10.2.0.0/24"}),
    ("port", {"mac_address": "FA-16-3E-00-00-02"}, {"mac_address": "fa:16:3e:00:00:02"}),
    ("port", {"allowed_address_pairs": None, "fixed_ips": []}, {"allowed_address_pairs": [], "fixed_ips": []}),
    ("port", {"binding:host_id": None}, {"binding:host_id": "", "binding:vif_type": "unbound"}),
    ("port", {"tags": ["a", "b"]}, {"tags": ["a", "b"]}),
]


@pytest.mark.parametrize(("kind", "said", "shown"), MADE)
def test_made(application: Application, ids: dict[str, str], kind: str, said: Any, shown: dict[str, Any]) -> None:
    answer = ask(application, ids, "POST", f"{kind}s", {kind: {"network_id": "{network}", **said}})
    assert answer.status_int == 201, answer.text
    assert {name: answer.json[kind][name] for name in shown} == shown


def test_a_policy_type_is_a_word_however_it_is_written(application: Application, ids: dict[str, str]) -> None:
    said = {"object_type": "Network", "object_id": "{network}", "action": "access_as_shared", "target_tenant": "p"}
    answer = ask(application, ids, "POST", "rbac-policies", {"rbac_policy": said})
    assert answer.json["rbac_policy"]["object_type"] == "network"


def test_a_bulk_with_one_bad_element_makes_nothing(application: Application, ids: dict[str, str]) -> None:
    for bad in ({"nmae": "x"}, {"provider:network_type": "vlan", "provider:physical_network": "nowhere"}):
        answer = ask(application, ids, "POST", "networks", {"networks": [{"name": "one"}, bad]})
        assert answer.status_int == 400
        assert ask(application, ids, "GET", "networks?name=one").json == {"networks": []}
