"""A real Keystone in front: who sees and does what, with openstacksdk and the openstack command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openstack import exceptions
from openstack.connection import Connection
from openstackclient import shell

from controller import config
from controller.api.wsgi import make_application
from controller.plugin.plugin import Plugin, open_store
from mechanisms.manager import MechanismManager
from tests.api.conftest import CONFIGURATION, HOST
from tests.support import keystone
from tests.support.keystone import Keystone
from tests.unit.api.fakes import FakeIsthmus
from tests.unit.api.server import serving
from typedrivers.manager import TypeManager

AUTHENTICATION = """
[api]
auth_strategy = keystone
[keystone_authtoken]
auth_type = password
auth_url = {url}
www_authenticate_uri = {url}
username = isthmus
password = secret
project_name = service
user_domain_id = default
project_domain_id = default
[oslo_policy]
policy_file = {policy}
"""

USERS = (
    ("isthmus", "service", "admin"),
    ("nova", "service", "service"),
    ("alice", "red", "member"),
    ("rita", "red", "reader"),
    ("bob", "blue", "member"),
    ("guest", "red", "manager-of-nothing"),
)

CLI = Callable[..., Any]


@pytest.fixture(scope="module")
def identity() -> Iterator[Keystone]:
    with keystone.server() as running:
        with running.connect("admin", "admin") as cloud:
            cloud.identity.create_role(name="manager-of-nothing")
            cloud.identity.create_project(name="service", domain_id=keystone.DOMAIN)
        for name, project, *roles in USERS:
            running.user(name, project, *roles)
        yield running


@pytest.fixture(scope="module")
def policy_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("policy") / "policy.yaml"


@pytest.fixture(scope="module")
def base(identity: Keystone, policy_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API with the real plugin."""
    directory = tmp_path_factory.mktemp("api")
    path = directory / "isthmus.conf"
    text = CONFIGURATION.format(path=directory / "isthmus.sqlite")
    path.write_text(text + AUTHENTICATION.format(url=identity.url, policy=policy_file))
    policy_file.write_text("{}\n")
    conf = config.load(["--config-file", str(path)])
    types = TypeManager.load(conf)
    store = open_store(conf, types)
    plugin = Plugin(conf, store, types, MechanismManager.load(conf.ml2.mechanism_drivers))
    plugin.node_seen(HOST)
    with serving(make_application(conf, plugin, FakeIsthmus())) as url:
        identity.network_service(url)
        yield url
    store.dispose()


