"""Sharing by RBAC policies: which projects may use a network or a subnet pool that is another one's.

``shared`` and ``router:external`` of a resource are policies for everybody; rows repeat them so that lists are cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from neutron_lib import constants
from neutron_lib.exceptions import InvalidSharedSetting
from sqlalchemy import ColumnElement, delete, select, true
from sqlalchemy.orm import Session

from controller.db.models import NetworkRow, PortRow, RbacRow, SubnetPoolRow, SubnetRow
from controller.plugin.context import RequestContext

EVERYBODY = "*"
AS_SHARED, AS_EXTERNAL = "access_as_shared", "access_as_external"
ACTIONS = {"network": (AS_SHARED, AS_EXTERNAL), "subnetpool": (AS_SHARED,)}
"""Type of the object -> what may be allowed."""

CHUNK = 500
EXTERNAL_HERE = "external_for_the_caller"
"""In a network's body beside ``router:external``, for the rules; never shown."""

AUTO_DELETED = (constants.DEVICE_OWNER_DHCP,)
"""Ports that go with their network or subnet, as in Neutron; nobody's use of it."""

Shareable = NetworkRow | SubnetPoolRow


def object_type(row: Shareable) -> str:
    """What policies call such a row."""
    return "network" if isinstance(row, NetworkRow) else "subnetpool"


def usable(context: RequestContext, kind: str, *actions: str) -> ColumnElement[bool]:
    """Whether the object of a policy is one that the caller's project was given; for ``IN`` over ``RbacRow``."""
    allowed = RbacRow.action.in_(actions) if actions else true()
    targets = RbacRow.target_project.in_((context.project_id, EVERYBODY))
    return (RbacRow.object_type == kind) & targets & allowed


def shared_with(session: Session, context: RequestContext, kind: str, rows: Iterable[Shareable]) -> set[str]:
    """Which of these are shared with the caller's own project or with everybody."""
    found, doubtful = set(), []
    for row in rows:
        if row.shared:
            found.add(row.id)
        elif context.project_id and row.project_id != context.project_id:
            doubtful.append(row.id)
    return found | _given(session, context, kind, AS_SHARED, doubtful)


def external_for(session: Session, context: RequestContext, rows: Iterable[NetworkRow]) -> set[str]:
    """Which of these are external for the caller; ``router:external`` only says that they are for somebody."""
    found, doubtful = set(), []
    for row in rows:
        if row.external and (context.sees_all or row.project_id == context.project_id):
            found.add(row.id)
        elif row.external:
            doubtful.append(row.id)
    return found | _given(session, context, "network", AS_EXTERNAL, doubtful)


def _given(session: Session, context: RequestContext, kind: str, action: str, ids: Sequence[str]) -> set[str]:
    """Which of these a policy gives to the caller's project or to everybody."""
    found: set[str] = set()
    for start in range(0, len(ids), CHUNK):
        chosen = RbacRow.object_id.in_(ids[start : start + CHUNK])
        found.update(session.scalars(select(RbacRow.object_id).where(usable(context, kind, action), chosen)))
    return found


class Sharing:
    """Keeps policies and the rows that repeat them together."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id

    def add(self, session: Session, row: Shareable, project_id: str, target: str, action: str) -> RbacRow:
        """Store a policy."""
        policy = RbacRow(
            id=self._new_id(),
            project_id=project_id,
            object_type=object_type(row),
            object_id=row.id,
            target_project=target,
            action=action,
        )
        session.add(policy)
        self.repeat(session, row)
        return policy

    def set_everybody(self, session: Session, row: Shareable, action: str, wanted: bool) -> None:
        """Have a policy for everybody, or none. Raises InvalidSharedSetting when others use what would be closed."""
        chosen = (RbacRow.object_id == row.id, RbacRow.target_project == EVERYBODY, RbacRow.action == action)
        if wanted == (session.scalar(select(RbacRow.id).where(*chosen)) is not None):
            return
        if wanted:
            self.add(session, row, row.project_id, EVERYBODY, action)
            return
        if action == AS_SHARED and isinstance(row, NetworkRow) and stranded(session, row, EVERYBODY):
            raise InvalidSharedSetting(network=row.name or row.id)
        session.execute(delete(RbacRow).where(*chosen))
        self.repeat(session, row)

    def repeat(self, session: Session, row: Shareable) -> None:
        """Write into the row what its policies say."""
        session.flush()
        statement = select(RbacRow.target_project, RbacRow.action).where(RbacRow.object_id == row.id)
        policies = {tuple(policy) for policy in session.execute(statement)}
        row.shared = (EVERYBODY, AS_SHARED) in policies
        if isinstance(row, NetworkRow):
            row.external = any(action == AS_EXTERNAL for _, action in policies)

    def forget(self, session: Session, row: Shareable) -> None:
        """Remove the policies of a row that goes."""
        session.execute(delete(RbacRow).where(RbacRow.object_id == row.id))


def stranded(session: Session, row: Shareable, without: str) -> Sequence[str]:
    """Projects that use something and could not any longer if it were not shared with ``without``."""
    shared = RbacRow.object_id == row.id, RbacRow.action == AS_SHARED, RbacRow.target_project != without
    remaining = set(session.scalars(select(RbacRow.target_project).where(*shared)))
    if EVERYBODY in remaining:
        return []
    found = _users(session, row) - remaining - {row.project_id}
    return sorted(found if without == EVERYBODY else found & {without})


def _users(session: Session, row: Shareable) -> set[str]:
    if isinstance(row, SubnetPoolRow):
        return {*session.scalars(select(SubnetRow.project_id).where(SubnetRow.subnetpool_id == row.id).distinct())}
    counted = PortRow.device_owner.not_in(AUTO_DELETED)
    ports = select(PortRow.project_id).where(PortRow.network_id == row.id, counted).distinct()
    subnets = select(SubnetRow.project_id).where(SubnetRow.network_id == row.id).distinct()
    return {*session.scalars(ports), *session.scalars(subnets)}
