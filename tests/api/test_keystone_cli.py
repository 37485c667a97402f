"""The ``openstack`` command with a real Keystone: every verb that it has on every resource that there is."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.api.keystone_bed import CLI

pytestmark = pytest.mark.xdist_group("keystone")

VERBS = {
    "network": "create list show set unset delete",
    "subnet": "create list show set unset delete",
    "subnet pool": "create list show set unset delete",
    "port": "create list show set unset delete",
    "network segment": "create list show set delete",
    "network segment range": "create list show set delete",
    "network agent": "list show set delete",
    "network rbac": "create list show set delete",
    "ip availability": "list show",
    "quota": "set show list delete",
    "availability zone": "list",
    "extension": "list show",
}
"""What the command can do with what is served. Bindings of ports it does not know."""


Ids = Mapping[str, str]
Condition = Callable[[Any, Ids], bool]


@dataclass(frozen=True)
class Step:
    """A command, what its answer must fulfil, and the name under which what follows has the id of what it shows."""

    line: str
    holds: Condition = lambda said, ids: True
    keep: str = ""
    status: int = 0


def has(**wanted: Any) -> Condition:
    """The item shown has these values."""
    return lambda said, ids: all(said.get(name) == _filled(value, ids) for name, value in wanted.items())


def named(*names: str, column: str = "Name") -> Condition:
    """All of these are listed."""
    return lambda said, ids: {_filled(name, ids) for name in names} <= {item[column] for item in said}


def gone(*names: str, column: str = "Name") -> Condition:
    """None of these is listed."""
    return lambda said, ids: not {*names} & {item[column] for item in said}


def _filled(value: Any, ids: Ids) -> Any:
    return value.format(**ids) if isinstance(value, str) else value


STEPS = (
    Step("network create blue --provider-network-type gre --provider-segment 77 --mtu 1400 --tag a --tag b",
         has(name="blue", mtu=1400, tags=["a", "b"], status="ACTIVE"), "network"),
    Step("network set --name green --description nice --disable --no-share --tag c blue"),
    Step("network show green", has(description="nice", tags=["a", "b", "c"], id="{network}")),
    Step("network unset --tag a green"),
    Step("network list --long --tags b,c --disable", named("green")),
    Step("network list --provider-segment 77 --provider-network-type gre", named("green")),
    Step("network list --tags a", gone("green")),
    Step("network set --enable --external --disable-port-security green"),
    Step("network list --external", named("green")),
    Step("network set --internal --enable-port-security green"),
    Step("network unset --all-tag green"),
    Step("network show green", has(tags=[], mtu=1400, port_security_enabled=True)),

    Step("subnet pool create pool --pool-prefix 10.128.0.0/9 --default-prefix-length 24 --tag x --share", keep="pool"),
    Step("subnet pool set --description nice --min-prefix-length 20 --tag y pool"),
    Step("subnet pool unset --tag x pool"),
    Step("subnet pool show pool", has(tags=["y"], description="nice", min_prefixlen=20, shared=True)),
    Step("subnet pool list --share", named("pool")),
    Step("subnet pool list --default", gone("pool")),

    Step("subnet create sub --network green --subnet-range 10.0.0.0/24 --dns-nameserver 192.0.2.53 --tag x "
         "--allocation-pool start=10.0.0.2,end=10.0.0.99 --host-route destination=10.9.0.0/16,gateway=10.0.0.3"),
    Step("subnet set --gateway 10.0.0.254 --dns-nameserver 192.0.2.54 --no-dhcp --tag y sub"),
    Step("subnet unset --dns-nameserver 192.0.2.53 --host-route destination=10.9.0.0/16,gateway=10.0.0.3 --tag x sub"),
    Step("subnet show sub", has(gateway_ip="10.0.0.254", dns_nameservers=["192.0.2.54"], enable_dhcp=False,
                                host_routes=[], tags=["y"], segment_id=None)),
    Step("subnet list --network green --no-dhcp", named("sub")),
    Step("network create cut", keep="cut"),
    Step("subnet create piece --network cut --subnet-pool pool", has(subnetpool_id="{pool}")),
    Step("subnet list --subnet-pool pool", named("piece")),

    Step("port create p1 --network green --host web1 --fixed-ip subnet=sub,ip-address=10.0.0.5 --tag x",
         has(binding_host_id="web1", tags=["x"]), "port"),
    Step("port set --allowed-address ip-address=10.0.0.77,mac-address=fa:16:3e:00:00:09 --device-owner compute:nova "
         "--extra-dhcp-option name=ntp,value=10.0.0.3 --tag y --description nice p1"),
    Step("port show p1", lambda port, _: port["allowed_address_pairs"] == [
        {"ip_address": "10.0.0.77", "mac_address": "fa:16:3e:00:00:09"}] and port["tags"] == ["x", "y"]),
    Step("port unset --allowed-address ip-address=10.0.0.77,mac-address=fa:16:3e:00:00:09 --tag x p1"),
    Step("port unset --fixed-ip subnet=sub,ip-address=10.0.0.5 p1"),
    Step("port set --fixed-ip subnet=sub,ip-address=10.0.0.6 --disable p1"),
    Step("port show p1", has(allowed_address_pairs=[], tags=["y"], admin_state_up=False, device_owner="compute:nova",
                             ip_allocation="immediate")),
    Step("port unset --host --device-owner p1"),
    Step("port list --network green --long --fixed-ip ip-address=10.0.0.6", named("p1")),
    Step("port list --device-owner compute:nova", gone("p1")),
    Step("port set --data-plane-status DOWN p1"),
    Step("port unset --data-plane-status p1"),

    Step("network segment create --network green --network-type vxlan s1", keep="segment"),
    Step("network segment set --name s2 --description nice s1"),
    Step("network segment list --network green", named("s2")),
    Step("network segment show s2", has(network_type="vxlan", description="nice", network_id="{network}")),
    Step("network create racks --provider-network-type vlan --provider-physical-network physnet1 "
         "--provider-segment 101"),
    Step("network segment list --network racks", lambda found, _: len(found) == 1, "rack"),
    Step("subnet create rack1 --network racks --subnet-range 10.7.0.0/24 --network-segment {rack}",
         has(segment_id="{rack}")),
    Step("subnet create rack2 --network racks --subnet-range 10.8.0.0/24", status=1),
    Step("network show racks", has(l2_adjacency=False)),
    Step("port create waits --network racks", has(ip_allocation="deferred", fixed_ips=[])),
    Step("port set --host web1 waits"),
    Step("port show waits", lambda port, _: port["fixed_ips"][0]["ip_address"].startswith("10.7.0.")),
    Step("port delete waits"),
    Step("subnet create later --network cut --subnet-range 10.6.0.0/24", status=1),

    Step("network segment range create r --shared --network-type vlan --physical-network physnet1 "
         "--minimum 3000 --maximum 3010", has(minimum=3000, shared=True)),
    Step("network segment range set --minimum 3000 --maximum 3020 --name q r"),
    Step("network segment range show q", has(maximum=3020, network_type="vlan")),
    Step("network segment range list --long", named("q")),

    Step("network agent list --host web1", lambda found, _: found[0]["Alive"] is True, "agent"),
    Step("network agent set --disable --description repair {agent}"),
    Step("network agent show {agent}", has(admin_state_up=False, description="repair")),
    Step("network agent set --enable {agent}"),
    Step("network agent list --host gone", lambda found, _: found[0]["Alive"] is False, "dead"),
    Step("network agent delete {dead}"),
    Step("network agent list", gone("gone", column="Host")),

    Step("network rbac create --target-project red --action access_as_shared --type network green", keep="rbac"),
    Step("network rbac set --target-project blue {rbac}"),
    Step("network rbac show {rbac}", has(object_type="network", object_id="{network}", action="access_as_shared")),
    Step("network rbac list --type network --action access_as_shared", named("{rbac}", column="ID")),

    Step("ip availability list --ip-version 4", named("green", column="Network Name")),
    Step("ip availability show green", has(network_name="green", used_ips=1, total_ips=98)),

    Step("quota set --networks 3 --ports 7 --subnetpools 1 --rbac-policies 2 blue"),
    Step("quota show --network blue", lambda rows, _: {row["Resource"]: row["Limit"] for row in rows}.items() >= {
        ("networks", 3), ("ports", 7), ("subnet_pools", 1), ("rbac_policies", 2)}),
    Step("quota show --network --usage blue", lambda rows, _: any(row["In Use"] == 0 for row in rows)),
    Step("quota show --network --default blue", lambda rows, _: {row["Resource"]: row["Limit"] for row in rows}[
        "networks"] == 100),
    Step("quota list --network", lambda rows, _: any(row["Networks"] == 3 for row in rows)),
    Step("quota delete --network blue"),
    Step("quota list --network", lambda rows, _: not rows),

    Step("availability zone list --network --long", lambda rows, _: rows[0]["Zone Resource"] == "network"),
    Step("extension list --network --long", named("segment", "ip_allocation", column="Alias")),
    Step("extension show segment", has(alias="segment")),

    Step("network rbac delete {rbac}"),
    Step("network segment range delete q"),
    Step("network segment delete s2"),
    Step("port delete p1"),
    Step("port list --network green", lambda found, _: not found),
    Step("subnet delete sub piece rack1"),
    Step("subnet pool delete pool"),
    Step("network delete green cut racks"),
    Step("network show green", status=1),
)  # fmt: skip


def test_every_verb_is_asked_for() -> None:
    """What the installed command can do with these resources is in the table, and all of the table is tested."""
    entry_points = importlib.metadata.distribution("python-openstackclient").entry_points
    known = {entry.name.replace("_", " ") for entry in entry_points if entry.group.startswith("openstack.")}
    verbs = {verb for line in VERBS.values() for verb in line.split()}
    for resource, line in VERBS.items():
        assert {verb for verb in verbs if f"{resource} {verb}" in known} == set(line.split()), resource
        tested = {verb for verb in verbs if any(step.line.startswith(f"{resource} {verb}") for step in STEPS)}
        assert set(line.split()) <= tested, resource


def test_every_verb_on_every_resource(cli: CLI) -> None:
    ids: dict[str, str] = {}
    for step in STEPS:
        line = step.line.format(**ids)
        said = cli(line, step.status)
        if step.status:
            continue
        if step.keep:
            item = said[0] if isinstance(said, list) else said
            ids[step.keep] = item.get("id") or item["ID"]
        assert step.holds(said, ids), f"{line}: {said}"


def test_a_member_and_a_reader(process: CLI) -> None:
    process("alice", "red", "network create mine")
    assert "403" in process("alice", "red", "network create --share theirs", status=1)
    assert [item["Name"] for item in process("rita", "red", "network list")] == ["mine"]
    process("rita", "red", "network delete mine", status=1)
    assert process("bob", "blue", "network list") == []
    process("bob", "blue", "network show mine", status=1)
    process("alice", "red", "network delete mine")
