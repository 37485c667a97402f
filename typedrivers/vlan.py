"""``vlan``: 802.1Q ids 1 to 4094, per physical network."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from oslo_config import cfg
from sqlalchemy import Column, String
from sqlalchemy.orm import Session

from controller.errors import ConfigurationError
from controller.model import Segment
from typedrivers.base import NewId, invalid, new_id, owner, physical_mtu, physical_mtus
from typedrivers.errors import NoNetworkAvailable, VlanIdInUse
from typedrivers.intervals import Below, Interval, Pool, parse_range
from typedrivers.pools import IdPool, allocation_table

ALLOCATIONS = allocation_table("vlan_allocations", "vlan_id", Column("physical_network", String(64), primary_key=True))
LIMITS = Interval(1, 4094)
OPTION = "ml2_type_vlan.network_vlan_ranges"


def parse_vlan_ranges(entries: list[str]) -> Mapping[str, Pool]:
    """Physical network -> pool, empty for a name without a range. Raises ConfigurationError."""
    ranges: dict[str, list[Interval]] = defaultdict(list)
    for entry in entries:
        parts = [part.strip() for part in entry.split(":")]
        name = ":".join(parts[:-2]) if len(parts) > 2 else parts[0]
        if not name or len(parts) == 2:
            raise ConfigurationError(
                f"[ml2_type_vlan] network_vlan_ranges: '{entry}' is not of the form "
                "<physical network>[:<first>:<last>]"
            )
        intervals = ranges[name]
        if len(parts) > 2:
            try:
                intervals.append(parse_range(":".join(parts[-2:]), LIMITS, OPTION))
            except ConfigurationError as error:
                raise ConfigurationError(f"{error} (in '{entry.strip()}')") from None
    return {name: Pool.of(intervals) for name, intervals in ranges.items()}


class VlanTypeDriver:
    """The owner of network type ``vlan``."""

    network_type = "vlan"
    mtu_overhead = 0
    limits = LIMITS

    def __init__(self, conf: cfg.ConfigOpts, new_id: NewId = new_id, below: Below = random.randrange) -> None:
        self._conf = conf
        self._mtus = physical_mtus(conf)
        self._pools = parse_vlan_ranges(conf.ml2_type_vlan.network_vlan_ranges)
        self._new_id = new_id
        self._below = below
        self._spare: dict[str, list[int]] = defaultdict(list)

    def _pool(self, physical_network: str) -> IdPool:
        pool = self._pools.get(physical_network, Pool(()))
        return IdPool(ALLOCATIONS, "vlan_id", pool, {"physical_network": physical_network}, self._below,
                      self._spare[physical_network])  # fmt: skip

    def validate(self, segment: Segment) -> None:
        """A known physical network and an id that 802.1Q has; without the network no id either."""
        if segment.physical_network is None:
            if segment.segmentation_id is not None:
                raise invalid("provider:segmentation_id needs provider:physical_network for VLAN networks")
            return
        if segment.physical_network not in self._pools:
            known = ", ".join(sorted(self._pools)) or "none"
            raise invalid(
                f"physical network '{segment.physical_network}' is not known for VLAN networks; "
                f"[ml2_type_vlan] network_vlan_ranges names: {known}"
            )
        if segment.segmentation_id is not None and segment.segmentation_id not in LIMITS:
            raise invalid(f"provider:segmentation_id {segment.segmentation_id} is no VLAN id; those are {LIMITS}")

    def reserve(self, session: Session, segment: Segment) -> None:
        """Take exactly this VLAN, inside the ranges or not. Raises VlanIdInUse."""
        pool, number = self._pool(segment.physical_network or ""), segment.segmentation_id or 0
        if not pool.take(session, number, segment.id):
            holder = owner(session, pool.holder(session, number))
            raise VlanIdInUse(vlan_id=number, physical_network=segment.physical_network, network_id=holder)

    def allocate(self, session: Session, physical_network: str | None = None) -> Segment:
        """A free VLAN of that physical network, or of the first that has one."""
        segment_id = self._new_id()
        names = [physical_network] if physical_network is not None else list(self._pools)
        for name in names:
            number = self._pool(name).take_any(session, segment_id)
            if number is not None:
                return Segment(segment_id, self.network_type, name, number)
        raise NoNetworkAvailable(reason="no more vlan ids: " + self._in_words(names))

    def _in_words(self, names: list[str]) -> str:
        pools = [(name, self._pools.get(name, Pool(()))) for name in names]
        if not any(pool.size for _, pool in pools):
            where = f" for {names[0]}" if len(names) == 1 else ""
            return f"[ml2_type_vlan] network_vlan_ranges has no range of ids{where}"
        return "; ".join(f"{name} {pool}" for name, pool in pools if pool.size) + " all in use"

    def ranges(self) -> Mapping[str | None, Pool]:
        """The configured ranges."""
        return {name: pool for name, pool in self._pools.items() if pool.size}

    def allocate_within(self, session: Session, physical_network: str | None, pool: Pool) -> Segment | None:
        """A free VLAN of a pool on a physical network."""
        segment_id, name = self._new_id(), physical_network or ""
        number = replace(self._pool(name), pool=pool).take_any(session, segment_id)
        return None if number is None else Segment(segment_id, self.network_type, name, number)

    def used_within(self, session: Session, physical_network: str | None, interval: Interval) -> Mapping[int, str]:
        """The VLANs in use within an interval on a physical network."""
        return self._pool(physical_network or "").used_within(session, interval)

    def release(self, session: Session, segment: Segment) -> None:
        """The VLAN is free again."""
        self._pool(segment.physical_network or "").give_back(session, segment.id)

    def mtu(self, physical_network: str | None) -> int:
        """The physical network's MTU; the tag does not count."""
        return physical_mtu(self._conf, self._mtus, physical_network)
