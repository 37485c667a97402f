"""What the tunnel types share: one pool of ids, no physical network. A tunnel type is a subclass of a few lines."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

from oslo_config import cfg
from sqlalchemy import Table
from sqlalchemy.orm import Session

from controller.model import Segment
from typedrivers.base import IP_HEADER, NewId, invalid, new_id, owner, refuse_attributes, tunnel_mtu
from typedrivers.errors import NoNetworkAvailable, TunnelIdInUse
from typedrivers.intervals import Below, Interval, Pool, parse_range
from typedrivers.pools import IdPool, allocation_table


class TunnelTypeDriver:
    """The owner of a tunnel type. A subclass says which: its ids, its table, its option and its header."""

    network_type: str
    table: Table
    limits: Interval
    """The ids that the protocol has."""
    option: str
    """``<group>.<name>`` of the ranges that projects get."""

    def __init__(self, conf: cfg.ConfigOpts, new_id: NewId = new_id, below: Below = random.randrange) -> None:
        group, _, name = self.option.partition(".")
        pool = Pool.of(parse_range(text, self.limits, self.option) for text in conf[group][name])
        self.mtu_overhead = IP_HEADER[int(conf.ml2.overlay_ip_version)] + self.header(conf)
        self._largest_mtu = tunnel_mtu(conf, self.network_type, self.mtu_overhead)
        self._ids = IdPool(self.table, "tunnel_id", pool, below=below)
        self._new_id = new_id

    def header(self, conf: cfg.ConfigOpts) -> int:
        """Bytes of the encapsulation between the underlay's IP header and the inner IP packet."""
        raise NotImplementedError

    def validate(self, segment: Segment) -> None:
        """No physical network, and an id that the protocol has; inside the ranges or not."""
        refuse_attributes(segment, ("physical_network",))
        if segment.segmentation_id is not None and segment.segmentation_id not in self.limits:
            raise invalid(
                f"provider:segmentation_id {segment.segmentation_id} is no {self.network_type} id; "
                f"those are {self.limits}"
            )

    def reserve(self, session: Session, segment: Segment) -> None:
        """Take exactly this id. Raises TunnelIdInUse."""
        number = segment.segmentation_id or 0
        if not self._ids.take(session, number, segment.id):
            holder = owner(session, self._ids.holder(session, number))
            raise TunnelIdInUse(network_type=self.network_type, tunnel_id=number, network_id=holder)

    def allocate(self, session: Session, physical_network: str | None = None) -> Segment:  # noqa: ARG002
        """A free id of the ranges."""
        segment_id = self._new_id()
        number = self._ids.take_any(session, segment_id)
        if number is None:
            group, _, name = self.option.partition(".")
            state = f"{self._ids.pool} all in use" if self._ids.pool.size else f"[{group}] {name} is empty"
            raise NoNetworkAvailable(reason=f"no more {self.network_type} ids: {state}")
        return Segment(segment_id, self.network_type, None, number)

    def ranges(self) -> Mapping[str | None, Pool]:
        """The configured ranges."""
        return {None: self._ids.pool}

    def allocate_within(self, session: Session, physical_network: str | None, pool: Pool) -> Segment | None:  # noqa: ARG002
        """A free id of a pool."""
        segment_id = self._new_id()
        number = replace(self._ids, pool=pool).take_any(session, segment_id)
        return None if number is None else Segment(segment_id, self.network_type, None, number)

    def used_within(self, session: Session, physical_network: str | None, interval: Interval) -> Mapping[int, str]:  # noqa: ARG002
        """The ids in use within an interval."""
        return self._ids.used_within(session, interval)

    def release(self, session: Session, segment: Segment) -> None:
        """The id is free again."""
        self._ids.give_back(session, segment.id)

    def mtu(self, physical_network: str | None) -> int:  # noqa: ARG002
        """What the underlay leaves."""
        return self._largest_mtu


def tunnel_table(network_type: str) -> Table:
    """The table of the ids in use of a tunnel type."""
    return allocation_table(f"{network_type}_allocations", "tunnel_id")
