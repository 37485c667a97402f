"""Rules: Neutron's defaults, an operator's own, and what a judge remembers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from controller import config
from controller.api import policy as policy_module
from controller.api.guard import GuardedResources
from controller.api.policy import Policy, PolicyNotAuthorized, credentials
from controller.api.policy_rules import RULES
from controller.errors import ConfigurationError
from controller.plugin.api import Query
from controller.plugin.context import RequestContext
from tests.unit.api.fakes import FakeResources


def policy(tmp_path: Path, text: str = "{}") -> Policy:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    conf_path = tmp_path / "isthmus.conf"
    conf_path.write_text(f"[oslo_policy]\npolicy_file = {path}\n")
    return Policy(config.load(["--config-file", str(conf_path)]))


def caller(*roles: str, project: str = "red", **more: Any) -> RequestContext:
    return RequestContext(project, "someone", roles, **more)


MEMBER = caller("member", "reader")
"""As Keystone has it: whoever is a member is a reader too."""

MINE, SHARED, FOREIGN = (
    {"project_id": "red", "shared": False, "router:external": False},
    {"project_id": "blue", "shared": True, "router:external": False},
    {"project_id": "blue", "shared": False, "router:external": False},
)


@pytest.mark.parametrize(
    ("rule", "roles", "target", "passes"),
    [
        ("get_network", ("reader",), MINE, True),
        ("get_network", ("reader",), SHARED, True),
        ("get_network", ("reader",), FOREIGN, False),
        ("get_network", ("reader",), {**FOREIGN, "router:external": True}, True),
        ("get_network", (), MINE, False),
        ("get_network", ("service",), FOREIGN, True),
        ("update_network", ("reader",), MINE, False),
        ("update_network", ("member",), MINE, True),
        ("update_network", ("member",), SHARED, False),
        ("create_network:shared", ("member",), MINE, False),
        ("create_network:shared", ("admin",), FOREIGN, True),
        ("create_port:device_owner", ("member",), {"project_id": "red", "device_owner": "compute:x"}, True),
        ("create_port:device_owner", ("member",), {"project_id": "red", "device_owner": "network:dhcp"}, False),
        ("create_rbac_policy:target_tenant", ("member",), {"project_id": "red", "target_tenant": "blue"}, True),
        ("create_rbac_policy:target_tenant", ("member",), {"project_id": "red", "target_tenant": "*"}, False),
        ("no such rule", ("member",), MINE, True),
        ("no such rule", ("member",), FOREIGN, False),
    ],
)
def test_defaults(tmp_path: Path, rule: str, roles: tuple[str, ...], target: dict[str, Any], passes: bool) -> None:
    judge = policy(tmp_path).judge(caller(*roles))
    assert judge.allows(rule, target) is passes
    assert judge.allows(rule, target) is passes, "what is remembered is the same"


@pytest.mark.parametrize(("owner", "passes"), [("red", True), ("blue", False)])
def test_the_owner_of_the_network_may_more(tmp_path: Path, owner: str, passes: bool) -> None:
    asked: list[str] = []

    def network(network_id: str) -> dict[str, Any]:
        asked.append(network_id)
        return {"project_id": owner, "shared": False}

    judge = policy(tmp_path).judge(caller("member"), network)
    port = {"project_id": "red", "network_id": "n"}
    assert judge.allows("create_port:mac_address", port) is passes
    assert judge.allows("create_port:fixed_ips:ip_address", port) is passes
    assert asked == ["n"], "a network is looked up once"


def test_what_is_remembered_is_what_the_rules_say(tmp_path: Path) -> None:
    """Every kind of rule, of caller and of target, asked twice of judges that share what they remember."""
    rules = policy(tmp_path)
    networks = {"mine": MINE, "shared": SHARED, "foreign": FOREIGN}
    owned = [{"project_id": project, **place} for project in ("red", "blue")
             for place in ({}, *({"network_id": name} for name in (*networks, "gone")))]  # fmt: skip
    targets = [MINE, SHARED, FOREIGN, *owned, {**owned[1], "device_owner": "network:dhcp", "target_tenant": "*"}]
    roles = ((), ("reader",), ("member", "reader"), ("service",), ("data_plane_integrator",))
    callers = [caller(*some, project=project) for project in ("red", "blue") for some in roles]
    for name in {check: name for name, check in RULES.items()}.values():
        for context in callers:
            judge = rules.judge(context, networks.get)
            for attributes in targets:
                said = rules.passes(name, judge.target(attributes), credentials(context))
                assert [judge.allows(name, attributes) for _ in "ab"] == [said] * 2, (name, context, attributes)


def test_a_network_is_only_asked_for_where_it_matters(tmp_path: Path) -> None:
    def network(network_id: str) -> dict[str, Any]:
        raise AssertionError(f"nobody needs to know of network {network_id}")

    judge = policy(tmp_path).judge(MEMBER, network)
    assert judge.allows("get_port", {"project_id": "red", "network_id": "n"})
    with pytest.raises(AssertionError, match="network n"):
        judge.allows("get_port", {"project_id": "blue", "network_id": "n"})


def test_a_changed_file_changes_what_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_module, "RELOAD_INTERVAL", 0.0)
    rules = policy(tmp_path)
    assert rules.judge(MEMBER).allows("create_network", MINE)
    path = tmp_path / "policy.yaml"
    path.write_text('"create_network": "role:architect"\n"get_port:name": "role:architect"\n')
    os.utime(path, (path.stat().st_mtime + 5,) * 2)
    judge = rules.judge(MEMBER)
    assert not judge.allows("create_network", MINE)
    assert "name" in judge.hidden("get_port:", judge.target(MINE))


def test_every_rule_is_understood(tmp_path: Path) -> None:
    rules = policy(tmp_path)
    for name in RULES:
        rules.judge(caller("member")).allows(name, {"project_id": "red"})
        assert rules.looks_at(name) is not None, f"{name} cannot be remembered"


def test_the_file_goes_before_the_defaults(tmp_path: Path) -> None:
    rules = policy(tmp_path, '"create_network": "role:architect"\n"get_network:provider:network_type": ""\n')
    assert not rules.judge(caller("member")).allows("create_network", MINE)
    assert rules.judge(caller("architect")).allows("create_network", MINE)
    assert rules.judge(caller()).allows("get_network:provider:network_type", FOREIGN)


def test_a_file_that_cannot_be_read_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="policy_file"):
        policy(tmp_path, '"create_network": [')


@pytest.fixture
def guarded(tmp_path: Path) -> tuple[GuardedResources, FakeResources]:
    resources = FakeResources()
    return GuardedResources(resources, policy(tmp_path)), resources


def test_hidden_attributes_are_left_out(guarded: tuple[GuardedResources, FakeResources]) -> None:
    guard, _ = guarded
    body = {"project_id": "red", "name": "x", "provider:network_type": "vxlan"}
    admin = caller("admin", is_admin=True)
    item = guard.create(admin, "network", body)
    assert item["provider:network_type"] == "vxlan"
    assert "provider:network_type" not in guard.get(caller("reader"), "network", item["id"])
    assert "provider:network_type" not in guard.list(caller("reader"), "network", Query())[0]
    assert guard.list(caller("reader", project="blue"), "network", Query()) == []


def test_what_is_hidden_cannot_be_searched_for(guarded: tuple[GuardedResources, FakeResources]) -> None:
    guard, _ = guarded
    guard.create(caller(is_admin=True), "port", {"project_id": "red", "binding:host_id": "web1"})
    query = Query(filters={"binding:host_id": ["web1"]})
    assert guard.list(caller("reader"), "port", query) == []
    assert len(guard.list(caller("service", is_service=True), "port", query)) == 1


def test_what_is_hidden_gives_no_order(guarded: tuple[GuardedResources, FakeResources], tmp_path: Path) -> None:
    guard, resources = guarded
    for number, place in enumerate("bca"):
        guard.create(caller(is_admin=True), "subnet", {"project_id": "red", "name": str(number), "segment_id": place})
    hidden = Query(sorts=(("segment_id", True), ("id", True)))
    with pytest.raises(PolicyNotAuthorized, match="get_subnet:segment_id is disallowed by policy"):
        guard.list(caller("reader"), "subnet", hidden)
    assert [item["name"] for item in guard.list(caller(is_admin=True), "subnet", hidden)] == ["2", "0", "1"]
    named = Query(sorts=(("name", False), ("id", True)))
    assert [item["name"] for item in guard.list(caller("reader"), "subnet", named)] == ["2", "1", "0"]
    own = GuardedResources(resources, policy(tmp_path, '"get_subnet:segment_id": "project_id:%(project_id)s"'))
    with pytest.raises(PolicyNotAuthorized):
        own.list(caller("reader"), "subnet", hidden)
    everybody = GuardedResources(resources, policy(tmp_path, '"get_subnet:segment_id": "role:reader"'))
    assert [item["name"] for item in everybody.list(caller("reader"), "subnet", hidden)] == ["2", "0", "1"]


def test_pages_are_filled_although_some_are_not_seen(guarded: tuple[GuardedResources, FakeResources]) -> None:
    guard, _ = guarded
    for number in range(20):
        project = "red" if number % 4 == 0 else "blue"
        guard.create(caller(is_admin=True), "network", {"project_id": project, "name": f"{number:02}"})
    names = [item["name"] for item in guard.list(caller("reader"), "network", Query(sorts=(("name", True),), limit=3))]
    assert names == ["00", "04", "08"]


def test_a_list_of_what_nobody_like_the_caller_sees_asks_nothing(
    guarded: tuple[GuardedResources, FakeResources],
) -> None:
    guard, resources = guarded
    resources.error = AssertionError("asked")
    assert guard.list(caller("member"), "segment", Query(limit=7)) == []
    assert resources.last_query.limit is None


def test_what_is_said_must_be_allowed(guarded: tuple[GuardedResources, FakeResources]) -> None:
    guard, _ = guarded
    with pytest.raises(PolicyNotAuthorized, match="create_network:shared is disallowed by policy"):
        guard.create(MEMBER, "network", {"project_id": "red", "shared": True})
    item = guard.create(MEMBER, "network", {"project_id": "red", "shared": False})
    port = {"project_id": "red", "network_id": item["id"], "binding:host_id": "web1"}
    with pytest.raises(PolicyNotAuthorized, match="create_port:binding:host_id"):
        guard.create_bulk(MEMBER, "port", [port])
    with pytest.raises(PolicyNotAuthorized, match="update_network:shared"):
        guard.update(MEMBER, "network", item["id"], {"shared": True})
    with pytest.raises(PolicyNotAuthorized, match="delete_network"):
        guard.delete(caller("reader"), "network", item["id"])
    guard.delete(MEMBER, "network", item["id"])