@pytest.fixture
def as_user(identity: Keystone, base: str) -> Iterator[Callable[[str, str], Connection]]:
    opened: list[Connection] = []

    def connect(user: str, project: str) -> Connection:
        opened.append(identity.connect(user, project))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def cli(identity: Keystone, base: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CLI:
    """``cli("network create blue")`` runs the openstack command as the administrator: what it says, as JSON."""

    def run(line: str, status: int = 0) -> Any:
        for name, value in identity.environment("admin", "admin").items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        got = shell.main(words(line))
        said = capsys.readouterr()
        assert got == status, f"{line}: {said.out}{said.err}"
        return json.loads(said.out) if said.out.strip() and status == 0 else said.err

    return run


@pytest.fixture
def process(identity: Keystone, base: str) -> CLI:
    """``process("alice", "red", "network list")``: the command as a process of its own, because it keeps its clients
    for as long as its process lives."""

    def run(user: str, project: str, line: str, status: int = 0) -> Any:
        done = subprocess.run(
            [Path(sys.executable).with_name("openstack"), *words(line)],
            env={**os.environ, **identity.environment(user, project)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return json.loads(done.stdout) if done.stdout.strip() and status == 0 else done.stderr

    return run


def words(line: str) -> list[str]:
    """A command line, with JSON for what prints something."""
    found = line.split()
    return [*found, "-f", "json"] if {"create", "list", "show"} & set(found) else found


def refused(action: Callable[[], Any], status: int) -> str:
    with pytest.raises(exceptions.HttpException) as caught:
        action()
    assert caught.value.status_code == status, str(caught.value)
    return str(caught.value)


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
    assert [agent.host for agent in admin.agents()] == ["web1"]
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


def test_the_openstack_command(cli: CLI) -> None:
    network = cli("network create blue --provider-network-type gre --provider-segment 77 --mtu 1400")
    assert (network["name"], network["provider:segmentation_id"]) == ("blue", 77)
    cli("network set --name green --description nice blue")
    assert cli("network show green")["description"] == "nice"
    assert "green" in [item["Name"] for item in cli("network list --long")]
    subnet = cli(
        "subnet create sub --network green --subnet-range 10.0.0.0/24 --dns-nameserver 192.0.2.53 "
        "--allocation-pool start=10.0.0.2,end=10.0.0.99"
    )
    cli("subnet set --gateway 10.0.0.254 --dns-nameserver 192.0.2.54 sub")
    cli("subnet unset --dns-nameserver 192.0.2.53 sub")
    shown = cli("subnet show sub")
    assert (shown["gateway_ip"], shown["dns_nameservers"]) == ("10.0.0.254", ["192.0.2.54"])
    assert [item["ID"] for item in cli("subnet list")] == [subnet["id"]]
    port = cli("port create p1 --network green --host web1 --fixed-ip subnet=sub,ip-address=10.0.0.5")
    assert port["binding_host_id"] == "web1"
    cli("port set --allowed-address ip-address=10.0.0.77 --device-owner compute:nova p1")
    cli("port unset --allowed-address ip-address=10.0.0.77,mac-address=" + port["mac_address"] + " p1")
    assert cli("port show p1")["allowed_address_pairs"] == []
    assert [item["Name"] for item in cli("port list --network green")] == ["p1"]
    segment = cli("network segment create --network green --network-type vxlan s1")
    cli("network segment set --name s2 s1")
    assert segment["id"] in [item["ID"] for item in cli("network segment list")]
    assert cli("network segment show s2")["network_type"] == "vxlan"
    agent = cli("network agent list")[0]
    cli(f"network agent set --disable {agent['ID']}")
    assert cli(f"network agent show {agent['ID']}")["admin_state_up"] is False
    cli(f"network agent set --enable {agent['ID']}")
    assert "segment" in [item["Alias"] for item in cli("extension list --network")]
    cli("port delete p1")
    cli("network segment delete s2")
    cli("subnet delete sub")
    cli("network delete green")
    cli("network show green", status=1)


def test_the_openstack_command_as_a_member_and_a_reader(process: CLI) -> None:
    process("alice", "red", "network create mine")
    assert "403" in process("alice", "red", "network create --share theirs", status=1)
    assert [item["Name"] for item in process("rita", "red", "network list")] == ["mine"]
    process("rita", "red", "network delete mine", status=1)
    assert process("bob", "blue", "network list") == []
    process("bob", "blue", "network show mine", status=1)
    process("alice", "red", "network delete mine")


def test_the_openstack_command_on_what_else_there_is(cli: CLI) -> None:
    pool = cli("subnet pool create pool --pool-prefix 10.128.0.0/9 --default-prefix-length 24")
    cli("subnet pool set --description nice --tag red pool")
    assert cli("subnet pool show pool")["tags"] == ["red"]
    cli("subnet pool unset --tag red pool")
    assert [item["ID"] for item in cli("subnet pool list")] == [pool["id"]]
    cli("network create n --tag a --tag b")
    cli("network unset --tag a n")
    assert cli("network show n")["tags"] == ["b"]
    assert [item["Name"] for item in cli("network list --tags b")] == ["n"]
    cut = cli("subnet create s --network n --subnet-pool pool")
    assert cut["subnetpool_id"] == pool["id"]
    rbac = cli("network rbac create --target-project red --action access_as_shared --type network n")
    cli(f"network rbac set --target-project blue {rbac['id']}")
    assert cli(f"network rbac show {rbac['id']}")["object_type"] == "network"
    assert rbac["id"] in [item["ID"] for item in cli("network rbac list")]
    cli(f"network rbac delete {rbac['id']}")
    made = cli(
        "network segment range create r --shared --network-type vlan --physical-network physnet1 "
        "--minimum 3000 --maximum 3010"
    )
    cli("network segment range set --minimum 3000 --maximum 3020 r")
    assert cli("network segment range show r")["maximum"] == 3020
    assert made["id"] in [item["ID"] for item in cli("network segment range list")]
    cli("network segment range delete r")
    cli("quota set --networks 3 --ports 7 blue")
    shown = {item["Resource"]: item["Limit"] for item in cli("quota show --network blue")}
    assert (shown["networks"], shown["ports"]) == (3, 7)
    cli("quota delete --network blue")
    assert cli("ip availability show n")["network_name"] == "n"
    assert cli("ip availability list")
    assert isinstance(cli("availability zone list --network"), list)
    cli("subnet delete s")
    cli("subnet pool delete pool")
    cli("network delete n")


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
    assert alice.get("/quotas/another", raise_exc=False).status_code == 404
    admin.put(f"/quotas/{project}", json={"quota": {"port": 1}})
    port = alice.create_port(network_id=network.id)
    refused(lambda: alice.create_port(network_id=network.id), 409)
    admin.delete(f"/quotas/{project}")
    alice.delete_port(port)
    alice.delete_network(network)
