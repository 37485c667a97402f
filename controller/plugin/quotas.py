"""Quotas: how much a project may have. Limits are counted against what there is, so usage cannot drift.

What belongs to no project (possible without keystone) is not limited.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neutron_lib.db.constants import PROJECT_ID_FIELD_SIZE
from neutron_lib.exceptions import InvalidQuotaValue, OverQuota
from oslo_config import cfg
from sqlalchemy import Select, TextClause, delete, func, select, text
from sqlalchemy.orm import Session

from controller.db.locks import held, hold, number
from controller.db.models import NetworkRow, PortRow, QuotaRow, RbacRow, SubnetPoolRow, SubnetRow
from controller.db.transaction import Transaction
from controller.plugin.api import Body, Query
from controller.plugin.bodies import invalid
from controller.plugin.context import RequestContext
from controller.plugin.faults import TenantQuotaNotFound
from controller.plugin.use_cases import Computed

COUNTED: Mapping[str, Any] = {
    "network": NetworkRow,
    "subnet": SubnetRow,
    "port": PortRow,
    "subnetpool": SubnetPoolRow,
    "rbac_policy": RbacRow,
}
"""Resource -> what is counted; options ``[quotas] quota_<resource>`` have the limits of projects without their own."""

NO_LIMIT = -1


def _both(model: Any) -> tuple[TextClause, TextClause]:
    """A project's own limit and how many it has, up to ``:enough``; without and with the lock."""
    statement = (
        'SELECT (SELECT quotas."limit" FROM quotas WHERE project_id = :project AND resource = :resource), '
        f"(SELECT count(*) FROM (SELECT 1 FROM {model.__tablename__} WHERE project_id = :project LIMIT :enough) found)"
    )
    return text(statement), held(statement)


BOTH: Mapping[str, tuple[TextClause, TextClause]] = {resource: _both(model) for resource, model in COUNTED.items()}


class Quotas(Computed):
    """The quota resource, and the check of every create. A quota's id is its project's."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self.defaults: Mapping[str, int] = {
            resource: int(getattr(conf.quotas, f"quota_{resource}")) for resource in COUNTED
        }

    def require(self, session: Session, resource: str, wanted: Mapping[str, int]) -> None:
        """Let each project have that many more. Raises OverQuota.

        Creates of one resource in one project wait for each other, or two of them would count the same.
        """
        if resource not in COUNTED:
            return
        for project_id in sorted(filter(None, wanted)):
            limit, present = self._limit_and_usage(session, project_id, resource)
            if limit != NO_LIMIT and present + wanted[project_id] > limit:
                raise OverQuota(overs=[resource])

    def _limit_and_usage(self, session: Session, project_id: str, resource: str) -> tuple[int, int]:
        """Both in one statement, under the lock; usage is not counted further than it matters."""
        default, connection = self.defaults[resource], session.connection()
        alone, locked = BOTH[resource]
        chosen = {"project": project_id, "resource": resource, "enough": 0 if default == NO_LIMIT else default + 1}
        if connection.dialect.name == "postgresql":
            chosen["lock"] = number("quota", project_id, resource)
            limit, present = connection.execute(locked, chosen).one()
        else:
            limit, present = connection.execute(alone, chosen).one()
        if limit is None or limit == default:
            return default, int(present)
        return int(limit), 0 if limit == NO_LIMIT else used(session, project_id, resource, limit + 1)

    def limits(self, session: Session, project_id: str) -> dict[str, int]:
        """Every limit of a project."""
        rows = session.execute(select(QuotaRow.resource, QuotaRow.limit).where(QuotaRow.project_id == project_id))
        return {**self.defaults, **{resource: limit for resource, limit in rows if resource in COUNTED}}

    def all(self, session: Session, context: RequestContext, query: Query) -> list[Body]:  # noqa: ARG002
        """The projects that have limits of their own."""
        own = QuotaRow.project_id == context.project_id
        statement = select(QuotaRow.project_id).distinct().order_by(QuotaRow.project_id)
        projects = session.scalars(statement if context.sees_all else statement.where(own))
        return [self.find(session, context, project_id) for project_id in projects.all()]

    def find(self, session: Session, context: RequestContext, project_id: str, lock: bool = False) -> Body:  # noqa: ARG002
        """A project's limits; every project has them."""
        return {"id": project_id, "project_id": project_id, **self.limits(session, project_id)}

    def update(self, transaction: Transaction, context: RequestContext, row: Body, body: Body) -> None:  # noqa: ARG002
        """Set limits. With ``check_limit`` raises InvalidQuotaValue for one below what the project has; 400 for a
        project that cannot be."""
        session, project_id = transaction.session, row["project_id"]
        if len(project_id) > PROJECT_ID_FIELD_SIZE:
            raise invalid(f"the id of a project has {PROJECT_ID_FIELD_SIZE} characters at most, not {len(project_id)}")
        limits = {resource: int(body[resource]) for resource in COUNTED if resource in body}
        hold(session, "quotas of", project_id)
        if body.get("check_limit"):
            self._refuse_less_than_used(session, project_id, limits)
        for resource, limit in limits.items():
            session.merge(QuotaRow(project_id=project_id, resource=resource, limit=limit))
        row.update(limits)

    def _refuse_less_than_used(self, session: Session, project_id: str, limits: Mapping[str, int]) -> None:
        under = []
        for resource, limit in limits.items():
            hold(session, "quota", project_id, resource)
            if limit != NO_LIMIT and used(session, project_id, resource, limit + 1) > limit:
                under.append(resource)
        if under:
            raise InvalidQuotaValue(unders=under)

    def delete(self, transaction: Transaction, context: RequestContext, row: Body) -> None:  # noqa: ARG002
        """Back to the defaults. Raises TenantQuotaNotFound when the project has no limits of its own."""
        chosen = QuotaRow.project_id == row["project_id"]
        if not transaction.session.scalar(select(QuotaRow.project_id).where(chosen).limit(1)):
            raise TenantQuotaNotFound(project_id=row["project_id"])
        transaction.session.execute(delete(QuotaRow).where(chosen))


class QuotaDefaults(Computed):
    """The limits of projects that have none of their own."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas

    def find(self, session: Session, context: RequestContext, project_id: str, lock: bool = False) -> Body:  # noqa: ARG002
        """The configured limits."""
        return {"id": project_id, "project_id": project_id, **self._quotas.defaults}


class QuotaDetails(Computed):
    """Limits beside usage."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas

    def find(self, session: Session, context: RequestContext, project_id: str, lock: bool = False) -> Body:  # noqa: ARG002
        """Limit, usage and what is reserved (nothing: creates are counted when they are done)."""
        limits = self._quotas.limits(session, project_id)
        details = {
            resource: {"limit": limit, "used": used(session, project_id, resource), "reserved": 0}
            for resource, limit in limits.items()
        }
        return {"id": project_id, "project_id": project_id, **details}


def used(session: Session, project_id: str, resource: str, enough: int | None = None) -> int:
    """How many a project has; counting ends at ``enough``."""
    return int(session.scalar(_count(project_id, resource, enough)) or 0)


def _count(project_id: str, resource: str, enough: int | None) -> Select[Any]:
    model = COUNTED[resource]
    rows = select(model.id).where(model.project_id == project_id).limit(enough)
    return select(func.count()).select_from(rows.subquery())
