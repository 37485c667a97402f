"""The API in a process of its own, under any WSGI server: the plugin on the shared database, without the controller.

Resources work as ever; what only the running controller knows (plans, sessions, acknowledgements) is a 503.
"""

from __future__ import annotations

import gc
import os
from typing import NoReturn

from webob import exc

from controller import config
from controller.api.service import Json
from controller.api.wsgi import Application, make_application
from controller.plugin.plugin import Plugin, open_store
from controller.tracing.frame import Wanted
from legacy_agent.host_plan import HostPlan, HostReport
from mechanisms.manager import MechanismManager
from typedrivers.manager import TypeManager

CONFIG_VARIABLE = "ISTHMUS_CONFIG"
"""Environment variable: the configuration files, separated as in PATH."""


def from_environment() -> Application:
    """The application for the configuration files that the environment names."""
    paths = [path for path in os.environ.get(CONFIG_VARIABLE, "").split(os.pathsep) if path]
    conf = config.load([argument for path in paths for argument in ("--config-file", path)])
    types = TypeManager.load(conf)
    plugin = Plugin(conf, open_store(conf, types), types, MechanismManager.load(conf.ml2.mechanism_drivers))
    application = make_application(conf, plugin, NoController())
    settle()
    return application


def settle() -> None:
    """Tell the garbage collector that what exists now stays: else it looks at all modules and statements again and
    again while a long list is put together, which then takes a third longer."""
    gc.collect()
    gc.freeze()


class NoController:
    """An :class:`controller.api.service.IsthmusService` that knows nothing."""

    def host_plan(self, host: str, newer_than: int, timeout: float) -> HostPlan | None:  # noqa: ARG002
        """503"""
        _elsewhere()

    def host_report(self, report: HostReport) -> None:  # noqa: ARG002
        """503"""
        _elsewhere()

    def switches(self) -> list[Json]:
        """503"""
        _elsewhere()

    def hosts(self) -> list[Json]:
        """503"""
        _elsewhere()

    def links(self) -> Json:
        """503"""
        _elsewhere()

    def events(self, since: int) -> Json:  # noqa: ARG002
        """503"""
        _elsewhere()

    def path(self, source: str, target: str) -> Json:  # noqa: ARG002
        """503"""
        _elsewhere()

    def trace(self, source: str, target: str | None, wanted: Wanted) -> Json:  # noqa: ARG002
        """503"""
        _elsewhere()

    def node_plan(self, node_id: str) -> Json:  # noqa: ARG002
        """503"""
        _elsewhere()

    def wait(self, revision: int | None, timeout: float) -> Json:  # noqa: ARG002
        """503"""
        _elsewhere()

    def port_evidence(self, port_id: str) -> Json:  # noqa: ARG002
        """503"""
        _elsewhere()

    def health(self) -> Json:
        """503"""
        _elsewhere()


def _elsewhere() -> NoReturn:
    raise exc.HTTPServiceUnavailable(
        "This process serves the API without the controller; ask the process that runs controller.app"
    )
