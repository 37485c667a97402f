"""How Nova and Ironic use the Networking API, request by request, with the attributes that they send."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from controller.plugin.plugin import Plugin
from tests.api.world import HOST, SWITCH

INSTANCE, PROJECT = "5f1c2f6e-0e6b-4b6b-9d55-4d8f1f0a7d11", "9e3d1c0a3f4b4a6d8e6f7a8b9c0d1e2f"
NODE = "1be26c0b-03f2-4d2e-ae87-c02d7f33c123"

Send = Callable[..., Any]


@pytest.fixture
def send(url: str, plugin: Plugin) -> Send:
    """``send("GET", "ports?device_id=x")``: the answer's body after its status was checked."""
    plugin.node_seen(SWITCH)
    plugin.node_seen(HOST)

    def request(method: str, path: str, body: Any = None, status: int = 0) -> Any:
        answer = requests.request(method, f"{url}/v2.0/{path}", json=body, timeout=30)
        wanted = status or {"GET": 200, "POST": 201, "PUT": 200, "DELETE": 204}[method]
        assert answer.status_code == wanted, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    return request


@pytest.fixture
def networks(send: Send) -> tuple[str, str]:
    """A VLAN network of the project with a subnet."""
    provider = {"provider:network_type": "vlan", "provider:physical_network": "physnet1"}
    network = send("POST", "networks", {"network": {"name": "n", "project_id": PROJECT, **provider}})["network"]["id"]
    body = {"network_id": network, "ip_version": 4, "cidr": "10.4.0.0/24", "project_id": PROJECT}
    return network, send("POST", "subnets", {"subnet": body})["subnet"]["id"]


def test_nova_boots_a_server_moves_it_and_deletes_it(send: Send, networks: tuple[str, str]) -> None:
    network, subnet = networks
    aliases = {item["alias"] for item in send("GET", "extensions")["extensions"]}
    assert {"binding", "binding-extended", "port-security", "provider", "multi-provider"} <= aliases
    (found,) = send("GET", f"networks?tenant_id={PROJECT}&shared=False&id={network}")["networks"]
    assert found["subnets"] == [subnet]
    assert send("GET", "networks?shared=True")["networks"] == []
    assert send("GET", f"quotas/{PROJECT}/details")["quota"]["port"]["limit"] == 500
    assert send("GET", f"ports?tenant_id={PROJECT}&fields=id")["ports"] == []

    created = {"device_id": INSTANCE, "network_id": network, "admin_state_up": True, "tenant_id": PROJECT}
    port = send("POST", "ports", {"port": created})["port"]
    assert (port["status"], port["binding:vif_type"], port["security_groups"]) == ("DOWN", "unbound", [])
    path = f"ports/{port['id']}"
    bound = {"device_owner": "compute:nova", "device_id": INSTANCE, "binding:host_id": "ovs1", "binding:profile": {}}
    port = send("PUT", path, {"port": {**bound, "mac_address": port["mac_address"]}})["port"]
    assert (port["binding:vif_type"], port["binding:vif_details"]["connectivity"]) == ("ovs", "l2")

    (listed,) = send("GET", f"ports?tenant_id={PROJECT}&device_id={INSTANCE}")["ports"]
    assert listed["fixed_ips"][0]["subnet_id"] == subnet
    (shown,) = send("GET", f"subnets?id={subnet}")["subnets"]
    assert (shown["gateway_ip"], shown["enable_dhcp"], shown["dns_nameservers"]) == ("10.4.0.1", True, [])
    dhcp = f"ports?network_id={network}&device_owner=network%3Adhcp&fixed_ips=subnet_id%3D{subnet}"
    assert send("GET", dhcp)["ports"] == []
    assert send("GET", f"{path}?fields=binding:vif_type&fields=id") == {
        "port": {"id": port["id"], "binding:vif_type": "ovs"}
    }
    provider = send("GET", f"networks/{network}?fields=provider:physical_network&fields=provider:network_type")
    assert provider["network"] == {"provider:physical_network": "physnet1", "provider:network_type": "vlan"}
    send("GET", f"floatingips?fixed_ip_address=10.4.0.9&port_id={port['id']}", status=404)

    send("POST", f"{path}/bindings", {"binding": {"host": "web1", "vnic_type": "normal", "profile": {}}})
    send("PUT", f"{path}/bindings/web1/activate")
    send("DELETE", f"{path}/bindings/ovs1")
    moved = send("GET", path)["port"]
    assert (moved["binding:host_id"], moved["binding:vif_type"]) == ("web1", "bridge")
    assert moved["fixed_ips"] == port["fixed_ips"]

    none = {"device_id": "", "device_owner": "", "binding:host_id": None, "binding:profile": {}}
    detached = send("PUT", path, {"port": none})["port"]
    assert (detached["binding:vif_type"], detached["binding:host_id"], detached["device_id"]) == ("unbound", "", "")
    send("DELETE", path)
    send("DELETE", path, status=404)


def test_ironic_plugs_a_node_into_a_switch_and_takes_it_out(send: Send, networks: tuple[str, str]) -> None:
    network, _ = networks
    link = {"switch_id": "00:00:00:00:00:01", "port_id": "eth7", "switch_info": "rack 7"}
    created = {"network_id": network, "admin_state_up": True, "binding:vnic_type": "baremetal",
               "device_owner": "baremetal:none", "device_id": NODE, "binding:host_id": NODE,
               "mac_address": "52:54:00:cf:2d:31", "extra_dhcp_opts": [
                   {"opt_name": "67", "opt_value": "pxelinux.0", "ip_version": 4},
                   {"opt_name": "server-ip-address", "opt_value": "192.0.2.1", "ip_version": 4}]}  # fmt: skip
    profile = {"local_link_information": [link]}
    port = send("POST", "ports", {"port": {**created, "binding:profile": profile}})["port"]
    assert (port["binding:vnic_type"], port["binding:profile"]) == ("baremetal", profile)
    assert port["binding:vif_type"] != "binding_failed", port["status_reason"]
    assert [item["opt_value"] for item in port["extra_dhcp_opts"]] == ["pxelinux.0", "192.0.2.1"]
    path = f"ports/{port['id']}"
    (cleaning,) = send("GET", f"ports?network_id={network}&mac_address=52:54:00:cf:2d:31")["ports"]
    assert cleaning["id"] == port["id"]

    send("PUT", path, {"port": {"mac_address": None, "binding:host_id": "", "binding:profile": {}}}, status=409)
    unbound = send("PUT", path, {"port": {"binding:host_id": "", "binding:profile": {}}})["port"]
    assert unbound["binding:vif_type"] == "unbound"
    taken_out = {"device_id": "", "device_owner": "", "mac_address": None, "binding:host_id": "",
                 "binding:profile": {}}  # fmt: skip
    freed = send("PUT", path, {"port": taken_out})["port"]
    assert freed["mac_address"] != "52:54:00:cf:2d:31"
    again = send("PUT", path, {"port": {"binding:host_id": NODE, "binding:profile": profile,
                                        "mac_address": "52:54:00:cf:2d:31"}})["port"]  # fmt: skip
    assert again["binding:vif_type"] == port["binding:vif_type"]
    send("DELETE", path)
