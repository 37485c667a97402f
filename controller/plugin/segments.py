"""Segments: how a network's are chosen, given back and shown, and the segment resource."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neutron_lib.exceptions import multiprovidernet as faults
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from controller.db.insert import insert_row_if_free
from controller.db.models import BindingRow, NetworkRow, SegmentRow, SubnetRow
from controller.db.transaction import Transaction
from controller.db.values import segment_value
from controller.model import Segment
from controller.plugin.api import Body
from controller.plugin.binding import Binder
from controller.plugin.bodies import given, is_given, set_plain, standard
from controller.plugin.context import RequestContext
from controller.plugin.faults import SegmentInUse, SegmentNotFound
from controller.plugin.listing import Listing
from controller.plugin.use_cases import Stored
from controller.plugin.visibility import find_network
from typedrivers.manager import ProviderRequest, TypeManager

PROVIDER = ("network_type", "physical_network", "segmentation_id")

LISTED = (*PROVIDER, "id", "name", "network_id", "description", "created_at", "updated_at", "revision_number")


def requests(body: Body) -> list[ProviderRequest]:
    """The segments that a network's body asks for; empty when it leaves them to us. Raises 400."""
    single = any(is_given(body, f"provider:{name}") for name in PROVIDER)
    several = given(body, "segments")
    if single and several:
        raise faults.SegmentsSetInConjunctionWithProviders()
    wanted = [_request(item) for item in (several or ([body] if single else []))]
    fixed = [item for item in wanted if item.segmentation_id is not None or item.network_type in ("flat", "local")]
    if len(set(fixed)) != len(fixed):
        raise faults.SegmentsContainDuplicateEntry()
    return wanted


def _request(item: Body) -> ProviderRequest:
    number = given(item, "provider:segmentation_id")
    return ProviderRequest(
        given(item, "provider:network_type") or None,
        given(item, "provider:physical_network") or None,
        None if number is None else int(number),
    )


def allocate(
    session: Session, types: TypeManager, wanted: Sequence[ProviderRequest], project_id: str
) -> list[Segment]:
    """Reserved segments, those asked for or one for a project."""
    if not wanted:
        return [types.allocate_project(session, project_id)]
    return [types.allocate(session, request, project_id) for request in wanted]


def add(transaction: Transaction, network_id: str, segment: Segment, position: int, **words: str) -> SegmentRow:
    """Store a reserved segment of a network; ``words`` are its name and description."""
    row = SegmentRow(
        id=segment.id,
        description=words.get("description", ""),
        network_id=network_id,
        position=position,
        name=words.get("name", ""),
        network_type=segment.network_type,
        physical_network=segment.physical_network,
        segmentation_id=segment.segmentation_id,
    )
    transaction.dated(row)
    insert_row_if_free(transaction.session, row)
    transaction.touch(row)
    return row


def provider_attributes(segments: Sequence[SegmentRow]) -> Body:
    """``provider:*`` of a network with one segment, ``segments`` of one with several; as Neutron shows them."""
    shown = [{f"provider:{name}": getattr(segment, name) for name in PROVIDER} for segment in segments]
    return shown[0] if len(shown) == 1 else {"segments": shown}


class Segments(Stored):
    """The segment resource: segments are added to networks and removed."""

    quiet = frozenset({"name", "description"})

    def __init__(self, types: TypeManager, binder: Binder) -> None:
        self._types = types
        self._binder = binder
        self.listing = Listing(SegmentRow, {name: getattr(SegmentRow, name) for name in LISTED})

    def visible(self, context: RequestContext) -> list[ColumnElement[bool]]:  # noqa: ARG002
        """Segments belong to no project; who may see them is the rules' question."""
        return []

    def find(self, session: Session, context: RequestContext, segment_id: str, lock: bool = False) -> SegmentRow:  # noqa: ARG002
        """The segment. ``lock`` keeps other writers from its network and so from it. Raises SegmentNotFound."""
        if lock:
            network_id = select(SegmentRow.network_id).where(SegmentRow.id == segment_id).scalar_subquery()
            session.execute(select(NetworkRow.id).where(NetworkRow.id == network_id).with_for_update())
        row = session.get(SegmentRow, segment_id)
        if row is None:
            raise SegmentNotFound(segment_id=segment_id)
        return row

    def create(self, transaction: Transaction, context: RequestContext, body: Body) -> SegmentRow:
        """Add a segment to a network, after those it has; ports that could not be bound are tried again. Where the new
        segment carries less than the others, so does the network from now on."""
        session = transaction.session
        network = find_network(session, context, body["network_id"], lock=True)
        asked = {f"provider:{name}": body[name] for name in PROVIDER if is_given(body, name)}
        (segment,) = allocate(session, self._types, requests(asked), network.project_id)
        highest = session.scalar(select(func.max(SegmentRow.position)).where(SegmentRow.network_id == network.id))
        words = {name: given(body, name) or "" for name in ("name", "description")}
        row = add(transaction, network.id, segment, 0 if highest is None else highest + 1, **words)
        session.expire(network, ["segments"])
        largest = self._types.mtu(list(map(segment_value, network.segments)))
        network.mtu = min(network.mtu, largest or network.mtu)
        transaction.updated(network)
        self._binder.decide_unbound(transaction, network)
        return row

    def update(self, transaction: Transaction, context: RequestContext, row: SegmentRow, body: Body) -> None:  # noqa: ARG002
        """Name and description."""
        set_plain(row, body, "name", "description")

    def delete(self, transaction: Transaction, context: RequestContext, row: SegmentRow) -> None:  # noqa: ARG002
        """Remove a segment that no port uses and that is not the only one. Raises SegmentInUse."""
        session = transaction.session
        network = session.get_one(NetworkRow, row.network_id)
        if session.scalar(select(BindingRow.port_id).where(BindingRow.segment_id == row.id).limit(1)):
            raise SegmentInUse(segment_id=row.id, reason="ports are bound to it; unbind or delete them first")
        subnets = session.scalars(select(SubnetRow.id).where(SubnetRow.segment_id == row.id).limit(6)).all()
        if subnets:
            raise SegmentInUse(segment_id=row.id, reason=f"it has subnets: {', '.join(subnets)}; delete them first")
        if len(network.segments) == 1:
            raise SegmentInUse(segment_id=row.id, reason="it is the only one; delete the network instead")
        self._types.release(session, segment_value(row))
        network.segments.remove(row)
        transaction.touch(row)
        transaction.updated(network)

    def bodies(self, session: Session, context: RequestContext, rows: Sequence[SegmentRow]) -> list[Body]:  # noqa: ARG002
        """As the API shows segments."""
        return [{**self.state(row), **standard(row)} for row in rows]

    def state(self, row: Any) -> Body:
        """The segment itself."""
        own = {name: getattr(row, name) for name in PROVIDER}
        return {"description": row.description, "name": row.name, "network_id": row.network_id, **own}


def release_all(session: Session, types: TypeManager, network: NetworkRow) -> None:
    """Give back every segment of a network."""
    for segment in network.segments:
        types.release(session, segment_value(segment))
