"""Access: the use cases as a caller may use them.

:class:`GuardedResources` stands between the HTTP layer and the plugin. Which rows a project can reach at all is the
database's question (:mod:`controller.plugin.visibility`); what the caller may do with them, and which attributes it
may say and see, is the rules' (:mod:`controller.api.policy`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from neutron_lib import exceptions as faults
from neutron_lib.constants import ATTR_NOT_SPECIFIED
from neutron_lib.exceptions import InvalidInput
from webob import exc

from controller.api.attributes import RESOURCE_TYPES, ResourceType
from controller.api.policy import Judge, Policy, PolicyNotAuthorized
from controller.plugin import tags
from controller.plugin.api import Body, Query, Resources
from controller.plugin.context import RequestContext

TYPES: Mapping[str, ResourceType] = {resource.name: resource for resource in RESOURCE_TYPES}
UNSAID = (ATTR_NOT_SPECIFIED, None)
RULES: Mapping[str, str] = {
    "update_port_binding": "activate",
    "get_quota_default": "get_quota",
    "get_quota_details": "get_quota",
    "update_subnetpool:add_prefixes": "add_prefixes",
    "update_subnetpool:remove_prefixes": "remove_prefixes",
}
"""What Neutron calls a rule otherwise than after the action and the resource."""

GIVING = "create_rbac_policy:object_id"
"""A rule of ours for what is fixed in Neutron, and a 400 there."""


class GuardedResources:
    """A :class:`controller.plugin.api.Resources` that asks the rules first. Administrators pass, as in Neutron."""

    def __init__(self, resources: Resources, policy: Policy) -> None:
        self._resources = resources
        self._policy = policy

    def judge(self, context: RequestContext) -> Judge:
        """Who answers for a caller, for one request. Raises HTTPForbidden for one without a project, who would share
        whatever belongs to none with all others of the kind."""
        if not (context.project_id or context.sees_all):
            raise exc.HTTPForbidden("The token is for no project; networks are a project's: ask for one that is")
        # The rules may know of every network; whether it is shared depends on who asks.
        asking = dataclasses.replace(context, is_admin=True)
        return self._policy.judge(context, lambda network_id: self._network(asking, network_id))

    def create(self, context: RequestContext, resource: str, body: Body) -> Body:
        """Create one. Raises PolicyNotAuthorized."""
        if context.is_admin:
            return self._resources.create(context, resource, body)
        judge = self.judge(context)
        self._may_create(judge, context, resource, body)
        return self._shown(judge, resource, self._resources.create(context, resource, body))

    def create_bulk(self, context: RequestContext, resource: str, bodies: Sequence[Body]) -> list[Body]:
        """Create all or none. Raises PolicyNotAuthorized."""
        if context.is_admin:
            return self._resources.create_bulk(context, resource, bodies)
        judge = self.judge(context)
        for body in bodies:
            self._may_create(judge, context, resource, body)
        created = self._resources.create_bulk(context, resource, bodies)
        return [self._shown(judge, resource, item) for item in created]

    def get(self, context: RequestContext, resource: str, resource_id: str) -> Body:
        """One resource; what the caller may not see is not there."""
        if context.is_admin:
            return self._resources.get(context, resource, resource_id)
        judge = self.judge(context)
        return self._shown(judge, resource, self._found(judge, context, resource, resource_id))

    def list(self, context: RequestContext, resource: str, query: Query) -> list[Body]:
        """What the caller may see of what it asks for."""
        if context.is_admin:
            return self._resources.list(context, resource, query)
        judge = self.judge(context)
        if not self._might_see(judge, resource):
            return []
        self._may_sort(judge, resource, query)
        found: list[Body] = []
        while True:
            items = self._resources.list(context, resource, query)
            seen = [item for item in items if self._sees(judge, resource, item, query.filters)]
            found = seen + found if query.page_reverse else found + seen
            if query.limit is None or len(items) < query.limit or len(found) >= query.limit:
                break
            query = dataclasses.replace(query, marker=items[0 if query.page_reverse else -1]["id"])
        return [self._shown(judge, resource, item) for item in _page(found, query)]

    def update(
        self, context: RequestContext, resource: str, resource_id: str, body: Body, if_match: int | None = None
    ) -> Body:
        """Change one. Raises PolicyNotAuthorized for what the caller sees but may not change."""
        if context.is_admin:
            return self._resources.update(context, resource, resource_id, body, if_match)
        judge = self.judge(context)
        current = self._found(judge, context, resource, resource_id)
        self._may_update(judge, resource, current, body)
        return self._shown(judge, resource, self._resources.update(context, resource, resource_id, body, if_match))

    def delete(self, context: RequestContext, resource: str, resource_id: str, if_match: int | None = None) -> None:
        """Delete one. Raises PolicyNotAuthorized for what the caller sees but may not delete."""
        if not context.is_admin:
            judge = self.judge(context)
            judge.require(_rule(f"delete_{resource}"), self._found(judge, context, resource, resource_id))
        self._resources.delete(context, resource, resource_id, if_match)

    def _may_create(self, judge: Judge, context: RequestContext, resource: str, body: Body) -> None:
        if "project_id" in body and body["project_id"] != context.project_id and not context.sees_all:
            raise exc.HTTPBadRequest(
                "Specifying 'project_id' or 'tenant_id' other than the authenticated project in request requires "
                "admin privileges"
            )
        action, target = f"create_{resource}", judge.target({"project_id": context.project_id, **body})
        if not judge.allows(action, target) and "network_id" in body:
            self._resources.get(context, "network", body["network_id"])  # one that the caller does not see is a 404
        judge.require(action, target)
        if resource == "rbac_policy":
            target.update(self._given_away(context, body))
            if not judge.allows(GIVING, target):
                raise InvalidInput(error_message=f"only the owner of an object may say who may use it (rule {GIVING})")
        attributes = TYPES[resource].attributes if resource in TYPES else {}
        said = {
            name: value for name, value in body.items()
            if value is not ATTR_NOT_SPECIFIED and value != attributes.get(name, {}).get("default", None)
        }  # fmt: skip
        for rule in self._attribute_rules(action, said):
            judge.require(rule, target)

    def _given_away(self, context: RequestContext, body: Body) -> Body:
        """Whose object an RBAC policy is about. Raises the object's NotFound for one that the caller does not see."""
        item = self._resources.get(context, body["object_type"], body["object_id"])
        return {f"ext_parent:{name}": item["project_id"] for name in ("project_id", "tenant_id")}

    def _may_update(self, judge: Judge, resource: str, current: Body, body: Body) -> None:
        tagging = {f"{tags.ACTIONS[name]}_{resource}:tags" for name in body.keys() & tags.CHANGES}
        action = f"update_{resource}"
        for rule in tagging or {_rule(action)}:
            judge.require(rule, judge.target(current))
        changed = judge.target({**current, **body})
        for rule in () if tagging else self._attribute_rules(action, body):
            judge.require(rule, changed)

    def _attribute_rules(self, action: str, said: Mapping[str, Any]) -> Iterator[str]:
        """The rules about attributes, and about the parts of their entries: ``create_port:fixed_ips:ip_address``."""
        for name, value in said.items():
            names = [f"{action}:{name}"]
            if isinstance(value, list):
                parts = {part for item in value if isinstance(item, dict) for part in item if item[part] not in UNSAID}
                names += [f"{action}:{name}:{part}" for part in sorted(parts)]
            yield from filter(self._policy.has, map(_rule, names))

    def _found(self, judge: Judge, context: RequestContext, resource: str, resource_id: str) -> Body:
        item = self._resources.get(context, resource, resource_id)
        if resource.startswith("quota"):
            item = {"project_id": resource_id, **item}
        if not judge.allows(_rule(f"get_{resource}"), item):
            not_found(resource, resource_id)
        return item

    def _might_see(self, judge: Judge, resource: str) -> bool:
        """False when the rule lets the caller see none, whatever it is."""
        rule = f"get_{resource}"
        return self._policy.looks_at(rule) != frozenset() or judge.allows(rule, {})

    def _may_sort(self, judge: Judge, resource: str, query: Query) -> None:
        """Raises PolicyNotAuthorized for an order by what the caller may not see: it would betray it, by pages value
        by value. A rule that looks at the item may hide it of some."""
        for name in sorted({name for name, _ in query.sorts} - {"id"}):
            rule = f"get_{resource}:{name}"
            if self._policy.has(rule) and (self._policy.looks_at(rule) != frozenset() or not judge.allows(rule, {})):
                raise PolicyNotAuthorized(rule=rule)

    def _sees(self, judge: Judge, resource: str, item: Body, filters: Mapping[str, Any]) -> bool:
        """Whether an item is shown; one found by what the caller may not see of it would betray just that."""
        target = judge.target(item)
        if not judge.allows(f"get_{resource}", target):
            return False
        rules = (f"get_{resource}:{name}" for name in filters)
        return all(judge.allows(rule, target) for rule in rules if self._policy.has(rule))

    def _shown(self, judge: Judge, resource: str, item: Body) -> Body:
        hidden = judge.hidden(f"get_{resource}:", judge.target(item))
        return {name: value for name, value in item.items() if name not in hidden}

    def _network(self, context: RequestContext, network_id: str) -> Body | None:
        try:
            return self._resources.get(context, "network", network_id)
        except faults.NotFound:
            return None


def _rule(name: str) -> str:
    return RULES.get(name, name)


def _page(items: list[Body], query: Query) -> list[Body]:
    """As many as asked for, those next to the marker."""
    if query.limit is None:
        return items
    return items[-query.limit :] if query.page_reverse else items[: query.limit]


def not_found(resource: str, resource_id: str) -> NoReturn:
    """Raise the 404 of a resource."""
    kinds = {"network": ("NetworkNotFound", "net_id"), "subnet": ("SubnetNotFound", "subnet_id"),
             "port": ("PortNotFound", "port_id")}  # fmt: skip
    if resource in kinds:
        kind, key = kinds[resource]
        raise getattr(faults, kind)(**{key: resource_id})
    raise exc.HTTPNotFound(f"{resource} {resource_id} could not be found")
