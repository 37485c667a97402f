"""Rules over the real plugin: what is refused by default, and how ``policy.yaml`` widens and narrows it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from neutron_lib.exceptions import InvalidInput, NetworkNotFound
from oslo_config import cfg
from webob.exc import HTTPException, HTTPForbidden

from controller.api import policy
from controller.api.guard import GuardedResources
from controller.api.policy import Policy, PolicyNotAuthorized
from controller.plugin.api import Query
from controller.plugin.context import RequestContext
from controller.plugin.plugin import Plugin
from tests.api.world import HOST

ADMIN = RequestContext("admin", "admin", ("admin", "member", "reader"), is_admin=True)
ALICE = RequestContext("red", "alice", ("member", "reader", "engineer"))
BOB = RequestContext("blue", "bob", ("member", "reader"))
CAROL = RequestContext("green", "carol", ("member", "reader"))

Rules = Callable[..., GuardedResources]


@pytest.fixture
def rules(tmp_path: Path, conf: cfg.ConfigOpts, plugin: Plugin) -> Rules:
    """``rules('"get_segment": "role:engineer"')``: the resources under the defaults and what is said there."""

    def make(*lines: str) -> GuardedResources:
        path = tmp_path / "policy.yaml"
        path.write_text("\n".join(lines) or "{}")
        conf.set_override("policy_file", str(path), group="oslo_policy")
        return GuardedResources(plugin, Policy(conf))

    Policy(conf)  # makes the group known
    return make


def refused(action: Callable[[], Any], rule: str) -> None:
    with pytest.raises(PolicyNotAuthorized, match=f"{rule} is disallowed by policy"):
        action()


def segment_of(network: dict[str, Any], number: int) -> dict[str, Any]:
    return {"network_id": network["id"], "network_type": "gre", "physical_network": None, "segmentation_id": number}


def test_segments(rules: Rules) -> None:
    default = rules()
    network = default.create(ALICE, "network", {"name": "n"})
    refused(lambda: default.create(ALICE, "segment", segment_of(network, 7)), "create_segment")
    assert default.list(ALICE, "segment", Query()) == []
    wide = rules(*(f'"{action}_segment": "role:engineer"' for action in ("create", "get", "update", "delete")))
    made = wide.create(ALICE, "segment", segment_of(network, 7))
    assert wide.get(ALICE, "segment", made["id"])["segmentation_id"] == 7
    assert len(wide.list(ALICE, "segment", Query(filters={"network_id": [network["id"]]}))) == 2
    assert wide.update(ALICE, "segment", made["id"], {"name": "x"})["name"] == "x"
    with pytest.raises(HTTPException):
        wide.get(BOB, "segment", made["id"])
    narrow = rules('"get_segment": "role:engineer"')
    assert len(narrow.list(ALICE, "segment", Query())) == 2
    refused(lambda: narrow.delete(ALICE, "segment", made["id"]), "delete_segment")
    wide = rules('"get_segment": "role:engineer"', '"delete_segment": "role:engineer"')
    wide.delete(ALICE, "segment", made["id"])


def test_agents(rules: Rules, plugin: Plugin) -> None:
    plugin.node_seen(HOST)
    (agent,) = rules().list(ADMIN, "agent", Query())
    assert rules().list(ALICE, "agent", Query()) == []
    with pytest.raises(HTTPException):
        rules().get(ALICE, "agent", agent["id"])
    wide = rules('"get_agent": "role:engineer"')
    assert [item["host"] for item in wide.list(ALICE, "agent", Query())] == ["web1"]
    assert wide.list(BOB, "agent", Query()) == []
    refused(lambda: wide.update(ALICE, "agent", agent["id"], {"admin_state_up": False}), "update_agent")
    wide = rules('"get_agent": "role:engineer"', '"update_agent": "role:engineer"')
    assert wide.update(ALICE, "agent", agent["id"], {"admin_state_up": False})["admin_state_up"] is False


def test_segment_ranges(rules: Rules) -> None:
    assert rules().list(ALICE, "network_segment_range", Query()) == []
    wide = rules('"get_network_segment_range": "role:engineer"')
    assert wide.list(ALICE, "network_segment_range", Query())
    body = {"network_type": "vxlan", "minimum": 700, "maximum": 701, "shared": True}
    refused(lambda: wide.create(ALICE, "network_segment_range", body), "create_network_segment_range")


def policy_for(network: dict[str, Any], target: str, action: str = "access_as_shared") -> dict[str, Any]:
    return {"object_type": "network", "object_id": network["id"], "target_tenant": target, "action": action}


def test_only_the_owner_gives_unless_the_rules_say_more(rules: Rules) -> None:
    default = rules()
    network = default.create(ALICE, "network", {"name": "n"})
    with pytest.raises(NetworkNotFound):
        default.create(BOB, "rbac_policy", policy_for(network, "green"))
    default.create(ALICE, "rbac_policy", policy_for(network, "blue"))
    with pytest.raises(InvalidInput, match="create_rbac_policy:object_id"):
        default.create(BOB, "rbac_policy", policy_for(network, "green"))
    wide = rules('"create_rbac_policy:object_id": "role:member"')
    made = wide.create(BOB, "rbac_policy", policy_for(network, "green"))
    assert wide.get(CAROL, "network", network["id"])["shared"] is True
    narrow = rules('"delete_rbac_policy": "!"')
    refused(lambda: narrow.delete(BOB, "rbac_policy", made["id"]), "delete_rbac_policy")
    refused(lambda: rules().create(ALICE, "rbac_policy", policy_for(network, "*")), "create_rbac_policy:target_tenant")


def test_only_the_owner_of_a_network_divides_it_into_subnets(rules: Rules) -> None:
    default = rules()
    commons = default.create(ADMIN, "network", {"name": "commons", "shared": True, "project_id": "admin"})
    wanted = {"network_id": commons["id"], "cidr": "10.0.0.0/24", "ip_version": 4}
    refused(lambda: default.create(BOB, "subnet", wanted), "create_subnet")
    unseen = default.create(ALICE, "network", {"name": "n"})["id"]
    for resource, body in (("subnet", {**wanted, "network_id": unseen}), ("port", {"network_id": unseen})):
        with pytest.raises(NetworkNotFound):
            default.create(BOB, resource, body)
    default.create(ALICE, "subnet", {**wanted, "network_id": default.create(ALICE, "network", {"name": "n"})["id"]})


def test_who_was_given_a_network_chooses_its_subnet_but_no_address(rules: Rules) -> None:
    default = rules()
    network = default.create(ALICE, "network", {"name": "n"})
    wanted = {"network_id": network["id"], "cidr": "10.0.0.0/24", "ip_version": 4}
    subnet = default.create(ALICE, "subnet", wanted)
    default.create(ALICE, "rbac_policy", policy_for(network, "blue"))
    port = {"network_id": network["id"], "fixed_ips": [{"subnet_id": subnet["id"]}]}
    made = default.create(BOB, "port", port)
    assert made["fixed_ips"][0]["subnet_id"] == subnet["id"]
    port["fixed_ips"] = [{"ip_address": "10.0.0.9"}]
    refused(lambda: default.create(BOB, "port", port), "create_port:fixed_ips:ip_address")
    refused(lambda: default.update(BOB, "port", made["id"], {"fixed_ips": []}), "update_port:fixed_ips")


def test_a_network_that_is_only_external_takes_no_ports_of_others(rules: Rules) -> None:
    default = rules()
    network = default.create(ADMIN, "network", {"name": "outside", "router:external": True, "project_id": "admin"})
    refused(lambda: default.create(BOB, "port", {"network_id": network["id"]}), "create_port")


def test_who_has_no_project_has_no_networks(rules: Rules) -> None:
    """As a token for a domain: it would share what belongs to no project with all others of the kind, unlimited."""
    default, nobody = rules(), RequestContext("", "eve", ("member", "reader"))
    default.create(RequestContext(is_admin=True), "network", {"name": "nobody's"})
    for action in (
        lambda: default.create(nobody, "network", {"name": "n"}),
        lambda: default.create_bulk(nobody, "network", [{"name": "n"}]),
        lambda: default.list(nobody, "network", Query()),
    ):
        with pytest.raises(HTTPForbidden, match="for no project"):
            action()


def test_a_policy_file_that_breaks_changes_nothing(
    rules: Rules, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(policy, "RELOAD_INTERVAL", 0.0)
    wide = rules('"create_segment": "role:engineer"')
    network = wide.create(ALICE, "network", {"name": "n"})
    path = tmp_path / "policy.yaml"
    path.write_text('"create_segment": [')
    os.utime(path, (time.time() + 5,) * 2)
    wide.create(ALICE, "segment", segment_of(network, 7))
    assert "the rules stay as they were" in caplog.text

    def denied() -> None:
        raise PermissionError("denied")

    monkeypatch.setattr(wide._policy._enforcer, "load_rules", denied)
    for number in (8, 9):
        wide.create(ALICE, "segment", segment_of(network, number))
    assert caplog.text.count("denied") == 1, "once, not at every look"


TAGGINGS = (("create", {"add_tags": ["a"]}), ("update", {"tags": ["b"]}), ("update", {"put_tags": ["c"]}),
            ("delete", {"remove_tags": ["c"]}), ("delete", {"clear_tags": True}))  # fmt: skip


@pytest.mark.parametrize("name", ["{}_network:tags", "{}_networks_tags"])
@pytest.mark.parametrize(("action", "change"), TAGGINGS)
def test_tags_have_rules_of_their_own(rules: Rules, action: str, change: dict[str, Any], name: str) -> None:
    default = rules()
    network = default.create(ALICE, "network", {"name": "n"})
    default.update(ALICE, "network", network["id"], {"tags": ["c", "d"]})
    default.update(ALICE, "network", network["id"], {"name": "m"})
    narrow = rules(f'"{name.format(action)}": "role:librarian"', '"update_network": "!"')
    refused(lambda: narrow.update(ALICE, "network", network["id"], change), f"{action}_network:tags")
    refused(lambda: narrow.update(ALICE, "network", network["id"], {"name": "x"}), "update_network")
    others = rules(*(f'"{other}_network:tags": "!"' for other in ("create", "update", "delete") if other != action))
    others.update(ALICE, "network", network["id"], change)


def test_tags_are_hidden_by_their_rule(rules: Rules) -> None:
    network = rules().create(ALICE, "network", {"name": "n"})
    assert rules().get(ALICE, "network", network["id"])["tags"] == []
    assert "tags" not in rules('"get_network:tags": "role:librarian"').get(ALICE, "network", network["id"])
    port = {"network_id": network["id"], "tags": ["x"]}
    assert rules().create(ALICE, "port", port)["tags"] == ["x"]
    refused(lambda: rules('"create_port:tags": "!"').create(ALICE, "port", port), "create_port:tags")


def test_a_network_external_for_one_project(rules: Rules) -> None:
    resources = rules()
    network = resources.create(ADMIN, "network", {"name": "outside", "project_id": "admin"})
    subnet = resources.create(ADMIN, "subnet", {"network_id": network["id"], "cidr": "10.0.0.0/24", "ip_version": 4,
                                                "project_id": "admin"})  # fmt: skip
    policy = resources.create(ADMIN, "rbac_policy", policy_for(network, "blue", "access_as_external"))
    shown = resources.get(BOB, "network", network["id"])
    assert (shown["router:external"], shown["shared"]) == (True, False)
    assert [item["id"] for item in resources.list(BOB, "network", Query(filters={"router:external": [True]}))] == [
        network["id"]
    ]
    with pytest.raises(NetworkNotFound):
        resources.get(ALICE, "network", network["id"])
    assert resources.list(ALICE, "network", Query(filters={"router:external": [True]})) == []
    assert resources.list(BOB, "subnet", Query(filters={"id": [subnet["id"]]})) == []
    refused(lambda: resources.update(BOB, "network", network["id"], {"name": "mine"}), "update_network")
    resources.create(ADMIN, "rbac_policy", policy_for(network, "red"))
    assert resources.get(ALICE, "network", network["id"])["router:external"] is True, "for somebody"
    only = rules('"get_network": "rule:external"')
    assert only.get(BOB, "network", network["id"])
    with pytest.raises(NetworkNotFound):
        only.get(ALICE, "network", network["id"])
    resources.delete(ADMIN, "rbac_policy", policy["id"])
    with pytest.raises(NetworkNotFound):
        resources.get(BOB, "network", network["id"])
    assert resources.get(ALICE, "network", network["id"])["router:external"] is False
