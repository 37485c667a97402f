"""The openstack command with a real Keystone."""

from __future__ import annotations

import pytest

from tests.api.keystone_bed import CLI

pytestmark = pytest.mark.xdist_group("keystone")


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
