"""Subnet pools: prefixes that subnets are cut from, each address once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from neutron_lib import exceptions as faults
from neutron_lib.db.constants import NAME_FIELD_SIZE
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from controller.db.locks import hold
from controller.db.models import SubnetPoolRow, SubnetRow
from controller.db.transaction import Transaction
from controller.plugin import subnetpool_rules as rules
from controller.plugin import visibility
from controller.plugin.api import Body
from controller.plugin.bodies import given, invalid, is_given, project_of, set_plain, standard
from controller.plugin.context import RequestContext
from controller.plugin.faults import SubnetAllocationError
from controller.plugin.listing import Listing
from controller.plugin.sharing import AS_SHARED, Sharing, shared_with
from controller.plugin.subnet_rules import IpNetwork, network_of
from controller.plugin.use_cases import Stored

LENGTHS = ("min_prefixlen", "max_prefixlen", "default_prefixlen")
"""Lengths of prefixes; the API shows them as texts, as Neutron does."""


class SubnetPools(Stored):
    """The subnetpool resource."""

    quiet = frozenset({"name", "description", "tags"})

    def __init__(self, sharing: Sharing, new_id: Callable[[], str]) -> None:
        self._sharing, self._new_id = sharing, new_id
        self.listing = Listing(SubnetPoolRow, COLUMNS)

    def visible(self, context: RequestContext) -> list[ColumnElement[bool]]:
        """Whose pools the caller sees."""
        return visibility.subnetpools(context)

    def find(self, session: Session, context: RequestContext, pool_id: str, lock: bool = False) -> SubnetPoolRow:
        """The pool. Raises SubnetPoolNotFound."""
        return visibility.find_subnetpool(session, context, pool_id, lock)

    def create(self, transaction: Transaction, context: RequestContext, body: Body) -> SubnetPoolRow:
        """Store a pool."""
        prefixes = rules.prefixes(body["prefixes"])
        version = prefixes[0].version
        bounds = rules.bounds(version, *(given(body, name) for name in LENGTHS))
        row = SubnetPoolRow(
            id=self._new_id(),
            description=given(body, "description") or "",
            project_id=project_of(body, context),
            name=_checked_name(body["name"]),
            ip_version=version,
            prefixes=list(map(str, prefixes)),
            min_prefixlen=bounds.shortest,
            max_prefixlen=bounds.longest,
            default_prefixlen=bounds.usual,
            default_quota=given(body, "default_quota"),
            is_default=False,
            shared=False,
            tags=[],
        )
        self._set_default(transaction.session, row, given(body, "is_default", False))
        transaction.created(row)
        if given(body, "shared"):
            self._sharing.set_everybody(transaction.session, row, AS_SHARED, True)
        return row

    def _set_default(self, session: Session, row: SubnetPoolRow, wanted: bool) -> None:
        """There is one default pool of each IP version. Raises 400."""
        if wanted and not row.is_default:
            hold(session, "default subnetpool", str(row.ip_version))
            other = default_pool(session, row.ip_version)
            if other is not None:
                raise invalid(f"subnetpool {other.id} is the default for IPv{row.ip_version} already")
        row.is_default = wanted

    def update(self, transaction: Transaction, context: RequestContext, row: SubnetPoolRow, body: Body) -> None:  # noqa: ARG002
        """Change a pool; what subnets may have been cut from must stay in it."""
        self._change_prefixes(transaction.session, row, body)
        if any(is_given(body, name) for name in LENGTHS):
            bounds = rules.bounds(row.ip_version, *(given(body, name, getattr(row, name)) for name in LENGTHS))
            row.min_prefixlen, row.max_prefixlen, row.default_prefixlen = (
                bounds.shortest,
                bounds.longest,
                bounds.usual,
            )
        if is_given(body, "is_default"):
            self._set_default(transaction.session, row, body["is_default"])
        if is_given(body, "default_quota"):
            row.default_quota = body["default_quota"]
        _checked_name(given(body, "name"))
        set_plain(row, body, "name", "description")

    def _change_prefixes(self, session: Session, row: SubnetPoolRow, body: Body) -> None:
        """All prefixes anew (never fewer), more (``add_prefixes``) or fewer (``remove_prefixes``, unused ones)."""
        old = list(map(network_of, row.prefixes))
        new = old
        if is_given(body, "prefixes"):
            new = rules.prefixes(body["prefixes"])
            if not rules.covers(new, old):
                raise faults.IllegalSubnetPoolPrefixUpdate(
                    msg="existing prefixes must be a subset of the new prefixes"
                )
        if is_given(body, "add_prefixes"):
            new = rules.prefixes([*map(str, new), *body["add_prefixes"]])
        if is_given(body, "remove_prefixes"):
            new = self._without(session, row, new, rules.prefixes(body["remove_prefixes"]))
        if new[0].version != row.ip_version:
            raise faults.PrefixVersionMismatch()
        if new != old:
            row.prefixes = list(map(str, new))

    def _without(
        self, session: Session, row: SubnetPoolRow, prefixes: Sequence[IpNetwork], removed: Sequence[IpNetwork]
    ) -> list[IpNetwork]:
        used = [cidr for cidr, _ in _used(session, row)]
        if any(cidr.version == gone.version and cidr.overlaps(gone) for cidr in used for gone in removed):
            raise faults.IllegalSubnetPoolPrefixUpdate(msg="subnets were allocated from a prefix that would go")
        remaining = list(prefixes)
        for gone in removed:
            remaining = [part for prefix in remaining for part in _cut(prefix, gone)]
        return rules.prefixes(list(map(str, remaining)))

    def delete(self, transaction: Transaction, context: RequestContext, row: SubnetPoolRow) -> None:  # noqa: ARG002
        """Remove a pool that no subnet is from. Raises SubnetPoolDeleteError."""
        session = transaction.session
        if session.scalar(select(SubnetRow.id).where(SubnetRow.subnetpool_id == row.id).limit(1)):
            raise faults.SubnetPoolDeleteError(reason="Subnet pool has existing allocations")
        self._sharing.forget(session, row)
        transaction.deleted(row)

    def bodies(self, session: Session, context: RequestContext, rows: Sequence[SubnetPoolRow]) -> list[Body]:
        """As the API shows subnet pools."""
        shared = shared_with(session, context, "subnetpool", rows)
        texts = [{name: str(getattr(row, name)) for name in LENGTHS} for row in rows]
        return [
            {**self.state(row), **standard(row), **lengths, "shared": row.id in shared}
            for row, lengths in zip(rows, texts, strict=True)
        ]

    def state(self, row: Any) -> Body:
        """The pool itself."""
        return {
            "description": row.description,
            "tags": row.tags,
            **{name: getattr(row, name) for name in SHOWN},
            "tenant_id": row.project_id,
            "address_scope_id": None,
        }

    def allocate(
        self, session: Session, row: SubnetPoolRow, project_id: str, cidr: IpNetwork | None, prefixlen: int | None
    ) -> IpNetwork:
        """A range for a project's new subnet: ``cidr``, or a free one of ``prefixlen`` (None: the pool's default).

        The caller has locked the pool's row, so nobody else chooses at the same time. A ``default_quota`` of 0 is
        none, as in Neutron.
        """
        length = cidr.prefixlen if cidr else row.default_prefixlen if prefixlen is None else prefixlen
        if length < row.min_prefixlen:
            raise faults.MinPrefixSubnetAllocationError(prefixlen=length, min_prefixlen=row.min_prefixlen)
        if length > row.max_prefixlen:
            raise faults.MaxPrefixSubnetAllocationError(prefixlen=length, max_prefixlen=row.max_prefixlen)
        used, prefixes = _used(session, row), list(map(network_of, row.prefixes))
        if cidr is None:
            cidr = rules.first_free(prefixes, (item for item, _ in used), length)
        elif any(cidr.overlaps(item) for item, _ in used) or not rules.covers(prefixes, [cidr]):
            cidr = None
        if cidr is None:
            raise SubnetAllocationError(reason="Cannot allocate requested subnet from the available set of prefixes")
        own = sum(rules.quota_units(item) for item, project in used if project == project_id)
        if row.default_quota and own + rules.quota_units(cidr) > row.default_quota:
            raise faults.SubnetPoolQuotaExceeded()
        return cidr


def _checked_name(name: str | None) -> str | None:
    """A name that has room; neutron-lib leaves its length to the database. Raises 400."""
    if name is not None and len(name) > NAME_FIELD_SIZE:
        raise invalid(f"name of a subnetpool can have {NAME_FIELD_SIZE} characters, not {len(name)}")
    return name


def default_pool(session: Session, version: int) -> SubnetPoolRow | None:
    """The default pool of an IP version."""
    chosen = SubnetPoolRow.is_default, SubnetPoolRow.ip_version == version
    return session.scalars(select(SubnetPoolRow).where(*chosen).limit(1)).one_or_none()


def _used(session: Session, row: SubnetPoolRow) -> list[tuple[IpNetwork, str]]:
    """The subnets of a pool and their projects."""
    statement = select(SubnetRow.cidr, SubnetRow.project_id).where(SubnetRow.subnetpool_id == row.id)
    return [(network_of(cidr), project_id) for cidr, project_id in session.execute(statement)]


def _cut(prefix: Any, gone: Any) -> list[IpNetwork]:
    """A prefix without a part of it."""
    if prefix.version != gone.version or not prefix.overlaps(gone):
        return [prefix]
    return [] if gone.prefixlen <= prefix.prefixlen else list(prefix.address_exclude(gone))


SHOWN = ("id", "name", "project_id", "ip_version", "prefixes", "default_prefixlen", "min_prefixlen", "max_prefixlen",
         "default_quota", "is_default", "shared")  # fmt: skip
COLUMNS = {name: getattr(SubnetPoolRow, name) for name in (
    *(name for name in SHOWN if name != "prefixes"), "description", "created_at", "updated_at",
    "revision_number")}  # fmt: skip
