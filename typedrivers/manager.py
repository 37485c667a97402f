"""The type drivers that the configuration names, and what the plugin asks of all of them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from neutron_lib.exceptions import InvalidInput
from neutron_lib.exceptions import NoNetworkAvailable as NothingLeft
from oslo_config import cfg
from sqlalchemy import Table
from sqlalchemy.orm import Session

from controller.entry_points import Drivers
from controller.errors import ConfigurationError, DriverLoadError
from controller.model import Segment
from typedrivers import ranges
from typedrivers.api import RangedTypeDriver, TypeDriver
from typedrivers.base import new_id
from typedrivers.errors import NoNetworkAvailable

DRIVERS = Drivers("isthmus.type_drivers", "type driver", "[ml2] type_drivers")


@dataclass(frozen=True, slots=True)
class ProviderRequest:
    """Provider attributes as a caller gave them; what is None is for us to choose."""

    network_type: str | None = None
    physical_network: str | None = None
    segmentation_id: int | None = None


class TypeManager:
    """All type drivers by network type. ``project_types`` are tried in order when no provider attributes are given."""

    def __init__(self, drivers: Mapping[str, TypeDriver], project_types: tuple[str, ...]) -> None:
        unknown = [name for name in project_types if name not in drivers]
        if unknown:
            raise ConfigurationError(
                f"[ml2] project_network_types names {', '.join(unknown)}, which [ml2] type_drivers does not load "
                f"(loaded: {', '.join(drivers) or 'none'})"
            )
        self._drivers = dict(drivers)
        self._project_types = project_types

    @classmethod
    def load(cls, conf: cfg.ConfigOpts) -> TypeManager:
        """Load the drivers of ``[ml2] type_drivers`` by their entry points. Raises ConfigurationError."""
        names = [name.strip() for name in conf.ml2.type_drivers if name.strip()]
        drivers: dict[str, TypeDriver] = {name: DRIVERS.make(name, conf) for name in names}
        for name, driver in drivers.items():
            if driver.network_type != name:
                raise DriverLoadError(
                    f"{DRIVERS.option}: the entry point '{name}' is a driver of network type '{driver.network_type}'; "
                    "both must have one name"
                )
        return cls(drivers, tuple(name.strip() for name in conf.ml2.project_network_types if name.strip()))

    @property
    def types(self) -> tuple[str, ...]:
        """The network types that may exist."""
        return tuple(self._drivers)

    @property
    def tables(self) -> list[Table]:
        """Tables that drivers brought themselves (attribute ``table``); ours among them are migrated anyway."""
        tables = (getattr(driver, "table", None) for driver in self._drivers.values())
        return [table for table in tables if isinstance(table, Table)]

    def driver(self, network_type: str) -> TypeDriver:
        """The driver of a type. Raises InvalidInput naming those that exist."""
        driver = self._drivers.get(network_type)
        if driver is None:
            raise InvalidInput(
                error_message=f"provider:network_type '{network_type}' is not supported; [ml2] type_drivers loads: "
                + ", ".join(self._drivers)
            )
        return driver

    def ranged(self, network_type: str) -> RangedTypeDriver | None:
        """The driver of a type if its ids come from ranges."""
        driver = self._drivers.get(network_type)
        return driver if isinstance(driver, RangedTypeDriver) else None

    def allocate_project(self, session: Session, project_id: str = "") -> Segment:
        """A segment for a network without provider attributes. Raises NoNetworkAvailable with every type's reason."""
        reasons = []
        for name in self._project_types:
            try:
                return self._allocate(session, name, None, project_id)
            except NothingLeft as error:
                reasons.append(str(error).removeprefix("Unable to create the network: ").rstrip("."))
        raise NoNetworkAvailable(reason="; ".join(reasons) or "[ml2] project_network_types is empty")

    def _allocate(self, session: Session, network_type: str, physical_network: str | None, project_id: str) -> Segment:
        """A free segment for a project, from ranges made at run time too."""
        driver = self.driver(network_type)
        rows = ranges.made(session, network_type) if isinstance(driver, RangedTypeDriver) else ()
        if not rows or not isinstance(driver, RangedTypeDriver):
            return driver.allocate(session, physical_network)
        tried = []
        for name, pool in ranges.places(driver, rows, project_id):
            if physical_network not in (None, name):
                continue
            segment = driver.allocate_within(session, name, pool)
            if segment is not None:
                return segment
            tried.append(f"{'' if name is None else name + ' '}{pool}")
        state = ", ".join(tried) + " all in use" if tried else "no range of ids for this project"
        raise NoNetworkAvailable(reason=f"no more {network_type} ids: {state}")

    def allocate(self, session: Session, request: ProviderRequest, project_id: str = "") -> Segment:
        """The segment that a caller asked for, reserved; an id that it left open is chosen."""
        if request.network_type is None:
            raise InvalidInput(
                error_message="provider:network_type is needed with provider:physical_network or "
                "provider:segmentation_id"
            )
        driver = self.driver(request.network_type)
        wanted = Segment(new_id(), request.network_type, request.physical_network, request.segmentation_id)
        driver.validate(wanted)
        if wanted.segmentation_id is None:
            return self._allocate(session, wanted.network_type, wanted.physical_network, project_id)
        driver.reserve(session, wanted)
        return wanted

    def release(self, session: Session, segment: Segment) -> None:
        """Give a segment back. One whose driver is no longer loaded has nothing that could be given to others."""
        driver = self._drivers.get(segment.network_type)
        if driver is not None:
            driver.release(session, segment)

    def mtu(self, segments: list[Segment]) -> int:
        """The largest MTU that every segment carries (0: not known)."""
        known = [self._drivers[item.network_type].mtu(item.physical_network) for item in segments
                 if item.network_type in self._drivers]  # fmt: skip
        return min((mtu for mtu in known if mtu > 0), default=0)
