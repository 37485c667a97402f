"""What the type drivers share: checks of provider attributes, MTU rules, and who has a segment."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence

from neutron_lib.constants import IPV4_MIN_MTU
from neutron_lib.exceptions import InvalidInput
from oslo_config import cfg
from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.db.models import SegmentRow
from controller.errors import ConfigurationError
from controller.model import Segment

IP_HEADER = {4: 20, 6: 40}
ETHERNET_HEADER = 14


def new_id() -> str:
    """A fresh segment id."""
    return str(uuid.uuid4())


NewId = Callable[[], str]


def invalid(message: str) -> InvalidInput:
    """A 400 with a message for the caller."""
    return InvalidInput(error_message=message)


def owner(session: Session, segment_id: str | None) -> str:
    """The network of a segment in words, for messages."""
    found = session.scalar(select(SegmentRow.network_id).where(SegmentRow.id == segment_id))
    return found or "another request that is under way"


def physical_mtus(conf: cfg.ConfigOpts) -> Mapping[str, int]:
    """``[ml2] physical_network_mtus``. Raises ConfigurationError."""
    mtus: dict[str, int] = {}
    for entry in conf.ml2.physical_network_mtus:
        name, _, text = entry.rpartition(":")
        if not name.strip() or not (text.strip().isascii() and text.strip().isdigit()) or int(text) < IPV4_MIN_MTU:
            raise ConfigurationError(
                f"[ml2] physical_network_mtus: '{entry}' is not of the form <physical network>:"
                f"<MTU of at least {IPV4_MIN_MTU}>"
            )
        mtus[name.strip()] = int(text)
    return mtus


def physical_mtu(conf: cfg.ConfigOpts, mtus: Mapping[str, int], physical_network: str | None) -> int:
    """The smaller of the physical network's own MTU and the global one, as in Neutron."""
    known = (int(conf.global_physnet_mtu), mtus.get(physical_network or "", 0))
    return min((mtu for mtu in known if mtu > 0), default=0)


def tunnel_mtu(conf: cfg.ConfigOpts, network_type: str, overhead: int) -> int:
    """What is left of the smaller of ``path_mtu`` and ``global_physnet_mtu`` inside a tunnel (0: neither is known).
    Raises ConfigurationError when that is less than IPv4 needs."""
    known = (int(conf.global_physnet_mtu), int(conf.ml2.path_mtu))
    underlay = min((mtu for mtu in known if mtu > 0), default=0)
    if 0 < underlay < overhead + IPV4_MIN_MTU:
        raise ConfigurationError(
            f"[ml2] path_mtu, global_physnet_mtu: of {underlay} bytes {network_type} takes {overhead}; "
            f"that leaves less than the {IPV4_MIN_MTU} that IPv4 needs"
        )
    return max(0, underlay - overhead)


def refuse_attributes(segment: Segment, names: Sequence[str]) -> None:
    """Raise InvalidInput when a segment has attributes that its type knows nothing of."""
    for name in names:
        value = getattr(segment, name)
        if value is not None:
            raise invalid(
                f"provider:{name} '{value}' has no meaning for {segment.network_type} networks; leave it out"
            )
