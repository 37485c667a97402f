"""The cable plan: which cables should be there. It is compared with what is found and changes no forwarding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from controller.db.models import PLAN, CablePlanRow
from controller.db.transaction import Transaction
from controller.plugin.api import Body, Query
from controller.plugin.bodies import invalid
from controller.plugin.context import RequestContext
from controller.plugin.faults import CablePlanNotFound
from controller.plugin.use_cases import Computed
from topology import cables


class CablePlan(Computed):
    """The resource ``cables``: there is one, with the id ``plan``. To create it anew is to replace it."""

    def find(self, session: Session, context: RequestContext, wanted: str, lock: bool = False) -> CablePlanRow:  # noqa: ARG002
        """The plan. Raises CablePlanNotFound."""
        row = session.get(CablePlanRow, wanted, with_for_update=lock)
        if row is None:
            raise CablePlanNotFound()
        return row

    def all(self, session: Session, context: RequestContext, query: Query) -> list[Body]:  # noqa: ARG002
        """The plan, if there is one."""
        row = session.get(CablePlanRow, PLAN)
        return [] if row is None else self.bodies(session, context, [row])

    def create(self, transaction: Transaction, context: RequestContext, body: Body) -> CablePlanRow:  # noqa: ARG002
        """Store the plan in place of the one there was. Raises 400."""
        try:
            plan = cables.parse(body.get("cables"))
        except cables.CablePlanError as error:
            raise invalid(str(error)) from None
        row = transaction.session.get(CablePlanRow, PLAN, with_for_update=True) or CablePlanRow(id=PLAN)
        said = [[[end.switch, end.port] for end in (cable.a, cable.b)] for cable in plan]
        if row.cables != said:
            row.cables = said
            transaction.session.add(row)
            transaction.touch(row)
        return row

    def delete(self, transaction: Transaction, context: RequestContext, row: CablePlanRow) -> None:  # noqa: ARG002
        """Forget the plan."""
        transaction.deleted(row)

    def bodies(self, session: Session, context: RequestContext, rows: Sequence[Any]) -> list[Body]:  # noqa: ARG002
        """As the API shows the plan."""
        return [_body(row) if isinstance(row, CablePlanRow) else row for row in rows]


def _body(row: CablePlanRow) -> Body:
    return {
        "id": row.id,
        "cables": [{"a": {"switch": a[0], "port": a[1]}, "b": {"switch": b[0], "port": b[1]}} for a, b in row.cables],
    }
