"""``isthmus-agent``: composition root. Reads the configuration, starts the threads, ends on SIGTERM or SIGINT with the
dataplane as it is."""

from __future__ import annotations

import contextlib
import importlib.metadata
import ipaddress
import itertools
import logging
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from oslo_config import cfg

from controller.config import load
from controller.entry_points import Drivers
from controller.errors import ConfigurationError, DriverLoadError, IsthmusError
from controller.identity import Credentials, from_configuration
from controller.model import PHYSICAL_TYPES, TUNNEL_TYPES
from legacy_agent.agent import Agent, Timing
from legacy_agent.announce import INTERVAL, announce
from legacy_agent.drivers.api import AgentDriver, HostSettings, OpenVSwitchSettings, WatchingDriver
from legacy_agent.facts import HostFacts
from legacy_agent.netlink import events
from legacy_agent.netlink.links import KernelLinks
from legacy_agent.single import hold
from legacy_agent.watch import Backoff, ControllerClient, Controllers, PlanWatch

LOG = logging.getLogger(__name__)

DRIVERS = Drivers("isthmus.agent_drivers", "agent driver", "[agent] drivers")
NETWORK_TYPES = frozenset({"local", *PHYSICAL_TYPES, *TUNNEL_TYPES})
_ENDING = frozenset({signal.SIGTERM, signal.SIGINT})
_GOODBYE = 1.0
"""Seconds that a change in progress may take at the end."""


def main() -> int:
    """Entry point. Returns 0 after a signal, 1 when the agent cannot start."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        run(load(sys.argv[1:], prog="isthmus-agent"))
    except (IsthmusError, cfg.Error) as error:
        LOG.error("%s", error)
        return 1
    return 0


def run(conf: cfg.ConfigOpts) -> None:
    """Run until SIGTERM or SIGINT. Raises :class:`legacy_agent.single.AnotherAgent`."""
    settings = host_settings(conf)
    drivers = load_drivers(parse_drivers(conf.agent.drivers), settings)
    timing = Timing(conf.agent.audit_interval, conf.agent.report_interval, conf.agent.retry_max)
    agent = Agent(settings, drivers, _FactsReader(), timing, importlib.metadata.version("isthmus"))
    agent.announcement_key = secrets.token_hex(32)
    credentials = from_configuration(conf)
    with _alone(conf.agent.lock_directory):
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # in all threads: a handler could need a lock that is held
        worker = _start(agent, conf, settings, credentials)
        LOG.info("agent of host %s started, controller %s, drivers %s", settings.host, conf.agent.controller_url,
                 ", ".join(drivers))  # fmt: skip
        signal.sigwait(_ENDING)
        agent.stop()
        worker.join(_GOODBYE)
    LOG.info("agent ends; the host keeps forwarding as it is")


def _alone(directory: str) -> contextlib.AbstractContextManager[object]:
    return (hold(Path(directory)) if directory else None) or contextlib.nullcontext()


def host_settings(conf: cfg.ConfigOpts) -> HostSettings:
    """What the configuration says of this host; raises :class:`ConfigurationError` naming the option."""
    local_ip = conf.vxlan.local_ip or conf.ovs.local_ip
    return HostSettings(
        host=conf.agent.host or socket.gethostname(),
        physical_interfaces=parse_mappings(conf.linux_bridge.physical_interface_mappings),
        local_ip=str(ipaddress.ip_address(local_ip)) if local_ip and conf.vxlan.enable_vxlan else None,
        vxlan_port=conf.vxlan.udp_dstport,
        open_vswitch=_open_vswitch_settings(conf),
    )


def _open_vswitch_settings(conf: cfg.ConfigOpts) -> OpenVSwitchSettings:
    kind, _, path = conf.ovs.ovsdb_connection.partition(":")
    beside = str(Path(path).parent) if kind == "unix" else "/run/openvswitch"
    return OpenVSwitchSettings(
        bridge=conf.ovs.integration_bridge,
        remote=conf.ovs.ovsdb_connection,
        run_directory=conf.ovs.run_directory or beside,
        datapath_type=conf.ovs.datapath_type,
        physical_interfaces=parse_mappings(
            conf.ovs.physical_interface_mappings, "[ovs] physical_interface_mappings", "interface"
        ),
        bridge_mappings=parse_mappings(conf.ovs.bridge_mappings, "[ovs] bridge_mappings", "bridge"),
    )


def parse_mappings(
    pairs: Sequence[str], option: str = "[linux_bridge] physical_interface_mappings", what: str = "interface"
) -> dict[str, str]:
    """``physnet1:eth1`` pairs as a mapping; an interface (or bridge) serves one physical network only."""
    mappings: dict[str, str] = {}
    for pair in pairs:
        name, _, interface = (part.strip() for part in pair.partition(":"))
        if not name or not interface or name in mappings or interface in mappings.values():
            raise ConfigurationError(
                f"{option}: {pair!r} is not <physical network>:<{what}>, or one of the two is there twice"
            )
        mappings[name] = interface
    return mappings


def parse_drivers(entries: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Driver -> the network types that it shall serve (none: all it can), in the order given.

    Entries are separated by commas or spaces, and so are types: what follows ``driver:type`` and is a network type is
    one more type of that driver. Raises :class:`ConfigurationError` for a driver that is there twice.
    """
    drivers: dict[str, tuple[str, ...]] = {}
    last = ""
    for word in " ".join(entries).split():
        name, colon, kind = word.partition(":")
        if not colon and last and name in NETWORK_TYPES:
            drivers[last] += (name,)
            continue
        if not name or name in drivers or (colon and not kind):
            raise ConfigurationError(f"[agent] drivers: {word!r} is not <driver>[:<network type>], or is there twice")
        drivers[name], last = ((kind,), name) if colon else ((), "")
    return drivers


