"""RBAC policies: who sees and uses what of others', and that nobody is cut off from what he uses."""

from __future__ import annotations

import pytest
from neutron_lib import exceptions as faults

from controller.plugin.api import Query
from controller.plugin.context import RequestContext
from controller.plugin.faults import DuplicateRbacPolicy, RbacPolicyInUse, RbacPolicyNotFound
from tests.support.store import ADMIN, World

ALICE, BOB, EVE = (RequestContext(project_id=name, roles=("member",)) for name in ("alice", "bob", "eve"))


def share(world: World, kind: str, item: dict[str, object], target: str, action: str = "access_as_shared",
          context: RequestContext = ADMIN) -> dict[str, object]:  # fmt: skip
    body = {"object_type": kind, "object_id": item["id"], "action": action, "target_tenant": target}
    return world.plugin.create(context, "rbac_policy", body)


def names(world: World, context: RequestContext, resource: str) -> list[str]:
    return sorted(item["name"] for item in world.plugin.list(context, resource, Query()))


def test_a_network_is_shared_with_one_project(world: World) -> None:
    network = world.network(name="n", project_id="alice")
    world.subnet(network, name="s", project_id="alice")
    with pytest.raises(faults.NetworkNotFound):
        world.plugin.get(BOB, "network", network["id"])
    policy = share(world, "network", network, "bob", context=ALICE)
    assert policy["project_id"] == "alice"
    assert (names(world, BOB, "network"), names(world, BOB, "subnet")) == (["n"], ["s"])
    assert names(world, EVE, "network") == []
    shown = [world.plugin.get(who, "network", network["id"])["shared"] for who in (ALICE, BOB, ADMIN)]
    assert shown == [False, True, False]
    port = world.plugin.create(BOB, "port", {"network_id": network["id"]})
    with pytest.raises(RbacPolicyInUse, match="bob"):
        world.plugin.delete(ALICE, "rbac_policy", str(policy["id"]))
    with pytest.raises(RbacPolicyInUse, match="bob"):
        world.plugin.update(ALICE, "rbac_policy", str(policy["id"]), {"target_tenant": "eve"})
    world.plugin.update(ALICE, "rbac_policy", str(policy["id"]), {"target_tenant": "*"})
    assert names(world, EVE, "network") == ["n"]
    with pytest.raises(faults.InvalidSharedSetting):
        world.update("network", network, shared=False)
    world.delete("port", port)
    world.plugin.delete(ALICE, "rbac_policy", str(policy["id"]))
    assert names(world, BOB, "network") == names(world, BOB, "subnet") == []


def test_a_second_policy_keeps_the_user(world: World) -> None:
    network = world.network(project_id="alice")
    policies = [share(world, "network", network, target) for target in ("bob", "*")]
    world.plugin.create(BOB, "port", {"network_id": network["id"]})
    world.delete("rbac_policy", policies[0])
    with pytest.raises(RbacPolicyInUse):
        world.delete("rbac_policy", policies[1])


def test_external_for_one_project(world: World) -> None:
    network = world.network(name="out", project_id="alice")
    world.subnet(network, name="s", project_id="alice")
    share(world, "network", network, "bob", "access_as_external")
    assert names(world, BOB, "network") == ["out"]
    assert names(world, BOB, "subnet") == []
    assert world.get("network", network)["router:external"] is True
    world.update("network", network, **{"router:external": False})
    assert world.get("network", network)["router:external"] is True


def test_shared_and_external_are_policies(world: World) -> None:
    network = world.network(shared=True, project_id="alice", **{"router:external": True})
    found = world.plugin.list(ADMIN, "rbac_policy", Query(sorts=(("action", True),)))
    assert [(item["action"], item["target_tenant"], item["project_id"]) for item in found] == [
        ("access_as_external", "*", "alice"), ("access_as_shared", "*", "alice")]  # fmt: skip
    for policy in found:
        world.delete("rbac_policy", policy)
    shown = world.get("network", network)
    assert (shown["shared"], shown["router:external"]) == (False, False)
    world.update("network", network, shared=True)
    world.delete("network", network)
    assert world.plugin.list(ADMIN, "rbac_policy", Query()) == []


def test_what_is_not_seen_is_not_shared_and_others_do_not_see_policies(world: World) -> None:
    network = world.network(project_id="alice", shared=True)
    with pytest.raises(faults.NetworkNotFound):
        share(world, "network", world.network(project_id="alice"), "eve", context=BOB)
    policy = share(world, "network", network, "bob", context=ALICE)
    with pytest.raises(DuplicateRbacPolicy):
        share(world, "network", network, "bob")
    assert world.plugin.get(BOB, "rbac_policy", str(policy["id"]))["target_tenant"] == "bob"
    with pytest.raises(RbacPolicyNotFound):
        world.plugin.get(EVE, "rbac_policy", str(policy["id"]))


def test_subnet_pools_are_shared_alike(world: World) -> None:
    pool = world.plugin.create(ALICE, "subnetpool", {"name": "p", "prefixes": ["10.0.0.0/16"]})
    with pytest.raises(faults.InvalidInput):
        share(world, "subnetpool", pool, "bob", "access_as_external")
    own = world.plugin.create(BOB, "network", {"name": "n"})
    body = {"network_id": own["id"], "subnetpool_id": pool["id"], "prefixlen": 24, "ip_version": 4}
    with pytest.raises(faults.SubnetPoolNotFound):
        world.plugin.create(BOB, "subnet", body)
    share(world, "subnetpool", pool, "bob", context=ALICE)
    assert world.plugin.get(BOB, "subnetpool", pool["id"])["shared"] is True
    assert world.plugin.create(BOB, "subnet", body)["cidr"] == "10.0.0.0/24"
    (policy,) = world.plugin.list(ADMIN, "rbac_policy", Query(filters={"object_id": [pool["id"]]}))
    with pytest.raises(RbacPolicyInUse, match="bob"):
        world.delete("rbac_policy", policy)
    world.delete("network", own)
    world.delete("rbac_policy", policy)


def test_a_policy_about_nothing_can_be_removed(world: World) -> None:
    """Such as a store may have that was restored by hand; the audit tells of it."""
    policy = share(world, "network", world.network(project_id="alice"), "bob")
    with world.store.engine.execution_options(isthmus_write=True).begin() as connection:
        connection.exec_driver_sql("UPDATE rbac_policies SET object_id = 'gone'")
    world.update("rbac_policy", policy, target_tenant="eve")
    world.delete("rbac_policy", policy)
    assert world.plugin.list(ADMIN, "rbac_policy", Query()) == []


def test_a_policy_moves_the_revision_of_what_it_is_about(world: World) -> None:
    """And only that: no plan depends on who may use a network, so nobody is asked to follow."""
    network = world.network(project_id="alice")
    before = world.feed.latest()
    policy = share(world, "network", network, "bob")
    assert world.get("network", network)["revision_number"] == network["revision_number"] + 1
    world.update("rbac_policy", policy, target_tenant="eve")
    world.delete("rbac_policy", policy)
    assert world.get("network", network)["revision_number"] == network["revision_number"] + 3
    assert world.feed.since(before) == []


def test_not_sharing_what_was_not_shared_is_no_change(world: World) -> None:
    network = world.network(project_id="alice")
    world.port(network, project_id="bob")
    before = world.get("network", network)
    assert world.update("network", network, shared=False, **{"router:external": False}) == before
