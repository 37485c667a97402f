"""Drivers that the configuration names, found by entry point: packages of others may bring some."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg
from stevedore import NamedExtensionManager

from controller.errors import ConfigurationError, DriverLoadError

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Drivers:
    """The drivers of one entry point group. For messages: ``kind`` is what they are called, e.g. ``type driver``, and
    ``option`` where they are named, e.g. ``[ml2] type_drivers``."""

    group: str
    kind: str
    option: str

    def find(self, name: str) -> Callable[..., Any]:
        """What makes the driver of that name; others are not imported. Raises :class:`DriverLoadError` when it is not
        installed (naming those that are), or cannot be imported (with the reason)."""
        errors: list[Exception] = []
        found = NamedExtensionManager(
            self.group, [name], on_missing_entrypoints_callback=lambda _names: None,
            on_load_failure_callback=lambda _manager, _entry_point, error: errors.append(error),
        )  # fmt: skip
        if errors:
            raise self._unusable(name, "imported", errors[0])
        if name not in found.names():
            installed = ", ".join(sorted({entry.name for entry in found.list_entry_points()})) or "none"
            raise DriverLoadError(
                f"{self.option}: no {self.kind} '{name}' is installed (entry point group {self.group}); "
                f"available are: {installed}"
            )
        plugin: Callable[..., Any] = found[name].plugin
        return plugin

    def make(self, name: str, *arguments: object) -> Any:
        """The driver of that name. Raises as :meth:`find` does, :class:`DriverLoadError` with the reason when it fails
        to start, and what the driver itself says of the configuration."""
        plugin = self.find(name)
        try:
            return plugin(*arguments)
        except (ConfigurationError, cfg.Error):
            raise
        except Exception as error:
            raise self._unusable(name, "started", error) from error

    def _unusable(self, name: str, what: str, error: Exception) -> DriverLoadError:
        LOG.debug("%s '%s'", self.kind, name, exc_info=error)
        reason = f"{type(error).__name__}: {error}"
        return DriverLoadError(f"{self.option}: {self.kind} '{name}' cannot be {what}: {reason}")