def load_drivers(wanted: Mapping[str, Sequence[str]], settings: HostSettings) -> dict[str, AgentDriver]:
    """Drivers by entry point name, in the order given, each with its network types (none: all it can, but for those
    that another driver was given by name); raises :class:`DriverLoadError`."""
    drivers: dict[str, AgentDriver] = {}
    given = {kind for types in wanted.values() for kind in types}
    for name, types in wanted.items():
        driver: AgentDriver = DRIVERS.make(name, settings)
        unknown = sorted(set(types) - set(driver.network_types))
        if unknown:
            able = ", ".join(driver.network_types)
            raise DriverLoadError(f"[agent] drivers: {name!r} does not serve {', '.join(unknown)}; it can do {able}")
        driver.network_types = tuple(types) or tuple(kind for kind in driver.network_types if kind not in given)
        drivers[name] = driver
    if not drivers:
        raise DriverLoadError("[agent] drivers names no driver")
    return drivers


class _FactsReader:
    """Reads interfaces and addresses; its socket is opened by the thread that calls it first."""

    def __init__(self) -> None:
        self._links: KernelLinks | None = None

    def __call__(self) -> HostFacts:
        if self._links is None:
            self._links = KernelLinks()
        addresses = self._links.addresses().values()
        interfaces = frozenset(self._links.names().values())
        return HostFacts(interfaces, frozenset(text for texts in addresses for text in texts))


def _start(agent: Agent, conf: cfg.ConfigOpts, settings: HostSettings, credentials: Credentials) -> threading.Thread:
    """Start the threads, all daemons: none may hold up the end. Returns the worker."""
    controllers = Controllers(conf.agent.controller_url)
    source = ControllerClient(controllers, settings.host, credentials)
    watch = PlanWatch(source, agent, agent.stopped, conf.agent.plan_timeout, Backoff(largest=conf.agent.retry_max))
    reporter = ControllerClient(controllers, settings.host, credentials)
    _watch_events(events.open_route_events, events.everything, agent)
    _watch_events(events.open_nftables_events, events.of_bridges, agent)
    for driver in agent.drivers.values():
        if isinstance(driver, WatchingDriver):
            _watch_driver(driver, agent)
    _thread("watch", watch.run)
    _thread("announce", lambda: _announce(agent, settings))
    _thread("report", lambda: agent.report_loop(reporter))
    return _thread("worker", agent.work)


def _announce(agent: Agent, settings: HostSettings) -> None:
    failed: set[str] = set()
    key = bytes.fromhex(agent.announcement_key)
    interfaces = {*settings.physical_interfaces.values(), *settings.open_vswitch.physical_interfaces.values()}
    for sequence in itertools.count(1):  # with the key, which is new; a clock may go back
        announce(settings.host, sorted(interfaces), sequence, key, failed)
        if agent.stopped.wait(INTERVAL):
            return


def _watch_events(source: Callable[[], socket.socket], concerns: Callable[[bytes], bool], agent: Agent) -> None:
    try:
        opened = source()
    except OSError as error:
        LOG.warning("no events from the kernel (%s); changes are found by the audit only", error)
        return
    _thread("events", lambda: events.watch(opened, agent.wake, concerns))


def _watch_driver(driver: WatchingDriver, agent: Agent) -> None:
    _thread("driver-events", lambda: driver.watch(agent.wake, agent.stopped))


def _thread(name: str, body: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=body, name=name, daemon=True)
    thread.start()
    return thread


if __name__ == "__main__":
    sys.exit(main())
