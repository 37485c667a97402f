"""A real Keystone in front: who sees and does what, with openstacksdk."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from openstack.connection import Connection
from webob import Request

from controller import config
from controller.api import auth
from controller.api.wsgi import make_application
from controller.plugin.plugin import Plugin
from tests.api.keystone_bed import AUTHENTICATION, refused
from tests.support import keystone
from tests.support.keystone import Keystone
from tests.unit.api.fakes import FakeIsthmus

pytestmark = pytest.mark.xdist_group("keystone")


def test_without_a_token_only_the_way_in_is_shown(identity: Keystone, base: str) -> None:
    with urllib.request.urlopen(f"{base}/") as answer:
        assert json.load(answer)["versions"]
    for headers in ({}, {"X-Auth-Token": "nonsense"}, {"X-Roles": "admin", "X-Identity-Status": "Confirmed"}):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(f"{base}/v2.0/networks", headers=headers))
        assert caught.value.code == 401
        assert identity.url.removesuffix("/v3") in caught.value.headers["WWW-Authenticate"]
        assert json.load(caught.value)["NeutronError"]["type"] == "HTTPUnauthorized"


def test_projects_are_apart(as_user: Callable[[str, str], Connection]) -> None:
    alice, rita, bob = as_user("alice", "red").network, as_user("rita", "red").network, as_user("bob", "blue").network
    network = alice.create_network(name="red net")
    subnet = alice.create_subnet(network_id=network.id, ip_version=4, cidr="10.0.0.0/24")
    port = alice.create_port(network_id=network.id, fixed_ips=[{"subnet_id": subnet.id, "ip_address": "10.0.0.9"}])

    assert [item.id for item in rita.networks(name="red net")] == [network.id]
    assert [item.id for item in rita.ports()] == [port.id]
    assert "create_network is disallowed by policy" in refused(lambda: rita.create_network(name="no"), 403)
    refused(lambda: rita.update_network(network.id, name="no"), 403)
    refused(lambda: rita.delete_port(port.id, ignore_missing=False), 403)

    assert not list(bob.networks())
    assert not list(bob.subnets())
    assert not list(bob.ports())
    refused(lambda: bob.get_network(network.id), 404)
    refused(lambda: bob.delete_network(network.id, ignore_missing=False), 404)
    refused(lambda: bob.update_port(port.id, name="mine"), 404)
    refused(lambda: bob.create_port(network_id=network.id), 404)
    refused(lambda: bob.create_subnet(network_id=network.id, ip_version=4, cidr="10.1.0.0/24"), 404)
    refused(lambda: bob.create_network(name="x", project_id=network.project_id), 400)
    for kind, item in (("port", port), ("subnet", subnet), ("network", network)):
        getattr(alice, f"delete_{kind}")(item, ignore_missing=False)


def test_provider_attributes_are_for_administrators(as_user: Callable[[str, str], Connection]) -> None:
    admin, alice, nova = (as_user(*who).network
                          for who in (("admin", "admin"), ("alice", "red"), ("nova", "service")))  # fmt: skip
    network = alice.create_network(name="mine")
    assert network.provider_network_type is None
    assert admin.get_network(network.id).provider_network_type == "vxlan"
    refused(lambda: alice.create_network(provider_network_type="gre"), 403)
    refused(lambda: alice.create_network(is_shared=True), 403)
    refused(lambda: alice.update_network(network, is_shared=True), 403)
    refused(lambda: alice.create_port(network_id=network.id, binding_host_id="web1"), 403)
    port = alice.create_port(network_id=network.id, mac_address="fa:16:3e:00:00:77")
    assert port.binding_host_id is None
    bound = nova.update_port(port.id, binding_host_id="web1")
    assert (bound.binding_vif_type, bound.binding_host_id) == ("bridge", "web1")
    assert [item.id for item in nova.ports(binding_host_id="web1")] == [port.id]
    assert not list(alice.ports(binding_host_id="web1")), "what cannot be seen cannot be found by"
    refused(lambda: nova.create_network(name="no"), 403)
    assert alice.get_port(port.id).binding_vif_type is None
    assert not list(alice.agents())
    assert "web1" in [agent.host for agent in admin.agents()]
    alice.delete_port(port)
    alice.delete_network(network)


def test_shared_networks(as_user: Callable[[str, str], Connection]) -> None:
    admin, bob = as_user("admin", "admin").network, as_user("bob", "blue").network
    network = admin.create_network(name="commons", is_shared=True)
    subnet = admin.create_subnet(network_id=network.id, ip_version=4, cidr="10.7.0.0/24")
    assert [item.name for item in bob.networks()] == ["commons"]
    assert [item.id for item in bob.subnets()] == [subnet.id]
    refused(lambda: bob.update_network(network.id, name="mine"), 403)
    refused(lambda: bob.delete_network(network.id, ignore_missing=False), 403)
    refused(lambda: bob.create_port(network_id=network.id, mac_address="fa:16:3e:00:00:78"), 403)
    refused(lambda: bob.create_port(network_id=network.id, is_port_security_enabled=False), 403)
    refused(lambda: bob.create_port(network_id=network.id, fixed_ips=[{"ip_address": "10.7.0.9"}]), 403)
    refused(lambda: bob.create_port(network_id=network.id, device_owner="network:dhcp"), 403)
    port = bob.create_port(network_id=network.id, fixed_ips=[{"subnet_id": subnet.id}], device_owner="compute:nova")
    assert len(list(admin.ports(network_id=network.id))) == 1
    bob.delete_port(port)
    admin.delete_network(network)


def test_a_role_without_rights_and_the_policy_file(
    as_user: Callable[[str, str], Connection], policy_file: Path
) -> None:
    guest, alice = as_user("guest", "red").network, as_user("alice", "red").network
    network = alice.create_network(name="red")
    assert not list(guest.networks())
    refused(lambda: guest.get_network(network.id), 404)
    policy_file.write_text('"get_network": "role:manager-of-nothing or role:member"\n"delete_network": "!"\n')
    time.sleep(1.1)
    assert [item.id for item in guest.networks()] == [network.id]
    refused(lambda: alice.delete_network(network, ignore_missing=False), 403)
    policy_file.write_text("{}\n")
    time.sleep(1.1)
    refused(lambda: guest.get_network(network.id), 404)
    alice.delete_network(network, ignore_missing=False)


def test_our_own_endpoints_are_for_administrators_and_services(as_user: Callable[[str, str], Connection]) -> None:
    for user, project, status in (("admin", "admin", 200), ("alice", "red", 403)):
        answer = as_user(user, project).network.get("/isthmus/switches", raise_exc=False)
        assert answer.status_code == status
    agents = as_user("nova", "service").network
    assert agents.get("/isthmus/hosts/web1/plan?timeout=0", raise_exc=False).status_code == 200
    assert agents.get("/isthmus/switches", raise_exc=False).status_code == 403
    assert as_user("rita", "red").network.get("/isthmus/hosts/web1/plan", raise_exc=False).status_code == 403


def test_sharing_with_one_project(as_user: Callable[[str, str], Connection], identity: Keystone) -> None:
    alice, bob = as_user("alice", "red").network, as_user("bob", "blue").network
    network = alice.create_network(name="between")
    subnet = alice.create_subnet(network_id=network.id, ip_version=4, cidr="10.9.0.0/24")
    with identity.connect("admin", "admin") as cloud:
        project = cloud.identity.find_project("blue", ignore_missing=False).id
    everybody = {"object_type": "network", "object_id": network.id, "target_project_id": "*"}
    refused(lambda: alice.create_rbac_policy(action="access_as_shared", **everybody), 403)
    policy = alice.create_rbac_policy(
        object_type="network", object_id=network.id, action="access_as_shared", target_project_id=project
    )
    assert [item.id for item in bob.networks(name="between")] == [network.id]
    assert bob.get_network(network.id).is_shared
    assert [item.id for item in bob.subnets(network_id=network.id)] == [subnet.id]
    refused(lambda: bob.update_network(network.id, name="mine"), 403)
    port = bob.create_port(network_id=network.id)
    refused(lambda: alice.delete_rbac_policy(policy.id, ignore_missing=False), 409)
    bob.delete_port(port)
    alice.delete_rbac_policy(policy.id, ignore_missing=False)
    assert not list(bob.networks(name="between"))
    alice.delete_network(network)


def test_quotas_are_the_administrators(as_user: Callable[[str, str], Connection]) -> None:
    admin, alice = as_user("admin", "admin").network, as_user("alice", "red").network
    network = alice.create_network(name="limited")
    project = network.project_id
    assert alice.put(f"/quotas/{project}", json={"quota": {"port": 99}}, raise_exc=False).status_code == 403
    assert alice.get(f"/quotas/{project}").json()["quota"]["port"]
    assert alice.get("/quotas/project").json() == {"project": {"project_id": project}}
    assert alice.get("/quotas/tenant").json() == {"tenant": {"tenant_id": project}}
    assert alice.get("/quotas/another", raise_exc=False).status_code == 404
    admin.put(f"/quotas/{project}", json={"quota": {"port": 1}})
    port = alice.create_port(network_id=network.id)
    refused(lambda: alice.create_port(network_id=network.id), 409)
    admin.delete(f"/quotas/{project}")
    alice.delete_port(port)
    alice.delete_network(network)


def token(identity: Keystone, user: str, scope: dict[str, Any]) -> str:
    who = {"name": user, "domain": {"id": keystone.DOMAIN}, "password": keystone.PASSWORD}
    auth = {"identity": {"methods": ["password"], "password": {"user": who}}, "scope": scope}
    answer = requests.post(f"{identity.url}/auth/tokens", json={"auth": auth}, timeout=30)
    assert answer.status_code == 201, answer.text
    return answer.headers["X-Subject-Token"]


def test_tokens_that_are_for_no_project(identity: Keystone, base: str) -> None:
    with identity.connect("admin", "admin") as cloud:
        root = cloud.identity.find_user("admin", ignore_missing=False)
        admin = cloud.identity.find_role("admin", ignore_missing=False)
        cloud.identity.assign_system_role_to_user(root, admin, "all")
        dora = cloud.identity.create_user(name="dora", password=keystone.PASSWORD, domain_id=keystone.DOMAIN)
        member = cloud.identity.find_role("member", ignore_missing=False)
        cloud.identity.assign_domain_role_to_user(keystone.DOMAIN, dora, member)
    headers = {"X-Auth-Token": token(identity, "dora", {"domain": {"id": keystone.DOMAIN}})}
    for answer in (
        requests.get(f"{base}/v2.0/networks", headers=headers, timeout=30),
        requests.post(f"{base}/v2.0/networks", json={"network": {}}, headers=headers, timeout=30),
    ):
        assert answer.status_code == 403, answer.text
        assert "for no project" in answer.json()["NeutronError"]["message"]
    assert requests.get(f"{base}/v2.0/extensions", headers=headers, timeout=30).status_code == 200
    headers = {"X-Auth-Token": token(identity, "admin", {"system": {"all": True}})}
    made = requests.post(f"{base}/v2.0/networks", json={"network": {}}, headers=headers, timeout=30)
    assert (made.status_code, made.json()["network"]["project_id"]) == (201, ""), "administrators need none"
    requests.delete(f"{base}/v2.0/networks/{made.json()['network']['id']}", headers=headers, timeout=30)


def test_what_callers_say_of_themselves_is_not_believed(identity: Keystone, base: str) -> None:
    with identity.connect("admin", "admin") as cloud:
        red = cloud.identity.find_project("red", ignore_missing=False).id
        blue = cloud.identity.find_project("blue", ignore_missing=False).id
    forged = {"X-Roles": "admin", "X-Project-Id": blue, "X-Tenant-Id": blue, "X-User-Id": "root",
              "OpenStack-System-Scope": "all", "X-Identity-Status": "Confirmed"}  # fmt: skip
    assert requests.get(f"{base}/v2.0/networks", headers=forged, timeout=30).status_code == 401
    forged["X-Auth-Token"] = token(identity, "alice", {"project": {"id": red}})
    assert requests.get(f"{base}/v2.0/isthmus/switches", headers=forged, timeout=30).status_code == 403
    made = requests.post(f"{base}/v2.0/networks", json={"network": {}}, headers=forged, timeout=30).json()["network"]
    assert made["project_id"] == red
    requests.delete(f"{base}/v2.0/networks/{made['id']}", headers=forged, timeout=30)


def test_a_keystone_that_hangs_is_not_waited_for(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(auth, "KEYSTONE_PATIENCE", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        path = tmp_path / "keystone.conf"
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v3"
        once = "[keystone_authtoken]\nhttp_request_max_retries = 0"
        text = AUTHENTICATION.format(url=url, policy=tmp_path / "policy.yaml")
        path.write_text(text.replace("[keystone_authtoken]", once))
        application = make_application(config.load(["--config-file", str(path)]), plugin, FakeIsthmus())
        began = time.monotonic()
        answer = Request.blank("/v2.0/networks", headers={"X-Auth-Token": "x"}).get_response(application)
        assert answer.status_int == 503, answer.text
        assert time.monotonic() - began < 15
