"""``flat``: one untagged network per physical network."""

from __future__ import annotations

from neutron_lib.exceptions import NeutronException
from oslo_config import cfg
from sqlalchemy import Column, String, Table, delete, select
from sqlalchemy.orm import Session

from controller.db.base import Base
from controller.db.insert import insert_if_free
from controller.model import Segment
from typedrivers.base import NewId, invalid, new_id, owner, physical_mtu, physical_mtus, refuse_attributes
from typedrivers.errors import FlatNetworkInUse, NoNetworkAvailable

ALLOCATIONS = Table(
    "flat_allocations",
    Base.metadata,
    Column("physical_network", String(64), primary_key=True),
    Column("segment_id", String(36), nullable=False, index=True),
)
ANY = "*"


class FlatTypeDriver:
    """The owner of network type ``flat``."""

    network_type = "flat"
    mtu_overhead = 0

    def __init__(self, conf: cfg.ConfigOpts, new_id: NewId = new_id) -> None:
        self._conf = conf
        self._mtus = physical_mtus(conf)
        self._names = [name.strip() for name in conf.ml2_type_flat.flat_networks if name.strip()]
        self._new_id = new_id

    def validate(self, segment: Segment) -> None:
        """A physical network that may carry flat networks, and no id."""
        refuse_attributes(segment, ("segmentation_id",))
        if not segment.physical_network:
            raise invalid("provider:physical_network is needed for flat networks; " + self._allowed())
        if ANY not in self._names and segment.physical_network not in self._names:
            raise invalid(
                f"physical network '{segment.physical_network}' is not known for flat networks; {self._allowed()}"
            )

    def _allowed(self) -> str:
        if ANY in self._names:
            return "[ml2_type_flat] flat_networks allows any name"
        return "[ml2_type_flat] flat_networks allows: " + (", ".join(self._names) or "none")

    def reserve(self, session: Session, segment: Segment) -> None:
        """Take the physical network. Raises FlatNetworkInUse."""
        row = {"physical_network": segment.physical_network, "segment_id": segment.id}
        if not insert_if_free(session, ALLOCATIONS, row):
            raise self._in_use(session, str(segment.physical_network))

    def _in_use(self, session: Session, physical_network: str) -> NeutronException:
        chosen = ALLOCATIONS.c.physical_network == physical_network
        holder = session.scalar(select(ALLOCATIONS.c.segment_id).where(chosen))
        return FlatNetworkInUse(physical_network=physical_network, network_id=owner(session, holder))

    def allocate(self, session: Session, physical_network: str | None = None) -> Segment:
        """Take that physical network. Projects get no flat network by themselves."""
        if physical_network is None:
            raise NoNetworkAvailable(
                reason="flat networks are not given to projects; an administrator names provider:physical_network"
            )
        segment = Segment(self._new_id(), self.network_type, physical_network)
        self.reserve(session, segment)
        return segment

    def release(self, session: Session, segment: Segment) -> None:
        """The physical network may carry another flat network."""
        session.execute(delete(ALLOCATIONS).where(ALLOCATIONS.c.segment_id == segment.id))

    def mtu(self, physical_network: str | None) -> int:
        """The physical network's MTU."""
        return physical_mtu(self._conf, self._mtus, physical_network)
