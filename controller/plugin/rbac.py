"""RBAC policies as a resource: who lets whom use a network or a subnet pool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from controller.db.models import NetworkRow, RbacRow, SubnetPoolRow
from controller.db.transaction import STATUS, Transaction
from controller.plugin import visibility
from controller.plugin.api import Body
from controller.plugin.bodies import given, invalid, project_of
from controller.plugin.context import RequestContext
from controller.plugin.faults import DuplicateRbacPolicy, RbacPolicyInUse, RbacPolicyNotFound
from controller.plugin.listing import Listing
from controller.plugin.sharing import ACTIONS, AS_SHARED, Shareable, Sharing, stranded
from controller.plugin.use_cases import Stored


class RbacPolicies(Stored):
    """The rbac_policy resource."""

    def __init__(self, sharing: Sharing, new_id: Callable[[], str]) -> None:
        self._sharing, self._new_id = sharing, new_id
        self.listing = Listing(RbacRow, COLUMNS)

    def visible(self, context: RequestContext) -> list[ColumnElement[bool]]:
        """Own policies, and those that are about the caller's project."""
        if context.sees_all:
            return []
        return [or_(RbacRow.project_id == context.project_id, RbacRow.target_project == context.project_id)]

    def find(self, session: Session, context: RequestContext, policy_id: str, lock: bool = False) -> RbacRow:
        """The policy. Raises RbacPolicyNotFound."""
        statement = select(RbacRow).where(RbacRow.id == policy_id, *self.visible(context))
        row = session.scalars(statement.with_for_update() if lock else statement).one_or_none()
        if row is None:
            raise RbacPolicyNotFound(id=policy_id)
        return row

    def create(self, transaction: Transaction, context: RequestContext, body: Body) -> RbacRow:
        """Allow something. Raises 400, 404 for an object that the caller does not see, and DuplicateRbacPolicy."""
        session, kind, action = transaction.session, body["object_type"], body["action"]
        if action not in ACTIONS.get(kind, ()):
            known = "; ".join(f"{name}: {', '.join(actions)}" for name, actions in ACTIONS.items())
            raise invalid(f"there is no action '{action}' on object type '{kind}'; there are {known}")
        row = self._object(session, context, kind, body["object_id"])
        _refuse_double(session, row.id, body["target_tenant"], action)
        policy = self._sharing.add(session, row, project_of(body, context), body["target_tenant"], action)
        transaction.updated(row, STATUS)
        return policy

    def _object(self, session: Session, context: RequestContext, kind: str, object_id: str) -> Shareable:
        if kind == "network":
            return visibility.find_network(session, context, object_id, lock=True)
        return visibility.find_subnetpool(session, context, object_id, lock=True)

    def update(self, transaction: Transaction, context: RequestContext, policy: RbacRow, body: Body) -> None:  # noqa: ARG002
        """Another target. Raises DuplicateRbacPolicy, and RbacPolicyInUse while the one before makes use of it."""
        target = given(body, "target_tenant")
        session, row = transaction.session, _locked(transaction.session, policy)
        if target in (None, policy.target_project) or row is None:
            return
        _refuse_double(session, row.id, target, policy.action)
        before, policy.target_project = policy.target_project, target
        session.flush()
        self._refuse_stranding(session, row, policy, before)
        self._sharing.repeat(session, row)
        transaction.updated(row, STATUS)

    def delete(self, transaction: Transaction, context: RequestContext, policy: RbacRow) -> None:  # noqa: ARG002
        """Allow it no longer. Raises RbacPolicyInUse while somebody makes use of it."""
        session, row = transaction.session, _locked(transaction.session, policy)
        if row is not None:
            self._refuse_stranding(session, row, policy, policy.target_project)
        session.delete(policy)
        if row is not None:
            self._sharing.repeat(session, row)
            transaction.updated(row, STATUS)

    def _refuse_stranding(self, session: Session, row: Shareable, policy: RbacRow, target: str) -> None:
        if policy.action != AS_SHARED:
            return
        users = stranded(session, row, target)
        if users:
            what = "ports or subnets on" if isinstance(row, NetworkRow) else "subnets from"
            details = f"projects have {what} it: {', '.join(users[:5])}"
            raise RbacPolicyInUse(object_id=row.id, details=details)

    def bodies(self, session: Session, context: RequestContext, rows: Sequence[RbacRow]) -> list[Body]:  # noqa: ARG002
        """As the API shows policies."""
        return [_body(row) for row in rows]

    def state(self, row: Any) -> Any:  # noqa: ARG002
        """No revision number."""
        return None


def _locked(session: Session, policy: RbacRow) -> Shareable | None:
    """What the policy is about; None in a store where it has gone without its policies."""
    if policy.object_type == "network":
        return session.get(NetworkRow, policy.object_id, with_for_update=True)
    return session.get(SubnetPoolRow, policy.object_id, with_for_update=True)


def _refuse_double(session: Session, object_id: str, target: str, action: str) -> None:
    same = RbacRow.object_id == object_id, RbacRow.target_project == target, RbacRow.action == action
    if session.scalar(select(RbacRow.id).where(*same)):
        raise DuplicateRbacPolicy()


def _body(row: RbacRow) -> Body:
    return {
        "id": row.id,
        "project_id": row.project_id,
        "object_type": row.object_type,
        "object_id": row.object_id,
        "target_tenant": row.target_project,
        "action": row.action,
    }


COLUMNS = {
    **{name: getattr(RbacRow, name) for name in ("id", "project_id", "object_type", "object_id", "action")},
    "target_tenant": RbacRow.target_project,
}
