"""``local``: networks that do not leave their node. Any number of them; nothing is allocated."""

from __future__ import annotations

from oslo_config import cfg
from sqlalchemy.orm import Session

from controller.model import Segment
from typedrivers.base import NewId, new_id, refuse_attributes


class LocalTypeDriver:
    """The owner of network type ``local``."""

    network_type = "local"
    mtu_overhead = 0

    def __init__(self, conf: cfg.ConfigOpts, new_id: NewId = new_id) -> None:
        self._mtu = int(conf.global_physnet_mtu)
        self._new_id = new_id

    def validate(self, segment: Segment) -> None:
        """Local networks have neither a physical network nor an id."""
        refuse_attributes(segment, ("physical_network", "segmentation_id"))

    def reserve(self, session: Session, segment: Segment) -> None:
        """Nothing to take."""

    def allocate(self, session: Session, physical_network: str | None = None) -> Segment:  # noqa: ARG002
        """There is always another one."""
        return Segment(self._new_id(), self.network_type)

    def release(self, session: Session, segment: Segment) -> None:
        """Nothing to give back."""

    def mtu(self, physical_network: str | None) -> int:  # noqa: ARG002
        """The MTU of the nodes' own networks."""
        return self._mtu
