"""Wrong input gets the right status and a message that says what would be right; and everything else goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from webob import Request, Response

from controller.api.attributes import RESOURCE_TYPES
from controller.api.wsgi import Application
from controller.plugin.context import system_context
from controller.plugin.plugin import Plugin
from tests.api.world import HOST, SWITCH

NOWHERE = "00000000-0000-0000-0000-000000000000"

Send = Callable[..., Response]


@pytest.fixture
def send(application: Application) -> Send:
    """``send("POST", "networks", name="blue")``"""

    def request(method: str, path: str, **attributes: Any) -> Response:
        sent = Request.blank(f"/v2.0/{path}", method=method)
        if method in ("POST", "PUT"):
            sent.content_type = "application/json"
            sent.body = json.dumps({path.split("/")[0][:-1]: attributes}).encode()
        return sent.get_response(application)

    return request


def provider(network_type: str, physical_network: str | None = None, number: int | None = None) -> dict[str, Any]:
    wanted = {
        "provider:network_type": network_type,
        "provider:physical_network": physical_network,
        "provider:segmentation_id": number,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def create(send: Send, path: str, **attributes: Any) -> Any:
    response = send("POST", path, **attributes)
    assert response.status_int == 201, response.text
    return response.json[path[:-1]]


def refuse(response: Response, status: int, *words: str) -> None:
    assert response.status_int == status, response.text
    error = response.json["NeutronError"]
    assert all(word in error["message"] for word in words), error


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        (provider("vlan", "physnet9", 100), ["physnet9", "physnet1"]),
        (provider("flat", "physnet9"), ["physnet9", "physnet1"]),
        (provider("vlan", "physnet1", 4095), ["4095", "4094"]),
        (provider("vlan", "physnet1", 0), ["0", "4094"]),
        (provider("vlan", None, 100), ["physical_network"]),
        (provider("flat"), ["physical_network"]),
        (provider("flat", "physnet1", 7), ["segmentation_id"]),
        (provider("gre", None, 2**32), [str(2**32), str(2**32 - 1)]),
        (provider("vxlan", None, 2**24), [str(2**24), str(2**24 - 1)]),
        (provider("vxlan", None, -1), ["-1"]),
        (provider("vxlan", "physnet1", 7), ["physical_network"]),
        (provider("local", None, 7), ["segmentation_id"]),
        (provider("token-ring"), ["token-ring", "vxlan"]),
        ({"provider:segmentation_id": 7}, ["provider:network_type"]),
        ({"mtu": 9000}, ["9000", "1450"]),
        ({"mtu": 10}, ["10", "68"]),
        ({"segments": [provider("vxlan", None, 7), provider("vxlan", None, 7)]}, ["uplicate"]),
        ({"segments": [provider("vxlan", None, 7)], **provider("vxlan", None, 8)}, ["Segments and provider"]),
    ],
)
def test_networks(send: Send, attributes: dict[str, Any], words: list[str]) -> None:
    refuse(send("POST", "networks", **attributes), 400, *words)
    assert send("GET", "networks").json == {"networks": []}


@pytest.mark.parametrize(
    "attributes",
    [provider("vlan", "physnet1", 100), provider("flat", "physnet1"), provider("gre", None, 7)],
)
def test_ids_in_use(send: Send, attributes: dict[str, Any]) -> None:
    create(send, "networks", **attributes)
    words = [str(value) for value in attributes.values()][1:]
    refuse(send("POST", "networks", **attributes), 409, *words)


def test_a_pool_without_free_ids_says_which(send: Send) -> None:
    for _ in range(3):
        create(send, "networks", **provider("vlan", "physnet1"))
    refuse(send("POST", "networks", **provider("vlan", "physnet1")), 503, "physnet1", "100", "102")


SUBNET = {"ip_version": 4, "cidr": "10.1.0.0/24"}


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"cidr": "10.1.0.0/33"}, ["10.1.0.0/33"]),
        ({"cidr": "fd00::/64"}, ["ip_version"]),
        ({"cidr": None}, ["cidr"]),
        ({"ip_version": 5}, ["5"]),
        ({"gateway_ip": "fd00::1"}, ["gateway"]),
        ({"gateway_ip": "10.1.0.255"}, ["10.1.0.255"]),
        ({"dns_nameservers": ["nonsense"]}, ["nonsense"]),
        ({"host_routes": [{"destination": "x", "nexthop": "10.1.0.1"}]}, ["x"]),
        ({"segment_id": "x"}, ["segment_id"]),
        ({"subnetpool_id": "x"}, ["subnetpool_id"]),
        ({"prefixlen": 24}, ["prefixlen"]),
        ({"ipv6_ra_mode": "slaac"}, ["ipv6_ra_mode"]),
    ],
)
def test_subnets(send: Send, attributes: dict[str, Any], words: list[str]) -> None:
    network = create(send, "networks")
    response = send("POST", "subnets", **{**SUBNET, "network_id": network["id"], **attributes})
    refuse(response, 400, *words)
    assert send("GET", "subnets").json == {"subnets": []}


@pytest.mark.parametrize(
    ("pools", "status", "words"),
    [
        ([("10.1.0.10", "10.1.0.20"), ("10.1.0.20", "10.1.0.30")], 409, ["10.1.0.20"]),
        ([("10.1.0.10", "10.1.1.20")], 400, ["10.1.0.10", "10.1.0.0/24"]),
        ([("10.1.0.20", "10.1.0.10")], 400, ["10.1.0.20"]),
        ([("nonsense", "10.1.0.10")], 400, ["nonsense"]),
        ([("10.1.0.1", "10.1.0.10")], 409, ["10.1.0.1"]),
    ],
)
def test_allocation_pools(send: Send, pools: list[tuple[str, str]], status: int, words: list[str]) -> None:
    network = create(send, "networks")
    body = [{"start": start, "end": end} for start, end in pools]
    refuse(send("POST", "subnets", **SUBNET, network_id=network["id"], allocation_pools=body), status, *words)


def test_overlapping_subnets_of_one_network(send: Send) -> None:
    network = create(send, "networks")
    create(send, "subnets", **SUBNET, network_id=network["id"])
    response = send("POST", "subnets", ip_version=4, cidr="10.1.0.128/25", network_id=network["id"])
    refuse(response, 400, "10.1.0.128/25", "10.1.0.0/24")
    other = create(send, "networks")
    create(send, "subnets", **SUBNET, network_id=other["id"])


@pytest.mark.parametrize(
    ("attributes", "status", "words"),
    [
        ({"mac_address": "fa:16:3e"}, 400, ["'fa:16:3e' is not a valid MAC address", "fa:16:3e:00:00:01"]),
        ({"mac_address": "01:00:5e:00:00:01"}, 400, ["01:00:5e:00:00:01"]),
        ({"mac_address": "fa:16:3e:00:00:01"}, 409, ["fa:16:3e:00:00:01"]),
        ({"fixed_ips": [{"ip_address": "10.9.0.1"}]}, 400, ["10.9.0.1"]),
        ({"fixed_ips": [{"ip_address": "10.1.0.50"}]}, 409, ["10.1.0.50"]),
        ({"fixed_ips": [{"ip_address": "10.1.0.0"}]}, 400, ["10.1.0.0"]),
        ({"fixed_ips": [{"subnet_id": NOWHERE}]}, 400, [NOWHERE]),
        ({"network_id": NOWHERE}, 404, [NOWHERE]),
        ({"allowed_address_pairs": [{"ip_address": "10.0.0.300"}]}, 400, ["10.0.0.300"]),
        ({"allowed_address_pairs": [{"ip_address": "10.1.0.9"}], "port_security_enabled": False}, 409, ["Security"]),
        ({"device_owner": "x" * 256}, 400, ["device_owner", "255"]),
        ({"binding:profile": {"local_link_information": "x"}}, 400, ["local_link_information"]),
        ({"binding:profile": {"local_link_information": [{"switch_id": 1}]}}, 400, ["local_link_information"]),
    ],
)
def test_ports(send: Send, attributes: dict[str, Any], status: int, words: list[str]) -> None:
    network = create(send, "networks")
    create(send, "subnets", **SUBNET, network_id=network["id"])
    create(send, "ports", network_id=network["id"], mac_address="fa:16:3e:00:00:01",
           fixed_ips=[{"ip_address": "10.1.0.50"}])  # fmt: skip
    refuse(send("POST", "ports", **{"network_id": network["id"], **attributes}), status, *words)
    assert len(send("GET", "ports").json["ports"]) == 1


def test_addresses_run_out(send: Send) -> None:
    network = create(send, "networks")
    create(send, "subnets", ip_version=4, cidr="10.1.0.0/30", network_id=network["id"])
    create(send, "ports", network_id=network["id"])
    refuse(send("POST", "ports", network_id=network["id"]), 409, network["id"])


def test_binding_says_why_it_failed(send: Send, plugin: Plugin) -> None:
    plugin.node_seen(SWITCH)
    plugin.node_seen(HOST)
    gre = create(send, "networks", **provider("gre"))
    other = create(send, "networks", **provider("vlan", "physnet2", 7))
    for network, host, words in (
        (gre, "nowhere", ["nowhere"]),
        (gre, "web1", ["this kernel has no gretap"]),
        (other, "web1", ["physnet2", "physnet1"]),
        (other, "ovs1", ["physnet2", "physnet1"]),
    ):
        port = create(send, "ports", network_id=network["id"], **{"binding:host_id": host})
        assert port["status"] == "DOWN"
        assert port["binding:vif_type"] == "binding_failed"
        assert all(word in port["status_reason"] for word in words), port["status_reason"]


def test_use_keeps_things_from_being_deleted(send: Send) -> None:
    network = create(send, "networks")
    subnet = create(send, "subnets", **SUBNET, network_id=network["id"])
    port = create(send, "ports", network_id=network["id"])
    refuse(send("DELETE", f"networks/{network['id']}"), 409, network["id"])
    refuse(send("DELETE", f"subnets/{subnet['id']}"), 409, subnet["id"])
    for path in (f"ports/{port['id']}", f"subnets/{subnet['id']}", f"networks/{network['id']}"):
        assert send("DELETE", path).status_int == 204
        refuse(send("DELETE", path), 404, path.split("/")[1])


def test_provider_attributes_do_not_change(send: Send) -> None:
    network = create(send, "networks", **provider("gre", None, 7))
    path = f"networks/{network['id']}"
    refuse(send("PUT", path, **{"provider:segmentation_id": 8}), 400, "provider:segmentation_id")
    assert send("PUT", path, **{"provider:segmentation_id": 7}).status_int == 200


def test_a_live_agent_is_not_deleted(send: Send, plugin: Plugin) -> None:
    plugin.node_seen(HOST)
    plugin.node_heartbeat(HOST.id)
    (agent,) = send("GET", "agents").json["agents"]
    refuse(send("DELETE", f"agents/{agent['id']}"), 409, "web1")
    refuse(send("PUT", f"agents/{agent['id']}", alive=False), 400, "alive")
    refuse(send("PUT", f"agents/{agent['id']}", admin_state_up="maybe"), 400, "maybe")


def test_agents_reports(application: Application) -> None:
    for report, word in (({"host": "db"}, "db"), ({"host": "web1", "devices": 7}, "devices"), ({}, "host")):
        sent = Request.blank("/v2.0/isthmus/hosts/web1/report", method="PUT", content_type="application/json")
        sent.body = json.dumps(report).encode()
        refuse(sent.get_response(application), 400, word)


@pytest.mark.parametrize("resource", RESOURCE_TYPES, ids=lambda resource: resource.name)
def test_every_filter_and_sort_key_that_is_promised_works(send: Send, plugin: Plugin, resource: Any) -> None:
    plugin.node_seen(HOST)
    network = create(send, "networks")
    subnet = create(send, "subnets", **SUBNET, network_id=network["id"])
    create(send, "ports", network_id=network["id"])
    create(send, "subnetpools", name="pool", prefixes=["10.0.0.0/8"])
    rule = {"object_type": "network", "object_id": network["id"], "target_tenant": "*", "action": "access_as_shared"}
    plugin.create(system_context(), "rbac_policy", rule)
    values = {"fixed_ips": f"subnet_id={subnet['id']}", "cidr": "10.1.0.0/24", "gateway_ip": "10.1.0.1",
              "ip_version": "4", "mac_address": "fa:16:3e:00:00:01", "created_at": "2026-01-01T00:00:00Z",
              "updated_at": "2026-01-01T00:00:00Z", "changed_since": "2026-01-01T00:00:00"}  # fmt: skip
    for name in sorted(resource.filters):
        response = send("GET", f"{resource.path}?{name}={values.get(name, '1')}")
        assert response.status_int == 200, (name, response.text)
    for name in sorted(resource.sort_keys):
        for direction in ("asc", "desc"):
            path = f"{resource.path}?sort_key={name}&sort_dir={direction}&limit=1"
            first = send("GET", path)
            assert first.status_int == 200, (name, first.text)
            shown = first.json[resource.collection][0]
            marker = shown["id"] if "id" in shown else shown["network_id"]
            assert send("GET", f"{path}&marker={marker}").status_int == 200


def test_a_marker_that_is_gone(send: Send) -> None:
    create(send, "networks")
    refuse(send("GET", f"networks?limit=1&marker={NOWHERE}"), 404, NOWHERE)
